"""A field that learns inside the worker: one slice of the run at a time, so that frames can be drawn in between."""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from distill import convert_scene, train_scene
from distill.conversion import report
from distill.conversion.conversion import Conversion
from distill.learning.fit import Schedule, Step, fit
from distill.learning.monitor import Files, Finishing, Monitor, Scoring
from distill.learning.run import Learning
from distill.photographs import settings
from distill.photographs.training import Training
from render.command import pick_device
from scenes.scene import Scene
from viewer.messages import RunProgress, RunState

EVERY = 0.25  # seconds between reports of progress


@dataclass(frozen=True)
class Job:
    """A run that was begun, and how it ends and begins again."""

    learning: Learning
    schedule: Schedule
    files: Files
    save_every: float  # seconds between checkpoints
    finishing: Callable[[], Finishing]
    again: Callable[[], "Job"]  # the same run from its first step


def begin_training(data: str, flags: settings.Settings, tell: settings.Tell) -> tuple[Job, Scene]:
    """Photographs teach a field, as `train-scene` does it; and what they show."""
    run = settings.begin(data, flags, tell)

    def job(one: Training) -> Job:
        def again() -> Job:
            return job(Training(run.scene, one.recipe, one.device))

        def finishing() -> Finishing:
            return train_scene.finishing(one, run.scene, run.files)

        return Job(one, run.schedule, run.files, flags.save_every, finishing, again)

    return job(run.training), run.scene


def begin_conversion(flags: convert_scene.Flags, tell: settings.Tell) -> Job:
    """A field teaches a field, as `convert-scene` does it."""
    path = Path(flags.model)
    flags.check()
    device = pick_device(flags.device)
    run = convert_scene.begin(flags, path, device, tell)
    size = path.stat().st_size

    def job(one: Conversion) -> Job:
        def again() -> Job:
            return job(Conversion(one.teacher, one.recipe, run.config, one.device))

        def finishing() -> Finishing:
            return report.finishing(one, run.photographs, size, run.files)

        return Job(one, run.schedule, run.files, flags.save_every, finishing, again)

    return job(run.conversion)


class Learner:
    """One job, advanced by whoever has time for it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.life: RunState = "running"
        self.work = self.slices()
        self.last: Step | None = None
        self.mse = math.nan  # smoothed
        self.rate = (0.0, 0)  # seconds and samples at the last report
        self.told = -math.inf  # when progress was last reported
        self.scored = ""  # how far scoring is
        self.single = False  # one step, then a pause

    @property
    def busy(self) -> bool:
        """Whether `advance` would do anything."""
        return self.life in ("running", "scoring")

    def advance(self) -> None:
        """One optimiser step, or one view scored. Whatever the run raises passes through; it is over then."""
        try:
            next(self.work)
        except StopIteration:
            self.life = "done"
        except BaseException:
            self.life = "failed"
            raise
        if self.single and self.life == "running":
            self.single, self.life = False, "paused"

    def slices(self) -> Generator[None, None, None]:
        """The run from here on, in slices."""
        run, quiet = self.job.learning, Console(quiet=True)
        with Monitor(run, self.job.files, quiet, self.job.save_every) as monitor:
            for step in fit(run.run, run.phases(), self.job.schedule):
                monitor.saw(step)
                self.saw(step)
                yield
        self.life = "scoring"
        for at in self.job.finishing():
            self.scored = format_scoring(at)
            yield

    def saw(self, step: Step) -> None:
        """Take note of a step."""
        self.last = step
        if math.isfinite(step.mse):
            self.mse = step.mse if math.isnan(self.mse) else 0.95 * self.mse + 0.05 * step.mse

    def pause(self) -> None:
        """Hold still, where it runs."""
        if self.life == "running":
            self.life = "paused"

    def resume(self) -> None:
        """Go on, where it is paused."""
        if self.life == "paused":
            self.life = "running"

    def step(self) -> None:
        """Go on for one step."""
        if self.life == "paused":
            self.single, self.life = True, "running"

    def save(self) -> str:
        """Keep all that was learnt, where it is not written already; says where."""
        if self.life not in ("running", "paused") or not self.job.learning.run.index:
            return ""
        self.job.learning.save_checkpoint(self.job.files.checkpoint)
        self.job.learning.save_model(self.job.files.model, {}, b"")
        return f"saved {self.job.files.model}; continue with --resume"

    def progress(self, pane: int, *, due: bool = False) -> RunProgress | None:
        """How it goes, where the last report is old enough or one is due."""
        now = time.monotonic()
        if not due and now - self.told < EVERY:
            return None
        self.told = now
        run, schedule, step = self.job.learning.run, self.job.schedule, self.last
        seconds, samples = self.rate
        rate = (run.samples - samples) / (run.seconds - seconds) if run.seconds > seconds else 0.0
        self.rate = run.seconds, run.samples
        psnr = -10 * math.log10(max(self.mse, 1e-10)) if math.isfinite(self.mse) else math.nan
        stage = self.scored or (step.phase if step else "")
        bounded = schedule.steps if schedule.steps < settings.UNBOUNDED else 0
        share = min(1.0, max(run.index / schedule.steps, run.seconds / schedule.seconds))
        loss = step.loss if step else math.nan
        return RunProgress(pane, self.life, run.index, bounded, share, stage, loss, psnr, run.seconds, rate)


def format_scoring(at: Scoring) -> str:
    """How far scoring is, for a person."""
    return f"{at.what}: {at.done} of {at.views}"
