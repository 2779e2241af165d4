"""A picture of the cameras around the box: an oblique view beside a view from above."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from render.camera import Camera, look_at
from scenes.coverage import level, middle, upward
from scenes.lettering import INK, Rectangle, font, overlap, shorten, width
from scenes.photographs import FAR, PhotoCheck
from scenes.placing.box import cube
from scenes.scene import Scene, View

SIDE = 900  # pixels of each of the two square views
FINE = 2  # drawn this much larger, then averaged
FILLED = 0.82  # share of a pane that cameras and box fill
TRAIN, TEST, BOX, CORE, WRONG = "#2f6fb5", "#e07b1f", "#222222", "#9a9a9a", "#c81e1e"
AXES = (("X", "#c0392b"), ("Y", "#2e8b57"), ("Z", "#3454c4"))  # of the input coordinates, which are never turned
PYRAMID = (*((0, k) for k in range(1, 5)), *pairwise((1, 2, 3, 4, 1)), (1, 5), (5, 2))  # pairs of its points
SMALL, LARGE = 0.035, 0.07  # of a pane: least and largest size of a pyramid
ROOMY = 3.0  # times as far from the middle as the cameras: corners that are left out of sight
MANY = 160  # pyramids; of more cameras an even choice is drawn as pyramids and the rest as dots
NUMBERED = 12  # cameras that bear a number
NEAR = 0.05  # scene units in front of the eye where lines are cut

Project = Callable[[Tensor], Tensor]  # points (N, 3) to (N, 3): offset from the pane's middle times distance, distance


@dataclass(frozen=True)
class Spot:
    """A camera to draw."""

    view: View
    colour: str
    number: int  # 0: none
    wrong: bool  # something was found about it


@dataclass(frozen=True)
class DrawnPane:
    """One view to draw in."""

    pen: ImageDraw.ImageDraw
    project: Project
    taken: list[Rectangle] = field(default_factory=list)  # where text lies, in pixels of the finished picture


def draw(scene: Scene, photographs: Sequence[PhotoCheck]) -> Image.Image:
    """1800 x 900 RGB. A few cameras bear the numbers that `number` gives, in a red frame where something was found."""
    picture = Image.new("RGB", (2 * SIDE, SIDE), "white")
    numbers = number(photographs)
    views = (*scene.train, *scene.test)
    spots = [
        Spot(view, TRAIN if photo.split == "train" else TEST, numbers.get(i, 0), bool(photo.findings))
        for i, (view, photo) in enumerate(zip(views, photographs, strict=True))
    ]
    points = content(scene)
    turn = level(upward(scene))
    above, zoom = _fitted(_above(turn), points)
    depth = pyramid_size(spots, zoom)
    oblique, _ = _fitted(_oblique(points, turn), points)
    for column, (title, project) in enumerate((("oblique", oblique), ("from above", above))):
        image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
        pane = DrawnPane(ImageDraw.Draw(image), project)
        _paint(scene, pane, spots, depth)
        _label(pane, (20, 16), shorten(f"{scene.name}, {title}", SIDE - 40, 22), INK, 22)
        _legend(scene, pane, zoom if column else 0.0)
        for spot in sorted((spot for spot in spots if spot.number), key=lambda spot: not spot.wrong):
            _number(pane, spot)
        picture.paste(image.resize((SIDE, SIDE), Image.Resampling.BOX), (column * SIDE, 0))
    return picture


def number(photographs: Sequence[PhotoCheck]) -> dict[int, int]:
    """Index of a photograph to its number, from 1 in their order: first those with findings, then an even choice."""
    wrong = [i for i, photo in enumerate(photographs) if photo.findings]
    fine = [i for i, photo in enumerate(photographs) if not photo.findings]
    chosen = spread(wrong, NUMBERED)
    chosen += spread(fine, min(NUMBERED - len(chosen), NUMBERED // 2))
    return {i: k + 1 for k, i in enumerate(sorted(chosen))}


def spread(items: Sequence[int], count: int) -> list[int]:
    """At most `count` of the items, evenly spaced, with the first."""
    count = min(count, len(items))
    return [items[k * len(items) // count] for k in range(count)]


def content(scene: Scene) -> Tensor:
    """Points (N, 3) that the views must hold: the cameras but those far from all others, and the corners of the
    object's box, or of the core, unless the cameras stand close together in it."""
    positions = torch.stack([view.camera.pose[:3, 3] for view in (*scene.train, *scene.test)])
    corners = torch.cartesian_prod(*(scene.box if scene.transparent else cube(1)).T)
    away = (positions - middle(scene)).norm(dim=-1)
    near = positions[away <= FAR * away.median()]
    spacious = float((corners - middle(scene)).norm(dim=-1).max()) > ROOMY * float(away.median())
    return near if spacious and len(near) > 1 else torch.cat([corners, near])


