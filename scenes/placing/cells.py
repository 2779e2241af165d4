"""Which cells of the occupancy grid may ever hold something: seen by a camera, and inside every silhouette.

Instant-NGP switches off what no camera sees; where pictures have empty parts, what they show as empty goes as well, so
that training starts with the object's visual hull instead of a full box.
"""

import torch
from torch import Tensor

from render.camera import Camera, project
from scenes.placing.hull import measure_radius, silhouette, verdict
from scenes.scene import Scene

COARSE = 64  # cells per axis that are judged; finer cells inherit the verdict
BLOCK = 4  # cells along the side of a block; a camera that sees none of it is not asked for the cells
PICTURES = 128  # at most this many silhouettes carve


def possible_cells(scene: Scene, cascades: int, resolution: int) -> Tensor:
    """(K, G^3) bool, cell (i, j, k) at i + G (j + G k): true where something may be, and no finer cascade says so. G is
    a multiple of COARSE."""
    step = -(-len(scene.train) // PICTURES)
    carving = scene.train[::step] if scene.transparent else ()
    silhouettes = [silhouette(v.camera, v.image, v.valid) for v in carving]
    cameras, levels = [v.camera for v in scene.train], []
    for cascade in range(cascades):
        points, half = centers(2.0**cascade, COARSE)
        possible = ((points > scene.box[0] - half) & (points < scene.box[1] + half)).all(-1)
        if cascade:  # the finer cascade says what there is in its cube
            possible &= ((points - 0.5).abs() > 2.0**cascade / 4).any(-1)
        possible &= seen_by_any(cameras, 2.0**cascade)
        for camera, solid in silhouettes:
            index = possible.nonzero()[:, 0]
            possible[index] = ~verdict(camera, solid, points[index], half * 3**0.5)[1]
        levels.append(enlarged(possible, COARSE, resolution // COARSE))
    return torch.stack(levels)


def centers(side: float, cells: int) -> tuple[Tensor, float]:
    """Cell centres (cells^3, 3) of a cube of `side` scene units, x running fastest, and half a cell's length."""
    axis = ((torch.arange(cells) + 0.5) / cells - 0.5) * side + 0.5
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3), side / cells / 2


def enlarged(verdict: Tensor, cells: int, times: int) -> Tensor:
    """Verdicts (cells^3,) on a grid -> (cells^3 times^3,) on one that is `times` as fine."""
    cube = verdict.view(cells, cells, cells)
    return cube.repeat_interleave(times, 0).repeat_interleave(times, 1).repeat_interleave(times, 2).flatten()


def seen_by_any(cameras: list[Camera], side: float) -> Tensor:
    """Of which cells of a cube of `side` scene units some camera's picture may show a part: (COARSE^3,) bool."""
    (blocks, large), (points, half) = centers(side, COARSE // BLOCK), centers(side, COARSE)
    seen = torch.zeros(len(points), dtype=torch.bool)
    for camera in cameras:
        near = enlarged(framed(camera, blocks, large * 3**0.5), COARSE // BLOCK, BLOCK)
        index = (near & ~seen).nonzero()[:, 0]
        seen[index] = framed(camera, points[index], half * 3**0.5)
    return seen


def framed(camera: Camera, points: Tensor, radius: float) -> Tensor:
    """Of which balls of `radius` around points (N, 3) the camera's picture may show a part: (N,) bool."""
    pixels, depth = project(camera, points)  # NaN where not seen: all comparisons are False
    reach = measure_radius(camera, points, depth, radius)[:, None]
    shown = ((pixels >= -reach) & (pixels <= pixels.new_tensor(camera.size) + reach)).all(-1)
    return shown | ((points - camera.pose[:3, 3]).norm(dim=-1) < 2 * radius)
