"""The fused frame: which pictures one kernel draws, and what it is given. Same pictures as in waves, within rounding.

Architecture and head must have operands and device functions; products are taken in half precision.
"""

import importlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fields import fused
from fields.backend import TRITON
from fields.field import Field
from render.camera import Camera
from render.kernels.gather import FAINT
from render.occupancy import Marchable, OccupancyGrid
from render.rays import RayBatch

PROGRAMS = 4  # of the kernel, on each multiprocessor: those that find the queue empty end at once
TILES = {2: (8, 8, 4), 4: (4, 4, 4)}  # rays, samples of each asked at once, and warps, by bytes of a weight
WINDOW = 16  # intervals looked at together


@dataclass(frozen=True)
class Sampling:
    """How rays are followed."""

    step: float  # scene units, shortest interval
    cone: float  # growth of intervals with distance
    stop: float  # light left at which a ray ends
    near: float = 0.0  # scene units: what lies nearer is not drawn
    colored: bool = True  # False: opacity and distance alone


@dataclass(frozen=True)
class Rays:
    """What the kernel needs to know of rays."""

    count: int
    size: tuple[int, int]  # width, height of a picture, which is taken in squares; 0, 0: taken one after the other
    batch: RayBatch | None  # None: those of a pinhole camera
    lens: tuple[float, ...] | None  # of that: focal lengths, centre, pose (3, 4) row by row


def suits(field: Field, grid: Marchable) -> bool:
    """Whether one kernel draws this field."""
    if not TRITON or not isinstance(grid, OccupancyGrid) or not grid.bits.is_cuda:
        return False
    return all(p.dtype == torch.float32 for p in field.parameters()) and fused.fusible(field)


def of_camera(camera: Camera, device: torch.device) -> Rays:
    """The rays of all pixels, row by row; a pinhole's are made by the kernel."""
    lens, (width, height) = camera.intrinsics, camera.size
    if lens.distorted:
        return Rays(width * height, camera.size, camera.rays().to(device), None)
    numbers = (lens.fx, lens.fy, lens.cx, lens.cy, *camera.pose[:3].flatten().tolist())
    return Rays(width * height, camera.size, None, tuple(float(n) for n in numbers))


def of_batch(rays: RayBatch) -> Rays:
    """Any rays."""
    return Rays(len(rays), (0, 0), rays, None)


@torch.no_grad()
def draw(
    field: Field, grid: OccupancyGrid, rays: Rays, sampling: Sampling, asking: fused.Asking | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rgb (R, 3) multiplied by opacity, zeros where not `colored`; opacity (R,); mean distance (R,), 0 where nothing is
    seen; points asked (R,) int32. All on the grid's device, which nothing here waits for."""
    kernels, march = module("frame_cuda"), module("march_cuda")
    parts, bits = fused.converted(field, asking or fused.Asking())[1], grid.bits.contiguous()
    learnt = (*parts.head.weights, *parts.network.weights, *parts.network.tables)
    *tile, warps = TILES[learnt[0].element_size()]
    rgb = bits.new_zeros(rays.count, 3, dtype=torch.float32)
    opacity, distance = rgb.new_empty(rays.count), rgb.new_empty(rays.count)
    counts, queue = rgb.new_empty(rays.count, dtype=torch.int32), rgb.new_zeros(1, dtype=torch.int32)
    batch = rays.batch or RayBatch(rgb, rgb)  # not read
    origins, directions = batch.origins.contiguous(), batch.directions.contiguous()
    opaque = -math.log(sampling.stop) if sampling.stop > 0 else math.inf
    network, head, resolution = parts.network, parts.head, grid.resolution
    kernels.frame_kernel[(programs(rays.count, tile[0], bits.device),)](
        rays.count, places(rays), *rays.size, origins, directions, rays.lens, sampling.near, opaque, queue,
        bits, march.blocks_of(bits, resolution), grid.box,
        march.lattice_of(len(bits), resolution, sampling.step, sampling.cone), field.space.center, field.space.side,
        network.tables, network.weights, network.fixed, head.weights, rgb, opacity, distance, counts,
        parts.asks.features, parts.shows.density, parts.shows.color if sampling.colored else None,
        field.space.contraction == "sphere", network.shape, head.shape, resolution, len(bits),
        march.has_blocks(resolution), sampling.cone > 0, FAINT, *tile, WINDOW,
        num_warps=warps,
    )  # fmt: skip
    return rgb, opacity, distance, counts


def places(rays: Rays) -> int:
    """Length of the queue: the squares of a picture are whole."""
    width, height = rays.size
    side = module("frame_cuda").TILE.value
    return rays.count if not width else -(-width // side) * -(-height // side) * side * side


def programs(rays: int, together: int, device: torch.device) -> int:
    """How many are started: as many as fit side by side, but none without a ray."""
    own = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    return min(PROGRAMS * own, -(-rays // together))


def module(name: str) -> Any:
    """A file of kernels: where PyTorch is built for the CPU, there may be no Triton to import."""
    return importlib.import_module(f"render.kernels.{name}")
