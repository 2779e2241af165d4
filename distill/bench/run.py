"""Whole training steps and whole frames, as `train-scene` does them."""

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from distill.bench.timing import forget_peak, median_ms, peak_bytes, synchronise
from distill.learning.fit import Schedule, fit
from distill.photographs.settings import BATCH, PRESET, STRIDE
from distill.photographs.training import Recipe, Training
from render.camera import Camera
from scenes.scene import ReadOptions, Scene, load

SIZES = ((400, 400), (800, 800), (1920, 1080))  # pixels of the frames


@dataclass(frozen=True)
class Wish:
    """What is trained."""

    data: str
    architecture: str
    preset: str  # auto: the device's
    steps: int
    downscale: int = 1
    batch: int = 0  # samples of a step; 0: the device's


def read(wish: Wish) -> Scene:
    """The pictures."""
    return load(wish.data, ReadOptions(wish.downscale))


def begun(wish: Wish, scene: Scene, device: torch.device) -> Training:
    """A run before its first step."""
    kind = device.type
    recipe = Recipe(
        data=wish.data,
        architecture=wish.architecture,
        preset=PRESET[kind] if wish.preset == "auto" else wish.preset,
        seed=0,
        steps=wish.steps,
        batch=wish.batch or BATCH[kind],
        downscale=wish.downscale,
        device=kind,
        step=STRIDE[kind],
    )
    return Training(scene, recipe, device)


def train_steps(training: Training) -> dict[str, Any]:
    """The whole run; its first third is not counted. The mean is between two moments at which the device had done all
    that it was asked for; the median is what the host saw."""
    steps, device = training.recipe.steps, training.device
    forget_peak(device)
    before, spent, begin, counted = 0.0, 0.0, 0.0, []
    for step in fit(training.run, training.phases(), Schedule(steps)):
        if step.index == steps // 3:
            synchronise(device)
            begin = time.perf_counter()
        if step.index > steps // 3:
            counted.append((step.seconds - before, step.samples, step.rays))
        before = step.seconds
    synchronise(device)
    spent = time.perf_counter() - begin
    seconds, samples, rays = zip(*counted, strict=True)
    return {
        "data": training.recipe.data,
        "architecture": training.recipe.architecture,
        "preset": training.recipe.preset,
        "steps": len(counted),
        "median_ms": round(statistics.median(seconds) * 1e3, 2),
        "mean_ms": round(spent / len(counted) * 1e3, 3),
        "samples_per_step": round(statistics.mean(samples)),
        "rays_per_step": round(statistics.mean(rays)),
        "samples_per_second": round(sum(samples) / spent),
        "peak_memory_bytes": peak_bytes(device),
    }


def frames(training: Training, repeats: int) -> dict[str, Any]:
    """Frames of the first test view at several sizes."""
    device = training.device
    camera = (training.scene.test or training.scene.train)[0].camera
    result: dict[str, Any] = {}
    for width, height in SIZES:
        view = framed(camera, width, height)
        drawn = training.renderer.image(training.field, training.loss.grid, view)
        spent = median_ms(
            lambda view=view: training.renderer.image(training.field, training.loss.grid, view),
            max(3, repeats // 2),
            device,
        )
        result[f"{width}x{height}_ms"] = round(spent, 3)
        result[f"{width}x{height}_samples_per_second"] = round(drawn.samples / spent * 1e3)
    return result


def framed(camera: Camera, width: int, height: int) -> Camera:
    """The same view in a frame of another shape: what was seen from top to bottom fills its height, and pixels keep
    their shape; at the sides more is seen, or less."""
    own = max(1, round(camera.size[0] * height / camera.size[1]))
    scaled = camera.resized(own, height)
    lens = replace(scaled.intrinsics, cx=scaled.intrinsics.cx + (width - own) / 2)
    return Camera(scaled.pose, lens, (width, height))
