"""A pane's picture: one pass over the pixels, in tiles that can be given up, and the mean over many passes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from distill.learning.run import Run
from fields.field import Field
from render.camera import Camera, moved
from render.legends import Legend
from render.looks import MODES, Backdrop, Exposure, Mode
from render.metrics import psnr
from render.model import LoadedModel
from render.occupancy import Marchable, OccupancyGrid
from render.pictures import SOLID, GroundTruth, bytes_of, depth_range
from render.rays import RayBatch
from render.renderer import Frame, Pixels, Renderer
from render.turned_grid import TurnedGrid
from viewer.messages import FrameRequest
from viewer.worker.lens_samples import shift_camera

PATIENCE = 0.07  # seconds that a tile should take, after which a pass can be given up
DEPTHS = 160  # along a side, of the distances by which lines know that they are hidden
FIRST, FEWEST, MOST = 1 << 13, 1 << 10, 1 << 15  # rays of a tile


@dataclass(frozen=True)
class World:
    """The units that all panes share: scene units of whatever was opened first."""

    transform: Tensor  # (4, 4) float64 similarity, input coordinates to world

    @property
    def unit(self) -> float:
        """Length of one world unit in input coordinates."""
        return float(1 / torch.linalg.det(self.transform[:3, :3]).abs() ** (1 / 3))


@dataclass(frozen=True)
class FrameSource:
    """What a pane draws."""

    field: Field
    grid: OccupancyGrid
    renderer: Renderer
    background: tuple[float, float, float]
    carry: Tensor  # (4, 4) float64 similarity, world to this source's scene units; identity for the first
    world: World

    @property
    def unit(self) -> float:
        """Length of one world unit in this source's scene units."""
        return float(torch.linalg.det(self.carry[:3, :3]).abs() ** (1 / 3))

    @staticmethod
    def of_model(model: LoadedModel, world: World) -> "FrameSource":
        """A model file, opened."""
        r, g, b = model.header.background
        carry = find_carry(world, model.transform)
        return FrameSource(model.field, model.grid, model.renderer, (r, g, b), carry, world)

    @staticmethod
    def of_learning(learning: Run, world: World) -> "FrameSource":
        """A field as it stands while it learns. To be taken anew for every pass: shape and occupancy change."""
        place = learning.place
        carry = find_carry(world, place.transform)
        return FrameSource(learning.field, learning.source.grid, learning.renderer, place.background, carry, world)


def find_carry(world: World, transform: Tensor) -> Tensor:
    """World to the scene units that `transform` (4, 4) leads to from input coordinates: (4, 4) float64; exactly the
    identity for the world's own."""
    if torch.equal(world.transform, transform.double()):
        return torch.eye(4, dtype=torch.float64)
    return transform.double() @ torch.linalg.inv(world.transform)


@dataclass(frozen=True)
class DrawnPass:
    """One pass over a picture, not yet exposed nor compared."""

    picture: Tensor  # (H, W, 3) float32 in [0, 1], on the CPU
    samples: int  # points at which the field was asked
    seconds: float
    span: tuple[float, float]  # distances that depth was shown between, world units
    legend: Legend | None  # what the colours mean, where they are numbers
    depth: np.ndarray  # (h, w) float16, small: distance to what is seen, world units; infinite where that is nothing
    psnr: float | None  # dB against the photograph: of pass 0 of colours or errors, at full size, with nothing cut away


@dataclass(frozen=True)
class PassOrder:
    """Which pass over a picture, and what it is compared with."""

    number: int = 0  # 0: through pixel centres, as `render-scene`; later ones: other points of pixels and lens
    truth: GroundTruth | None = None  # photograph of the request's view, at the request's size
    span: tuple[float, float] | None = None  # depth is shown between, world units; None: between what is seen


def draw_pass(
    source: FrameSource, request: FrameRequest, camera: Camera, order: PassOrder, cancelled: Callable[[], bool]
) -> DrawnPass | None:
    """A pass over a picture, from `camera` (the request's, or the same at a smaller size; world units). None once
    `cancelled()`, which is asked about every PATIENCE seconds."""
    begin, number, truth = time.perf_counter(), order.number, order.truth
    own = shift_camera(camera, number, request.aperture, request.focus)
    own = Camera(moved(own.pose, source.carry), own.intrinsics, own.size)
    mode = MODES[request.mode]
    frame = draw_tiles(make_tracer(source, mode, request), own, source.grid.bits.device, cancelled)
    if frame is None:
        return None
    frame = to_world(frame, source, mode.channels == "direction")
    background = request.background or source.background
    if mode.wants == "photograph" and truth is not None:
        background = truth.background
    span = order.span or (depth_range(frame.pixels.depth, frame.pixels.opacity) if mode.stretched else (0.0, 1.0))
    backdrop = Backdrop(background, span, source.world.unit, tuple(edge / source.unit for edge in source.grid.edges))
    whole = mode.channels == "color" and number == 0 and camera.size == request.camera.size
    comparable = whole and request.crop is None and request.near == 0
    score = measure_psnr(frame.pixels, truth) if comparable and truth is not None else None
    legend = mode.legend(backdrop) if mode.legend and (mode.wants == "model" or truth) else None
    picture, seconds = mode.picture(frame, backdrop), time.perf_counter() - begin
    return DrawnPass(picture, frame.samples, seconds, span, legend, thin_depth(frame.pixels), score)


