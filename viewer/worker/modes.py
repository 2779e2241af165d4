"""What a pane shows of what its rays saw: colours, distances, cost, occupied cells, and errors against a photograph."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from render.kernels.march import cross_box
from render.metrics import psnr
from render.occupancy import OccupancyGrid
from render.pictures import NOTHING, depth_picture, heat, normal_picture, opacity_picture
from render.rays import RayBatch
from render.renderer import Frame, Look, Pixels, color, normal
from viewer.messages import Mode

Background = tuple[float, float, float]

MOST_SAMPLES = 96  # points of a ray that are shown as white; 32 and 64 are where red and yellow are full
ERROR_GAIN = 4.0  # absolute errors are shown times this: 1/12 is full red, 1/4 is white
FINE = 64  # steps per cell of the finest cascade, when occupied cells are looked for; empty ones are skipped whole
LIGHT = (0.77, 0.30, 0.56)  # unit direction towards the light; all six faces of a cell differ in brightness
DIM = 0.75  # how much darker cells are at the far end of the box
TINTS = ((0.62, 0.74, 0.90), (0.95, 0.78, 0.48), (0.60, 0.85, 0.60), (0.93, 0.60, 0.60), (0.78, 0.66, 0.92))  # cascades


@dataclass(frozen=True)
class GroundTruth:
    """A photograph to compare with, at the size of the picture or finer."""

    rgb: Tensor  # (H, W, 3) float32 in [0, 1], over the background
    valid: Tensor  # (H, W) bool; False: masked out
    background: Background


LOOKS: dict[Mode, Look] = {"color": color, "error": color, "normal": normal}  # of the others: blank


def pictured(mode: Mode, frame: Frame, background: Background, span: tuple[float, float]) -> Tensor:
    """A drawn frame (H, W) on the CPU as RGB (H, W, 3) in [0, 1]. `span`: what depth is shown between, in its units.

    Errors are pictured as colours, as they are taken from the mean over all passes: see `shown`.
    """
    pixels = frame.pixels
    pictures: dict[Mode, Callable[[], Tensor]] = {
        "depth": lambda: depth_picture(pixels.depth, pixels.opacity, span),
        "normal": lambda: normal_picture(pixels.rgb, pixels.opacity),
        "opacity": lambda: opacity_picture(pixels.opacity),
        "cost": lambda: heat(frame.counts / MOST_SAMPLES),
        "occupancy": lambda: pixels.over(pixels.rgb.new_tensor(NOTHING)),
    }
    over = pictures.get(mode, lambda: pixels.over(pixels.rgb.new_tensor(background)).clamp(0, 1))
    return over()


def shown(mode: Mode, picture: Tensor, exposure: float, truth: GroundTruth | None) -> Tensor:
    """The mean over passes (H, W, 3) as a person sees it: colours exposed by `exposure` stops, errors as heat. Where
    there is nothing to compare with, the colours."""
    if mode == "error" and truth is not None:
        return error_picture(picture, truth)
    return exposed(picture, exposure) if mode in ("color", "error") else picture


def exposed(picture: Tensor, stops: float) -> Tensor:
    """sRGB (H, W, 3) with its light multiplied by 2^stops; 0 stops leaves every bit alone. The sRGB transfer function
    and its inverse are those of IEC 61966-2-1."""
    if stops == 0:
        return picture
    light = torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4) * 2.0**stops
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def error_picture(picture: Tensor, truth: GroundTruth) -> Tensor:
    """Mean absolute error over RGB as heat (H, W, 3), times ERROR_GAIN; masked pixels are black. A coarse picture is
    compared with means over areas of the photograph."""
    height, width = picture.shape[:2]
    wanted, valid = truth.rgb, truth.valid.float()
    if wanted.shape != picture.shape:
        planes = torch.cat([wanted, valid[..., None]], -1).permute(2, 0, 1)
        planes = torch.nn.functional.interpolate(planes[None], (height, width), mode="area")[0]
        wanted, valid = planes[:3].permute(1, 2, 0), (planes[3] > 0.5).float()
    return heat((picture - wanted).abs().mean(-1) * valid * ERROR_GAIN)


def quality(pixels: Pixels, truth: GroundTruth) -> float | None:
    """PSNR in dB of a frame (H, W) over the photograph's background; None at another size, or where all is masked."""
    if pixels.opacity.shape != truth.valid.shape or not bool(truth.valid.any()):
        return None
    got = pixels.over(pixels.rgb.new_tensor(truth.background)).clamp(0, 1)
    return psnr(got, truth.rgb, truth.valid)


def cells(grid: OccupancyGrid, rays: RayBatch, near: float) -> Frame:
    """The first occupied cell that each ray (R,) meets: lit by the face through which the ray enters it, in the tint of
    its cascade, darker the deeper it lies in the box. The field is not asked. A ray that leaves a cell within a step of
    entering it may be shown the next one."""
    step = 1 / (FINE * grid.resolution)
    begin = torch.full_like(rays.origins[:, 0], near)
    samples = grid.march(rays, step, 0.0, near=begin, limit=1)
    hit = rays[samples.ray]
    points = samples.positions(rays)
    low, high, cascade = cell_of(points, grid)
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


def cell_of(points: Tensor, grid: OccupancyGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Low and high corner (N, 3) of the finest cell around each point (N, 3), and its cascade (N,)."""
    reach = (points - 0.5).abs().amax(-1)
    cascade = torch.where(reach < 0.5, 0, torch.frexp(reach).exponent.long() + 1).clamp(max=len(grid.bits) - 1)
    length = (torch.exp2(cascade.float()) / grid.resolution)[:, None]
    low = ((points - 0.5) / length).floor() * length + 0.5  # faces lie symmetrically about 1/2, as G is even
    return low, low + length, cascade


def cropped(grid: OccupancyGrid, crop: Tensor) -> OccupancyGrid:
    """The grid where it lies inside `crop` (2, 3), scene units; nowhere, where they do not meet."""
    low = torch.maximum(grid.box[0], crop[0].to(grid.box))
    high = torch.maximum(torch.minimum(grid.box[1], crop[1].to(grid.box)), low)
    return replace(grid, box=torch.stack([low, high]))
