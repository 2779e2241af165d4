"""A field that learns inside the worker: one slice of its job at a time, so that frames can be drawn in between."""

import math
import time

from distill.learning.fit import Step
from distill.learning.job import Finished, Job, Scoring
from distill.photographs.settings import UNBOUNDED
from viewer.messages import RunProgress, RunState

EVERY = 0.25  # seconds between reports of progress


class Learner:
    """One job, advanced by whoever has time for it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.life: RunState = "running"
        self.work = job.stream()
        self.last: Step | None = None
        self.told = -math.inf  # when progress was last reported
        self.scored = ""  # how far scoring is
        self.single = False  # one step, then a pause

    @property
    def busy(self) -> bool:
        """Whether `advance` would do anything."""
        return self.life in ("running", "scoring")

    @property
    def fresh(self) -> bool:
        """Whether it runs and has done no step yet."""
        return self.life == "running" and self.job.run.optimization.index == 0

    def advance(self) -> None:
        """One optimiser step, or one view scored. Whatever the run raises passes through; it is over then."""
        try:
            item = next(self.work)
        except BaseException:
            self.life = "failed"
            raise
        match item:
            case Step():
                self.last = item
            case Scoring():
                self.life, self.scored = "scoring", f"{item.what}: {item.done} of {item.views}"
            case Finished():
                self.life = "done"
        if self.single and self.life == "running":
            self.single, self.life = False, "paused"

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

    @property
    def unsaved(self) -> bool:
        """Whether something was learnt that is not written yet."""
        return self.life in ("running", "paused") and bool(self.job.run.optimization.index)

    def save(self) -> str:
        """Keep all that was learnt, where it is not written already; says where."""
        if not self.unsaved:
            return ""
        self.job.save()
        return f"saved {self.job.model}; continue with --resume"

    def progress(self, pane: int, *, due: bool = False) -> RunProgress | None:
        """How it goes, where the last report is old enough or one is due."""
        now = time.monotonic()
        if not due and now - self.told < EVERY:
            return None
        self.told = now
        run, schedule, step, pace = self.job.run.optimization, self.job.schedule, self.last, self.job.pace
        bounded = schedule.steps if schedule.steps < UNBOUNDED else 0
        share = min(1.0, max(run.index / schedule.steps, run.seconds / schedule.seconds))
        phase, loss = self.scored or (step.phase if step else ""), step.loss if step else math.nan
        return RunProgress(pane, self.life, run.index, bounded, share, phase, loss, pace.psnr, run.seconds, pace.rate)
