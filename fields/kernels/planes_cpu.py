"""Planes on the CPU in Numba: one factor at a time over a block of points, channels in vectors of eight.

Tables whose channels are no multiple of eight are padded for the call. Kernels are module-level functions because
Numba's on-disk cache cannot hold closures over kernels.
"""

import numpy as np
import torch
from numba import njit, prange, uintp
from torch import Tensor
from torch.nn.functional import pad

from fields.kernels.grid_cpu import inside
from fields.kernels.options_cpu import INNER, KERNEL
from fields.kernels.planes import planes, point_grad, table_grad
from fields.kernels.queue_cpu import share, take
from fields.kernels.vector_cpu import LANES, load, plus_scaled, product, scaled, store

BLOCK = 512  # points that a task takes through all factors in the forward pass
STRIP = 64  # points whose places in a group's factors are laid down at once
SPANS = (16, 24, LANES)  # channels of one backward task, the first that divides: with 8, 16 take 1.7 x as long


@njit
def locate(x, point, axis, size):
    """Lower vertex and fraction of one coordinate, clamped to the unit box (NaN to 0)."""
    place = x[point, axis]
    if not place >= 0:
        place = x.dtype.type(0)
    elif place > 1:
        place = x.dtype.type(1)
    place *= x.dtype.type(size - 1)
    low = min(np.int64(place), max(size - 2, 0))
    return low, place - x.dtype.type(low)


@njit
def square(x, point, factor):
    """Rows of the four vertices around a point, and their weights. On a line, the upper two are the lower two."""
    one = x.dtype.type(1)
    i, u = locate(x, point, factor[0], factor[2])
    j, v = locate(x, point, factor[1], factor[3])
    row = factor[4] + i + factor[2] * j
    up = row + factor[2] if factor[3] > 1 else row
    rows = (uintp(row), uintp(row + 1), uintp(up), uintp(up + 1))
    return rows, ((one - u) * (one - v), u * (one - v), (one - u) * v, u * v)


@njit
def entry(factors, k):
    """A factor as five numbers: axis a, axis b, size a, size b, first row."""
    return factors[k, 0], factors[k, 1], factors[k, 2], factors[k, 3], factors[k, 4]


@njit(inline="always")
def value(table, rows, weights, column, line):
    """Eight channels of a factor at a point."""
    result = scaled(load(table, rows[0], column), weights[0])
    result = plus_scaled(result, load(table, rows[1], column), weights[1])
    if not line:
        result = plus_scaled(result, load(table, rows[2], column), weights[2])
        result = plus_scaled(result, load(table, rows[3], column), weights[3])
    return result


@njit(inline="always")
def single(table, rows, weights, column):
    """One channel of a factor at a point."""
    result = weights[0] * table[rows[0], column] + weights[1] * table[rows[1], column]
    return result + weights[2] * table[rows[2], column] + weights[3] * table[rows[3], column]


@njit
def add(out, row, column, vector, weight):
    """Add weight times a vector to a row."""
    store(out, row, column, plus_scaled(load(out, row, column), vector, weight))


@njit(inline="always")
def split(place, size):
    """Lower vertex and fraction of a coordinate that lies in the unit box."""
    place *= type(place)(size - np.int32(1))
    low = min(np.int32(place), max(size - np.int32(2), np.int32(0)))
    return low, place - type(place)(low)


@njit(**INNER, fastmath={"contract", "nsz"})
def surround(a, b, factor, at, rows, weights):
    """`square` of many points at once: their coordinates a and b (P,) in the unit box, and what is found from `at` on,
    lower and upper rows (..., 2) and weights (..., 4), stored column by column."""
    one, start = a.dtype.type(1), np.uint32(factor[4])
    size_a, size_b = np.int32(factor[2]), np.int32(factor[3])
    up = np.uint32(factor[2] if factor[3] > 1 else 0)
    for p in range(len(a)):
        i, u = split(a[p], size_a)
        j, v = split(b[p], size_b)
        row = start + np.uint32(i) + np.uint32(size_a) * np.uint32(j)
        rows[0, at + p], rows[1, at + p] = row, row + up
        weights[0, at + p], weights[1, at + p] = (one - u) * (one - v), u * (one - v)
        weights[2, at + p], weights[3, at + p] = (one - u) * v, u * v


@njit(inline="always")
def found(rows, weights, at):
    """Rows of four vertices and their weights, as `surround` left them."""
    low, up = uintp(rows[0, at]), uintp(rows[1, at])
    shares = (weights[0, at], weights[1, at], weights[2, at], weights[3, at])
    return (low, low + uintp(1), up, up + uintp(1)), shares