def pyramid_size(spots: Sequence[Spot], zoom: float) -> float:
    """Size of a pyramid in scene units, where one is `zoom` pixels: half the usual distance between neighbours, but
    not below `SMALL` and not above `LARGE` of a pane."""
    positions = torch.stack([spot.view.camera.pose[:3, 3] for spot in spots])
    least, most = (share * SIDE * FINE / zoom for share in (SMALL, LARGE))
    if len(spots) < 2:
        return most
    apart = torch.cdist(positions, positions).fill_diagonal_(math.inf).amin(-1)
    return min(max(0.5 * float(apart.median()), least), most)


def _oblique(points: Tensor, turn: Tensor) -> Project:
    """Perspective from 30 degrees above; `turn` (3, 3) takes up to +Z."""
    center = (points.amin(0) + points.amax(0)) / 2
    radius = float((points - center).norm(dim=-1).max())
    eye = 3.2 * radius * torch.nn.functional.normalize(torch.tensor([0.55, -1.0, 0.62]), dim=0)
    pose = look_at(eye, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))

    def project(points: Tensor) -> Tensor:
        local = ((points - center) @ turn.T - pose[:3, 3]) @ pose[:3, :3]
        return torch.stack([local[:, 0], -local[:, 1], -local[:, 2]], -1)

    return project


def _above(turn: Tensor) -> Project:
    """Parallel view down; with +Z up, X to the right and Y up the picture."""

    def project(points: Tensor) -> Tensor:
        local = points @ turn.T
        return torch.stack([local[:, 0], -local[:, 1], torch.ones(len(points))], -1)

    return project


def _fitted(project: Project, points: Tensor) -> tuple[Project, float]:
    """The projection scaled and moved so that `points` (N, 3) fill most of the pane, and its scale in pixels."""
    raw = project(points)
    flat = raw[:, :2] / raw[:, 2:]
    low, high = flat.amin(0), flat.amax(0)
    zoom = FILLED * SIDE * FINE / max(float((high - low).max()), 1e-6)
    center = (low + high) / 2

    def fitted(points: Tensor) -> Tensor:
        raw = project(points)
        return torch.cat([(raw[:, :2] - center * raw[:, 2:]) * zoom, raw[:, 2:]], -1)

    return fitted, zoom


def _paint(scene: Scene, pane: DrawnPane, spots: Sequence[Spot], depth: float) -> None:
    """Box, core, axes and cameras."""
    _edges(pane, cube(1), CORE, 1)
    _edges(pane, scene.box, BOX, 2)
    origin = scene.box[0] if scene.transparent else torch.zeros(3)
    for axis, (name, colour) in enumerate(AXES):
        tip = origin.clone()
        tip[axis] += 0.25
        end = segment(pane.pen, pane.project, torch.stack([origin, tip]), colour, 4)
        if end:
            _label(pane, (end[0] / FINE + 4, end[1] / FINE - 10), name, colour, 18)
    whole = {*spread(range(len(spots)), MANY)}
    for i, spot in enumerate(spots):
        if i in whole or spot.number or spot.wrong:
            _frustum(pane, spot, depth)
        else:
            _dot(pane, spot)


def _edges(pane: DrawnPane, box: Tensor, colour: str, width: int) -> None:
    """The twelve edges of a box (2, 3)."""
    for ends in edges(box):
        segment(pane.pen, pane.project, ends, colour, width)


def edges(box: Tensor) -> Tensor:
    """Both ends (12, 2, 3) of the edges of a box (2, 3)."""
    result = []
    for axis in range(3):
        for u, v in product((0, 1), repeat=2):
            ends = torch.stack([box[0], box[1]])
            for other, side in zip([a for a in range(3) if a != axis], (u, v), strict=True):
                ends[:, other] = box[side, other]
            result.append(ends)
    return torch.stack(result)


def _frustum(pane: DrawnPane, spot: Spot, size: float) -> None:
    """A camera as a pyramid about as wide as `size`, in scene units; a narrow lens's is at most half as long again."""
    camera = spot.view.camera
    wide = camera.size[0] / camera.intrinsics.fx
    points = pyramid(camera, size / min(max(wide, 0.66), 3.0))
    for pair in PYRAMID:
        segment(pane.pen, pane.project, points[list(pair)], WRONG if spot.wrong else spot.colour, 1 + spot.wrong)


def _place(pane: DrawnPane, spot: Spot) -> tuple[float, float]:
    """Where a camera's eye appears, in pixels of the finished picture; NaN behind the viewer."""
    x, y, z = pane.project(spot.view.camera.pose[None, :3, 3])[0].tolist()
    return ((SIDE / 2 + x / z / FINE), (SIDE / 2 + y / z / FINE)) if z >= NEAR else (math.nan, math.nan)


def _dot(pane: DrawnPane, spot: Spot) -> None:
    """A camera as a dot."""
    x, y = _place(pane, spot)
    if 0 <= x < SIDE and 0 <= y < SIDE:
        pane.pen.ellipse([FINE * (x - 3), FINE * (y - 3), FINE * (x + 3), FINE * (y + 3)], fill=spot.colour)


