"""How pictures are read, and the error where that cannot be. Nothing heavy is imported: flags are made of it."""

from dataclasses import dataclass
from typing import Literal, get_args

Convention = Literal[
    "opengl", "opencv", "llff", "pytorch3d", "w2c-opengl", "w2c-opencv", "w2c-llff", "w2c-pytorch3d"
]  # how poses are written; w2c: world to camera
Poses = Literal["auto"] | Convention
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
Axis = Literal["auto", "x", "y", "z", "-x", "-y", "-z"]


class SceneError(ValueError):
    """A data set that cannot be used: names the file, what was expected and what was found."""


@dataclass(frozen=True)
class ReadOptions:
    """How pictures are read."""

    downscale: int = 1  # divide width and height by this, 1 to 64
    max_resolution: int = 1920  # longest side in pixels after downscaling; larger pictures are shrunk
    skip_missing: bool = False  # go on without the pictures that are missing
    poses: Poses = "auto"  # how they are written; auto: as the format has it, and refused where the pictures disagree
    up: Axis = "auto"  # axis of a mesh file that is up; auto: as its format or maker has it, else z

    def __post_init__(self) -> None:
        if not 1 <= self.downscale <= 64:
            raise ValueError(f"--downscale must be 1 to 64, found {self.downscale}")
        if self.max_resolution < 16:
            raise ValueError(f"--max-resolution must be at least 16 pixels, found {self.max_resolution}")
