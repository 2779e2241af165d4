"""The fused field, in Triton: encode, density network and colour network in one kernel forward, and one backward.

The kernels know no architecture and no head: they take the device functions `features` (fields/arch/NAME_cuda.py),
`density`, `color` (fields/heads/NAME_cuda.py) and their gradients as constants, and hand their operands on as tuples.
Forward, a program takes one tile of BLOCK points. Backward, few programs stay and take tile after tile, each adding the
gradients of the networks to sums of its own, which are added up at the end: no atomics, and the same result every time.
Gradients of tables are added with atomics.

The backward computes activations again but reads the features (N, W), kept in float32: 64 bytes a point there and back
instead of another read of the tables, which is 512 bytes a point at sixteen levels of eight corners.
"""

from dataclasses import dataclass
from types import ModuleType

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.kernels.space_cuda import unit
from fields.kernels.tiles_cuda import wide
from fields.operands import Operands
from fields.space import Space

# Points and warps of a program, by bytes of a weight. Of hashgrid in halves for compute capability 9.0: forward 80
# registers, so that 24 warps wait for memory at a time; backward 255, two programs, which wait at different barriers.
FORWARD = {2: (64, 8), 4: (16, 4)}  # float32 is for comparisons: its products are slow, and large tiles compile slowly
BACKWARD = {2: (64, 4), 4: (16, 4)}
RESIDENT = 2  # programs of the backward that one multiprocessor holds


@dataclass(frozen=True)
class Points:
    """Where a field is asked."""

    x: Tensor  # (N, 3) float32, scene units, row by row
    d: Tensor  # (N, 3) float32, unit directions, row by row; not read where only density is asked
    space: Space  # the field's, of three coordinates
    limit: Tensor | None = None  # () int64: points from there on are not asked and get zeros; None: all are asked

    @property
    def sphere(self) -> bool:
        """Whether the space is contracted, a constant of the kernels."""
        return self.space.contraction == "sphere"


@dataclass(frozen=True)
class Parts:
    """What is asked: operands, their learnt ones all of one type, and the modules of their device functions."""

    network: Operands
    head: Operands
    asks: ModuleType  # features, features_grad
    shows: ModuleType  # density, color, and their gradients


@triton.jit
def ending(count, limit):
    """() int32 Number of points that are asked."""
    if limit is not None:
        count = tl.minimum(count, tl.load(limit).to(tl.int32))
    return count


@triton.jit
def triple(pointer, i, live):
    """Row i (BLOCK,) of (N, 3) as three blocks (BLOCK,), zeros where not live."""
    at = pointer + i.to(tl.int64) * 3
    return tl.load(at, live, 0.0), tl.load(at + 1, live, 0.0), tl.load(at + 2, live, 0.0)


@triton.jit(do_not_specialize=["count"])
def radiance_kernel(
    x, d, center, side, limit, count, sigma, rgb, kept, tables, weights, fixed, head,
    FEATURES: tl.constexpr, DENSITY: tl.constexpr, COLOR: tl.constexpr, SPHERE: tl.constexpr, SHAPE: tl.constexpr,
    HEAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One tile: points (N, 3) and directions (N, 3) -> sigma (N,), rgb (N, 3); features (N, W) into `kept` if given."""
    i, end = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), ending(count, limit)
    live = i < end
    solid = tl.zeros([BLOCK], tl.float32)
    red, green, blue = solid, solid, solid
    if tl.program_id(0) * BLOCK < end:
        px, py, pz = triple(x, i, live)
        px, py, pz = unit(px, py, pz, center, side, SPHERE)
        f = FEATURES(px, py, pz, live, tables, weights, fixed, SHAPE)  # (BLOCK, W)
        if kept is not None:
            W: tl.constexpr = f.shape[1]
            place = i.to(tl.int64)[:, None] * W + tl.arange(0, W)[None, :]
            tl.store(kept + place, f, live[:, None])
        dx, dy, dz = triple(d, i, live)
        red, green, blue = COLOR(f, dx, dy, dz, live, head, HEAD)
        solid = DENSITY(f, live, head, HEAD)
    inside, at = i < count, rgb + i.to(tl.int64) * 3
    tl.store(sigma + i, tl.where(live, solid, 0.0), inside)
    tl.store(at, tl.where(live, red, 0.0), inside)
    tl.store(at + 1, tl.where(live, green, 0.0), inside)
    tl.store(at + 2, tl.where(live, blue, 0.0), inside)


@triton.jit(do_not_specialize=["count"])
def thickness_kernel(
    x, center, side, limit, count, sigma, tables, weights, fixed, head,
    FEATURES: tl.constexpr, DENSITY: tl.constexpr, SPHERE: tl.constexpr, SHAPE: tl.constexpr, HEAD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One tile: points (N, 3) -> sigma (N,)."""
    i, end = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), ending(count, limit)
    live = i < end
    solid = tl.zeros([BLOCK], tl.float32)
    if tl.program_id(0) * BLOCK < end:
        px, py, pz = triple(x, i, live)
        px, py, pz = unit(px, py, pz, center, side, SPHERE)
        solid = DENSITY(FEATURES(px, py, pz, live, tables, weights, fixed, SHAPE), live, head, HEAD)
    tl.store(sigma + i, tl.where(live, solid, 0.0), i < count)


