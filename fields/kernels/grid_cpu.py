"""Grid encode on the CPU in Numba: one level at a time over a large block of points, so that the level stays in cache.

A cell is walked as 2^(D-2) slices of four corners. D and C come as tuples whose lengths the compiler knows, so that all
inner loops unroll; kernels are module-level functions because Numba's on-disk cache cannot hold closures over kernels.
"""

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from fields.kernels.grid import PRIMES, grid_encode, point_grad, table_grad

SMALLEST = 512  # points per task at least
P1, P2, P3 = PRIMES[1:]


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


@njit(parallel=True, nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def encode(x, table, scales, vertices, offsets, out, axes, channels, block):
    """Each task takes a block of points through all levels. Points (N, D) -> out (N, L * C)."""
    one = x.dtype.type(1)
    dims = len(axes)
    for task in prange((x.shape[0] + block - 1) // block):
        for level in range(scales.shape[0]):
            start, scale = offsets[level], scales[level]
            mask, side = offsets[level + 1] - start - 1, vertices[level]
            column = level * len(channels)
            for point in range(task * block, min((task + 1) * block, x.shape[0])):
                i, u = locate(x, point, 0, dims, scale)
                j, v = locate(x, point, 1, dims, scale)
                k, w = locate(x, point, 2, dims, scale)
                m, s = locate(x, point, 3, dims, scale)
                for part in range(1 << (dims - 2)):
                    a, b, c, d = quad(i, j, k + (part & 1), m + (part >> 1), side, mask)
                    weight = share(part, w, s, dims, one)
                    near, far = (one - v) * weight, v * weight
                    wa, wb, wc, wd = (one - u) * near, u * near, (one - u) * far, u * far
                    for n in range(len(channels)):
                        value = (
                            wa * table[start + a, n]
                            + wb * table[start + b, n]
                            + wc * table[start + c, n]
                            + wd * table[start + d, n]
                        )
                        if part == 0:
                            out[point, column + n] = value
                        else:
                            out[point, column + n] += value


@njit(parallel=True, nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def scatter(grad, x, scales, vertices, offsets, out, axes, channels):
    """Each task owns a level: no entry has two writers, the order of every sum is fixed. `out` comes with zeros."""
    one = x.dtype.type(1)
    dims = len(axes)
    for level in prange(scales.shape[0]):
        start, scale = offsets[level], scales[level]
        mask, side = offsets[level + 1] - start - 1, vertices[level]
        column = level * len(channels)
        for point in range(x.shape[0]):
            i, u = locate(x, point, 0, dims, scale)
            j, v = locate(x, point, 1, dims, scale)
            k, w = locate(x, point, 2, dims, scale)
            m, s = locate(x, point, 3, dims, scale)
            for part in range(1 << (dims - 2)):
                a, b, c, d = quad(i, j, k + (part & 1), m + (part >> 1), side, mask)
                weight = share(part, w, s, dims, one)
                near, far = (one - v) * weight, v * weight
                wa, wb, wc, wd = (one - u) * near, u * near, (one - u) * far, u * far
                for n in range(len(channels)):
                    out[start + a, n] += wa * grad[point, column + n]
                for n in range(len(channels)):
                    out[start + b, n] += wb * grad[point, column + n]
                for n in range(len(channels)):
                    out[start + c, n] += wc * grad[point, column + n]
                for n in range(len(channels)):
                    out[start + d, n] += wd * grad[point, column + n]


@njit(inline="always")
def dot(table, row, grad, point, column, channels):
    """<table[row], grad of this level>."""
    total = table.dtype.type(0)
    for n in range(len(channels)):
        total += table[row, n] * grad[point, column + n]
    return total


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
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
    out = torch.from_numpy(np.zeros((entries, channels), grad.numpy().dtype))  # NumPy asks for huge pages, torch not
    down = grad.contiguous().numpy()
    scatter(down, points, scale, side, start, out.numpy(), (0,) * x.shape[1], (0,) * channels)
    return out


@point_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    points, scale, side, start = arguments(x, scales, vertices, offsets)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, down = table.contiguous().numpy(), grad.contiguous().numpy()
    slope(down, points, rows, scale, side, start, out.numpy(), (0,) * x.shape[1], (0,) * table.shape[1])
    return out
