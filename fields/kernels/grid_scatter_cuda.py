"""Gradient of a grid's table in Triton: points of one cell in a row are added up before they go out.

Atomic additions bind this kernel, so there should be few. Samples lie in order along their rays, and neighbours share a
cell wherever cells are longer than steps: at the coarse levels, whose few entries everyone wants to add to at once.
A warp holds LANES neighbouring points of one level. Each finds where the run of points in its cell begins; sums from
there on double their reach by exchange within the warp (Hillis and Steele 1986), and the last point of each run adds
the sums, two or four channels in one instruction where the chip has it. What is zero is not added.

Counted on samples of the chair with steps of 1/591 of the box, share of the additions that is left: 16 levels up to
2048 cells 53 % (the coarsest 11 %, level 6 31 %, the finest four 100 %), 8 levels up to 512 cells 37 %. Runs end at
REACH points: 8 would leave 57 and 42 %, 32 would leave 52 and 35 %, and each doubling costs a point 256 exchanges at 16
levels of 2 channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.backend import repeats
from fields.kernels import grid, segments_cuda
from fields.kernels.grid_cuda import block, columns, corner, launch, line, points, rows, share, stacked, surround
from fields.kernels.grid_parts_cuda import WIDTHS, scattered

REACH = tl.constexpr(16)  # points that are merged at most, a power of two


@triton.constexpr_function
def doublings(n):
    """How often 1 is doubled until it is n."""
    return n.bit_length() - 1


@triton.jit
def woven(values, LANES: tl.constexpr):
    """Values (BLOCK, ROWS) -> (LANES, ACROSS): down the points that a warp holds, across all else, levels fastest. The
    compiler has no choice then where to put what, and nothing goes through shared memory on its way."""
    lanes = tl.reshape(values, (values.shape[0] // LANES, LANES, values.shape[1]))
    return tl.reshape(tl.permute(lanes, (1, 0, 2)), (LANES, values.shape[0] // LANES * values.shape[1]))


@triton.jit
def moved(values, BY: tl.constexpr):
    """Values (LANES, ACROSS) of the point BY lanes before (behind where negative); at the ends, of the end."""
    lane = tl.arange(0, values.shape[0])
    source = tl.minimum(tl.maximum(lane - BY, 0), values.shape[0] - 1)
    return tl.gather(values, tl.broadcast_to(source[:, None], values.shape), 0)


@triton.jit
def runs(keys, D: tl.constexpr, LANES: tl.constexpr):
    """Neighbouring points in one cell (LANES, ACROSS): how many lanes before each one its run begins, and whether it
    ends there. A lane that is a multiple of REACH begins a run in any case."""
    lane = tl.arange(0, LANES)[:, None]
    begins = lane % REACH == 0
    for axis in tl.static_range(D):
        key = woven(keys[0][axis], LANES)
        begins = begins | (key != moved(key, 1))
    begins = begins.to(tl.int32)
    ends = (lane == LANES - 1) | (moved(begins, -1) != 0)
    first = begins * lane
    for step in tl.static_range(doublings(REACH)):
        first = tl.maximum(first, moved(first, 1 << step))
    return lane - first, ends


@triton.jit
def gathered(values, behind):
    """Sums of values (LANES, ACROSS) from the beginning of each run."""
    for step in tl.static_range(doublings(REACH)):
        values += tl.where(behind >= (1 << step), moved(values, 1 << step), 0.0)
    return values


@triton.jit
def some(values, C: tl.constexpr):
    """Where one of the channels is not zero, or not a number."""
    found = values[0] != 0
    for c in tl.static_range(1, C):
        found |= values[c] != 0
    return found


@triton.jit
def scatter(
    x, y, z, s, live, grad, table_grad, fixed,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Adds weight * grad to the 2^D entries of each level: grad (BLOCK, wide(LEVELS * C)), table_grad (E, C) float32.

    The last point of a run writes the sum of its run, unless that is zero. All channels of an entry are one operand:
    Triton itself adds two or four by one instruction where the chip can.
    """
    ROWS: tl.constexpr = rows(LEVELS, C)
    LANES: tl.constexpr = min(32, x.shape[0])
    keys, parts, level = surround(x, y, z, s, fixed, LEVELS, ROWS)
    behind, ends = runs(keys, D, LANES)
    grad = tl.reshape(tl.where(live[:, None], grad, 0.0), (x.shape[0], ROWS, C))
    pushes = [moved(woven(push, LANES), 0) for push in columns(grad, C)]
    ends = ends & (tl.arange(0, behind.shape[1]) % ROWS < LEVELS)[None, :]
    for pick in tl.static_range(1 << D):
        weight = woven(share(parts, pick, D, D), LANES)  # (LANES, ACROSS)
        values = [gathered(weight * push, behind) for push in pushes]
        entry = woven(corner(keys, level, pick, D), LANES).to(tl.int64)
        place = table_grad + entry[:, :, None] * C + tl.arange(0, C)[None, None, :]  # (LANES, ACROSS, C)
        tl.atomic_add(place, stacked(values, C), (ends & some(values, C))[:, :, None], sem="relaxed")


