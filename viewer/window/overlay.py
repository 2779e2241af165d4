"""Lines over a picture: scene box, axes, crop box with its handles, the views' cameras, a camera path; fainter where
the object hides them.

Pixels are those of the camera that the picture was drawn with, from its top left corner.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import ImageColor

from render.camera import Camera, project
from scenes import frusta
from viewer.messages import ViewCamera, WorldBox
from viewer.window.crop_box import NEAR, CropBox, Handle, Pixel

Colour = tuple[int, int, int]

MARGIN = 16  # pixels that lines run on over the picture's edge
PIECES = 16  # of a line that a lens bends
BEND = 40  # pixels that a line is long, at least, to be drawn in pieces
MOST = 512  # cameras that are drawn
PARTS = 24  # of a long line, each of which may be hidden
BEHIND = 0.01  # of the distance, that something lies behind what is seen before it counts as hidden
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
    hidden: bool = False  # behind what is seen


@dataclass(frozen=True, eq=False)
class Frusta:
    """Cameras of views as pyramids. Made once."""

    points: np.ndarray  # (M, 6, 3) float64, as frusta.PYRAMID joins them
    train: np.ndarray  # (M,) bool
    depth: float  # of a pyramid, scene units


Picture = tuple[int, tuple[Pixel, Pixel, Pixel, Pixel], bool]  # view, corners clockwise from the top left, hidden


@dataclass(frozen=True, eq=False)
class Track:
    """A camera path. Made once."""

    points: np.ndarray  # (P, 3) float64, where the camera passes
    keys: np.ndarray  # (K, 6, 3) float64, pyramids of the keyframes, as frusta.PYRAMID joins them


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a picture."""

    box: WorldBox | None = None  # with axes
    crop: CropBox | None = None
    face: int | None = None  # of the crop box, under the pointer
    cameras: Frusta | None = None
    selected: int | None = None  # number of the view
    track: Track | None = None
    depth: np.ndarray | None = None  # (h, w), distances to what is seen, infinite where nothing is; None: hides nothing


def list_lines(camera: Camera, shown: Overlay) -> list[Line]:
    """All lines, those to be drawn last at the end."""
    result: list[Line] = []
    if shown.box is not None:
        corners = _corners(shown.box)
        result += _drawn(camera, Strokes.of(frusta.edges(corners).numpy(), GREY, 1.0), shown.depth)
        result += _drawn(camera, Strokes(_tripod(corners.numpy()), AXES, [2.5] * 3), shown.depth)
    if shown.cameras is not None:
        result += _draw_views(camera, shown)
    if shown.track is not None:
        result += _draw_track(camera, shown.track, shown.depth)
    if shown.crop is not None:
        result += _draw_crop(camera, shown.crop, shown)
    return result


def make_track(points: np.ndarray, keys: Sequence[Camera], depth: float) -> Track:
    """A path through points (P, 3) with keyframes as pyramids of `depth` scene units."""
    pyramids = [frusta.pyramid(camera, depth) for camera in keys]
    return Track(points, torch.stack(pyramids).double().numpy() if pyramids else np.zeros((0, 6, 3)))


def list_marks(camera: Camera, track: Track) -> list[tuple[Pixel, str]]:
    """Where the numbers of keyframes are written, from 1."""
    if not len(track.keys):
        return []
    pixels, depth = project(camera, torch.from_numpy(track.keys[:, 0]))
    found = enumerate(zip(pixels.tolist(), depth.tolist(), strict=True), 1)
    return [((x, y), str(number)) for number, ((x, y), away) in found if x == x and y == y and away > NEAR]


def list_pictures(camera: Camera, shown: Overlay) -> list[Picture]:
    """Where photographs lie in the pyramids of their cameras: view, corners from the top left one on, clockwise, and
    whether that is hidden; the farthest first."""
    cameras = shown.cameras
    if cameras is None:
        return []
    views = _some(camera, cameras, shown.selected)
    planes = cameras.points[views, 1:5]
    pixels = _seen(camera, planes)
    front = ((planes - camera.pose[:3, 3].numpy()) @ camera.pose[:3, 2].numpy() < -NEAR).all(1)
    kept = np.logical_and(np.isfinite(pixels).all((1, 2)), front).tolist()
    away = np.linalg.norm(planes.mean(1) - camera.pose[:3, 3].numpy(), axis=-1)
    hidden = is_hidden(camera, planes.mean(1), shown.depth)
    order = [k for k in np.argsort(-away).tolist() if kept[k]]
    corners = [tuple((float(x), float(y)) for x, y in pixels[k]) for k in order]
    return [(int(views[k]), (a, b, c, d), bool(hidden[k])) for k, (a, b, c, d) in zip(order, corners, strict=True)]


