"""Which cells of the occupancy grid may ever hold something: seen by a camera, and inside every silhouette.

Instant-NGP switches off what no camera sees; where pictures have empty parts, what they show as empty goes as well, so
that training starts with the object's visual hull instead of a full box.
"""

import torch
from torch import Tensor

from render.camera import Camera, project
from scenes.hull import _silhouette as silhouette
from scenes.hull import _verdict as judge
from scenes.scene import Scene

COARSE = 64  # cells per axis that are judged; finer cells inherit the verdict
PICTURES = 128  # at most this many pictures are asked


def possible_cells(scene: Scene, cascades: int, resolution: int) -> Tensor:
    """(K, G^3) bool, cell (i, j, k) at i + G (j + G k): true where something may be. G is a multiple of COARSE."""
    step = -(-len(scene.train) // PICTURES)
    pictures = scene.train[::step]
    silhouettes = [silhouette(v.camera, v.image, v.valid) for v in pictures] if scene.transparent else []
    times, levels = resolution // COARSE, []
    for cascade in range(cascades):
        points, half = centers(2.0**cascade)
        possible = ((points > scene.box[0] - half) & (points < scene.box[1] + half)).all(-1)
        possible &= framed([v.camera for v in pictures], points)
        for camera, solid in silhouettes:
            index = possible.nonzero()[:, 0]
            possible[index] = ~judge(camera, solid, points[index], half * 3**0.5)[1]
        cube = possible.view(COARSE, COARSE, COARSE)
        levels.append(cube.repeat_interleave(times, 0).repeat_interleave(times, 1).repeat_interleave(times, 2))
    return torch.stack(levels).flatten(1)


def centers(side: float) -> tuple[Tensor, float]:
    """Cell centres (COARSE^3, 3) of a cube of `side` scene units, x running fastest, and half a cell's length."""
    axis = ((torch.arange(COARSE) + 0.5) / COARSE - 0.5) * side + 0.5
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3), side / COARSE / 2


def framed(cameras: list[Camera], points: Tensor) -> Tensor:
    """Which points (N, 3) lie in some camera's picture: (N,) bool."""
    seen = torch.zeros(len(points), dtype=torch.bool)
    for camera in cameras:
        index = (~seen).nonzero()[:, 0]
        pixels, _ = project(camera, points[index])  # NaN where not seen: all comparisons are False
        seen[index] = ((pixels >= 0) & (pixels <= pixels.new_tensor(camera.size))).all(-1)
    return seen
