"""Planes on the CPU in Numba: one factor at a time over a block of points, channels in vectors of eight.

Tables whose channels are no multiple of eight are padded for the call. Kernels are module-level functions because
Numba's on-disk cache cannot hold closures over kernels.
"""

import numpy as np
import torch
from numba import njit, prange, uintp
from torch import Tensor
from torch.nn.functional import pad

from fields.kernels.planes import planes, point_grad, table_grad
from fields.kernels.vector_cpu import LANES, load, plus_scaled, product, scaled, store

BLOCK = 512  # points that a task takes through all factors in the forward pass
STRIP = 64  # points whose factor values are kept at once in the backward pass
SPAN = 16  # channels of one backward task where they divide: a whole cache line; with 8, it takes 1.7 x as long


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


@njit
def value(table, rows, weights, column, line):
    """Eight channels of a factor at a point."""
    result = scaled(load(table, rows[0], column), weights[0])
    result = plus_scaled(result, load(table, rows[1], column), weights[1])
    if not line:
        result = plus_scaled(result, load(table, rows[2], column), weights[2])
        result = plus_scaled(result, load(table, rows[3], column), weights[3])
    return result


@njit
def add(out, row, column, vector, weight):
    """Add weight times a vector to a row."""
    store(out, row, column, plus_scaled(load(out, row, column), vector, weight))


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def blend(x, table, factors, groups, out, block):
    """Each task takes a block of points through all factors. Points (N, D) -> out (N, G * C)."""
    channels = table.shape[1]
    for task in prange((x.shape[0] + block - 1) // block):
        for group in range(groups.shape[0] - 1):
            for k in range(groups[group], groups[group + 1]):
                factor, first = entry(factors, k), k == groups[group]
                line = factor[3] == 1
                for point in range(task * block, min((task + 1) * block, x.shape[0])):
                    rows, weights = square(x, point, factor)
                    for column in range(0, channels, LANES):
                        result = value(table, rows, weights, uintp(column), line)
                        place = uintp(group * channels + column)
                        if not first:
                            result = product(result, load(out, uintp(point), place))
                        store(out, uintp(point), place, result)


@njit
def keep(places, shares, at, rows, weights):
    """Write down where a point lies in a factor."""
    places[at, 0], places[at, 1] = rows[0], rows[2]
    shares[at, 0], shares[at, 1], shares[at, 2], shares[at, 3] = weights


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def scatter(grad, x, table, factors, groups, out, strip, span):
    """Each task owns a group and `span` channels: no entry has two writers, the order of every sum is fixed. Of a strip
    of points it first reads all factors, then adds to each what the others let through. `out` comes with zeros."""
    channels = table.shape[1]
    parts = channels // span
    for task in prange((groups.shape[0] - 1) * parts):
        group, first = task // parts, task % parts * span
        begin, members = groups[group], groups[group + 1] - groups[group]
        values = np.empty((members * strip, span), table.dtype)
        places = np.empty((members * strip, 2), np.uint64)
        shares = np.empty((members * strip, 4), x.dtype)
        for start in range(0, x.shape[0], strip):
            count = min(strip, x.shape[0] - start)
            for k in range(members):
                factor = entry(factors, begin + k)
                for p in range(count):
                    at = uintp(k * strip + p)
                    rows, weights = square(x, start + p, factor)
                    keep(places, shares, at, rows, weights)
                    for lane in range(0, span if members > 1 else 0, LANES):
                        result = value(table, rows, weights, uintp(first + lane), factor[3] == 1)
                        store(values, at, uintp(lane), result)
            for k in range(members):
                line = factors[begin + k, 3] == 1
                for p in range(count):
                    at = uintp(k * strip + p)
                    low, up = places[at, 0], places[at, 1]
                    for lane in range(0, span, LANES):
                        column = uintp(first + lane)
                        push = load(grad, uintp(start + p), uintp(group * channels + first + lane))
                        for other in range(members):
                            if other != k:
                                push = product(push, load(values, uintp(other * strip + p), uintp(lane)))
                        add(out, low, column, push, shares[at, 0])
                        add(out, low + uintp(1), column, push, shares[at, 1])
                        if not line:
                            add(out, up, column, push, shares[at, 2])
                            add(out, up + uintp(1), column, push, shares[at, 3])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
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
    rows, down = padded(table, 1).numpy(), padded(grad, len(groups) - 1).numpy()
    out = torch.from_numpy(np.zeros(rows.shape, rows.dtype))  # NumPy asks for huge pages, torch not
    span = SPAN if rows.shape[1] % SPAN == 0 else LANES
    scatter(down, x.contiguous().numpy(), rows, factors.numpy(), groups.numpy(), out.numpy(), STRIP, span)
    return out[:, : table.shape[1]].contiguous()


@point_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, down = table.contiguous().numpy(), grad.contiguous().numpy()
    slope(down, x.contiguous().numpy(), rows, factors.numpy(), groups.numpy(), out.numpy(), STRIP)
    return out
