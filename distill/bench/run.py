"""Whole training steps and whole frames, as `train-scene` does them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from rich.table import Table

from distill.bench.ceilings import measure_ceilings
from distill.bench.results import list_values
from distill.bench.step_parts import StepParts, watching
from distill.bench.timing import forget_peak, measure_ms, read_peak, synchronise
from distill.learning.fit import Schedule
from distill.learning.run import Recipe, Run
from distill.photographs.job import PhotographsRecipe, prepare
from distill.photographs.settings import BATCH, PRESET, STRIDE
from render.camera import Camera
from render.renderer import Frame
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.scene import Scene

CEILING_REPEATS = 8  # to one of other measurements: they are short, and the fastest counts
FRAME_SIZES = ((400, 400), (800, 800), (1920, 1080))  # pixels of the frames


@dataclass(frozen=True)
class Trial:
    """What is trained."""

    data: str
    architecture: str
    preset: str  # auto: the device's
    steps: int
    downscale: int = 1
    batch: int = 0  # samples of a step; 0: the device's


def read_pictures(trial: Trial) -> Scene:
    """The pictures."""
    return load(trial.data, ReadOptions(trial.downscale))


def begin_trial(trial: Trial, scene: Scene, device: torch.device) -> Run:
    """A run before its first step."""
    kind = device.type
    recipe = Recipe(
        data=trial.data,
        downscale=trial.downscale,
        architecture=trial.architecture,
        preset=PRESET[kind] if trial.preset == "auto" else trial.preset,
        seed=0,
        steps=trial.steps,
        batch=trial.batch or BATCH[kind],
        device=kind,
        source=PhotographsRecipe(STRIDE[kind]),
    )
    return prepare(scene, recipe, device)


@dataclass(frozen=True)
class StepTimes:
    """Training steps."""

    data: str
    architecture: str
    preset: str
    steps: int  # counted: the first third is not
    median_ms: float  # as the host saw it
    mean_ms: float  # between two moments at which the device had done all that it was asked for
    samples_per_step: int
    rays_per_step: int
    samples_per_second: int
    peak_memory_bytes: int
    inside: StepParts | None = None  # where a processor takes the steps

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        record = asdict(self)
        del record["inside"]
        return record | (self.inside.to_record() if self.inside else {})

    def to_table(self) -> Table:
        """For a person."""
        whole = replace(self, inside=None).to_record()
        return list_values("training step", whole | (self.inside.lines() if self.inside else {}))


@dataclass(frozen=True)
class FrameTime:
    """Frames of one size."""

    width: int  # pixels
    height: int
    ms: float  # median
    samples_per_second: int


@dataclass(frozen=True)
class FrameTimes:
    """Frames at several sizes."""

    sizes: tuple[FrameTime, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values, two for each size."""
        record: dict[str, Any] = {}
        for one in self.sizes:
            name = f"{one.width}x{one.height}"
            record |= {f"{name}_ms": one.ms, f"{name}_samples_per_second": one.samples_per_second}
        return record

    def to_table(self) -> Table:
        """For a person."""
        return list_values("frames", self.to_record())


def time_parts(training: Run, repeats: int) -> StepTimes:
    """The whole run on a processor, what is inside of a step, and what the processor can do."""
    with watching(training) as watch:
        whole = time_steps(training, watch.note)
    inside = watch.parts(training, whole.steps, whole.samples_per_step, measure_ceilings(CEILING_REPEATS * repeats))
    return replace(whole, inside=inside)


def time_steps(training: Run, note: Callable[[], None] = lambda: None) -> StepTimes:
    """The whole run. `note` is called after every step."""
    recipe, device = training.recipe, training.device
    forget_peak(device)
    before, begin, counted = 0.0, 0.0, []
    for step in training.steps(Schedule(recipe.steps)):
        note()
        if step.index == recipe.steps // 3:
            synchronise(device)
            begin = time.perf_counter()
        if step.index > recipe.steps // 3:
            counted.append((step.seconds - before, step.samples, step.rays))
        before = step.seconds
    synchronise(device)
    spent = time.perf_counter() - begin
    seconds, samples, rays = zip(*counted, strict=True)
    return StepTimes(
        data=recipe.data,
        architecture=recipe.architecture,
        preset=recipe.preset,
        steps=len(counted),
        median_ms=round(statistics.median(seconds) * 1e3, 2),
        mean_ms=round(spent / len(counted) * 1e3, 3),
        samples_per_step=round(statistics.mean(samples)),
        rays_per_step=round(statistics.mean(rays)),
        samples_per_second=round(sum(samples) / spent),
        peak_memory_bytes=read_peak(device),
    )


def time_frames(training: Run, repeats: int) -> FrameTimes:
    """Frames of the first test view."""
    camera, sizes = (training.place.test or training.place.train)[0], []
    for width, height in FRAME_SIZES:
        view = reframe(camera, width, height)

        def draw(view: Camera = view) -> Frame:
            return training.image(view)

        samples = draw().samples
        spent = measure_ms(draw, max(3, repeats // 2), training.device)
        sizes.append(FrameTime(width, height, round(spent, 3), round(samples / spent * 1e3)))
    return FrameTimes(tuple(sizes))


def reframe(camera: Camera, width: int, height: int) -> Camera:
    """The same view in a frame of another shape: what was seen from top to bottom fills its height, and pixels keep
    their shape; at the sides more is seen, or less."""
    own = max(1, round(camera.size[0] * height / camera.size[1]))
    scaled = camera.resized(own, height)
    lens = replace(scaled.intrinsics, cx=scaled.intrinsics.cx + (width - own) / 2)
    return Camera(scaled.pose, lens, (width, height))
