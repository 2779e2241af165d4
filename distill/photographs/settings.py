"""Settings of a run that learns from photographs, and the run that they give."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from distill.learning import memory
from distill.learning.fit import Schedule
from distill.learning.monitor import Files
from distill.photographs.frequency import choose
from distill.photographs.training import Recipe, Training
from fields.shape import Shape, preset
from render.command import pick_device
from render.renderer import UNIT_STEP
from scenes.scene import ReadOptions, Scene, load

STEPS = {"cpu": 1300, "cuda": 20_000}  # without --steps and --max-seconds
PRESET = {"cpu": "small", "cuda": "base"}
BATCH = {"cpu": 1 << 15, "cuda": 1 << 18}
STRIDE = {"cpu": 3 * UNIT_STEP, "cuda": UNIT_STEP}  # longer steps: more rays per second, see docs/design.md
UNBOUNDED = 1_000_000  # steps, where only the time is limited
Tell = Callable[[Iterable[str]], None]  # facts for a person, one line each


@dataclass(frozen=True)
class Settings:
    """How a field is trained."""

    out: Path | None = None
    """folder for the results; runs/NAME where not given"""
    arch: str = "hashgrid"
    """architecture: a file name of fields/arch"""
    preset: str = "auto"
    """size of the architecture: tiny, small, base, large; auto: small on CPU, base on CUDA"""
    frequency: str = ""
    """highest frequency of the encoding in cycles per box side, or auto: matched to the photographs' spectrum"""
    steps: int = 0
    """optimiser steps; 0: 1300 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """training time at most; the learning rate falls accordingly"""
    batch: int = 0
    """samples per step that carry gradients; 0: 32768 on CPU, 262144 on CUDA"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    max_resolution: int = 1920
    """longest side of the pictures in pixels; larger ones are shrunk"""
    skip_missing: bool = False
    """go on without pictures that the data set names and that are missing"""
    seed: int = 0
    """of weights, pixels, jitter and backgrounds"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    deterministic: bool = False
    """forbid operations that do not repeat bit for bit"""
    resume: bool = False
    """continue the run whose checkpoint lies in OUT"""
    save_every: float = 60.0
    """seconds between checkpoints"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if self.steps < 0 or not self.max_seconds > 0 or not self.save_every > 0:
            raise ValueError("--steps must be >= 0, --max-seconds and --save-every > 0")


@dataclass(frozen=True)
class Begun:
    """A run before its first step, or where its checkpoint left it."""

    training: Training
    scene: Scene
    files: Files
    schedule: Schedule


def begin(data: str, settings: Settings, tell: Tell) -> Begun:
    """Read the pictures and make the run. ValueError, SceneError or ModelError where that cannot be; nothing is
    written then."""
    settings.check()
    device = pick_device(settings.device)
    torch.use_deterministic_algorithms(settings.deterministic)
    chosen = PRESET[device.type] if settings.preset == "auto" else settings.preset
    shape = preset(settings.arch, chosen)
    batch = settings.batch or BATCH[device.type]
    memory.check(shape, chosen, device, batch)
    fixed = given_bandwidth(settings, shape)
    out = settings.out or Path("runs") / (Path(data).stem.replace(":", "_") or "scene")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; --out wants a folder")
    files = Files.within(out)
    scene = load(data, ReadOptions(settings.downscale, settings.max_resolution, settings.skip_missing))
    photographs = sum(view.image.numel() for view in scene.train)
    tell([*scene.facts, *memory.lines(shape, device, batch, photographs)])
    bandwidth = chosen_bandwidth(settings, shape, scene, tell) if fixed is None else fixed
    steps = settings.steps or (UNBOUNDED if math.isfinite(settings.max_seconds) else STEPS[device.type])
    where = (settings.downscale, device.type, STRIDE[device.type])
    training = Training(
        scene, Recipe(data, settings.arch, chosen, settings.seed, steps, batch, *where, bandwidth), device
    )
    if settings.resume:
        training.load_checkpoint(files.checkpoint)
        tell([f"continues at step {training.run.index}"])
    files.prepare()
    return Begun(training, scene, files, Schedule(steps, settings.max_seconds))


def given_bandwidth(settings: Settings, shape: Shape) -> float | None:
    """Cycles per box side as the flag says, 0 where the preset's own stands, None where the pictures shall decide."""
    if not settings.frequency:
        return 0.0
    if not hasattr(shape.config, "bandwidth"):
        raise ValueError(f"--frequency: {settings.arch} has no frequency to choose")
    if settings.frequency == "auto":
        return None
    try:
        value = float(settings.frequency)
    except ValueError:
        raise ValueError(f"--frequency wants auto or a number, found {settings.frequency!r}") from None
    replace(shape.config, bandwidth=value)
    return value


def chosen_bandwidth(settings: Settings, shape: Shape, scene: Scene, tell: Tell) -> float:
    """Cycles per box side that fit the pictures, told."""
    start = time.perf_counter()
    choice = choose(shape, scene, settings.seed)
    tell([f"{choice}; {time.perf_counter() - start:.1f} s"])
    return choice.bandwidth
