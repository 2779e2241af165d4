"""Grid encode on the CPU in Numba: one level at a time over a large block of points, so that the level stays in cache.

The forward pass lays down where a strip of points has its corners, many points at a time, and then reads them, all
channels of a vertex at a time. A cell is walked as 2^(D-2) slices of four corners. D and C come as tuples whose lengths
the compiler knows, so that all inner loops unroll; kernels are module-level functions because Numba's on-disk cache
cannot hold closures over kernels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numba import get_num_threads, njit, prange, uintp
from torch import Tensor

from fields.kernels import queue_cpu
from fields.kernels.grid import PRIMES, grid_encode, point_grad, table_grad
from fields.kernels.options_cpu import INNER, KERNEL, LEAN
from fields.kernels.queue_cpu import take
from fields.kernels.vector_cpu import load_some, plus_scaled, scaled, store

SMALLEST = 512  # points per task at least
STRIP = 64  # points whose corners are laid down at once
P1, P2, P3 = PRIMES[1:]
H1, H2, H3 = (np.uint32(p) for p in PRIMES[1:])


@njit(inline="always")
def locate(x, point, axis, dims, scale):
    """Cell and fraction of one coordinate, clamped to the unit box (NaN to 0); zeros for axes the point has not."""
    half = x.dtype.type(0.5)
    place = x.dtype.type(0)
    if axis < dims:
        inside = x[point, axis]
        if not inside >= 0:
            inside = x.dtype.type(0)
        elif inside > 1:
            inside = x.dtype.type(1)
        place = inside * scale + half
    low = np.int64(place)
    return low, place - x.dtype.type(low)


@njit(inline="always")
def quad(i, j, k, m, vertices, mask):
    """Entries, within the level, of the four vertices (i or i + 1, j or j + 1) of the slice (k, m)."""
    if vertices > 0:
        first = i + vertices * (j + vertices * (k + vertices * m))
        return first, first + 1, first + vertices, first + vertices + 1
    key = k * P2 ^ m * P3  # only the low bits are kept, so that 64-bit products give what 32-bit ones would
    near, far = j * P1 ^ key, (j + 1) * P1 ^ key
    return (i ^ near) & mask, ((i + 1) ^ near) & mask, (i ^ far) & mask, ((i + 1) ^ far) & mask


@njit(inline="always")
def share(part, w, s, dims, one):
    """Weight of a slice: the fractions of the third and fourth coordinate."""
    weight = one
    if dims > 2:
        weight = w if part & 1 else one - w
    if dims > 3:
        weight *= s if part >> 1 else one - s
    return weight


@njit(inline="always")
def split(places, p, scale):
    """Cell and fraction of one coordinate that lies in the unit box."""
    place = places[p] * scale + places.dtype.type(0.5)
    low = np.int32(place)
    return np.uint32(low), place - places.dtype.type(low)


@njit(inline="always")
def quad32(i, j, k, m, vertices, mask):
    """`quad` in 32 bits, twice as many of which fill a register."""
    right = np.uint32(i + np.uint32(1))
    if vertices > 0:
        near = np.uint32(vertices * np.uint32(j + np.uint32(vertices * np.uint32(k + np.uint32(vertices * m)))))
        far = np.uint32(near + vertices)
        return i + near, right + near, i + far, right + far
    key, low = np.uint32(k * H2) ^ np.uint32(m * H3), np.uint32(j * H1)
    near, far = low ^ key, np.uint32(low + H1) ^ key
    return (i ^ near) & mask, (right ^ near) & mask, (i ^ far) & mask, (right ^ far) & mask


@njit(**INNER, fastmath={"contract", "nsz"})
def surround(coordinates, axes, scale, level, rows, weights):
    """Rows of the table and weights of the 2^D vertices around each of at most STRIP points: vertex c of point p at
    c STRIP + p. coordinates: four arrays in the unit box, of which the first D are read. level: its first row, the mask
    of its entries, its vertices per axis. No point waits for another, so that the compiler takes many at once."""
    xs, ys, zs, ws = coordinates
    start, mask, side = np.uint32(level[0]), np.uint32(level[1]), np.uint32(level[2])
    dims, one, none = len(axes), xs.dtype.type(1), (np.uint32(0), xs.dtype.type(0))
    for p in range(len(xs)):
        i, u = split(xs, p, scale)
        j, v = split(ys, p, scale)
        k, w = split(zs, p, scale) if dims > 2 else none
        m, s = split(ws, p, scale) if dims > 3 else none
        for part in range(1 << (dims - 2)):
            weight, at = share(part, w, s, dims, one), 4 * part * STRIP + p
            near, far = (one - v) * weight, v * weight
            weights[at], weights[at + STRIP] = (one - u) * near, u * near
            weights[at + 2 * STRIP], weights[at + 3 * STRIP] = (one - u) * far, u * far
            third, fourth = np.uint32(k + np.uint32(part & 1)), np.uint32(m + np.uint32(part >> 1))
            a, b, c, d = quad32(i, j, third, fourth, side, mask)
            rows[at], rows[at + STRIP] = start + a, start + b
            rows[at + 2 * STRIP], rows[at + 3 * STRIP] = start + c, start + d


@njit(**INNER)
def inside(x, first, last, out):
    """Points first to last clamped to the unit box (NaN to 0), one array (D, P) for all levels."""
    nought, one = x.dtype.type(0), x.dtype.type(1)
    for axis in range(x.shape[1]):
        for p in range(last - first):
            value = x[first + p, axis]
            value = value if value >= 0 else nought
            out[axis, p] = value if value <= 1 else one


@njit(**INNER, fastmath={"contract", "nsz"})
def encode_points(x, table, scales, vertices, offsets, out, axes, channels):
    """Points (P, D) through all levels -> out (P, L * C)."""
    dims, count = len(axes), x.shape[0]
    places = np.empty((dims, count), x.dtype)
    rows, weights = np.empty((1 << dims) * STRIP, np.uint32), np.empty((1 << dims) * STRIP, x.dtype)
    inside(x, np.int64(0), count, places)
    encode_places(places, table, scales, vertices, offsets, out, axes, channels, rows, weights)


@njit(**LEAN, fastmath={"contract", "nsz"})
def encode_places(places, table, scales, vertices, offsets, out, axes, channels, rows, weights):
    """The same for coordinates in the unit box, places (D, P), and room for rows and weights of a strip."""
    dims, nought, count = len(axes), uintp(0), places.shape[1]
    for level in range(scales.shape[0]):
        column, start = uintp(level * len(channels)), offsets[level]
        entries = (start, offsets[level + 1] - start - 1, vertices[level])
        for first in range(0, count, STRIP):
            last = min(first + STRIP, count)
            xs, ys, ws = places[0, first:last], places[1, first:last], places[dims - 1, first:last]
            surround((xs, ys, places[min(2, dims - 1), first:last], ws), axes, scales[level], entries, rows, weights)
            for p in range(last - first):
                total = scaled(load_some(table, uintp(rows[p]), nought, channels), weights[p])
                for corner in range(1, 1 << dims):
                    at = corner * STRIP + p
                    vertex = load_some(table, uintp(rows[at]), nought, channels)
                    total = plus_scaled(total, vertex, weights[at])
                store(out, uintp(first + p), column, total)


@njit(**KERNEL, parallel=True)
def encode(x, table, scales, vertices, offsets, out, axes, channels, block):
    """Each task takes a block of points through all levels. Points (N, D) -> out (N, L * C)."""
    for task in prange((x.shape[0] + block - 1) // block):
        begin, end = task * block, min((task + 1) * block, x.shape[0])
        encode_points(x[begin:end], table, scales, vertices, offsets, out[begin:end], axes, channels)


@njit(**KERNEL, fastmath={"contract", "nsz"})
def scatter(queue, grad, x, scales, vertices, offsets, out, axes, channels):
    """Each piece is a level: no entry has two writers, the order of every sum is fixed. All of `out` (E, C) is written,
    a level's zeros just before its sums, while they are in cache."""
    dims, nought = len(axes), uintp(0)
    places = np.empty((dims, STRIP), x.dtype)
    rows, weights = np.empty((1 << dims) * STRIP, np.uint32), np.empty((1 << dims) * STRIP, x.dtype)
    level = take(queue)
    while level < len(scales):
        start, end, column = offsets[level], offsets[level + 1], uintp(level * len(channels))
        out[start:end] = 0
        for first in range(0, x.shape[0], STRIP):
            count = min(STRIP, x.shape[0] - first)
            inside(x, first, first + count, places)
            strip = (places[0, :count], places[1, :count], places[min(2, dims - 1), :count], places[dims - 1, :count])
            surround(strip, axes, scales[level], (start, end - start - 1, vertices[level]), rows, weights)
            for p in range(count):
                push = load_some(grad, uintp(first + p), column, channels)
                for corner in range(1 << dims):
                    at = corner * STRIP + p
                    row = uintp(rows[at])
                    vertex = load_some(out, row, nought, channels)
                    store(out, row, nought, plus_scaled(vertex, push, weights[at]))
        level = take(queue)