def thin_depth(pixels: Pixels) -> np.ndarray:
    """Distances (h, w) float16 of every so manieth pixel of a frame (H, W), at most DEPTHS along a side: infinite where
    nothing is seen."""
    step = -(-max(pixels.depth.shape) // DEPTHS)
    depth, opacity = pixels.depth[::step, ::step], pixels.opacity[::step, ::step]
    return torch.where(opacity > SOLID, depth, torch.inf).half().numpy()


def make_tracer(source: FrameSource, mode: Mode, request: FrameRequest) -> Callable[[RayBatch], Frame]:
    """What draws rays (R,), in the source's units."""
    near, grid = request.near * source.unit, source.grid
    if request.crop is not None:
        grid = cut_grid(source, torch.tensor(request.crop).view(2, 3), request.crop_turn)
    return lambda rays: mode.draw(source.renderer, source.field, grid, rays, near)


def cut_grid(source: FrameSource, crop: Tensor, turn: float) -> Marchable:
    """The source's grid within a box (2, 3), world units, that is turned about the upright axis through its middle."""
    if not turn:
        return crop_grid(source.grid, carry_box(crop, source.carry))
    middle, back = crop.double().mean(0), torch.eye(4, dtype=torch.float64)
    c, s = math.cos(turn), math.sin(turn)
    back[:2, :2] = torch.tensor([[c, s], [-s, c]])  # the world's axes to the box's
    back[:3, 3] = middle - back[:3, :3] @ middle
    around = carry_box(carry_box(crop, torch.linalg.inv(back)), source.carry)
    to_cut = back @ torch.linalg.inv(source.carry)
    return TurnedGrid(crop_grid(source.grid, around), crop, to_cut.float())


def crop_grid(grid: OccupancyGrid, crop: Tensor) -> OccupancyGrid:
    """The grid where it lies inside `crop` (2, 3), scene units; nowhere, where they do not meet."""
    low = torch.maximum(grid.box[0], crop[0].to(grid.box))
    high = torch.maximum(torch.minimum(grid.box[1], crop[1].to(grid.box)), low)
    return replace(grid, box=torch.stack([low, high]))


def carry_box(box: Tensor, carry: Tensor) -> Tensor:
    """Bounds (2, 3) float32 of a box (2, 3) carried by a similarity. Exact where that turns by quarters or not at all;
    the same box where it does nothing."""
    if torch.equal(carry, torch.eye(4, dtype=carry.dtype)):
        return box
    pick = torch.cartesian_prod(*[torch.arange(2)] * 3)  # (8, 3)
    corners = box.double()[pick, torch.arange(3)] @ carry[:3, :3].T + carry[:3, 3]
    return torch.stack([corners.amin(0), corners.amax(0)]).float()


def measure_psnr(pixels: Pixels, truth: GroundTruth) -> float | None:
    """PSNR in dB of a frame (H, W) over the photograph's background; None at another size, or where all is masked."""
    if pixels.opacity.shape != truth.valid.shape or not bool(truth.valid.any()):
        return None
    got = pixels.over(pixels.rgb.new_tensor(truth.background)).clamp(0, 1)
    return psnr(got, truth.rgb, truth.valid)


def to_world(frame: Frame, source: FrameSource, normals: bool) -> Frame:
    """The frame with depths in world units, and, where its rgb holds normals, those in world axes."""
    pixels, rgb = frame.pixels, frame.pixels.rgb
    if normals:
        rgb = rgb @ (source.carry[:3, :3] / source.unit).float()  # the inverse of a rotation is its transpose
    return Frame(Pixels(rgb, pixels.opacity, pixels.depth / source.unit), frame.counts)


def draw_tiles(
    trace: Callable[[RayBatch], Frame], camera: Camera, device: torch.device, cancelled: Callable[[], bool]
) -> Frame | None:
    """A frame (H, W) on the CPU, or None once cancelled. Tiles are stretches of rows, whose rays read the same parts of
    a field, and grow or shrink so that each takes about PATIENCE seconds."""
    width, height = camera.size
    rays, parts = camera.rays(), list[Frame]()
    start, size = 0, FIRST
    while start < len(rays):
        if cancelled():
            return None
        begin = time.perf_counter()
        parts.append(trace(rays[start : start + size].to(device)))
        start += size
        size = choose_tile(size, time.perf_counter() - begin)
    rgb = torch.cat([p.pixels.rgb for p in parts]).cpu().view(height, width, 3)
    opacity = torch.cat([p.pixels.opacity for p in parts]).cpu().view(height, width)
    depth = torch.cat([p.pixels.depth for p in parts]).cpu().view(height, width)
    counts = torch.cat([p.counts for p in parts]).cpu().view(height, width)
    return Frame(Pixels(rgb, opacity, depth), counts)


def choose_tile(size: int, seconds: float) -> int:
    """Rays of the next tile, after one of `size` rays took so long; at most twice as many, as what comes may cost
    more."""
    fits = size * min(PATIENCE / max(seconds, 1e-9), 2.0)
    return min(max(int(fits), FEWEST), MOST)


@dataclass(frozen=True)
class PassSum:
    """The sum of passes over one picture: as large after a thousand as after one."""

    total: Tensor  # (H, W, 3) float32
    passes: int  # >= 1

    @staticmethod
    def of(one: DrawnPass) -> "PassSum":
        """A stack of one."""
        return PassSum(one.picture, 1)

    def plus(self, one: DrawnPass) -> "PassSum":
        """With one pass more, of the same size."""
        return PassSum(self.total + one.picture, self.passes + 1)

    def image(self, request: FrameRequest, truth: GroundTruth | None = None) -> np.ndarray:
        """The mean as it is shown, (H, W, 3) uint8: exposed, or compared with the photograph of the request's view."""
        mean = self.total / self.passes
        return bytes_of(MODES[request.mode].finish(mean, Exposure(request.exposure, truth)))
