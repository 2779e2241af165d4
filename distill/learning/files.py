"""Where a run writes, and what it writes on its way: a log, previews, checkpoints."""

import contextlib
import json
import math
import os
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from distill.learning.fit import Step
from distill.learning.lock import locked
from distill.learning.metrics import Metrics
from distill.learning.run import Recipe, Run, read_checkpoint
from fields.files import ModelError, part_name, read_header, round_to_half, sweep, write_beside, write_json
from render.paths import surrounding
from render.pictures import encode_png
from scenes.evaluate import Scored
from scenes.results import OWNER, digest, locate, result_folder
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
    owner: str = field(default="", kw_only=True)  # whose results they are, where the folder was chosen for them

    @staticmethod
    def within(folder: Path, owner: str = "") -> "Files":
        """All in a folder of the run's own."""
        names = "model.safetensors", "metrics.json", "log.jsonl", "preview.png", "test_sheet.png"
        return Files(*(folder / name for name in (*names, "checkpoint.safetensors")), owner=owner)

    @staticmethod
    def beside(model: Path) -> "Files":
        """The model where it was asked for, the rest beside it under its name."""
        names = "_metrics.json", "_log.jsonl", "_preview.png", "_sheet.png", "_checkpoint.safetensors"
        metrics, log, preview, sheet, checkpoint = (model.with_name(model.stem + name) for name in names)
        return Files(model, metrics, log, preview, sheet, checkpoint)

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

    @staticmethod
    def of(source: str, out: Path | None, kind: str = "") -> "Files":
        """Where it was said, or in the folder that is the data's, mesh's or model's own. ValueError where that is the
        data itself."""
        where = locate(source)
        if out is None:
            return Files.within(result_folder(source, kind), digest(where))
        if Path(where).is_dir() and os.path.realpath(out) == where:
            raise ValueError(f"{out}: is what is read; --out wants another place for the results")
        return Files.at(out)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return self.model, self.metrics, self.log, self.preview, self.sheet, self.checkpoint

    def check_no_folders(self) -> None:
        """ValueError where a folder lies where a file is to be written."""
        for path in self.paths:
            if path.is_dir():
                raise ValueError(f"{path}: is a folder, where a file is to be written")

    def prepare(self) -> None:
        """Make the folder and see that it can be written to, before the work and after all that may be wrong with the
        input; clear away what a run left that was killed. ValueError where another run writes there."""
        with self.alone():
            sweep(self.model.parent)
            if self.owner:
                write_beside(self.model.with_name(OWNER), self.owner.encode())

    def alone(self) -> AbstractContextManager[None]:
        """Inside, nobody else writes them."""
        return locked(self.model.with_name(f".{self.model.stem}.lock"), self.model)

    def rehearse(self, run: Run) -> None:
        """See that what is written at the end can be, before the work: that no name is too long, and that the model
        opens again. ModelError or OSError, which name the file, where it is not so."""
        named, parent = {path.name: path for path in self.paths}, self.model.parent
        try:
            with (
                self.alone(),
                tempfile.TemporaryDirectory(*part_name(self.model), parent, ignore_cleanup_errors=True) as folder,
            ):
                for name in named:
                    write_beside(Path(folder) / name, b"")
                self.open_again(run, Path(folder) / self.model.name)
        except OSError as error:
            meant = named.get(Path(error.filename or "").name, self.model)
            raise OSError(error.errno, error.strerror, str(meant)) from None

    def open_again(self, run: Run, probe: Path) -> None:
        """Write the model there and read what it says. ModelError names the one that will be written."""
        try:
            run.save_model(probe)
            read_header(probe)
        except ModelError as error:
            raise ModelError(str(error).replace(str(probe), str(self.model))) from None


def find_other(recipe: Recipe, files: Files) -> str:
    """Which of the files is another run's, and by what; empty where none is."""
    for path, compare in ((files.model, compare_model), (files.checkpoint, compare_checkpoint)):
        try:
            difference = compare(recipe, path) if path.is_file() else ""
        except ModelError:
            return f"{path}: is nothing that this run wrote"
        if difference:
            return f"{path}: is of another run, with {difference}"
    return ""


def compare_model(recipe: Recipe, path: Path) -> str:
    """What a model says of the run that wrote it that is not equal. ModelError where it is none."""
    said = read_header(path).provenance
    said = said if isinstance(said, dict) else {}
    record, seconds = said.get("recipe"), said.get("max_seconds", math.inf)
    difference = recipe.difference(record if isinstance(record, dict) else {}, said.get("location"))
    if difference or seconds == recipe.seconds:
        return difference
    return f"--max-seconds {seconds}, this run has {recipe.seconds:g}"


def compare_checkpoint(recipe: Recipe, path: Path) -> str:
    """What a checkpoint says of its run that is not equal. ModelError where it is none."""
    record, _ = read_checkpoint(path)
    return recipe.difference(record, record.get("location"))


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
        with contextlib.suppress(OSError):  # was raised where it was written
            self.log.close()

    def saw(self, step: Step, pace: Pace) -> None:
        """Take note of one step. OSError, which names the file, where that cannot be written."""
        if pace.fresh:
            self.note(json.dumps(line(step, pace)))
        if time.monotonic() - self.drawn > min(PREVIEW_EVERY, self.every):
            write_beside(self.files.preview, preview(self.run))
            self.drawn = time.monotonic()
        if time.monotonic() - self.saved > self.every:
            self.run.save_checkpoint(self.files.checkpoint)
            self.saved = time.monotonic()

    def note(self, text: str) -> None:
        """A line more in the log, which begins anew where somebody has removed it."""
        path = self.files.log
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self.log.close()
                self.log = path.open("a", encoding="utf-8")
            self.log.write(text + "\n")
            self.log.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None


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
