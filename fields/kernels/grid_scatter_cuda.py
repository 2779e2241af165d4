"""Gradient of a grid's table in Triton: points of one cell in a row are added up before they go out.

Atomic additions bind this kernel, so there should be few. Samples lie in order along their rays, and neighbours share a
cell wherever cells are longer than steps: at the coarse levels, whose few entries everyone wants to add to at once.
A warp holds LANES neighbouring points of one level. Each finds where the run of points in its cell begins; sums from
there on double their reach by exchange within the warp (Hillis and Steele 1986), and the last point of each run adds
the sums, two channels in one instruction where the chip has it. What is zero is not added.

Counted on samples of the chair with steps of 1/591 of the box, share of the additions that is left: 16 levels up to
2048 cells 53 % (the coarsest 11 %, level 6 31 %, the finest four 100 %), 8 levels up to 512 cells 37 %. Runs end at
REACH points: 8 would leave 57 and 42 %, 32 would leave 52 and 35 %, and each doubling costs a point 256 exchanges at 16
levels of 2 channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.backend import packed, repeats
from fields.kernels import grid
from fields.kernels.atomics_cuda import add_pair
from fields.kernels.grid_cuda import block, columns, corner, launch, line, points, rows, share, surround
from fields.kernels.segments_cuda import sums

REACH = tl.constexpr(16)  # points that are merged at most, a power of two


@triton.constexpr_function
def doublings(n):
    """How often 1 is doubled until it is n."""
    return n.bit_length() - 1


@triton.jit
def moved(values, BY: tl.constexpr):
    """Values (RUNS, LANES, ROWS) of the point BY lanes before (behind where negative); at the ends, of the end."""
    lane = tl.arange(0, values.shape[1])
    source = tl.minimum(tl.maximum(lane - BY, 0), values.shape[1] - 1)
    return tl.gather(values, tl.broadcast_to(source[None, :, None], values.shape), 1)


@triton.jit
def runs(keys, D: tl.constexpr, LANES: tl.constexpr):
    """Neighbouring points in one cell, by LANES points (RUNS, LANES, ROWS): how many lanes before each one its run
    begins, and whether it ends there. A lane that is a multiple of REACH begins a run in any case."""
    SHAPE: tl.constexpr = (keys[0][0].shape[0] // LANES, LANES, keys[0][0].shape[1])
    lane = tl.arange(0, LANES)[None, :, None]
    begins = tl.broadcast_to(lane % REACH == 0, SHAPE)
    for axis in tl.static_range(D):
        key = tl.reshape(keys[0][axis], SHAPE)
        begins = begins | (key != moved(key, 1))
    begins = begins.to(tl.int32)
    ends = (lane == LANES - 1) | (moved(begins, -1) != 0)
    first = begins * lane
    for step in tl.static_range(doublings(REACH)):
        first = tl.maximum(first, moved(first, 1 << step))
    return lane - first, ends


@triton.jit
def gathered(values, behind):
    """Sums of values (RUNS, LANES, ROWS) from the beginning of each run."""
    for step in tl.static_range(doublings(REACH)):
        values += tl.where(behind >= (1 << step), moved(values, 1 << step), 0.0)
    return values


@triton.jit
def scatter(
    x, y, z, s, live, grad, table_grad, fixed,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Adds weight * grad to the 2^D entries of each level: grad (BLOCK, wide(LEVELS * C)), table_grad (E, C) float32.

    The last point of a run writes the sum of its run, unless that is zero.
    """
    ROWS: tl.constexpr = rows(LEVELS, C)
    LANES: tl.constexpr = min(32, x.shape[0])
    keys, parts, level = surround(x, y, z, s, fixed, LEVELS, ROWS)
    behind, ends = runs(keys, D, LANES)
    grad = tl.reshape(tl.where(live[:, None], grad, 0.0), (x.shape[0], ROWS, C))
    pushes = [moved(tl.reshape(push, behind.shape), 0) for push in columns(grad, C)]
    ends = ends & (tl.arange(0, ROWS) < LEVELS)[None, None, :]
    for pick in tl.static_range(1 << D):
        entry = tl.reshape(corner(keys, level, pick, D), behind.shape)  # (RUNS, LANES, ROWS)
        weight = tl.reshape(share(parts, pick, D, D), behind.shape)
        place = table_grad + entry.to(tl.int64) * C
        if C == 1:
            a = gathered(weight * pushes[0], behind)
            tl.atomic_add(place, a, ends & (a != 0), sem="relaxed")
        for pair in tl.static_range(C // 2):
            a = gathered(weight * pushes[2 * pair], behind)
            b = gathered(weight * pushes[2 * pair + 1], behind)
            add_pair(place + 2 * pair, a, b, ends & ((a != 0) | (b != 0)), PACKED)


@triton.jit(do_not_specialize=["n"])
def scatter_kernel(
    grad, x, scales, vertices, offsets, out, n,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, PACKED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program p: what points p BLOCK to (p + 1) BLOCK add to the table's gradient."""
    i, live = block(n, BLOCK)
    place, there = line(i, live, LEVELS, C)
    push = tl.load(grad + place, there, 0.0).to(tl.float32)  # (BLOCK, wide(LEVELS * C))
    if tl.max((push != 0).to(tl.int32)) > 0:  # NaN is not zero
        a, b, c, d = points(x, i, live, D)
        scatter(a, b, c, d, live, push, out, (scales, vertices, offsets), LEVELS, C, D, PACKED)


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
    return (in_order if repeats() else in_any_order)(grad, x, scales, vertices, offsets, entries, channels)


def in_any_order(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    """By atomic additions: the last digits differ from run to run."""
    out = torch.zeros(entries, channels, device=x.device)
    (n, dims), levels = x.shape, len(scales)
    if n:
        programs, sizes = launch(n, levels, channels, 32)  # one run of lanes: warps then share out the levels
        given = (grad.contiguous(), x.contiguous(), scales, vertices, offsets)
        scatter_kernel[programs](*given, out, n, levels, channels, dims, packed(x.device), **sizes)
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
        out += sums(where, values, entries)
    return out
