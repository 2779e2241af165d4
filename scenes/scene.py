"""A scene: photographs with their cameras, and the box they show. scenes/assemble.py makes one of any format."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from fields.numbers import printable
from render.camera import Camera, moved

LONGEST = 600  # characters of a fact


@dataclass(frozen=True)
class Fact:
    """Something about a data set that a person should know."""

    kind: Literal["found", "assumed", "ignored", "missing", "doubtful"]  # assumed: not said by the input, and may be
    # wrong; doubtful: said by the input, and probably wrong, so that the verdict names it
    text: str  # one line, made printable
    pictures: int = 0  # how many, where some are missing

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text, LONGEST))


@dataclass(frozen=True)
class View:
    """One photograph."""

    camera: Camera
    image: Tensor  # (H, W, 4) uint8 on the host, sRGB as stored, straight alpha; 255 where the picture has none
    valid: Tensor  # (H, W) bool; False: pixel is masked out, neither trained nor scored. May be an expanded scalar
    name: str  # file name within the data set


@dataclass(frozen=True)
class Scene:
    """All that training needs, in scene units (see render/camera.py)."""

    name: str
    train: tuple[View, ...]
    test: tuple[View, ...]
    box: Tensor  # (2, 3) float32, low and high corner: everything that is drawn lies inside
    transform: Tensor  # (4, 4) float64 similarity, input coordinates to scene units
    background: tuple[float, float, float]  # what pictures are scored on, RGB in [0, 1]
    transparent: bool  # pictures have empty (alpha 0) parts
    facts: tuple[Fact, ...]  # what was found and assumed

    @property
    def unit(self) -> float:
        """Length of one scene unit in input units."""
        return float(1 / torch.linalg.det(self.transform[:3, :3]).abs() ** (1 / 3))


def carry_views(scene: Scene, transform: Tensor, split: str) -> tuple[View, ...]:
    """The views of a split, "train" or "test", with their cameras in the scene units that `transform` (4, 4) leads to,
    as a model has them: a data set read again, or another copy of it, may have found another box. ValueError for none.
    """
    views = scene.test if split == "test" else scene.train
    if not views:
        raise ValueError(f"{scene.name}: has no {split} pictures")
    carry = transform @ torch.linalg.inv(scene.transform)
    return tuple(replace(v, camera=replace(v.camera, pose=moved(v.camera.pose, carry))) for v in views)