@triton.jit
def cleared(sums, TOTAL: tl.constexpr):
    """The sums of this program, TOTAL float32, set to zero."""
    sums += tl.program_id(0) * TOTAL
    for start in range(0, TOTAL, 1024):
        place = start + tl.arange(0, 1024)
        tl.store(sums + place, tl.zeros([1024], tl.float32), place < TOTAL)
    return sums


@triton.jit
def split(sums, SIZES: tl.constexpr):
    """Pointers, a tuple: to the sums of each tensor, and behind the last."""
    parts = (sums,)
    for n in tl.static_range(len(SIZES)):
        parts = parts + (parts[n] + SIZES[n],)  # noqa: RUF005
    return parts


@triton.jit
def moved(pointers, by):
    """The pointers of a tuple, each moved by as many entries."""
    parts = ()
    for n in tl.static_range(len(pointers)):
        parts = parts + (pointers[n] + by,)  # noqa: RUF005
    return parts


@triton.jit(do_not_specialize=["count"])
def radiance_grad_kernel(
    x, d, center, side, limit, count, for_sigma, for_rgb, kept, tables, weights, fixed, head, table_grads, sums,
    FEATURES_GRAD: tl.constexpr, DENSITY_GRAD: tl.constexpr, COLOR_GRAD: tl.constexpr, SPHERE: tl.constexpr,
    SHAPE: tl.constexpr, HEAD: tl.constexpr, SIZES: tl.constexpr, HEAD_SIZES: tl.constexpr, TOTAL: tl.constexpr,
    W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Tiles p, p + programs, ...: dL/dsigma (N,) and dL/drgb (N, 3) -> gradients of tables, and this program's row of
    `sums` (programs, TOTAL), those of the network's weights and the head's. Tiles without a gradient are not read."""
    mine = cleared(sums, TOTAL)
    tile, end, places = tl.program_id(0), ending(count, limit), tl.arange(0, W)[None, :]
    while tile * BLOCK < end:
        zero = (tile >> 30) * 256  # that the compiler cannot know: it would keep all addresses in registers for good
        weight_grads = split(mine + zero, SIZES)
        head_grads = split(weight_grads[len(SIZES)], HEAD_SIZES)
        i = tile * BLOCK + tl.arange(0, BLOCK)
        live = i < end
        solid = tl.load(for_sigma + i, live, 0.0)  # (BLOCK,)
        red, green, blue = triple(for_rgb, i, live)
        pushed = (solid != 0) | (red != 0) | (green != 0) | (blue != 0)  # not-a-numbers too
        if tl.max(pushed.to(tl.int32), 0) > 0:
            tl.debug_barrier()  # sums of the last tile are written
            f = tl.load(kept + i.to(tl.int64)[:, None] * W + places, live[:, None], 0.0)  # (BLOCK, W)
            dx, dy, dz = triple(d, i, live)
            weights_now = moved(head, zero)
            pull = COLOR_GRAD(f, dx, dy, dz, live, red, green, blue, weights_now, head_grads, HEAD)  # (BLOCK, W)
            pull += DENSITY_GRAD(f, live, solid, weights_now, head_grads, HEAD)
            px, py, pz = triple(x, i, live)
            px, py, pz = unit(px, py, pz, center, side, SPHERE)
            FEATURES_GRAD(
                px, py, pz, live, pull, tables, moved(weights, zero), moved(fixed, zero), table_grads, weight_grads,
                SHAPE,
            )  # fmt: skip
        tile += tl.num_programs(0)


def shape(parts: Parts, shapes: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Points and warps of a program."""
    return shapes[(*parts.head.weights, *parts.network.weights, *parts.network.tables)[0].element_size()]


def radiance(points: Points, parts: Parts, *, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """sigma (N,), RGB (N, 3), and with `keep` the features (N, W) that the gradient asks for, else None."""
    count, (block, warps), network = len(points.x), shape(parts, FORWARD), parts.network
    sigma, rgb = points.x.new_empty(count), points.x.new_empty(count, 3)
    kept = points.x.new_empty(count, wide(network.width)) if keep else None
    if count:
        radiance_kernel[(triton.cdiv(count, block),)](
            points.x, points.d, points.space.center, points.space.side, points.limit, count, sigma, rgb, kept,
            network.tables, network.weights, network.fixed, parts.head.weights,
            parts.asks.features, parts.shows.density, parts.shows.color, points.sphere, network.shape,
            parts.head.shape, block, num_warps=warps,
        )  # fmt: skip
    return sigma, rgb, kept


def thickness(points: Points, parts: Parts) -> Tensor:
    """sigma (N,)."""
    count, (block, warps), network = len(points.x), shape(parts, FORWARD), parts.network
    sigma = points.x.new_empty(count)
    if count:
        thickness_kernel[(triton.cdiv(count, block),)](
            points.x, points.space.center, points.space.side, points.limit, count, sigma,
            network.tables, network.weights, network.fixed, parts.head.weights,
            parts.asks.features, parts.shows.density, points.sphere, network.shape, parts.head.shape, block,
            num_warps=warps,
        )  # fmt: skip
    return sigma


def radiance_grad(points: Points, parts: Parts, kept: Tensor, for_sigma: Tensor, for_rgb: Tensor) -> list[Tensor]:
    """Gradients, float32, of the network's tables, then of its weights, then of the head's weights."""
    count, (block, warps), network = len(points.x), shape(parts, BACKWARD), parts.network
    table_grads = tuple(torch.zeros_like(table, dtype=torch.float32) for table in network.tables)
    sizes = tuple(weight.numel() for weight in network.weights)
    head_sizes = tuple(weight.numel() for weight in parts.head.weights)
    programs = min(triton.cdiv(count, block), RESIDENT * multiprocessors(points.x.device))
    sums = points.x.new_empty(programs, sum(sizes) + sum(head_sizes))
    if count:
        radiance_grad_kernel[(programs,)](
            points.x, points.d, points.space.center, points.space.side, points.limit, count,
            for_sigma.contiguous(), for_rgb.contiguous(), kept,
            network.tables, network.weights, network.fixed, parts.head.weights, table_grads, sums,
            parts.asks.features_grad, parts.shows.density_grad, parts.shows.color_grad, points.sphere, network.shape,
            parts.head.shape, sizes, head_sizes, sums.shape[1], kept.shape[1], block, num_warps=warps,
        )  # fmt: skip
    rows = sums.sum(0).split(sizes + head_sizes)
    learnt = (*network.weights, *parts.head.weights)
    return [*table_grads, *(row.view(weight.shape) for row, weight in zip(rows, learnt, strict=True))]


def multiprocessors(device: torch.device) -> int:
    """How many programs run side by side, at least; known without waiting for the device."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
