"""Visual hull: the bounds of what is solid in every picture that sees it (Laurentini 1994)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, max_pool2d

from render.camera import Camera, project

FAINT = 8  # alpha below this is empty
LONG = 200  # longest side of the silhouettes in pixels
PICTURES = 64  # at most this many pictures carve
CELLS = (32, 64, 96)  # cells along the longest side, one number a refinement
HALF = 0.5  # of a picture must agree with the others
FEW = 3  # a cell that fewer pictures frame is judged by none
TAIL = 0.5  # of the longest side, that stays of what no pixel needs: half a sphere is as deep
NEEDED = 0.001  # share of a picture's solid pixels that may be lost to trimming, before room is given back
TRIMMERS = 24  # at most this many pictures say what they need
BLUR = 0.1  # a picture does not judge a cell that covers more than this share of its long side
SLACK = 1.1  # how much a lens's distortion may enlarge a cell

WHOLE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])  # of the unit cube, where the hull is looked for

Picture = tuple[Camera, Tensor, Tensor]  # camera, image (H, W, 4) uint8, valid (H, W) bool
Silhouette = tuple[Camera, Tensor]  # the camera at the silhouette's size; (H, W) bool, True where solid or unknown


def hull(pictures: Sequence[Picture], share: float) -> Tensor | None:
    """Bounds (2, 3) within the unit cube of what no picture shows as empty; None where nothing is left.

    Conservative: a cell goes only when a picture shows the whole of it as empty, so that the bounds err outward by
    about one cell. Cells that fewer pictures frame than
    `share` of those that frame the best one go too: space beside and behind the cameras that nothing ever carves. So
    does most of what no pixel needs: below an object that is only seen from above, silhouettes leave a long tail.
    """
    step = -(-len(pictures) // PICTURES)
    views = [silhouette(*picture) for picture in pictures[::step]]
    bounds = WHOLE
    for cells in CELLS:
        points, size = carve(views, bounds, cells, share)
        if not len(points):
            return None
        bounds = around(points, size)
        if cells != CELLS[-1]:
            bounds = trim(views[:: -(-len(views) // TRIMMERS)], points, size, bounds)
    return bounds


def contradicting(pictures: Sequence[Picture]) -> list[int]:
    """Which pictures show less than half of what a hull holds that several others carve: their poses or cut-outs
    are wrong. None where that hull is empty."""
    views = [silhouette(*picture) for picture in pictures]
    carving, bounds, points, size = views[:: -(-len(views) // PICTURES)], WHOLE, torch.zeros(0, 3), 1.0
    for cells in CELLS:
        points, size = carve(carving, bounds, cells, 0.5, doubt=max(1, len(carving) // 10))
        if not len(points):
            return []
        bounds = around(points, size)
    return [i for i, view in enumerate(views) if covered(view, points, size) < HALF]


def covered(view: Silhouette, points: Tensor, size: float) -> float:
    """The lesser of two shares: of the solid pixels that a cell of `size` around points (N, 3) meets, and of the cells
    within the picture that lie on solid pixels. 1 for a picture that shows nothing."""
    camera, solid = view
    pixels, depth = project(camera, points)
    reach = measure_radius(camera, points, depth, size)
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor(camera.size))).all(-1)
    if not bool(solid.any()) or not bool(inside.any()):
        return 0.0 if bool(solid.any()) else 1.0
    column, row = pixels[inside].long().unbind(-1)
    met = torch.zeros_like(solid)
    met[row, column] = True
    wide = 2 * math.ceil(float(reach[inside].median())) + 1
    near, about = max_pool2d(torch.stack([met, solid]).float(), wide, stride=1, padding=wide // 2) > 0
    return min(float((near & solid).sum() / solid.sum()), float(about[row, column].float().mean()))


def around(points: Tensor, size: float) -> Tensor:
    """Bounds (2, 3) of cells of `size` around points (N, 3)."""
    return torch.stack([points.amin(0) - size / 2, points.amax(0) + size / 2])


def trim(views: Sequence[Silhouette], points: Tensor, size: float, bounds: Tensor) -> Tensor:
    """Smaller bounds (2, 3) in which all solid pixels still meet one of the cells of `size` around points (N, 3), with
    `TAIL` of room on every side that was moved: what a hollow hides from the silhouettes lies there."""
    for axis in range(3):
        for sign in (1, -1):
            reach = min((needed(view, points, sign * points[:, axis], size) for view in views), default=-math.inf)
            points = points[sign * points[:, axis] >= reach - size / 2]
    inner = around(points, size)
    room = TAIL * float((inner[1] - inner[0]).max())
    return torch.stack([torch.maximum(bounds[0], inner[0] - room), torch.minimum(bounds[1], inner[1] + room)])


def needed(view: Silhouette, points: Tensor, height: Tensor, size: float) -> float:
    """The largest bound below which cells may go by their `height` (N,), so that the solid pixels of a picture that met
    a cell of `size` around points (N, 3) still do."""
    camera, solid = view
    pixels, depth = project(camera, points)
    reach = measure_radius(camera, points, depth, size / 2)
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor(camera.size))).all(-1)  # NaN: False
    if not bool(inside.any()):
        return math.inf
    shrink = max(1.0, 2 * float(reach[inside].median()))  # pixels of the side of a typical cell
    width, height_ = (max(1, math.ceil(side / shrink)) for side in camera.size)
    column, row = (pixels[inside] / shrink).long().unbind(-1)
    best = torch.full((height_ * width,), -torch.inf).scatter_reduce(0, row * width + column, height[inside], "amax")
    best = max_pool2d(best.view(1, height_, width), 3, stride=1, padding=1)[0]
    shown = best[adaptive_max_pool2d(solid[None].float(), (height_, width))[0] > 0]
    met = shown[shown.isfinite()].sort().values
    return float(met[int(NEEDED * len(met))]) if len(met) else math.inf


def carve(
    views: Sequence[Silhouette], bounds: Tensor, cells: int, share: float, doubt: int = 0
) -> tuple[Tensor, float]:
    """Centres (N, 3) of the cells of a grid over `bounds` (2, 3) that stay, and their side, of which there are `cells`
    along the longest side. A cell goes once more than `doubt` pictures show it as empty."""
    size = float((bounds[1] - bounds[0]).max()) / cells
    axes = [torch.arange(low + size / 2, high + size / 2, size) for low, high in bounds.T.tolist()]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    seen, against = torch.zeros(2, len(points), dtype=torch.int64)
    for camera, solid in views:
        judged, empty = verdict(camera, solid, points, size * 3**0.5 / 2)
        seen, against = seen + judged, against + empty
        stay = against <= doubt
        points, seen, against = points[stay], seen[stay], against[stay]
    enough = max(min(FEW, len(views)), share * int(seen.max())) if len(seen) else 0
    return points[seen >= enough], size


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