@njit(inline="always")
def dot(table, row, grad, point, column, channels):
    """<table[row], grad of this level>."""
    total = table.dtype.type(0)
    for n in range(len(channels)):
        total += table[row, n] * grad[point, column + n]
    return total


@njit(**KERNEL, parallel=True)
def slope(grad, x, table, scales, vertices, offsets, out, axes, channels):
    """Each task takes one point: dL/dx (N, D) by differences of the corners' values along each axis."""
    one = x.dtype.type(1)
    dims = len(axes)
    for point in prange(x.shape[0]):
        for axis in range(dims):
            out[point, axis] = 0
        for level in range(scales.shape[0]):
            start, scale = offsets[level], scales[level]
            mask, side = offsets[level + 1] - start - 1, vertices[level]
            column = level * len(channels)
            i, u = locate(x, point, 0, dims, scale)
            j, v = locate(x, point, 1, dims, scale)
            k, w = locate(x, point, 2, dims, scale)
            m, s = locate(x, point, 3, dims, scale)
            for part in range(1 << (dims - 2)):
                third, fourth = part & 1, part >> 1
                a, b, c, d = quad(i, j, k + third, m + fourth, side, mask)
                va = dot(table, start + a, grad, point, column, channels)
                vb = dot(table, start + b, grad, point, column, channels)
                vc = dot(table, start + c, grad, point, column, channels)
                vd = dot(table, start + d, grad, point, column, channels)
                weight = share(part, w, s, dims, one) * scale
                out[point, 0] += weight * ((vb - va) * (one - v) + (vd - vc) * v)
                out[point, 1] += weight * ((vc - va) * (one - u) + (vd - vb) * u)
                value = ((va * (one - u) + vb * u) * (one - v) + (vc * (one - u) + vd * u) * v) * scale
                if dims == 3:
                    out[point, 2] += value if third else -value
                if dims > 3:
                    out[point, 2] += (value if third else -value) * (s if fourth else one - s)
                    out[point, 3] += (value if fourth else -value) * (w if third else one - w)
        for axis in range(dims):
            if not 0 <= x[point, axis] <= 1:
                out[point, axis] = 0


