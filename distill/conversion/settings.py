"""ConversionSettings of a conversion."""

import math
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Annotated, Literal

import tyro

import fields
from distill.conversion.edits import Edits
from distill.conversion.wanted import Wanted, parse_bytes
from distill.photographs.settings import UNBOUNDED
from scenes.options import Axis, Poses, ReadOptions

STEPS = {"cpu": 2000, "cuda": 20_000}  # without --steps and --max-seconds
BATCH = {"cpu": 1 << 13, "cuda": 1 << 17}
SHARES = {"features": 0.4, "samples": 0.3, "rays": 0.3}  # of the run
PHASES = tuple(SHARES)
TO = f"architecture to convert into: {', '.join(fields.NAMES)}; auto: the best that meets the limits"


@dataclass(frozen=True)
class Active:
    """Which levels of active learning are on."""

    poses: bool = False  # cameras near those that were seen worst
    rays: bool = False  # rays that were seen worst
    points: bool = True  # what samples say, by how much of each is seen of teacher or student


LEVELS = tuple(field.name for field in fields_of(Active))
ACTIVE = tuple(level for level in LEVELS if getattr(Active(), level))
Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ConversionSettings:
    """What becomes of a teacher, and how."""

    to: Annotated[str, tyro.conf.arg(metavar="NAME", help=TO)] = ""
    preset: str = "auto"
    """size of the architecture: tiny, small, base, large; auto: small on CPU, base on CUDA, or what meets the limits"""
    head: str = ""
    """what its features mean: a file name of fields/heads; the architecture's own where not given"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """model file (the report lies beside it) or folder for the results; runs/NAME_ARCH where not given"""
    max_bytes: str = ""
    """largest model file: 600kB, 5MB, 1.5MiB, or bytes"""
    min_psnr: float | None = None
    """dB that the result should have on held-out pictures"""
    max_frame_ms: float | None = None
    """milliseconds that a frame may take"""
    data: str = ""
    """photographs to score teacher and student against; not used to learn"""
    crop: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """keep only this box, baked into the result: x0 y0 z0 x1 y1 z1 in the data set's own coordinates"""
    crop_turn: float = 0.0
    """degrees that this box is turned by, about +Z through its middle"""
    erase: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """remove this box: x0 y0 z0 x1 y1 z1"""
    min_density: float = 0.0
    """remove what is less dense than this, per scene unit"""
    steps: int = 0
    """optimiser steps; 0: 2000 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """time at most, without scoring; the learning rate falls accordingly"""
    batch: int = 0
    """samples per step; 0: 8192 on CPU, 131072 on CUDA (pictures as teachers: as train-scene)"""
    phases: tuple[str, ...] = PHASES
    """what the teacher says, in this order: to see what each is worth"""
    active: tuple[str, ...] = ACTIVE
    """cameras and rays that come again where the student is wrong; samples (points) weighted by what is seen; none"""
    downscale: int = 1
    """divide width and height of the pictures of --data, or of a data set that teaches, by this"""
    max_resolution: int = 1920
    """longest side of these pictures in pixels"""
    skip_missing: bool = False
    """go on without pictures that are missing"""
    poses: Poses = "auto"
    """how poses are written; auto: as the format has it, refused where the pictures disagree; w2c: world to camera"""
    up: Axis = "auto"
    """axis that is up of a mesh that teaches, or of --data; auto: as its format or its maker has it, else z"""
    half: bool = False
    """write weights as float16: half the bytes; what is scored are the rounded weights"""
    seed: int = 0
    """of weights, cameras, jitter and backgrounds"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    resume: bool = False
    """continue the conversion whose checkpoint lies at OUT"""
    overwrite: bool = False
    """write over what another run, of another teacher or flags, has left at OUT"""
    save_every: float = 60.0
    """seconds between checkpoints"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not self.to:
            raise ValueError("--to wants an architecture to convert into, or auto (train-scene --list shows them)")
        fields.check_names(self.to, self.preset, self.head)
        if self.steps < 0 or not self.max_seconds > 0 or not self.save_every > 0:
            raise ValueError("--steps must be >= 0, --max-seconds and --save-every > 0")
        if self.batch and not 1 << 10 <= self.batch <= 1 << 20:
            raise ValueError(f"--batch must be 1024 to 1048576 samples, found {self.batch}")
        if len(self.crop) > 1:
            raise ValueError(f"--crop wants one box, found {len(self.crop)}; take --erase for holes")
        for part in (self.pictures, self.edits, self.wanted):
            part()  # says what is wrong with its flags, whether they will be used or not
        for flag, values, known in (("phases", self.phases, PHASES), ("active", self.active, ("none", *LEVELS))):
            if not values or not set(values) <= set(known):
                raise ValueError(f"--{flag} wants some of {', '.join(known)}; found {' '.join(values) or 'nothing'}")

    def edits(self) -> Edits:
        """What to remove."""
        return Edits(self.crop[0] if self.crop else (), self.erase, self.min_density, self.crop_turn)

    def wanted(self) -> Wanted:
        """What to convert into."""
        limit = parse_bytes(self.max_bytes) if self.max_bytes else None
        return Wanted(self.to, self.preset, limit, self.min_psnr, self.max_frame_ms)

    def pictures(self) -> ReadOptions:
        """How pictures are read."""
        return ReadOptions(self.downscale, self.max_resolution, self.skip_missing, self.poses, self.up)

    def most_steps(self, usual: int) -> int:
        """Optimiser steps at most; `usual` where nothing bounds the run."""
        return self.steps or (UNBOUNDED if math.isfinite(self.max_seconds) else usual)
