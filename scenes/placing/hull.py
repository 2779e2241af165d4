"""Visual hull: the bounds of what is solid in every picture that sees it (Laurentini 1994)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, max_pool2d

from render.camera import Camera, project

FAINT = 8  # alpha below this is empty
LONG = 200  # longest side of the silhouettes in pixels
PICTURES = 64  # at most this many pictures carve
CELLS = (32, 64, 96)  # cells along the longest side, one number a refinement
BLUR = 0.1  # a picture does not judge a cell that covers more than this share of its long side
SLACK = 1.1  # how much a lens's distortion may enlarge a cell

Silhouette = tuple[Camera, Tensor]  # the camera at the silhouette's size; (H, W) bool, True where solid or unknown


def hull(pictures: Sequence[tuple[Camera, Tensor, Tensor]], share: float) -> Tensor | None:
    """Bounds (2, 3) within the unit cube of what no picture shows as empty; None where nothing is left.

    pictures: camera, image (H, W, 4) uint8, valid (H, W) bool. Conservative: a cell goes only when a picture shows the
    whole of it as empty, so that the bounds err outward by about one cell. Cells that fewer pictures frame than
    `share` of those that frame the best one go too: space beside and behind the cameras that nothing ever carves.
    """
    step = -(-len(pictures) // PICTURES)
    views = [silhouette(*picture) for picture in pictures[::step]]
    bounds = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    for cells in CELLS:
        carved = carve(views, bounds, cells, share)
        if carved is None:
            return None
        bounds = carved
    return bounds


def carve(views: Sequence[Silhouette], bounds: Tensor, cells: int, share: float) -> Tensor | None:
    """Bounds (2, 3) of the cells of a grid over `bounds` (2, 3) that stay, with `cells` along its longest side."""
    size = float((bounds[1] - bounds[0]).max()) / cells
    axes = [torch.arange(low + size / 2, high + size / 2, size) for low, high in bounds.T.tolist()]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    seen = torch.zeros(len(points), dtype=torch.int64)
    for camera, solid in views:
        judged, empty = verdict(camera, solid, points, size * 3**0.5 / 2)
        points, seen = points[~empty], (seen + judged)[~empty]
    points, seen = points[seen >= min(2, len(views))], seen[seen >= min(2, len(views))]
    if not len(points):
        return None
    points = points[seen >= share * seen.max()]
    return torch.stack([points.amin(0) - size / 2, points.amax(0) + size / 2])


def silhouette(camera: Camera, image: Tensor, valid: Tensor) -> Silhouette:
    """A small picture of what is solid or masked out; a small pixel is solid once any pixel in it is."""
    width, height = camera.size
    shrink = max(1.0, max(width, height) / LONG)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    solid = ((image[..., 3] >= FAINT) | ~valid).float()
    small = adaptive_max_pool2d(solid[None, None], (size[1], size[0]))[0, 0]
    return camera.resized(*size), small > 0


def verdict(camera: Camera, solid: Tensor, points: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """For balls of `radius` around points (N, 3): which lie whole within a picture (N,), and which are empty there."""
    pixels, depth = project(camera, points)
    reach = measure_radius(camera, points, depth, radius)
    width, height = camera.size
    x, y = pixels.unbind(-1)  # NaN where not seen: all comparisons are False
    judged = (x >= reach) & (y >= reach) & (x <= width - reach) & (y <= height - reach)
    judged &= reach < BLUR * max(width, height)
    if not bool(judged.any()):
        return judged, judged
    wide = int(reach[judged].max().ceil())
    grown = max_pool2d(solid[None, None].float(), (2 * wide + 1, 1), stride=1, padding=(wide, 0))
    grown = max_pool2d(grown, (1, 2 * wide + 1), stride=1, padding=(0, wide))[0, 0] > 0
    column = x.nan_to_num(0).long().clamp(0, width - 1)
    row = y.nan_to_num(0).long().clamp(0, height - 1)
    return judged, judged & ~grown[row, column]


def measure_radius(camera: Camera, points: Tensor, depth: Tensor, radius: float) -> Tensor:
    """How many pixels (N,) balls of `radius` around points (N, 3), `depth` (N,) along the axis, reach at most."""
    lens = camera.intrinsics
    distance = (points - camera.pose[:3, 3]).norm(dim=-1)
    near = distance if lens.model == "fisheye" else depth
    return SLACK * max(lens.fx, lens.fy) * radius * distance / near.clamp(min=1e-9) ** 2
