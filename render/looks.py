"""What can be shown of a field: one table of modes, which window, browser, screenshots and `render-scene` read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from fields.field import Field
from render.kernels.march import cross_box
from render.legends import Legend, format_number, spread
from render.occupancy import Marchable
from render.pictures import (
    ERROR_GAIN,
    NOTHING,
    SOLID,
    GroundTruth,
    bytes_of,
    depth_colors,
    depth_picture,
    error_picture,
    expose,
    heat,
    normal_picture,
    opacity_picture,
)
from render.rays import RayBatch
from render.renderer import Frame, Look, Pixels, Renderer, blank, color

MOST_SAMPLES = 96  # points of a ray that are shown as white; 32 and 64 are where red and yellow are full
FINE = 64  # steps per cell of the finest cascade, when occupied cells are looked for; empty ones are skipped whole
LIGHT = (0.77, 0.30, 0.56)  # unit direction towards the light; all six faces of a cell differ in brightness
DIM = 0.75  # how much darker cells are at the far end of the box
TINTS = ((0.62, 0.74, 0.90), (0.95, 0.78, 0.48), (0.60, 0.85, 0.60), (0.93, 0.60, 0.60), (0.78, 0.66, 0.92))  # cascades


def normal(field: Field, points: Tensor, features: Tensor, directions: Tensor, *, reach: float = 1 / 512) -> Tensor:
    """Unit normals (N, 3) in scene axes, against the gradient of log-density, by differences over `reach` of the box.

    Differences instead of the exact gradient: that of a fine grid is constant in cells smaller than a surface is thick.
    """
    offsets = torch.eye(3, device=points.device) * (reach * field.space.side)
    sides = [field.density(torch.cat([points + o, points - o]))[0].clamp(min=1e-3).log().view(2, -1) for o in offsets]
    return torch.nn.functional.normalize(-torch.stack([s[0] - s[1] for s in sides], -1), dim=-1)


def trace_cells(grid: Marchable, rays: RayBatch, near: float) -> Frame:
    """The first occupied cell that each ray (R,) meets: lit by the face through which the ray enters it, in the tint of
    its cascade, darker the deeper it lies in the box. The field is not asked. A ray that leaves a cell within a step of
    entering it may be shown the next one."""
    step = 1 / (FINE * grid.resolution)
    begin = torch.full_like(rays.origins[:, 0], near)
    samples = grid.march(rays, step, 0.0, near=begin, limit=1)
    hit = rays[samples.ray]
    points = samples.positions(rays)
    low, high, cascade = find_cells(points, grid)
    low, high = torch.maximum(low, grid.box[0]), torch.minimum(high, grid.box[1])
    ahead = torch.where(hit.directions.abs() < 1e-9, torch.full_like(points, 1e-9), hit.directions)
    enter = torch.minimum((low - hit.origins) / ahead, (high - hit.origins) / ahead)  # (N, 3), by axis
    axis = enter.argmax(-1, keepdim=True)
    light = torch.tensor(LIGHT, device=points.device)[axis[:, 0]] * -ahead.gather(-1, axis)[:, 0].sign()
    tint = torch.tensor(TINTS, device=points.device)[cascade % len(TINTS)]
    rgb, opacity, depth = (torch.zeros(len(rays), *n, device=points.device) for n in ((3,), (), ()))
    inside = samples.t - cross_box(hit.origins, hit.directions, grid.box)[0]
    depth_cue = 1 - DIM * (inside / (grid.box[1] - grid.box[0]).norm()).clamp(0, 1)
    rgb[samples.ray] = tint * ((0.6 + 0.4 * light) * depth_cue)[:, None]  # faces away from the light stay visible
    opacity[samples.ray], depth[samples.ray] = 1.0, samples.t
    return Frame(Pixels(rgb, opacity, depth), torch.zeros(len(rays), dtype=torch.int32, device=points.device))


def find_cells(points: Tensor, grid: Marchable) -> tuple[Tensor, Tensor, Tensor]:
    """Low and high corner (N, 3) of the finest cell around each point (N, 3), and its cascade (N,)."""
    reach = (points - 0.5).abs().amax(-1)
    cascade = torch.where(reach < 0.5, 0, torch.frexp(reach).exponent.long() + 1).clamp(max=len(grid.bits) - 1)
    length = (torch.exp2(cascade.float()) / grid.resolution)[:, None]
    low = ((points - 0.5) / length).floor() * length + 0.5  # faces lie symmetrically about 1/2, as G is even
    return low, low + length, cascade


@dataclass(frozen=True)
class Backdrop:
    """What a frame is shown before and between, and how long things are."""

    background: tuple[float, float, float]  # RGB in [0, 1]
    span: tuple[float, float]  # nearest and farthest distance that depth is shown between, in the unit of the frame's
    unit: float = 1.0  # length of that unit in input coordinates
    cells: tuple[float, ...] = ()  # edges of the grid's cells, fine to coarse, in the unit of the frame's


@dataclass(frozen=True)
class Exposure:
    """How a finished picture is shown."""

    stops: float = 0.0
    truth: GroundTruth | None = None  # photograph from the same place


def show_colors(frame: Frame, backdrop: Backdrop) -> Tensor:
    """Colours over the background."""
    return frame.pixels.over(frame.pixels.rgb.new_tensor(backdrop.background)).clamp(0, 1)


def show_depth(frame: Frame, backdrop: Backdrop) -> Tensor:
    """Distances as colours, near bright and far dark."""
    return depth_picture(frame.pixels.depth, frame.pixels.opacity, backdrop.span)


def explain_depth(backdrop: Backdrop) -> Legend:
    """Distances in input units."""
    low, high = (distance * backdrop.unit for distance in backdrop.span)
    return Legend("distance, in units of your cameras", sample(depth_colors), spread(low, high))


def explain_cost(_: Backdrop) -> Legend:
    """Points of a ray."""
    return Legend("points asked along a ray", sample(heat), (*spread(0, MOST_SAMPLES)[:-1], f"{MOST_SAMPLES}+"))


def explain_error(_: Backdrop) -> Legend:
    """Errors of colours from 0 to 1."""
    most = 1 / ERROR_GAIN
    return Legend("error, mean over R G B of 0 to 1", sample(heat), (*spread(0, most)[:-1], f"{most:g}+"))


def explain_opacity(_: Backdrop) -> Legend:
    """Shares of the light that are stopped."""
    return Legend("opacity", ((0, 0, 0), (255, 255, 255)), ("0", "0.5", "1"))


def explain_cells(backdrop: Backdrop) -> Legend:
    """How large the cells of each cascade are."""
    edges = [format_number(edge * backdrop.unit) for edge in backdrop.cells]
    tints = (torch.tensor(TINTS)[torch.arange(len(edges)) % len(TINTS)] * 255).round().int().tolist()
    return Legend("edge of a cell, in units of your cameras", tuple((r, g, b) for r, g, b in tints), tuple(edges))


def sample(colors: Callable[[Tensor], Tensor], count: int = 64) -> tuple[tuple[int, int, int], ...]:
    """A scale of colours from 0 to 1, as bytes."""
    return tuple((r, g, b) for r, g, b in bytes_of(colors(torch.linspace(0, 1, count))).tolist())


def measure_depth(frame: Frame, transform: Tensor) -> Tensor:
    """Depth (H, W) in input units, infinite where nothing is."""
    unit = float(1 / torch.linalg.det(transform[:3, :3]).abs() ** (1 / 3))
    return torch.where(frame.pixels.opacity > SOLID, frame.pixels.depth * unit, torch.inf)


def measure_normals(frame: Frame, transform: Tensor) -> Tensor:
    """Unit normals (H, W, 3) in input axes, 0 where nothing is."""
    unit = float(1 / torch.linalg.det(transform[:3, :3]).abs() ** (1 / 3))
    turn = transform[:3, :3].float() * unit  # input axes to scene axes
    normals = torch.nn.functional.normalize(frame.pixels.rgb @ turn, dim=-1)
    return torch.where((frame.pixels.opacity > SOLID)[..., None], normals, torch.zeros(3))


def leave(picture: Tensor, exposure: Exposure) -> Tensor:
    """The picture as it is."""
    return picture


def show_error(picture: Tensor, exposure: Exposure) -> Tensor:
    """How far the colours are off the photograph, as heat; where there is none, the colours."""
    return error_picture(picture, exposure.truth) if exposure.truth else expose(picture, exposure.stops)


@final
@dataclass(frozen=True)
class Mode:
    """Something that can be shown of a field. Rays are traced, their frame becomes a picture, and the mean of the
    pictures of all passes is finished."""

    name: str
    about: str  # for a person
    look: Look = blank  # what a sample shows: what the frame's rgb is made of
    trace: Callable[[Marchable, RayBatch, float], Frame] | None = None  # instead, where the field is not asked
    channels: Literal["none", "color", "direction"] = "none"  # what the frame's rgb holds: RGB, axes of the scene
    picture: Callable[[Frame, Backdrop], Tensor] = show_colors  # a frame (H, W) as RGB (H, W, 3) in [0, 1]
    finish: Callable[[Tensor, Exposure], Tensor] = leave  # the mean over passes (H, W, 3) as a person sees it
    values: Callable[[Frame, Tensor], Tensor] | None = None  # a frame on the CPU and its (4, 4) transform from input
    # coordinates to scene units, as float32 numbers (H, W) or (H, W, 3); None: there are only pictures
    wants: Literal["model", "photograph"] = "model"  # what it cannot be shown without
    legend: Callable[[Backdrop], Legend] | None = None  # what its colours mean, where they are numbers
    stretched: bool = False  # shown between the nearest and the farthest surface that is seen

    def draw(self, renderer: Renderer, field: Field, grid: Marchable, rays: RayBatch, near: float = 0.0) -> Frame:
        """Rays (R,), from `near` scene units on."""
        if self.trace:
            return self.trace(grid, rays, near)
        return renderer.bunch(field, grid, rays, self.look, near)


MODES = {
    mode.name: mode
    for mode in (
        Mode("color", "colours", color, channels="color", finish=lambda p, e: expose(p, e.stops)),
        Mode(
            "depth", "distance along the ray", picture=show_depth, values=measure_depth, legend=explain_depth,
            stretched=True,
        ),
        Mode(
            "normal", "which way surfaces face: x y z as red green blue", normal, channels="direction",
            picture=lambda f, _: normal_picture(f.pixels.rgb, f.pixels.opacity), values=measure_normals,
        ),
        Mode(
            "opacity", "how solid it is", picture=lambda f, _: opacity_picture(f.pixels.opacity),
            values=lambda f, _: f.pixels.opacity, legend=explain_opacity,
        ),
        Mode(
            "cost", "points of a ray that were asked", picture=lambda f, _: heat(f.counts / MOST_SAMPLES),
            legend=explain_cost,
        ),
        Mode(
            "occupancy", "the first occupied cell of a ray", trace=trace_cells,
            picture=lambda f, _: f.pixels.over(f.pixels.rgb.new_tensor(NOTHING)), legend=explain_cells,
        ),
        Mode(
            "error", "difference from the photograph", color, channels="color", finish=show_error, wants="photograph",
            legend=explain_error,
        ),
    )
}  # fmt: skip