@njit(**INNER)
def blend_rest(table, rows, weights, whole, out, first, how):
    """The channels from `whole` on of one factor at points, one by one. how: whether others were there before, and
    whether they are multiplied."""
    for p in range(len(out)):
        near, shares = found(rows, weights, p)
        for column in range(whole, table.shape[1]):
            alone, place = single(table, near, shares, column), first + column
            if how[0]:
                alone = out[p, place] * alone if how[1] else out[p, place] + alone
            out[p, place] = alone


@njit(**INNER)
def blend_points(x, table, factors, groups, out, first, multiplied):
    """Points (P, D) through all factors -> out (P, G * C) from column `first` on: the factors of a group multiplied, or
    added. What vectors of eight do not reach of the channels goes one by one."""
    channels, count = table.shape[1], x.shape[0]
    places, whole, one = np.empty((x.shape[1], count), x.dtype), channels // LANES * LANES, x.dtype.type(1)
    most = 0
    for group in range(len(groups) - 1):
        most = max(most, groups[group + 1] - groups[group])
    rows, weights = np.empty((2, most * STRIP), np.uint32), np.empty((4, most * STRIP), x.dtype)
    inside(x, 0, count, places)
    for group in range(len(groups) - 1):
        begin, members = groups[group], groups[group + 1] - groups[group]
        for start in range(0, count, STRIP):
            end = min(start + STRIP, count)
            for k in range(members):
                factor = entry(factors, begin + k)
                surround(places[factor[0], start:end], places[factor[1], start:end], factor, k * STRIP, rows, weights)
            for k in range(members):
                line = factors[begin + k, 3] == 1
                for p in range(end - start):
                    near, shares = found(rows, weights, k * STRIP + p)
                    for column in range(0, whole, LANES):
                        result = value(table, near, shares, uintp(column), line)
                        place = uintp(first + group * channels + column)
                        if k > 0:
                            before = load(out, uintp(start + p), place)
                            result = product(result, before) if multiplied else plus_scaled(before, result, one)
                        store(out, uintp(start + p), place, result)
                if whole < channels:
                    own, shares_own = rows[:, k * STRIP :], weights[:, k * STRIP :]
                    at, how = first + group * channels, (k > 0, multiplied)
                    blend_rest(table, own, shares_own, whole, out[start:end], at, how)


