"""Posed pictures as any format gives them: files or pixels with cameras in input coordinates, not loaded, not placed.

A reader makes these; scenes/assemble.py makes a scene of them. Coordinates are the input's; poses are camera-to-world
with OpenGL axes (see render/camera.py), so that a reader of another convention turns them first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from render.camera import Intrinsics
from scenes.options import SceneError
from scenes.placing.box import Placement
from scenes.scene import Fact

RIGID = 0.01  # how far rotation^T rotation may be off the identity


@dataclass(frozen=True)
class Posed:
    """One posed picture."""

    name: str  # path within the data set, with forward slashes; pictures are split in its order
    picture: Path | Tensor  # a file, which is yet to be shrunk; or (H, W, 4) uint8, sRGB, straight alpha, as it stays
    pose: Tensor  # (4, 4) float64, camera-to-world; its rotation is orthonormal, see take_out_scale
    intrinsics: Intrinsics  # in pixels of a picture of `size`
    size: tuple[int, int]  # width and height that the lens is stated for; the picture may be larger or smaller
    split: Literal["train", "test", "either"] = "either"
    mask: Path | None = None  # a picture whose black pixels are ignored
    time: float | None = None  # moment, in the input's unit
    depth: Path | None = None  # a picture of distances


@dataclass(frozen=True)
class Reading:
    """A data set that has been understood and not been loaded."""

    name: str  # of the scene
    source: str  # the file that messages name
    pictures: tuple[Posed, ...]
    facts: tuple[Fact, ...]  # what the reader found and assumed, but for the split
    placement: Placement | None = None  # where the scene is, if that is known; else cameras and pictures tell
    aabb_scale: float | None = None  # instant-ngp's wish for the side of the box, in cores
    split: str = ""  # what the input says about train and test, in words; empty: nothing


def take_out_scale(poses: Sequence[Tensor], where: Sequence[str]) -> tuple[list[Tensor], list[Fact]]:
    """Poses (4, 4) as float64 with orthonormal rotations, and the fact, where a uniform scale was in them. SceneError,
    which begins with that pose's `where`, for the first that is none."""
    found = [split_scale(pose.double(), place) for pose, place in zip(poses, where, strict=True)]
    scales = [scale for _, scale in found]
    told = f"poses: a uniform scale of {min(scales):.4g} to {max(scales):.4g} was taken out of the rotations"
    plain = max(abs(scale - 1) for scale in scales) <= 1e-3
    return [pose for pose, _ in found], [] if plain else [Fact("assumed", told)]


def split_scale(matrix: Tensor, where: str) -> tuple[Tensor, float]:
    """A pose (4, 4) float64 with an orthonormal rotation, and the uniform scale that was in it."""
    if matrix.shape != (4, 4):
        raise SceneError(f"{where}: must be 4 x 4, found {' x '.join(str(n) for n in matrix.shape)}")
    if not bool(torch.isfinite(matrix).all()):
        raise SceneError(f"{where}: must hold finite numbers, found NaN or infinity")
    if float((matrix[3] - matrix.new_tensor([0, 0, 0, 1])).abs().max()) > 1e-6:
        raise SceneError(f"{where}: the last row of a pose must be 0 0 0 1, found {matrix[3].tolist()}")
    u, stretch, v = torch.linalg.svd(matrix[:3, :3])
    scale = float(stretch.mean())
    if float(stretch[2]) <= 1e-6 * float(stretch[0]):
        raise SceneError(f"{where}: is singular; wanted a rotation and a position")
    if float((stretch / scale - 1).abs().max()) > RIGID:
        raise SceneError(
            f"{where}: is not rigid: after a uniform scale of {scale:.4g} is removed, "
            f"its axes are stretched {stretch[0] / scale:.3g} to {stretch[2] / scale:.3g} times"
        )
    result = matrix.clone()
    result[:3, :3] = u @ v
    if float(torch.linalg.det(result[:3, :3])) < 0:
        raise SceneError(f"{where}: mirrors; wanted a right-handed rotation")
    return result, scale
