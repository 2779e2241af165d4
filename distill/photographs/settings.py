"""Settings of a run that learns from photographs."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

import fields
from render.units import UNIT_STEP
from scenes.options import Axis, Poses, ReadOptions

STEPS = {"cpu": 1300, "cuda": 20_000}  # without --steps and --max-seconds
PRESET = {"cpu": "small", "cuda": "base"}
BATCH = {"cpu": 1 << 15, "cuda": 1 << 18}
STRIDE = {"cpu": 3 * UNIT_STEP, "cuda": UNIT_STEP}  # longer steps: more rays per second, see docs/design.md
UNBOUNDED = 1_000_000  # steps, where only the time is limited


@dataclass(frozen=True)
class Settings:
    """How a field is trained."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """folder for the results, or model file (the rest lies beside it); runs/NAME where not given"""
    arch: Annotated[str, tyro.conf.arg(metavar="NAME", help=f"architecture: {', '.join(fields.NAMES)}")] = "hashgrid"
    preset: str = "auto"
    """size of the architecture: tiny, small, base, large; auto: small on CPU, base on CUDA"""
    head: str = ""
    """what its features mean: a file name of fields/heads; the architecture's own where not given"""
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
    poses: Poses = "auto"
    """how poses are written; auto: as the format has it, refused where the pictures disagree; w2c: world to camera"""
    up: Axis = "auto"
    """axis of a mesh that is up; auto: as its format or the program that wrote it has it, else z"""
    seed: int = 0
    """of weights, pixels, jitter and backgrounds"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    deterministic: bool = False
    """forbid operations that do not repeat bit for bit"""
    resume: bool = False
    """continue the run whose checkpoint lies in OUT"""
    overwrite: bool = False
    """write over what another run, of other data or flags, has left in OUT"""
    save_every: float = 60.0
    """seconds between checkpoints"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if self.steps < 0 or not self.max_seconds > 0 or not self.save_every > 0:
            raise ValueError("--steps must be >= 0, --max-seconds and --save-every > 0")
        fields.check_names(self.arch, self.preset, self.head)
        self.pictures()

    def most_steps(self, device: str) -> int:
        """Optimiser steps at most, on this kind of device."""
        return self.steps or (UNBOUNDED if math.isfinite(self.max_seconds) else STEPS[device])

    def pictures(self) -> ReadOptions:
        """How pictures are read."""
        return ReadOptions(self.downscale, self.max_resolution, self.skip_missing, self.poses, self.up)
