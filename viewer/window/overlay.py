"""Lines over a picture: scene box, axes, crop box with its handles, and the cameras of the views.

Pixels are those of the camera that the picture was drawn with, from its top left corner. A face of a box is numbered as
its coordinate in a `WorldBox`: 0 1 2 are low x y z, 3 4 5 high x y z.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import ImageColor

from render.camera import Camera, CameraBank, project
from scenes import frusta
from viewer.messages import ViewCamera, WorldBox

Pixel = tuple[float, float]
Colour = tuple[int, int, int]

NEAR = 1e-3  # scene units in front of the eye where lines are cut
MARGIN = 16  # pixels that lines run on over the picture's edge
PIECES = 16  # of a line that a lens bends
BEND = 40  # pixels that a line is long, at least, to be drawn in pieces
MOST = 512  # cameras that are drawn
THINNEST = 0.01  # of the scene box's side, that a crop box keeps
HANDLE = 12.0  # pixels around a handle in which it is taken
TOUCH = 6.0  # pixels around a camera's lines in which it is taken
GREY, CROP, TAKEN, SELECTED = (140, 140, 140), (0, 160, 160), (255, 190, 0), (225, 30, 140)  # seen on white and black
TRAIN, TEST = (ImageColor.getrgb(c)[:3] for c in (frusta.TRAIN, frusta.TEST))
AXES = [ImageColor.getrgb(colour)[:3] for _, colour in frusta.AXES]


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    start: Pixel
    end: Pixel
    rgb: Colour
    width: float  # pixels


@dataclass(frozen=True, eq=False)
class Frusta:
    """Cameras of views as pyramids. Made once."""

    points: np.ndarray  # (M, 6, 3) float64, as frusta.PYRAMID joins them
    train: np.ndarray  # (M,) bool
    depth: float  # of a pyramid, scene units


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a picture."""

    box: WorldBox | None = None  # with axes
    crop: WorldBox | None = None
    face: int | None = None  # of the crop box, under the pointer
    cameras: Frusta | None = None
    selected: int | None = None  # number of the view


@dataclass(frozen=True)
class Handle:
    """Where a face of the crop box is taken."""

    face: int  # 0 to 5
    at: Pixel
    depth: float  # scene units along the camera's axis


def list_lines(camera: Camera, shown: Overlay) -> list[Line]:
    """All lines, those to be drawn last at the end."""
    result: list[Line] = []
    if shown.box is not None:
        corners = _corners(shown.box)
        result += _drawn(camera, frusta.edges(corners).numpy(), [GREY] * 12, [1.0] * 12)
        result += _drawn(camera, _tripod(corners.numpy()), AXES, [2.5] * 3)
    if shown.cameras is not None:
        result += _draw_views(camera, shown.cameras, shown.selected)
    if shown.crop is not None:
        result += _drawn(camera, frusta.edges(_corners(shown.crop)).numpy(), [CROP] * 12, [1.5] * 12)
        result += [line for h in list_handles(camera, shown.crop) for line in _square(h, h.face == shown.face)]
    return result


def make_frusta(views: Sequence[ViewCamera]) -> Frusta:
    """The cameras of views, their pyramids a twelfth as deep as they usually stand away from the core."""
    if not views:
        return Frusta(np.zeros((0, 6, 3)), np.zeros(0, bool), 0.0)
    away = torch.stack([spot.camera.pose[:3, 3] for spot in views]) - 0.5
    depth = max(0.02, float(away.norm(dim=-1).median()) / 12)
    points = torch.stack([frusta.pyramid(spot.camera, depth) for spot in views])
    return Frusta(points.double().numpy(), np.array([spot.split == "train" for spot in views]), depth)


