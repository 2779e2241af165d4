"""Planes in Triton: device functions that read factors and add to their gradients, and the op's kernels on them.

A program of the op takes a block of points through one group, all channels at once. Which axes a factor spans, and how
large it is, is read on the device.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

import fields.kernels.planes as op
from fields.backend import repeats
from fields.kernels.atomics_cuda import add_pair
from fields.kernels.segments_cuda import sums

TILE = 2048  # numbers of a program's tile, points times channels


@triton.jit
def along(x, size):
    """Lower vertex (BLOCK,) int32 of coordinates (BLOCK,) on an axis of `size` vertices, and the fraction above it.
    Clamped to the unit box, NaN to 0."""
    place = tl.minimum(tl.where(x >= 0, x, 0.0), 1.0) * (size - 1)
    low = tl.minimum(place.to(tl.int32), tl.maximum(size - 2, 0))
    return low, place - low.to(tl.float32)


@triton.jit
def square(a, b, size_a, size_b, first):
    """The four vertices around points with the coordinates a and b (BLOCK,) in a factor whose first row is `first`: row
    of the lowest (BLOCK,) int64, rows from there to the upper two (0 on a line), fractions u and v (BLOCK,)."""
    i, u = along(a, size_a)
    j, v = along(b, size_b)
    row = first + i.to(tl.int64) + size_a * j.to(tl.int64)
    return row, tl.where(size_b > 1, size_a, 0), u, v


@triton.jit
def segment(a, size, first):
    """As `square`, of a line."""
    i, u = along(a, size)
    return first + i.to(tl.int64), 0, u, 0.0 * u


@triton.jit
def value(table, where, live, SIZE: tl.constexpr, W: tl.constexpr, C: tl.constexpr, LINE: tl.constexpr):
    """The first SIZE <= W channels of a factor at points, (BLOCK, W) float32, zeros elsewhere. Rows of the table have C
    numbers; `where` is what `square` gives."""
    row, up, u, v = where
    channel = tl.arange(0, W)[None, :]
    inside = live[:, None] & (channel < SIZE)  # (BLOCK, W)
    place = table + row[:, None] * C + channel
    u, v = u[:, None], v[:, None]  # (BLOCK, 1)
    result = (1 - u) * tl.load(place, inside, 0.0).to(tl.float32) + u * tl.load(place + C, inside, 0.0).to(tl.float32)
    if not LINE:
        place += up * C
        upper = (1 - u) * tl.load(place, inside, 0.0).to(tl.float32)
        upper += u * tl.load(place + C, inside, 0.0).to(tl.float32)
        result = (1 - v) * result + v * upper
    return result


@triton.jit
def add_row(
    table_grad, row, push, weight, SIZE: tl.constexpr, C: tl.constexpr, W: tl.constexpr
):  # fmt: skip
    """table_grad[row] += weight * push; `push` is one tile (BLOCK, W), or two of even and odd channels (BLOCK, W / 2)
    each. Zeros are skipped."""
    STEP: tl.constexpr = len(push)
    channel = STEP * tl.arange(0, W // STEP)[None, :]
    place = table_grad + row[:, None] * C + channel
    a, inside = push[0] * weight[:, None], channel < SIZE
    if STEP == 2:
        b = push[1] * weight[:, None]
        add_pair(place, a, b, inside & ((a != 0) | (b != 0)))
    else:
        tl.atomic_add(place, a, inside & (a != 0), sem="relaxed")


@triton.jit
def add(
    table_grad, where, push, SIZE: tl.constexpr, C: tl.constexpr, LINE: tl.constexpr
):  # fmt: skip
    """Adds weight * push (BLOCK, W) to the first SIZE channels of the vertices around each point."""
    row, up, u, v = where
    BLOCK: tl.constexpr = push.shape[0]
    W: tl.constexpr = push.shape[1]
    push = (push,) if C % 2 or SIZE % 2 else tl.split(tl.reshape(push, (BLOCK, W // 2, 2)))
    add_row(table_grad, row, push, (1 - u) * (1 - v), SIZE, C, W)
    add_row(table_grad, row + 1, push, u * (1 - v), SIZE, C, W)
    if not LINE:
        add_row(table_grad, row + up, push, (1 - u) * v, SIZE, C, W)
        add_row(table_grad, row + up + 1, push, u * v, SIZE, C, W)


@triton.jit
def found(x, factors, k, point, live, D: tl.constexpr):
    """Where points (BLOCK,) lie in factor k."""
    factor = factors + 5 * k
    axis_a, axis_b = tl.load(factor), tl.load(factor + 1)
    size_a, size_b = tl.load(factor + 2).to(tl.int32), tl.load(factor + 3).to(tl.int32)
    a, b = tl.load(x + point * D + axis_a, live, 0.0), tl.load(x + point * D + axis_b, live, 0.0)
    return square(a, b, size_a, size_b, tl.load(factor + 4))


@triton.jit
def product(
    x, table, factors, first, end, without, point, live, D: tl.constexpr, C: tl.constexpr, W: tl.constexpr
):  # fmt: skip
    """Of the factors from `first` to `end`, but for one: (BLOCK, W) float32."""
    result = tl.full((point.shape[0], W), 1.0, tl.float32)
    while first < end:
        if first != without:
            result *= value(table, found(x, factors, first, point, live, D), live, C, W, C, False)
        first += 1
    return result


@triton.jit
def pushed(
    grad, x, table, factors, groups, group, k, point, live, D: tl.constexpr, C: tl.constexpr, W: tl.constexpr
):  # fmt: skip
    """What reaches factor k of a group: grad times the product of the group's others, (BLOCK, W) float32."""
    width = (tl.num_programs(1) * C).to(tl.int64)
    channel = tl.arange(0, W)[None, :]
    inside = live[:, None] & (channel < C)
    push = tl.load(grad + point[:, None] * width + group * C + channel, inside, 0.0).to(tl.float32)
    first, end = tl.load(groups + group).to(tl.int32), tl.load(groups + group + 1).to(tl.int32)
    return push * product(x, table, factors, first, end, k, point, live, D, C, W)