@njit(**KERNEL, parallel=True)
def blend(x, table, factors, groups, out, block):
    """Each task takes a block of points through all factors. Points (N, D) -> out (N, G * C)."""
    for task in prange((x.shape[0] + block - 1) // block):
        begin, end = task * block, min((task + 1) * block, x.shape[0])
        blend_points(x[begin:end], table, factors, groups, out[begin:end], 0, True)


@njit(**INNER)
def through(values, members, k, count, push):
    """Multiplies push (P, C), what a group's gradient is, by what the other members say, values (members * STRIP, C):
    then it is member k's."""
    for other in range(members):
        if other != k:
            for p in range(count):
                for lane in range(0, push.shape[1], LANES):
                    column = uintp(lane)
                    let = load(values, uintp(other * STRIP + p), column)
                    store(push, uintp(p), column, product(load(push, uintp(p), column), let))


@njit(**INNER)
def scatter_group(grad, column, x, table, factors, out, first, span, multiplied):
    """`span` channels from `first` on of one group's factors (members, 5). Of a strip of points all factors are read,
    then each gets what the others let through, everything where they are not multiplied. The gradient of these channels
    begins at a column of grad."""
    members = len(factors)
    values, push = np.empty((members * STRIP, span), table.dtype), np.empty((STRIP, span), table.dtype)
    rows, weights = np.empty((2, members * STRIP), np.uint32), np.empty((4, members * STRIP), x.dtype)
    places = np.empty((x.shape[1], STRIP), x.dtype)
    for start in range(0, x.shape[0], STRIP):
        count = min(STRIP, x.shape[0] - start)
        inside(x, start, start + count, places)
        for k in range(members):
            factor, line = entry(factors, k), factors[k, 3] == 1
            surround(places[factor[0], :count], places[factor[1], :count], factor, k * STRIP, rows, weights)
            for p in range(count if multiplied and members > 1 else 0):
                near, shares = found(rows, weights, k * STRIP + p)
                for lane in range(0, span, LANES):
                    result = value(table, near, shares, uintp(first + lane), line)
                    store(values, uintp(k * STRIP + p), uintp(lane), result)
        for k in range(members):
            line = factors[k, 3] == 1
            for p in range(count):
                for lane in range(0, span, LANES):
                    store(push, uintp(p), uintp(lane), load(grad, uintp(start + p), uintp(column + lane)))
            if multiplied:
                through(values, members, k, count, push)
            for p in range(count):
                near, shares = found(rows, weights, k * STRIP + p)
                for lane in range(0, span, LANES):
                    vector, place = load(push, uintp(p), uintp(lane)), uintp(first + lane)
                    add(out, near[0], place, vector, shares[0])
                    add(out, near[1], place, vector, shares[1])
                    if not line:
                        add(out, near[2], place, vector, shares[2])
                        add(out, near[3], place, vector, shares[3])


@njit(**KERNEL)
def scatter(queue, grad, first, x, table, factors, groups, out, span, multiplied):
    """Each piece is `span` channels of a group: no entry has two writers, the order of every sum is fixed. The
    gradients begin at column `first` of grad. All of `out` (E, C) is written."""
    parts, piece = table.shape[1] // span, take(queue)
    while piece < (len(groups) - 1) * parts:
        group, part = piece // parts, piece % parts * span
        own = factors[groups[group] : groups[group + 1]]
        for k in range(len(own)):
            out[own[k, 4] : own[k, 4] + own[k, 2] * own[k, 3], part : part + span] = 0
        column = first + group * table.shape[1] + part
        scatter_group(grad, column, x, table, own, out, part, span, multiplied)
        piece = take(queue)


@njit(**KERNEL, parallel=True)
def slope(grad, x, table, factors, groups, out, strip):
    """Each task takes a strip of points: dL/dx (N, D) by differences of the vertices along each axis."""
    one, channels = x.dtype.type(1), table.shape[1]
    for task in prange((x.shape[0] + strip - 1) // strip):
        push = np.empty(channels, table.dtype)
        for point in range(task * strip, min((task + 1) * strip, x.shape[0])):
            for axis in range(x.shape[1]):
                out[point, axis] = 0
            for group in range(groups.shape[0] - 1):
                for k in range(groups[group], groups[group + 1]):
                    for n in range(channels):
                        push[n] = grad[point, group * channels + n]
                    for other in range(groups[group], groups[group + 1]):
                        if other != k:
                            rows, weights = square(x, point, entry(factors, other))
                            for n in range(channels):
                                near = weights[0] * table[rows[0], n] + weights[1] * table[rows[1], n]
                                push[n] *= near + weights[2] * table[rows[2], n] + weights[3] * table[rows[3], n]
                    factor = entry(factors, k)
                    _, u = locate(x, point, factor[0], factor[2])
                    _, v = locate(x, point, factor[1], factor[3])
                    rows, _ = square(x, point, factor)
                    on_a = on_b = table.dtype.type(0)
                    for n in range(channels):
                        a, b = table[rows[0], n], table[rows[1], n]
                        c, d = table[rows[2], n], table[rows[3], n]
                        on_a += push[n] * ((one - v) * (b - a) + v * (d - c))
                        on_b += push[n] * ((one - u) * (c - a) + u * (d - b))
                    out[point, factor[0]] += on_a * (factor[2] - 1)
                    out[point, factor[1]] += on_b * (factor[3] - 1)
            for axis in range(x.shape[1]):
                if not 0 <= x[point, axis] <= 1:
                    out[point, axis] = 0


def padded(table: Tensor, count: int) -> Tensor:
    """(N, count * C) -> (N, count * C'), contiguous, with C' the next multiple of LANES."""
    channels = table.shape[1] // count
    if channels % LANES == 0:
        return table.contiguous()
    return pad(table.reshape(len(table), count, channels), (0, -channels % LANES)).flatten(1)


@planes.register_kernel("cpu")
def _(x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    rows, count, channels = padded(table, 1), len(groups) - 1, table.shape[1]
    out = torch.empty(len(x), count * rows.shape[1], dtype=table.dtype)
    blend(x.contiguous().numpy(), rows.numpy(), factors.numpy(), groups.numpy(), out.numpy(), BLOCK)
    if rows.shape[1] == channels:
        return out
    return out.view(len(x), count, rows.shape[1])[..., :channels].flatten(1)


@table_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    return table_sums(grad, 0, x, table, (factors, groups))


def table_sums(
    grad: Tensor, first: int, x: Tensor, table: Tensor, layout: tuple[Tensor, Tensor], *, multiplied: bool = True
) -> Tensor:
    """`table_grad` of columns from `first` on of grad (N, ...), for a layout of factors and groups, whose factors are
    multiplied within a group, or added."""
    (factors, groups), channels = layout, table.shape[1]
    if channels % LANES:
        count = len(groups) - 1
        grad, first = padded(grad[:, first : first + count * channels], count), 0
    rows = padded(table.detach(), 1).numpy()
    out = np.empty(rows.shape, rows.dtype)  # NumPy asks for huge pages, torch does not
    span = next(size for size in SPANS if rows.shape[1] % size == 0)
    given = (grad.contiguous().numpy(), first, x.contiguous().numpy(), rows, factors.numpy(), groups.numpy())
    share(scatter, *given, out, span, multiplied)
    return torch.from_numpy(out)[:, :channels].contiguous()


@point_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, down = table.contiguous().numpy(), grad.contiguous().numpy()
    slope(down, x.contiguous().numpy(), rows, factors.numpy(), groups.numpy(), out.numpy(), STRIP)
    return out
