"""What a person sees while a field learns: bar, log, preview, checkpoints; and that Ctrl-C loses nothing."""

import json
import math
import resource
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from distill.conversion.poses import surrounding
from distill.learning.fit import Schedule, Step, fit
from distill.learning.metrics import Effort, Metrics
from distill.learning.run import Learning
from fields.files import write_beside
from render.pictures import encode_png

PREVIEW = 240  # pixels, longest side
PREVIEW_EVERY = 15.0  # seconds
SUFFIX = ".safetensors"


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


@dataclass(frozen=True)
class Scoring:
    """How far scoring is."""

    what: str  # is scored, for a person
    done: int
    views: int


Finishing = Generator[Scoring, None, Metrics]  # scores view by view, writes all, returns the metrics


def finish_with_progress(work: Finishing, console: Console) -> Metrics:
    """Run the end of a run under a bar; returns its metrics."""
    with Progress(BarColumn(), TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("scoring ...", total=1)
        while True:
            try:
                at = next(work)
            except StopIteration as stop:
                return stop.value
            text = f"{at.what}: {at.done} of {at.views} views"
            bar.update(task, description=text, completed=at.done, total=at.views)


def fit_with_progress(learning: Learning, schedule: Schedule, files: Files, console: Console, every: float) -> None:
    """Run the loop with a bar, a log, checkpoints `every` so many seconds, and previews. Ctrl-C finishes the step,
    saves, and raises."""
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C stops at once

    previous = signal.signal(signal.SIGINT, stop)
    try:
        with Monitor(learning, files, console, every) as monitor:
            for step in fit(learning.run, learning.phases(), schedule):
                monitor.saw(step)
                if stopped:
                    break
    finally:
        signal.signal(signal.SIGINT, previous)
    if stopped:
        learning.save_checkpoint(files.checkpoint)
        learning.save_model(files.model, {}, b"")
        console.print(f"saved {files.model}; continue with --resume", highlight=False, markup=False, soft_wrap=True)
        raise KeyboardInterrupt


class Monitor:
    """Bar, log and preview; and the checkpoints."""

    def __init__(self, learning: Learning, files: Files, console: Console, every: float) -> None:
        self.learning, self.files, self.every = learning, files, every
        text = TextColumn("{task.description}")
        columns = (BarColumn(), text, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task("first step compiles the kernels ...", total=1.0)
        self.log = files.log.open("a" if learning.run.index > 0 else "w", encoding="utf-8")
        self.saved = self.shown = self.drawn = time.monotonic()
        self.mse, self.samples, self.seconds = math.nan, 0, learning.run.seconds

    def __enter__(self) -> "Monitor":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.log.close()

    def saw(self, step: Step) -> None:
        """Take note of one step."""
        if math.isfinite(step.mse):
            self.mse = 0.95 * self.mse + 0.05 * step.mse if math.isfinite(self.mse) else step.mse
        self.samples += step.samples
        now = time.monotonic()
        if step.trouble:
            self.bar.console.print(f"step {step.index}: {step.trouble}", style="yellow")
        if now - self.shown > 0.5 or step.index == 0:
            self.show(step)
            self.shown = now
        if now - self.drawn > min(PREVIEW_EVERY, self.every):
            write_beside(self.files.preview, preview(self.learning))
            self.drawn = time.monotonic()
        if now - self.saved > self.every:
            self.learning.save_checkpoint(self.files.checkpoint)
            self.saved = time.monotonic()

    def show(self, step: Step) -> None:
        """Bar and log."""
        decibel = -10 * math.log10(max(self.mse, 1e-10)) if math.isfinite(self.mse) else None
        rate = self.samples / max(step.seconds - self.seconds, 1e-9)
        self.samples, self.seconds = 0, step.seconds
        quality = "" if decibel is None else f"{decibel:.2f} dB  "
        text = f"step {step.index + 1}  {step.phase}  {quality}{rate / 1e6:.2f} M samples/s"
        self.bar.update(self.task, completed=step.progress, description=text)
        record = {
            "step": step.index + 1,
            "stage": step.phase,
            "seconds": round(step.seconds, 3),
            "loss": step.loss,
            "batch_psnr": decibel,
        }
        record |= {"rays": step.rays, "samples": step.samples, "samples_per_second": round(rate), "note": step.trouble}
        self.log.write(json.dumps(record) + "\n")
        self.log.flush()


def preview(learning: Learning) -> bytes:
    """A small picture from the first test camera, else the first training camera, else one of some all around."""
    place = learning.place
    camera = (place.test or place.train or surrounding(place.box))[0]
    shrink = min(1.0, PREVIEW / max(camera.size))
    camera = camera.resized(*(max(1, round(n * shrink)) for n in camera.size))
    frame = learning.renderer.image(learning.field, learning.loss.grid, camera)
    background = torch.tensor(place.background, device=frame.pixels.rgb.device)
    return encode_png(frame.pixels.over(background).cpu())


def effort(learning: Learning) -> Effort:
    """What a run took, for its metrics."""
    device, run = learning.device, learning.run
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Effort(
        seconds=round(run.seconds, 2),
        steps=run.index,
        samples=run.samples,
        samples_per_second=round(run.samples / max(run.seconds, 1e-9)),
        parameters=learning.field.parameter_count(),
        model_bytes=0,
        peak_memory_bytes=torch.cuda.max_memory_allocated() if device.type == "cuda" else peak,
        device=torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        architecture=learning.recipe.architecture,
        preset=learning.recipe.preset,
    )