@triton.jit(do_not_specialize=["n"])
def blend(
    x, table, factors, groups, out, n,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program writes one group's features of BLOCK points: out (n, G * C)."""
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    group, live, channel = tl.program_id(1), point < n, tl.arange(0, W)[None, :]
    first, end = tl.load(groups + group).to(tl.int32), tl.load(groups + group + 1).to(tl.int32)
    result = product(x, table, factors, first, end, -1, point, live, D, C, W)  # (BLOCK, W)
    width = (tl.num_programs(1) * C).to(tl.int64)
    tl.store(out + point[:, None] * width + group * C + channel, result, live[:, None] & (channel < C))


@triton.jit(do_not_specialize=["n"])
def scatter(
    grad, x, table, factors, groups, table_grad, n,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program adds the gradients of BLOCK points to one group's factors in table_grad (E, C) float32."""
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    group, live = tl.program_id(1), point < n
    k, end = tl.load(groups + group).to(tl.int32), tl.load(groups + group + 1).to(tl.int32)
    while k < end:
        push = pushed(grad, x, table, factors, groups, group, k, point, live, D, C, W)  # (BLOCK, W)
        add(table_grad, found(x, factors, k, point, live, D), push, C, C, False)
        k += 1


@triton.jit(do_not_specialize=["n", "k"])
def shares(
    grad, x, table, factors, groups, rows, values, n, k,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program writes what BLOCK points add to factor k: rows (n, 4), values (n, 4, C) float32. Programs of other
    groups than the factor's have nothing to do."""
    group = tl.program_id(1)
    if (k >= tl.load(groups + group)) & (k < tl.load(groups + group + 1)):
        point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
        live, channel = point < n, tl.arange(0, W)[None, :]
        push = pushed(grad, x, table, factors, groups, group, k, point, live, D, C, W)  # (BLOCK, W)
        row, up, u, v = found(x, factors, k, point, live, D)
        inside = live[:, None] & (channel < C)
        for corner in tl.static_range(4):
            weight = (u if corner % 2 else 1 - u) * (v if corner > 1 else 1 - v)
            mine = 4 * point + corner  # (BLOCK,)
            tl.store(rows + mine, row + (corner // 2) * up + corner % 2, live)
            tl.store(values + mine[:, None] * C + channel, push * weight[:, None], inside)


@triton.jit(do_not_specialize=["n"])
def slope(
    grad, x, table, factors, groups, out, n,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program adds one group's share of dL/dx of BLOCK points to out (G, n, D)."""
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    group, live, axis = tl.program_id(1), point < n, tl.arange(0, 4)[None, :]
    channel = tl.arange(0, W)[None, :]
    inside = live[:, None] & (channel < C)
    result = tl.zeros((BLOCK, 4), tl.float32)
    k, end = tl.load(groups + group).to(tl.int32), tl.load(groups + group + 1).to(tl.int32)
    while k < end:
        push = pushed(grad, x, table, factors, groups, group, k, point, live, D, C, W)  # (BLOCK, W)
        row, up, u, v = found(x, factors, k, point, live, D)
        place = table + row[:, None] * C + channel
        t00 = tl.sum(tl.load(place, inside, 0.0).to(tl.float32) * push, 1)  # (BLOCK,)
        t10 = tl.sum(tl.load(place + C, inside, 0.0).to(tl.float32) * push, 1)
        t01 = tl.sum(tl.load(place + up * C, inside, 0.0).to(tl.float32) * push, 1)
        t11 = tl.sum(tl.load(place + up * C + C, inside, 0.0).to(tl.float32) * push, 1)
        factor = factors + 5 * k
        on_a = ((1 - v) * (t10 - t00) + v * (t11 - t01)) * (tl.load(factor + 2) - 1).to(tl.float32)
        on_b = ((1 - u) * (t01 - t00) + u * (t11 - t10)) * (tl.load(factor + 3) - 1).to(tl.float32)
        result += tl.where(axis == tl.load(factor), on_a[:, None], 0.0)
        result += tl.where(axis == tl.load(factor + 1), on_b[:, None], 0.0)
        k += 1
    place = point[:, None] * D + axis  # (BLOCK, 4)
    given = tl.load(x + place, live[:, None] & (axis < D), -1.0)
    result = tl.where((given >= 0) & (given <= 1), result, 0.0)
    tl.store(out + group.to(tl.int64) * n * D + place, result, live[:, None] & (axis < D))


def shape(x: Tensor, table: Tensor) -> dict[str, int]:
    """Constants of the kernels."""
    width = triton.next_power_of_2(table.shape[1])
    return {"D": x.shape[1], "C": table.shape[1], "W": width, "BLOCK": max(TILE // width, 16)}


def grid(x: Tensor, groups: Tensor, block: int) -> tuple[int, int]:
    """Programs: blocks of points, groups."""
    return triton.cdiv(len(x), block), len(groups) - 1


def forward(x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """See fields/kernels/planes.py: sums in float32, features in the type of the table."""
    if x.dtype == torch.float64:
        return op.reference(x, table, factors, groups)
    x, table, sizes = x.contiguous(), table.contiguous(), shape(x, table)
    out = table.new_empty(len(x), (len(groups) - 1) * table.shape[1])
    if len(x):
        blend[grid(x, groups, sizes["BLOCK"])](x, table, factors, groups, out, len(x), **sizes)
    return out


def table_grad(
    grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor, exact: bool | None = None
) -> Tensor:
    """dL/dtable (E, C) float32: with atomics, or where `exact` in a fixed order, one factor after the other."""
    if x.dtype == torch.float64:
        return op.table_grad._init_fn(grad, x, table, factors, groups)
    given = (grad.contiguous(), x.contiguous(), table.contiguous(), factors, groups)
    result = table.new_zeros(table.shape, dtype=torch.float32)
    sizes = shape(x, table)
    blocks = grid(x, groups, sizes["BLOCK"])
    if not len(x):
        return result
    if not (repeats() if exact is None else exact):
        scatter[blocks](*given, result, len(x), **sizes)
        return result
    rows = torch.empty(4 * len(x), dtype=torch.int64, device=x.device)
    values = x.new_empty(4 * len(x), table.shape[1])
    for k in range(len(factors)):
        shares[blocks](*given, rows, values, len(x), k, **sizes)
        result += sums(rows, values, len(table))
    return result


def point_grad(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """dL/dx (N, D) float32."""
    if x.dtype == torch.float64:
        return op.point_grad._init_fn(grad, x, table, factors, groups)
    given = (grad.contiguous(), x.contiguous(), table.contiguous(), factors, groups)
    parts, sizes = x.new_zeros(len(groups) - 1, *x.shape), shape(x, table)
    if len(x):
        slope[grid(x, groups, sizes["BLOCK"])](*given, parts, len(x), **sizes)
    return parts.sum(0)


op.planes.register_kernel("cuda")(forward)
op.table_grad.register_kernel("cuda")(table_grad)
op.point_grad.register_kernel("cuda")(point_grad)
