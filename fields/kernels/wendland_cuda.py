"""Wendland kernels in space in Triton: each point of a block walks the list of its cell.

A block walks as long as its longest list. Neighbouring samples share cells, so that the lists and what they name come
from cache. Channels lie across the lanes. A program is one warp: it is done as soon as its own points are. `answers`,
`scatter` and `slope` are device functions that fused kernels share with the op.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.backend import repeats
from fields.kernels.wendland import (
    coefficient_grad,
    coefficient_grad_of,
    point_grad,
    point_grad_of,
    reference,
    wendland,
)

BLOCK = 32  # points of a program
FINE = 62  # bits of a sum in whole numbers


@triton.jit
def inside(x):
    """Coordinates clamped to the unit box, NaN to 0."""
    return tl.minimum(tl.where(x > 0, x, 0.0), 1.0)


@triton.jit
def axis_cell(u, cells):
    """Cell along one axis of clamped coordinates."""
    return tl.minimum((u * cells).to(tl.int64), cells - 1)


@triton.jit
def listed(u, v, w, live, starts, cells):
    """Where the list of each point's cell begins in `members`, and how long it is (BLOCK,); 0 where not live."""
    cell = axis_cell(u, cells) + cells * (axis_cell(v, cells) + cells * axis_cell(w, cells))
    begin = tl.load(starts + cell, live, 0)
    return begin, tl.load(starts + cell + 1, live, 0) - begin


@triton.jit
def entry(shapes, m, PLACE: tl.constexpr, live):
    """Number PLACE of the shapes (BLOCK,) of kernels m."""
    return tl.load(shapes + m * 6 + PLACE, live, 0.0)


@triton.jit
def framed(u, v, w, m, live, centres, shapes):
    """y = U (x - c) (three of (BLOCK,)) and r^2 of kernels m; 1 where not live."""
    du = u - tl.load(centres + m * 3, live, 0.0)
    dv = v - tl.load(centres + m * 3 + 1, live, 0.0)
    dw = w - tl.load(centres + m * 3 + 2, live, 0.0)
    a = entry(shapes, m, 0, live) * du + entry(shapes, m, 1, live) * dv + entry(shapes, m, 2, live) * dw
    b = entry(shapes, m, 3, live) * dv + entry(shapes, m, 4, live) * dw
    c = entry(shapes, m, 5, live) * dw
    return a, b, c, tl.where(live, a * a + b * b + c * c, 1.0)


@triton.jit
def bump(q):
    """phi of q = r^2 < 1, and 1 - r."""
    r = tl.sqrt(q)
    rest = 1.0 - r
    return rest * rest * rest * rest * (4.0 * r + 1.0), rest


@triton.jit
def sine(a):
    """sin a to a few 2^-24 for |a| up to some hundreds: whole half turns off, then Taylor's series; the library's has a
    way for huge angles, which costs stack and instructions."""
    turns = tl.floor(a * 0.3183098861837907 + 0.5)
    b = (a - turns * 3.140625) - turns * 9.676535897932795e-4  # pi in two parts, the first times `turns` exact
    s = b * b
    tail = 8.333333333333333e-3 + s * (-1.984126984126984e-4 + s * (2.755731922398589e-6 + s * -2.505210838544172e-8))
    value = b + b * s * (-0.16666666666666666 + s * tail)
    return tl.where((turns.to(tl.int32) & 1) != 0, -value, value)


@triton.jit
def tile(pointer, m, held, F: tl.constexpr, WIDE: tl.constexpr):
    """Rows (BLOCK, WIDE) of a matrix (., F) where `held`, zeros elsewhere."""
    j = tl.arange(0, WIDE)
    return tl.load(pointer + m[:, None] * F + j[None, :], held[:, None] & (j < F)[None, :], 0.0).to(tl.float32)


@triton.jit
def angles(phi, waves, F: tl.constexpr, WIDE: tl.constexpr):
    """phi (BLOCK,) times the waves: (BLOCK, WIDE), 0 past the last channel; and the waves (1, WIDE)."""
    j = tl.arange(0, WIDE)
    wave = tl.load(waves + j, j < F, 0.0)[None, :]
    return phi[:, None] * wave, wave


