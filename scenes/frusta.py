"""A picture of the cameras around the box: an oblique view beside a view from above."""

import math
from collections.abc import Callable
from itertools import pairwise, product

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from render.camera import Camera, look_at
from scenes.scene import Scene, View

SIDE = 900  # pixels of each of the two square views
FINE = 2  # drawn this much larger, then averaged
TRAIN, TEST, BOX, CORE, INK = "#2f6fb5", "#e07b1f", "#222222", "#9a9a9a", "#444444"
AXES = (("X", "#c0392b"), ("Y", "#2e8b57"), ("Z", "#3454c4"))  # of the input coordinates, which are never turned
PYRAMID = (*((0, k) for k in range(1, 5)), *pairwise((1, 2, 3, 4, 1)), (1, 5), (5, 2))  # pairs of its points
NEAR = 0.05  # scene units in front of the eye where lines are cut

Project = Callable[[Tensor], Tensor]  # points (N, 3) to (N, 3): offset from the pane's middle times distance, distance


def draw(scene: Scene) -> Image.Image:
    """1800 x 900 RGB."""
    picture = Image.new("RGB", (2 * SIDE * FINE, SIDE * FINE), "white")
    middle, radius = _extent(scene)
    for column, (title, view) in enumerate((("oblique", _oblique), ("from above", _above))):
        pane = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
        pen = ImageDraw.Draw(pane)
        project = view(middle, radius)
        _paint(scene, pen, project, radius)
        _label(pen, (20, 16), f"{scene.name}, {title}", INK, 22)
        picture.paste(pane, (column * SIDE * FINE, 0))
    pen = ImageDraw.Draw(picture)
    _legend(scene, pen, radius)
    return picture.resize((2 * SIDE, SIDE), Image.Resampling.BOX)


def _extent(scene: Scene) -> tuple[Tensor, float]:
    """Middle (3,) and radius in scene units of what is drawn: core, cameras, and the box unless it is far larger."""
    positions = torch.stack([view.camera.pose[:3, 3] for view in (*scene.train, *scene.test)])
    middle = torch.full((3,), 0.5)
    radius = max(0.9, 1.1 * float((positions - middle).norm(dim=-1).quantile(0.97)))
    box = float((scene.box - middle).norm(dim=-1).max())
    return middle, max(radius, box) if box < 3 * radius else radius


def _oblique(middle: Tensor, radius: float) -> Project:
    """Perspective from 30 degrees above: points (N, 3) to pixels and distance (N, 3)."""
    eye = middle + 3.2 * radius * torch.nn.functional.normalize(torch.tensor([0.55, -1.0, 0.62]), dim=0)
    pose = look_at(eye, middle, torch.tensor([0.0, 0.0, 1.0]))

    def project(points: Tensor) -> Tensor:
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        return torch.stack([local[:, 0], -local[:, 1], -local[:, 2]], -1)

    return _scaled(project, 2.75)


def _above(middle: Tensor, radius: float) -> Project:
    """Parallel view down the Z axis, X to the right and Y up."""

    def project(points: Tensor) -> Tensor:
        local = (points - middle) / radius
        return torch.stack([local[:, 0], -local[:, 1], torch.ones(len(points))], -1)

    return _scaled(project, 0.88)


def _scaled(project: Project, zoom: float) -> Project:
    """Points to what `segment` needs: offsets from the middle of the pane in pixels times distance, and distance."""
    factor = torch.tensor([zoom, zoom, 1.0]) * torch.tensor([SIDE * FINE / 2, SIDE * FINE / 2, 1.0])
    return lambda points: project(points) * factor


def _paint(scene: Scene, pen: ImageDraw.ImageDraw, project: Project, radius: float) -> None:
    """Box, core, axes and cameras."""
    _edges(pen, project, torch.tensor([[0.0] * 3, [1.0] * 3]), CORE, 1)
    _edges(pen, project, scene.box, BOX, 2)
    origin = scene.box[0]
    length = 0.25 * float((scene.box[1] - scene.box[0]).max())
    for axis, (name, colour) in enumerate(AXES):
        tip = origin.clone()
        tip[axis] += length
        end = segment(pen, project, torch.stack([origin, tip]), colour, 4)
        if end:
            _label(pen, (end[0] / FINE + 4, end[1] / FINE - 10), name, colour, 18)
    positions = torch.stack([view.camera.pose[:3, 3] for view in scene.train])
    depth = max(0.02 * radius, 0.09 * float((positions - 0.5).norm(dim=-1).median()))
    for views, colour in ((scene.train, TRAIN), (scene.test, TEST)):
        for view in views:
            _frustum(pen, project, view, depth, colour)


def _edges(pen: ImageDraw.ImageDraw, project: Project, box: Tensor, colour: str, width: int) -> None:
    """The twelve edges of a box (2, 3)."""
    for ends in edges(box):
        segment(pen, project, ends, colour, width)


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


def _frustum(pen: ImageDraw.ImageDraw, project: Project, view: View, depth: float, colour: str) -> None:
    """A camera as a pyramid."""
    points = pyramid(view.camera, depth)
    for pair in PYRAMID:
        segment(pen, project, points[list(pair)], colour, 1)


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


def _legend(scene: Scene, pen: ImageDraw.ImageDraw, radius: float) -> None:
    """Colours below the left view; a bar of a round length in input units below the right one."""
    bottom = SIDE - 40
    items = ((f"{len(scene.train)} train", TRAIN), (f"{len(scene.test)} test", TEST), ("box", BOX), ("core", CORE))
    for k, (text, colour) in enumerate(items):
        _bar(pen, (20 + 130 * k, bottom + 12), 28, colour)
        _label(pen, (54 + 130 * k, bottom), text, INK, 18)
    wanted = 0.5 * radius * scene.unit
    length = 10 ** math.floor(math.log10(wanted))
    length *= max(k for k in (1, 2, 5) if k * length <= wanted)
    pixels = length / scene.unit / radius * 0.88 * SIDE / 2
    start = SIDE + 20
    _bar(pen, (start, bottom + 12), pixels, INK)
    _label(pen, (start + pixels + 8, bottom), f"{length:g} input units", INK, 18)


def _bar(pen: ImageDraw.ImageDraw, at: tuple[float, float], length: float, colour: str) -> None:
    """A level line from `at`, in pixels of the finished picture."""
    pen.line([(at[0] * FINE, at[1] * FINE), ((at[0] + length) * FINE, at[1] * FINE)], fill=colour, width=3 * FINE)


def _label(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, size: int) -> None:
    """Text with its top left corner at pixels of the finished picture."""
    pen.text((at[0] * FINE, at[1] * FINE), text, fill=colour, font=ImageFont.load_default(size * FINE))
