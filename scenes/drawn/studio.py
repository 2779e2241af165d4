"""Where a thing that our own code draws is put, and the cameras around it: the still life's, and every mesh's."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from render.camera import Intrinsics, look_at
from scenes.posed import Posed

FIELD_OF_VIEW = math.radians(40)


def fit_cube(low: np.ndarray, high: np.ndarray, extent: np.ndarray, turn: np.ndarray) -> tuple[Tensor, Tensor]:
    """Transform (4, 4) float64 from input to scene units, and the box (2, 3) float32 there.

    `turn` (3, 3) makes the thing stand upright, whose corners are then low and high (3,). The box around its middle has
    sides `extent` (3,), input units, of which the longest fills the unit cube.
    """
    scale = 1 / extent.max()
    transform = np.eye(4)
    transform[:3, :3] = scale * turn
    transform[:3, 3] = 0.5 - scale * (low + high) / 2
    half = torch.from_numpy(extent * scale / 2).float()
    return torch.from_numpy(transform), torch.stack([0.5 - half, 0.5 + half])


def stand_around(
    back: np.ndarray, target: Tensor, reach: Callable[[np.ndarray], np.ndarray], room: float
) -> list[Tensor]:
    """Poses (4, 4) float32 that look from unit directions (M, 3) at `target` (3,), as near as leaves `room`, 1 or more,
    around what is shown. `reach`: how far that extends from the target along vectors (E, 3), as values (E,)."""
    slope = math.tan(FIELD_OF_VIEW / 2) / room
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(back, right)
    # a point q is inside the right edge where q.right <= slope (distance - q.back); so for the other edges
    edges = np.concatenate([side / slope + back for side in (right, -right, up, -up)])
    distance = reach(edges).reshape(4, -1).max(0)
    eyes = target + torch.from_numpy(back * distance[:, None]).float()
    return [look_at(eye, target, torch.tensor([0.0, 0.0, 1.0])) for eye in eyes]


def square_lens(size: int) -> Intrinsics:
    """The lens of a square picture of so many pixels."""
    focal = size / 2 / math.tan(FIELD_OF_VIEW / 2)
    return Intrinsics(focal, focal, size / 2, size / 2)


def pose_pictures(poses: list[Tensor], pictures: np.ndarray, train: int) -> tuple[Posed, ...]:
    """Square pictures (M, H, H, 4) uint8 with their poses in input units; the first `train` are for training."""
    size, every = pictures.shape[1], []
    for i, (pose, picture) in enumerate(zip(poses, pictures, strict=True)):
        split, number = ("train", i) if i < train else ("test", i - train)
        name = f"{split}_{number:03d}.png"
        every.append(Posed(name, torch.from_numpy(picture), pose.double(), square_lens(size), (size, size), split))
    return tuple(every)