class GridArrays(NamedTuple):
    """A grid as the fused kernels' device functions hold it."""

    table: np.ndarray  # (entries, C)
    scales: np.ndarray
    vertices: np.ndarray
    offsets: np.ndarray
    axes: tuple[int, ...]  # as many as there are coordinates
    channels: tuple[int, ...]  # C


def grid_arrays(table: Tensor, layout: Sequence[Tensor]) -> GridArrays:
    """Of a table (entries, C) over three coordinates, and its scales, vertices and offsets."""
    scales, vertices, offsets = (values.numpy() for values in layout)
    return GridArrays(table.detach().numpy(), scales, vertices, offsets, (0,) * 3, (0,) * table.shape[1])


@njit(**INNER)
def encode_grid(grid, x, out):
    """Points (P, 3) in the unit box -> the first columns of out (P, L * C or more). Returns how many these are."""
    layout = (grid.scales, grid.vertices, grid.offsets)
    encode_points(x, grid.table, *layout, out, grid.axes, grid.channels)
    return len(grid.scales) * len(grid.channels)


def arguments(x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> tuple[np.ndarray, ...]:
    """NumPy views of the points and of the layout, in the points' float type."""
    return x.contiguous().numpy(), scales.to(x.dtype).numpy(), vertices.numpy(), offsets.numpy()


@grid_encode.register_kernel("cpu")
def _(x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    points, scale, side, start = arguments(x, scales, vertices, offsets)
    dims, channels = x.shape[1], table.shape[1]
    out = torch.empty(len(x), len(scales) * channels, dtype=table.dtype)
    rows = table.contiguous().numpy()
    block = max(SMALLEST, -(-len(x) // (2 * get_num_threads())))
    encode(points, rows, scale, side, start, out.numpy(), (0,) * dims, (0,) * channels, block)
    return out


@table_grad.register_kernel("cpu")
def _(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    points, scale, side, start = arguments(x, scales, vertices, offsets)
    out = np.empty((entries, channels), grad.numpy().dtype)  # NumPy asks for huge pages, torch does not
    down = grad.contiguous().numpy()
    queue_cpu.share(scatter, down, points, scale, side, start, out, (0,) * x.shape[1], (0,) * channels)
    return torch.from_numpy(out)


@point_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    points, scale, side, start = arguments(x, scales, vertices, offsets)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, down = table.contiguous().numpy(), grad.contiguous().numpy()
    slope(down, points, rows, scale, side, start, out.numpy(), (0,) * x.shape[1], (0,) * table.shape[1])
    return out
