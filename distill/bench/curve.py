"""Time to dB: how long a run trains until its held-out views reach 30, 33 and 35 dB, and what it ends with.

Views are drawn and scored between steps, and that time does not count.
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table

from distill.bench.timing import synchronise
from distill.learning.fit import Schedule
from distill.learning.run import Run
from render.metrics import Protocol, mean, psnr
from scenes.evaluate import over_background
from scenes.scene import Scene, View

TARGETS = (30.0, 33.0, 33.3, 35.0)  # dB
FIRST_SCORE = 0.02  # share of the run after which views are scored for the first time


@dataclass(frozen=True)
class Course:
    """How long a run is, and how it is watched."""

    schedule: Schedule
    views: int  # held-out views that are scored: every so many'th, at most this many
    scores: int  # times that they are, at shares of the run that grow by a constant factor, >= 2

    def shares(self) -> list[float]:
        """Of the run, when the views are scored; the last is the end."""
        return [FIRST_SCORE ** (1 - n / (self.scores - 1)) for n in range(self.scores)]


@dataclass(frozen=True)
class Milestone:
    """One scoring of the held-out views."""

    step: int
    seconds: float  # of training until then
    psnr: float  # dB, mean over the views


@dataclass(frozen=True)
class LearningCurve:
    """A run from its first step to its last, as it was scored."""

    points: tuple[Milestone, ...]  # the last is the end; empty where no step was taken
    seconds: float
    steps: int
    samples: int
    protocol: Protocol

    @property
    def psnr(self) -> float | None:
        """At the end, in dB."""
        return self.points[-1].psnr if self.points else None

    def first_at(self, target: float) -> float | None:
        """Seconds of training at the first score that is `target` dB or more; None where there is no such score."""
        return next((point.seconds for point in self.points if point.psnr >= target), None)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "points": [asdict(point) for point in self.points],
            "seconds_to_db": {f"{target:g}": self.first_at(target) for target in TARGETS},
            "seconds": self.seconds,
            "steps": self.steps,
            "samples": self.samples,
            "psnr": self.psnr,
            "protocol": asdict(self.protocol),
            "scored_on": str(self.protocol),
        }

    def to_table(self) -> Table:
        """For a person."""
        table = Table("seconds", "steps", "dB", title="time to dB", caption=str(self.protocol))
        for point in self.points:
            table.add_row(f"{point.seconds:.1f}", str(point.step), f"{point.psnr:.2f}")
        for target in TARGETS:
            seconds = self.first_at(target)
            table.add_row("not reached" if seconds is None else f"{seconds:.1f}", "", f"first at {target:g} or more")
        return table


class ScoredViews:
    """Held-out views of a run, on its device; training views where none are held out."""

    def __init__(self, training: Run, scene: Scene, most: int) -> None:
        views = scene.test or scene.train
        self.split = "test" if scene.test else "train"
        self.views: tuple[View, ...] = views[:: math.ceil(len(views) / most)]
        self.training, self.device = training, training.device
        self.backdrop = torch.tensor(training.place.background).to(self.device)

    def score(self) -> float:
        """Mean PSNR over the views in dB, as the field stands."""
        return mean([self.score_view(view) for view in self.views])

    def score_view(self, view: View) -> float:
        """Of one view."""
        run = self.training
        drawn = run.image(view.camera).pixels.over(self.backdrop).clamp(0, 1)
        truth = over_background(view.image.to(self.device), self.backdrop)
        return psnr(drawn, truth, view.valid.to(self.device))

    def protocol(self) -> Protocol:
        """How they are scored."""
        size = max((view.camera.size for view in self.views), key=math.prod)
        run = self.training
        return Protocol(self.split, run.place.background, size, len(self.views), run.recipe.downscale)


def follow(training: Run, scene: Scene, course: Course) -> LearningCurve:
    """Train, and score on the way. The clock stands while views are scored; the device has finished its steps then."""
    held, shares, points = ScoredViews(training, scene, course.views), course.shares(), list[Milestone]()
    spent, begin, steps = 0.0, time.perf_counter(), 0
    for step in training.steps(course.schedule):
        steps = step.index + 1
        if step.progress >= shares[len(points)] and len(points) < course.scores - 1:
            synchronise(training.device)
            spent += time.perf_counter() - begin
            points.append(Milestone(steps, round(spent, 3), round(held.score(), 3)))
            begin = time.perf_counter()
    synchronise(training.device)
    spent += time.perf_counter() - begin
    if steps:
        points.append(Milestone(steps, round(spent, 3), round(held.score(), 3)))
    return LearningCurve(tuple(points), round(spent, 3), steps, training.optimization.samples, held.protocol())
