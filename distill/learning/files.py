"""Where a run writes, and what it writes on its way: a log, previews, checkpoints."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from distill.learning.fit import Step
from distill.learning.metrics import Metrics
from distill.learning.run import Run
from fields.files import ModelError, read_header, round_to_half, write_beside, write_json
from render.paths import surrounding
from render.pictures import encode_png
from scenes.evaluate import Scored
from scenes.sheet import NAMES, save_sheet

PREVIEW = 240  # pixels, longest side
PREVIEW_EVERY = 15.0  # seconds
MEASURED_EVERY = 0.5  # seconds
SMOOTH = 0.05  # weight of a new batch's error among those before
SUFFIX = ".safetensors"
Names = tuple[str, str, str]


@dataclass(frozen=True)
class Files:
    """Where a run writes."""

    model: Path
    metrics: Path
    log: Path
    preview: Path
    sheet: Path
    checkpoint: Path

    @staticmethod
    def within(folder: Path) -> "Files":
        """All in a folder of the run's own."""
        names = "model.safetensors", "metrics.json", "log.jsonl", "preview.png", "test_sheet.png"
        return Files(*(folder / name for name in (*names, "checkpoint.safetensors")))

    @staticmethod
    def beside(model: Path) -> "Files":
        """The model where it was asked for, the rest beside it under its name."""
        names = "_metrics.json", "_log.jsonl", "_preview.png", "_sheet.png", "_checkpoint.safetensors"
        return Files(model, *(model.with_name(model.stem + name) for name in names))

    @staticmethod
    def at(out: Path) -> "Files":
        """By the path's ending: a model file or a folder. ValueError where it is the other kind already."""
        if out.suffix == SUFFIX:
            if out.is_dir():
                raise ValueError(f"{out}: is a folder; --out wants a file there, or a folder without {SUFFIX}")
            return Files.beside(out)
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out}: is a file; --out wants a folder, or a path that ends in {SUFFIX}")
        return Files.within(out)

    def prepare(self) -> None:
        """Make the folder and see that it can be written to, before the work and after all that may be wrong with the
        input."""
        probe = self.model.with_name(".writable")
        write_beside(probe, b"")
        probe.unlink()

    def rehearse(self, run: Run) -> None:
        """See that what is written at the end can be, before the work: that no name is too long or a folder's, and that
        the model opens again. ValueError or OSError where it is not so."""
        for path in (self.model, self.metrics, self.log, self.preview, self.sheet, self.checkpoint):
            if path.is_dir():
                raise ValueError(f"{path}: is a folder, where a file is to be written")
            alike = path.with_name("." + path.name[1:])
            if not (path.exists() or alike.exists()):
                write_beside(alike, b"")
                alike.unlink()
        probe = self.model.with_name(".model" + SUFFIX)
        try:
            run.save_model(probe)
            read_header(probe)
        except ModelError as error:
            raise ModelError(str(error).replace(str(probe), str(self.model))) from None
        finally:
            probe.unlink(missing_ok=True)


class Pace:
    """How well and how fast a run learns, measured twice a second."""

    def __init__(self, seconds: float) -> None:
        """`seconds` are those that the run has trained before."""
        self.mse = math.nan  # smoothed over batches
        self.rate = 0.0  # samples with gradients a second, since the measurement before
        self.fresh = False  # whether the last step was measured
        self.samples, self.seconds, self.measured = 0, seconds, -math.inf

    @property
    def psnr(self) -> float:
        """dB of batches; NaN where nothing is known."""
        return -10 * math.log10(max(self.mse, 1e-10))

    def saw(self, step: Step) -> None:
        """Take note of a step."""
        if math.isfinite(step.mse):
            self.mse = (1 - SMOOTH) * self.mse + SMOOTH * step.mse if math.isfinite(self.mse) else step.mse
        self.samples += step.samples
        self.fresh = time.monotonic() - self.measured > MEASURED_EVERY or step.index == 0
        if self.fresh:
            self.rate = self.samples / max(step.seconds - self.seconds, 1e-9)
            self.samples, self.seconds, self.measured = 0, step.seconds, time.monotonic()


class Records:
    """The log, previews and checkpoints, as long as it is open."""

    def __init__(self, run: Run, files: Files, every: float) -> None:
        """Checkpoints come `every` so many seconds."""
        self.run, self.files, self.every = run, files, every
        self.log = files.log.open("a" if run.optimization.index > 0 else "w", encoding="utf-8")
        self.saved = self.drawn = time.monotonic()

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    def saw(self, step: Step, pace: Pace) -> None:
        """Take note of one step."""
        if pace.fresh:
            self.log.write(json.dumps(line(step, pace)) + "\n")
            self.log.flush()
        if time.monotonic() - self.drawn > min(PREVIEW_EVERY, self.every):
            write_beside(self.files.preview, preview(self.run))
            self.drawn = time.monotonic()
        if time.monotonic() - self.saved > self.every:
            self.run.save_checkpoint(self.files.checkpoint)
            self.saved = time.monotonic()


def line(step: Step, pace: Pace) -> dict[str, object]:
    """A step in the log."""
    return {
        "step": step.index + 1,
        "stage": step.phase,
        "seconds": round(step.seconds, 3),
        "loss": step.loss,
        "batch_psnr": pace.psnr if math.isfinite(pace.psnr) else None,
        "rays": step.rays,
        "samples": step.samples,
        "samples_per_second": round(pace.rate),
        "note": step.trouble,
    }


def preview(run: Run) -> bytes:
    """A small picture from the first test camera, else the first training camera, else one of some all around."""
    place = run.place
    camera = (place.test or place.train or surrounding(place.box))[0]
    shrink = min(1.0, PREVIEW / max(camera.size))
    camera = camera.resized(*(max(1, round(n * shrink)) for n in camera.size))
    frame = run.image(camera)
    background = torch.tensor(place.background, device=frame.pixels.rgb.device)
    return encode_png(frame.pixels.over(background).cpu())


def begin_scoring(run: Run, files: Files | None) -> None:
    """Write the field, which scoring may outlast, and go on with the weights that the file gives back: what is scored
    is what is saved."""
    if files:
        run.save_model(files.model)
    if run.half:
        round_to_half(run.field)


def write_all(run: Run, files: Files | None, metrics: Metrics, scores: list[Scored], names: Names = NAMES) -> Metrics:
    """The model with its metrics, metrics.json and the sheet, whose columns have these names; the checkpoint goes.
    Returns the metrics with the model's bytes."""
    if files is None:
        return metrics
    metrics = metrics.written(run.save_model(files.model, metrics, preview(run)))
    write_json(files.metrics, metrics.to_record())
    save_sheet(files.sheet, scores, names)
    files.checkpoint.unlink(missing_ok=True)
    return metrics