def find_frustum(camera: Camera, cameras: Frusta, pixel: Pixel) -> int | None:
    """The view whose pyramid is drawn within `TOUCH` pixels of a point, the nearest one to the point; None: none."""
    views = _some(camera, cameras, None)
    ends, index = _projected(camera, _strokes(cameras, views))
    if not len(index):
        return None
    along = ends[:, 1] - ends[:, 0]
    share = ((np.array(pixel) - ends[:, 0]) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    nearest = ends[:, 0] + np.clip(share, 0, 1)[:, None] * along
    distance = np.linalg.norm(nearest - np.array(pixel), axis=-1)
    best = int(distance.argmin())
    return int(views[index[best] // len(frusta.PYRAMID)]) if distance[best] <= TOUCH else None


def list_handles(camera: Camera, crop: WorldBox) -> list[Handle]:
    """The handles of a crop box that the camera sees: the middles of its faces."""
    pixels, depth = project(camera, torch.from_numpy(_middles(crop)))
    found = zip(range(6), pixels.tolist(), depth.tolist(), strict=True)
    return [Handle(face, (x, y), away) for face, (x, y), away in found if x == x and y == y and away > NEAR]


def find_handle(camera: Camera, crop: WorldBox, pixel: Pixel) -> int | None:
    """The face whose handle is taken at a point, the nearest to the eye of those within `HANDLE` pixels; None: none."""
    near = [h for h in list_handles(camera, crop) if np.hypot(h.at[0] - pixel[0], h.at[1] - pixel[1]) <= HANDLE]
    return min(near, key=lambda h: h.depth).face if near else None


def drag_face(crop: WorldBox, face: int, camera: Camera, drag: tuple[Pixel, Pixel], scene: WorldBox) -> WorldBox:
    """The crop box after its face was dragged along its axis, so that the handle follows the pointer in the picture.

    `drag` goes from the pixel where the pointer took the handle to where it is now, and `crop` is the box as it was
    then. The face stays in the scene box and on its side of the opposite one. Nothing changes where the axis runs
    straight away from the eye, or where the pointer is past the point at which it vanishes.
    """
    axis = face % 3
    pose = camera.pose.double().numpy()
    x, y, z = (_middles(crop)[face] - pose[:3, 3]) @ pose[:3, :3]
    i, j, k = pose[axis, :3]  # the axis, as the camera sees it
    middle, step, depth = np.array([x, -y]), np.array([i, -j]), -z
    begin, end = _planes(camera, drag)
    track = step * depth + middle * k  # direction in which the handle moves in the picture
    length = float(track @ track) ** 0.5
    if depth < NEAR or not length > 1e-9 * depth:
        return crop
    track /= length
    wanted = float((middle / depth + end - begin) @ track)
    slope = float(step @ track) + wanted * k
    if not slope > 1e-9:
        return crop
    shift = (wanted * depth - float(middle @ track)) / slope
    return _within(crop, face, crop[face] + shift, scene)


def _within(crop: WorldBox, face: int, value: float, scene: WorldBox) -> WorldBox:
    """The crop box with a face at a coordinate, in the scene box and not inside out."""
    axis = face % 3
    gap = THINNEST * (scene[axis + 3] - scene[axis])
    low, high = (crop[axis] + gap, scene[axis + 3]) if face >= 3 else (scene[axis], crop[axis + 3] - gap)
    moved = [*crop]
    moved[face] = min(max(value, low), high)
    x0, y0, z0, x1, y1, z1 = moved
    return x0, y0, z0, x1, y1, z1


def _planes(camera: Camera, pixels: Sequence[Pixel]) -> np.ndarray:
    """Pixels (N, 2) as coordinates in the plane at distance 1, +x right and +y down, without the lens's distortion."""
    bank = CameraBank.of([camera])
    at = torch.tensor(pixels, dtype=torch.float32) - 0.5  # `rays` goes through pixels' centres
    rays = bank.rays(torch.zeros(len(at), dtype=torch.int64), at).directions @ camera.pose[:3, :3]
    plane = torch.stack([rays[:, 0], -rays[:, 1]], -1) / (-rays[:, 2:]).clamp(min=1e-3)
    return plane.double().numpy()


def _drawn(camera: Camera, ends: np.ndarray, colours: Sequence[Colour], widths: Sequence[float]) -> list[Line]:
    """Lines of what is seen of segments (S, 2, 3), each with its colour and width."""
    pixels, index = _projected(camera, ends)
    seen = zip(pixels.tolist(), index.tolist(), strict=True)
    return [Line((a, b), (c, d), colours[k], widths[k]) for ((a, b), (c, d)), k in seen]


def _draw_views(camera: Camera, cameras: Frusta, selected: int | None) -> list[Line]:
    """The cameras, the selected one last."""
    views = _some(camera, cameras, selected)
    count = len(frusta.PYRAMID)
    looks = [(SELECTED, 2.5) if v == selected else (TRAIN if cameras.train[v] else TEST, 1.0) for v in views]
    colours, widths = [c for c, _ in looks for _ in range(count)], [w for _, w in looks for _ in range(count)]
    return _drawn(camera, _strokes(cameras, views), colours, widths)


def _some(camera: Camera, cameras: Frusta, selected: int | None) -> np.ndarray:
    """Numbers of the views to draw: at most `MOST` evenly, and the selected one last; none that the eye stands in."""
    total = len(cameras.points)
    views = np.arange(0, total, max(1, -(-total // MOST)))
    if selected is not None and 0 <= selected < total:
        views = np.append(views[views != selected][: MOST - 1], selected)
    away = np.linalg.norm(cameras.points[views, 0] - camera.pose[:3, 3].numpy(), axis=-1)
    return views[away > cameras.depth]


def _strokes(cameras: Frusta, views: np.ndarray) -> np.ndarray:
    """Segments (S, 2, 3) of some views' pyramids, view by view."""
    return cameras.points[views][:, np.array(frusta.PYRAMID)].reshape(-1, 2, 3)


def _projected(camera: Camera, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments (S, 2, 3) as pixels (T, 2, 2) of those parts that the picture shows, and whose parts they are (T,)."""
    if camera.intrinsics.distorted:
        return _bent(camera, ends)
    index = np.arange(len(ends))
    pose, lens = camera.pose.double().numpy(), camera.intrinsics
    local = (ends - pose[:3, 3]) @ pose[:3, :3] * np.array([1.0, -1.0, -1.0])
    front = local[..., 2] > NEAR
    local, index, front = local[front.any(1)], index[front.any(1)], front[front.any(1)]
    depth = local[..., 2]
    share = (NEAR - depth[:, 0]) / np.where(front.all(1), 1.0, depth[:, 1] - depth[:, 0])
    cut = local[:, 0] + share[:, None] * (local[:, 1] - local[:, 0])
    local = np.where(front[..., None], local, cut[:, None])
    pixels = local[..., :2] / local[..., 2:] * np.array([lens.fx, lens.fy]) + np.array([lens.cx, lens.cy])
    return _clipped(pixels, index, camera.size)


def _bent(camera: Camera, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same through a lens that bends lines: long ones, and those not seen whole, are drawn in pieces."""
    whole = _seen(camera, ends)
    long = ~(np.abs(whole[:, 1] - whole[:, 0]).max(-1) < BEND)  # also where an end is NaN
    share = np.linspace(0, 1, PIECES + 1)[None, :, None]
    points = _seen(camera, ends[long, :1] * (1 - share) + ends[long, 1:] * share)  # (L, PIECES + 1, 2)
    pieces = np.stack([points[:, :-1], points[:, 1:]], 2).reshape(-1, 2, 2)
    pixels, index = np.concatenate([whole[~long], pieces]), np.flatnonzero(long).repeat(PIECES)
    index = np.concatenate([np.flatnonzero(~long), index])
    kept = np.argsort(index, kind="stable")
    kept = kept[np.isfinite(pixels[kept]).all((1, 2))]
    return _clipped(pixels[kept], index[kept], camera.size)


def _seen(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Pixels (S, K, 2) of points (S, K, 3), NaN where the lens shows none."""
    return project(camera, torch.from_numpy(points.reshape(-1, 3)))[0].numpy().reshape(*points.shape[:2], 2)


def _clipped(pixels: np.ndarray, index: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """What the picture with its margin leaves of lines (T, 2, 2): cut side by side (Liang and Barsky 1984)."""
    begin, along = pixels[:, 0], pixels[:, 1] - pixels[:, 0]
    step = np.where(np.abs(along) < 1e-9, 1e-9, along)
    sides = np.stack([(-MARGIN - begin) / step, (np.array(size) + MARGIN - begin) / step])  # (2, T, 2)
    enter = np.maximum(sides.min(0).max(-1), 0.0)
    leave = np.minimum(sides.max(0).min(-1), 1.0)
    seen = enter < leave
    shares = np.stack([enter, leave], 1)[seen, :, None]
    return begin[seen, None] + shares * along[seen, None], index[seen]


def _square(handle: Handle, taken: bool) -> list[Line]:
    """A handle: a small square around its point."""
    (x, y), half = handle.at, 6.0 if taken else 4.0
    corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    return [Line(a, b, TAKEN if taken else CROP, 2.5) for a, b in pairwise([*corners, corners[0]])]


def _tripod(corners: np.ndarray) -> np.ndarray:
    """Segments (3, 2, 3) from the low corner of a box (2, 3) along x, y, z, a quarter of its longest side."""
    length = 0.25 * (corners[1] - corners[0]).max()
    return np.stack([np.stack([corners[0]] * 3), corners[0] + length * np.eye(3)], 1)


def _middles(box: WorldBox) -> np.ndarray:
    """The middles (6, 3) of a box's faces."""
    low, high = np.array(box[:3]), np.array(box[3:])
    result = np.stack([(low + high) / 2] * 6)
    for face in range(6):
        result[face, face % 3] = box[face]
    return result


def _corners(box: WorldBox) -> torch.Tensor:
    return torch.tensor(box, dtype=torch.float64).view(2, 3)