@triton.jit(do_not_specialize=["n"])
def scatter_kernel(
    grad, x, scales, vertices, offsets, out, n,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program p: what points p BLOCK to (p + 1) BLOCK add to the table's gradient."""
    i, live = block(n, BLOCK)
    place, there = line(i, live, LEVELS, C)
    push = tl.load(grad + place, there, 0.0).to(tl.float32)  # (BLOCK, wide(LEVELS * C))
    if tl.max((push != 0).to(tl.int32)) > 0:  # NaN is not zero
        a, b, c, d = points(x, i, live, D)
        scatter(a, b, c, d, live, push, out, (scales, vertices, offsets), LEVELS, C, D)


@triton.jit(do_not_specialize=["n", "level"])
def spread_kernel(
    grad, x, scales, vertices, offsets, entries, values, n, level,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program p: to which entries (N, 2^D) int64 points p BLOCK to (p + 1) BLOCK add what (N, 2^D, C), at one level."""
    i, live = block(n, BLOCK)
    a, b, c, d = points(x, i, live, D)
    keys, parts, one = surround(a, b, c, d, (scales + level, vertices + level, offsets + level), 1, 1)
    for pick in tl.static_range(1 << D):
        to = (i * (1 << D) + pick)[:, None]  # (BLOCK, 1), as all that follows
        tl.store(entries + to, corner(keys, one, pick, D).to(tl.int64), live[:, None])
        weight = share(parts, pick, D, D)
        for channel in tl.static_range(C):
            push = tl.load(grad + (i * LEVELS + level)[:, None] * C + channel, live[:, None], 0.0).to(tl.float32)
            tl.store(values + to * C + channel, push * weight, live[:, None])


@grid.table_grad.register_kernel("cuda")
def table_grad(
    grad: Tensor,
    x: Tensor,
    scales: Tensor,
    vertices: Tensor,
    offsets: Tensor,
    entries: int,
    channels: int,
) -> Tensor:
    """See `grid.table_grad`. grad (N, L * C) -> (E, C) float32."""
    if x.dtype == torch.float64:
        return grid.table_sums(grad, x, scales, vertices, offsets, entries, channels)
    add, plan = in_order if repeats() else in_any_order, (x, scales, vertices, offsets, entries)
    if channels not in WIDTHS:
        return scattered(lambda push, width: add(push, *plan, width), grad, len(scales), channels)
    return add(grad, *plan, channels)


def in_any_order(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    """By atomic additions: the last digits differ from run to run."""
    out = torch.zeros(entries, channels, device=x.device)
    (n, dims), levels = x.shape, len(scales)
    if n:
        programs, sizes = launch(n, levels, channels, 32)  # one run of lanes: warps then share out the levels
        given = (grad.contiguous(), x.contiguous(), scales, vertices, offsets)
        scatter_kernel[programs](*given, out, n, levels, channels, dims, **sizes)
    return out


def in_order(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    """By sorting what is to be added, a level at a time: the same every time."""
    out = torch.zeros(entries, channels, device=x.device)
    (n, dims), levels = x.shape, len(scales)
    if not n:
        return out
    where = torch.empty(n << dims, dtype=torch.int64, device=x.device)
    values = torch.empty(n << dims, channels, device=x.device)
    given = (grad.contiguous(), x.contiguous(), scales, vertices, offsets, where, values, n)
    for level in range(levels):
        spread_kernel[(triton.cdiv(n, 128),)](*given, level, levels, channels, dims, BLOCK=128)
        out += segments_cuda.sums(where, values, entries)
    return out