def _number(pane: DrawnPane, spot: Spot) -> None:
    """A camera's number beside it where there is room, with a line to it; at the edge where it lies outside."""
    x, y = _place(pane, spot)
    if math.isnan(x):
        return
    text = str(spot.number) if 0 <= x < SIDE and 0 <= y < SIDE else f"{spot.number}, outside"
    size, half = 20, width(str(text), 20) / 2
    inner = min(max(x, half + 8), SIDE - half - 8), min(max(y, 60.0), SIDE - 70.0)
    for reach, turn in product((18, 28, 40, 56, 76), range(8)):
        u, v = inner[0] + reach * math.cos(turn * math.pi / 4), inner[1] + reach * math.sin(turn * math.pi / 4)
        space = _room((u - half, v - 11), text, size)
        if min(space[:2]) < 2 or max(space[2:]) > SIDE - 2 or overlap(space, pane.taken):
            continue
        colour = WRONG if spot.wrong else INK
        pane.pen.line([(u * FINE, v * FINE), (inner[0] * FINE, inner[1] * FINE)], fill=colour, width=1)
        _label(pane, (u - half, v - 11), text, colour, size)
        pane.pen.rectangle([FINE * n for n in space], outline=colour)
        return


def pyramid(camera: Camera, depth: float) -> Tensor:
    """Points (6, 3) of a pyramid of `depth` scene units along a camera's axis: its eye, four corners, and a roof on the
    side that is up in the picture. `PYRAMID` says which of them are joined."""
    lens, (width, height) = camera.intrinsics, camera.size
    left, right = (min(max(x / lens.fx, -1.5), 1.5) for x in (-lens.cx, width - lens.cx))
    top, bottom = (min(max(y / lens.fy, -1.5), 1.5) for y in (lens.cy, lens.cy - height))
    roof = [(left + right) / 2, top + 0.35 * (top - bottom)]
    plane = [[left, top], [right, top], [right, bottom], [left, bottom], roof]
    local = torch.tensor([[0.0, 0.0, 0.0]] + [[depth * x, depth * y, -depth] for x, y in plane])
    return local @ camera.pose[:3, :3].T + camera.pose[:3, 3]


def segment(
    pen: ImageDraw.ImageDraw, project: Project, ends: Tensor, colour: str, width: int
) -> tuple[float, float] | None:
    """Draw a line between two points (2, 3), cut where it passes the eye; returns its second end in pixels."""
    a, b = project(ends).tolist()
    if a[2] < NEAR and b[2] < NEAR:
        return None
    if min(a[2], b[2]) < NEAR:
        part = (NEAR - a[2]) / (b[2] - a[2])
        cut = [p + part * (q - p) for p, q in zip(a, b, strict=True)]
        a, b = (cut, b) if a[2] < NEAR else (a, cut)
    half = SIDE * FINE / 2
    (x, y), (u, v) = ((half + p[0] / p[2], half + p[1] / p[2]) for p in (a, b))
    if all(math.isfinite(n) and abs(n) < 1e6 for n in (x, y, u, v)):
        pen.line([(x, y), (u, v)], fill=colour, width=width * FINE)
    return u, v


def _legend(scene: Scene, pane: DrawnPane, zoom: float) -> None:
    """Colours; or, where a scene unit is `zoom` > 0 pixels, a bar of a round length in input units."""
    bottom = SIDE - 40
    if not zoom:
        train, test = (f"{len(views)} {name}" for views, name in ((scene.train, "train"), (scene.test, "test")))
        items = ((train, TRAIN), (test, TEST), ("look at", WRONG), ("box", BOX), ("core", CORE))
        for k, (text, colour) in enumerate(items):
            _bar(pane.pen, (20 + 130 * k, bottom + 12), 28, colour)
            _label(pane, (54 + 130 * k, bottom), text, INK, 18)
        if len(scene.train) + len(scene.test) > MANY:
            _label(pane, (54 + 130 * len(items) - 34, bottom), "dots: cameras too", INK, 18)
        return
    wanted = 0.25 * SIDE * FINE / zoom * scene.unit
    length = 10 ** math.floor(math.log10(wanted))
    length *= max(k for k in (1, 2, 5) if k * length <= wanted)
    pixels = length / scene.unit * zoom / FINE
    _bar(pane.pen, (20, bottom + 12), pixels, INK)
    _label(pane, (20 + pixels + 8, bottom), f"{length:g} input units", INK, 18)


def _bar(pen: ImageDraw.ImageDraw, at: tuple[float, float], length: float, colour: str) -> None:
    """A level line from `at`, in pixels of the finished picture."""
    pen.line([(at[0] * FINE, at[1] * FINE), ((at[0] + length) * FINE, at[1] * FINE)], fill=colour, width=3 * FINE)


def _room(at: tuple[float, float], text: str, size: int) -> Rectangle:
    """What a line of text with its top left corner `at` takes."""
    return at[0] - 3, at[1] - 2, at[0] + width(text, size) + 3, at[1] + 1.2 * size


def _label(pane: DrawnPane, at: tuple[float, float], text: str, colour: str, size: int) -> None:
    """Text on white with its top left corner at pixels of the finished picture; its place is taken."""
    space = _room(at, text, size)
    pane.pen.rectangle([FINE * n for n in space], fill="white")
    pane.pen.text((at[0] * FINE, at[1] * FINE), text, fill=colour, font=font(size * FINE))
    pane.taken.append(space)