def is_hidden(camera: Camera, points: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
    """Which points (S, 3) lie behind what a camera's picture shows, whose distances are `depth` (h, w): (S,) bool. What
    the picture does not show is not hidden."""
    if depth is None or not len(points):
        return np.zeros(len(points), bool)
    pixels = _seen(camera, points[:, None])[:, 0]
    away = np.linalg.norm(points - camera.pose[:3, 3].numpy(), axis=-1)
    height, width = depth.shape
    cells = pixels / np.array(camera.size) * (width, height)
    shown = np.isfinite(cells) & (cells >= 0) & (cells < np.array([width, height]))
    inside = np.logical_and(shown[:, 0], shown[:, 1])
    column, row = np.where(shown.all(-1, keepdims=True), cells, 0).astype(int).T
    return inside & (away > depth[row, column].astype(np.float64) * (1 + BEHIND))


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


@dataclass(frozen=True)
class Strokes:
    """Segments, each with its colour and width."""

    ends: np.ndarray  # (S, 2, 3)
    colours: Sequence[Colour]
    widths: Sequence[float]
    parts: int = PARTS  # of each, that are hidden or not

    @staticmethod
    def of(ends: np.ndarray, colour: Colour, width: float, parts: int = PARTS) -> "Strokes":
        """All of one look."""
        return Strokes(ends, [colour] * len(ends), [width] * len(ends), parts)


def _drawn(camera: Camera, strokes: Strokes, depth: np.ndarray | None) -> list[Line]:
    """Lines of what is seen of segments, in parts where something may hide them."""
    ends, parts = strokes.ends, 1 if depth is None else strokes.parts
    if parts > 1:
        share = np.linspace(0, 1, parts + 1)[None, :, None]
        points = ends[:, :1] * (1 - share) + ends[:, 1:] * share
        ends = np.stack([points[:, :-1], points[:, 1:]], 2).reshape(-1, 2, 3)
    hidden = is_hidden(camera, ends.mean(1), depth)
    pixels, index = _projected(camera, ends)
    seen = zip(pixels.tolist(), index.tolist(), strict=True)
    return [
        Line((a, b), (c, d), strokes.colours[k // parts], strokes.widths[k // parts], bool(hidden[k]))
        for ((a, b), (c, d)), k in seen
    ]


def _draw_views(camera: Camera, shown: Overlay) -> list[Line]:
    """The cameras, the selected one last."""
    cameras, selected = shown.cameras, shown.selected
    assert cameras is not None
    views = _some(camera, cameras, selected)
    count = len(frusta.PYRAMID)
    looks = [(SELECTED, 2.5) if v == selected else (TRAIN if cameras.train[v] else TEST, 1.0) for v in views]
    colours, widths = [c for c, _ in looks for _ in range(count)], [w for _, w in looks for _ in range(count)]
    return _drawn(camera, Strokes(_strokes(cameras, views), colours, widths, 1), shown.depth)


def _draw_track(camera: Camera, track: Track, depth: np.ndarray | None) -> list[Line]:
    """The way and its keyframes."""
    way = np.stack([track.points[:-1], track.points[1:]], 1)
    keys = track.keys[:, np.array(frusta.PYRAMID)].reshape(-1, 2, 3)
    return _drawn(camera, Strokes.of(way, TAKEN, 2.0, 1), depth) + _drawn(
        camera, Strokes.of(keys, TAKEN, 1.5, 1), depth
    )


def _draw_crop(camera: Camera, crop: CropBox, shown: Overlay) -> list[Line]:
    """Edges, an arrow out of each face in the colour of its axis, the arm of the knob, and all handles."""
    edges = crop.place(frusta.edges(_corners(crop.box)).numpy())
    result = _drawn(camera, Strokes.of(edges, CROP, 1.5), shown.depth)
    arm = crop.place(np.stack([(crop.middle + crop.knob) / 2, crop.knob])[None])
    arm[0, 0] = crop.place(np.array([crop.box[3], *crop.middle[1:]]))
    result += _drawn(camera, Strokes.of(arm, CROP, 1.5, 1), None)
    for handle in crop.handles(camera):
        result += _square(handle, handle.face == shown.face)
    return result


def _square(handle: Handle, taken: bool) -> list[Line]:
    """A handle: a small square around its point in the colour of its axis, or for the knob a ring."""
    (x, y), half = handle.at, 6.0 if taken else 4.0
    ring = handle.face >= 6
    count, start, reach = (12, 0.0, 1.3 * half) if ring else (4, math.pi / 4, math.sqrt(2) * half)
    turns = [start + 2 * math.pi * k / count for k in range(count)]
    corners = [(x + reach * math.cos(turn), y + reach * math.sin(turn)) for turn in turns]
    colour = TAKEN if taken else CROP if ring else AXES[handle.face % 3]
    return [Line(a, b, colour, 2.5) for a, b in pairwise([*corners, corners[0]])]


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


def _tripod(corners: np.ndarray) -> np.ndarray:
    """Segments (3, 2, 3) from the low corner of a box (2, 3) along x, y, z, a quarter of its longest side."""
    length = 0.25 * (corners[1] - corners[0]).max()
    return np.stack([np.stack([corners[0]] * 3), corners[0] + length * np.eye(3)], 1)


def _corners(box: WorldBox) -> torch.Tensor:
    return torch.tensor(box, dtype=torch.float64).view(2, 3)