@triton.jit
def answers(
    x, y, z, live, coefficients, centres, shapes, waves, starts, members, cells,
    F: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """f (BLOCK, WIDE) float32 at points of the unit box; zeros past the last channel and where not live."""
    u, v, w = inside(x), inside(y), inside(z)
    begin, count = listed(u, v, w, live, starts, cells)
    total = tl.zeros((x.shape[0], WIDE), tl.float32)  # (BLOCK, WIDE)
    longest = tl.max(count)
    place = longest * 0
    while place < longest:
        on = place < count  # (BLOCK,)
        m = tl.load(members + begin + place, on, 0)  # (BLOCK,)
        q = framed(u, v, w, m, on, centres, shapes)[3]  # (BLOCK,)
        held = q < 1.0  # (BLOCK,)
        if tl.max(held.to(tl.int32)) > 0:
            turns = angles(bump(tl.where(held, q, 1.0))[0], waves, F, WIDE)[0]  # (BLOCK, WIDE)
            total += tile(coefficients, m, held, F, WIDE) * sine(turns)
        place += 1
    return total


@triton.jit
def scatter(
    x, y, z, live, grad, sums, centres, shapes, waves, starts, members, cells, scale,
    F: tl.constexpr, WIDE: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Adds dL/da to sums (M, F), float32; grad (BLOCK, WIDE) = dL/df. WHOLE: in whole numbers, int64, of grad times
    `scale`, whose sums do not depend on their order."""
    u, v, w = inside(x), inside(y), inside(z)
    some = live & (tl.max((grad != 0).to(tl.int32), 1) > 0)
    begin, count = listed(u, v, w, some, starts, cells)
    j = tl.arange(0, WIDE)
    longest = tl.max(count)
    place = longest * 0
    while place < longest:
        on = place < count  # (BLOCK,)
        m = tl.load(members + begin + place, on, 0)  # (BLOCK,)
        q = framed(u, v, w, m, on, centres, shapes)[3]  # (BLOCK,)
        held = q < 1.0  # (BLOCK,)
        if tl.max(held.to(tl.int32)) > 0:
            turns = angles(bump(tl.where(held, q, 1.0))[0], waves, F, WIDE)[0]  # (BLOCK, WIDE)
            value = grad * sine(turns)  # (BLOCK, WIDE)
            where = held[:, None] & (j < F)[None, :]
            if WHOLE:
                value = (value.to(tl.float64) * scale).to(tl.int64)
            tl.atomic_add(sums + m[:, None] * F + j[None, :], value, where, sem="relaxed")
        place += 1


@triton.jit
def slope(
    x, y, z, live, grad, coefficients, centres, shapes, waves, starts, members, cells,
    F: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """dL/dx, dL/dy, dL/dz (BLOCK,); grad (BLOCK, WIDE) = dL/df. Zero along an axis where the point was clamped."""
    u, v, w = inside(x), inside(y), inside(z)
    some = live & (tl.max((grad != 0).to(tl.int32), 1) > 0)
    begin, count = listed(u, v, w, some, starts, cells)
    for_x, for_y, for_z = tl.zeros_like(u), tl.zeros_like(u), tl.zeros_like(u)
    longest = tl.max(count)
    place = longest * 0
    while place < longest:
        on = place < count  # (BLOCK,)
        m = tl.load(members + begin + place, on, 0)  # (BLOCK,)
        a, b, c, q = framed(u, v, w, m, on, centres, shapes)
        held = q < 1.0  # (BLOCK,)
        if tl.max(held.to(tl.int32)) > 0:
            phi, rest = bump(tl.where(held, q, 1.0))
            turns, wave = angles(phi, waves, F, WIDE)
            each = (
                grad * tile(coefficients, m, held, F, WIDE) * wave * sine(turns + 1.5707963267948966)
            )  # (BLOCK, WIDE)
            along = tl.sum(each, 1) * -20.0 * rest * rest * rest
            for_x += along * entry(shapes, m, 0, held) * a
            for_y += along * (entry(shapes, m, 1, held) * a + entry(shapes, m, 3, held) * b)
            last = entry(shapes, m, 2, held) * a + entry(shapes, m, 4, held) * b
            for_z += along * (last + entry(shapes, m, 5, held) * c)
        place += 1
    return free(x, for_x), free(y, for_y), free(z, for_z)


@triton.jit
def free(x, grad):
    """A gradient where the coordinate is in [0, 1], else 0."""
    return tl.where((x >= 0) & (x <= 1), grad, 0.0)


@triton.jit
def at(x, n, BLOCK: tl.constexpr):
    """This program's points: rows (BLOCK,), which of them are there, and their coordinates."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = row < n
    place = x + row * 3
    return row, live, tl.load(place, live, 0.0), tl.load(place + 1, live, 0.0), tl.load(place + 2, live, 0.0)


@triton.jit(do_not_specialize=["n", "cells"])
def gather_all(
    x, coefficients, centres, shapes, waves, starts, members, out, n, cells,
    F: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program takes BLOCK points x (n, 3): f to out (n, F)."""
    row, live, u, v, w = at(x, n, BLOCK)
    f = answers(u, v, w, live, coefficients, centres, shapes, waves, starts, members, cells, F, WIDE)
    j = tl.arange(0, WIDE)
    tl.store(out + row[:, None] * F + j[None, :], f, live[:, None] & (j < F)[None, :])


@triton.jit(do_not_specialize=["n", "cells"])
def scatter_all(
    grad, x, centres, shapes, waves, starts, members, sums, scale, n, cells,
    F: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """One program adds the gradients of BLOCK points to sums (M, F)."""
    row, live, u, v, w = at(x, n, BLOCK)
    factor = tl.load(scale)
    push = tl.where(factor == 0, 0.0, tile(grad, row, live, F, WIDE))  # a scale of 0: nothing to add, or no numbers
    scatter(u, v, w, live, push, sums, centres, shapes, waves, starts, members, cells, factor, F, WIDE, WHOLE)


@triton.jit(do_not_specialize=["n", "cells"])
def slope_all(
    grad, x, coefficients, centres, shapes, waves, starts, members, out, n, cells,
    F: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program takes BLOCK points: dL/dx to out (n, 3)."""
    row, live, u, v, w = at(x, n, BLOCK)
    push = tile(grad, row, live, F, WIDE)
    a, b, c = slope(u, v, w, live, push, coefficients, centres, shapes, waves, starts, members, cells, F, WIDE)
    tl.store(out + row * 3, a, live)
    tl.store(out + row * 3 + 1, b, live)
    tl.store(out + row * 3 + 2, c, live)


def side(starts: Tensor) -> int:
    """Cells along the box's side."""
    return round((len(starts) - 1) ** (1 / 3))


def shape(channels: int) -> dict[str, int]:
    """Constants of all kernels."""
    return {"F": channels, "WIDE": triton.next_power_of_2(channels), "BLOCK": BLOCK, "num_warps": 1}


def packed(*tensors: Tensor) -> list[Tensor]:
    """Rows side by side."""
    return [t.contiguous() for t in tensors]


@wendland.register_kernel("cuda")
def forward(
    x: Tensor, coefficients: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    """See wendland; coefficients may be of a half type."""
    if x.dtype == torch.float64:
        return reference(x, coefficients, centres, shapes, waves, starts, members)
    out = x.new_empty(len(x), coefficients.shape[1])
    if len(x):
        inputs = packed(x, coefficients, centres, shapes, waves, starts, members)
        gather_all[(triton.cdiv(len(x), BLOCK),)](*inputs, out, len(x), side(starts), **shape(out.shape[1]))
    return out


def for_coefficients(
    grad: Tensor,
    x: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
    *,
    exact: bool | None = None,
) -> Tensor:
    """See coefficient_grad. Where the result must repeat, sums are of whole numbers of 62 bits, which do not depend on
    their order: the largest gradient times the number of points is the most that they hold."""
    if x.dtype == torch.float64:
        return coefficient_grad_of(grad, x, centres, shapes, waves, starts, members)
    exact = repeats() if exact is None else exact
    size, options = (len(centres), grad.shape[1]), shape(grad.shape[1])
    if not len(x):
        return grad.new_zeros(size, dtype=torch.float32)
    inputs, grid = packed(grad, x, centres, shapes, waves, starts, members), (triton.cdiv(len(x), BLOCK),)
    if not exact:
        sums, one = grad.new_zeros(size, dtype=torch.float32), grad.new_ones(1, dtype=torch.float64)
        scatter_all[grid](*inputs, sums, one, len(x), side(starts), **options, WHOLE=False)
        return sums
    unit = grad.abs().amax().double().view(1) * 2.0 ** (len(x).bit_length() - FINE)
    scale = torch.where((unit > 0) & unit.isfinite(), 1 / unit, 0)
    whole = grad.new_zeros(size, dtype=torch.int64)
    scatter_all[grid](*inputs, whole, scale, len(x), side(starts), **options, WHOLE=True)
    return (whole * unit).float()


def for_points(
    grad: Tensor,
    x: Tensor,
    coefficients: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    """See point_grad."""
    if x.dtype == torch.float64:
        return point_grad_of(grad, x, coefficients, centres, shapes, waves, starts, members)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    if len(x):
        inputs = packed(grad, x, coefficients, centres, shapes, waves, starts, members)
        slope_all[(triton.cdiv(len(x), BLOCK),)](*inputs, out, len(x), side(starts), **shape(grad.shape[1]))
    return out


@coefficient_grad.register_kernel("cuda")
def _(
    grad: Tensor, x: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    return for_coefficients(grad, x, centres, shapes, waves, starts, members)


point_grad.register_kernel("cuda")(for_points)
