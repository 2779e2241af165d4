"""Voxel lookup on the CPU in Numba.

A cell is walked as two faces of four vertices. C comes as a tuple whose length the compiler knows, so that loops over
coefficients become vector instructions.
"""

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from fields.kernels.options_cpu import INNER, KERNEL
from fields.kernels.voxels import EMPTY, point_grad, table_grad, voxels

BLOCK = 1024  # points per task


@njit(inline="always")
def locate(x, point, axis, cells):
    """Cell and fraction of one coordinate, clamped to the unit box (NaN to 0)."""
    inside = x[point, axis]
    if not inside >= 0:
        inside = x.dtype.type(0)
    elif inside > 1:
        inside = x.dtype.type(1)
    place = inside * x.dtype.type(cells)
    low = min(np.int64(place), cells - 1)
    return low, place - x.dtype.type(low)


@njit(inline="always")
def face(index, i, j, k):
    """Rows of the four vertices (j or j + 1, k or k + 1) of layer i."""
    return (
        np.int64(index[i, j, k]),
        np.int64(index[i, j, k + 1]),
        np.int64(index[i, j + 1, k]),
        np.int64(index[i, j + 1, k + 1]),
    )


@njit(inline="always")
def read(density, row, weight, other, value):
    """`value` with this vertex's share of the log-density, and the weight and the row to read its coefficients with: a
    pruned vertex is read as another one, with weight 0."""
    if row >= 0:
        return value + weight * density[row], weight, row
    return value + weight * density.dtype.type(EMPTY), weight * 0, other


@njit(**INNER, fastmath={"contract", "nsz"})
def lookup_points(x, density, coefficients, index, out, channels):
    """Points (P, 3) -> out (P, 1 + C or more)."""
    one = x.dtype.type(1)
    cells = index.shape[0] - 1
    for point in range(len(x)):
        i, u = locate(x, point, 0, cells)
        j, v = locate(x, point, 1, cells)
        k, w = locate(x, point, 2, cells)
        a, b, c, d = face(index, i, j, k)
        e, f, g, h = face(index, i + 1, j, k)
        some = max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))
        if some < 0:  # nothing but empty space
            out[point, 0] = EMPTY
            for n in range(channels):
                out[point, 1 + n] = 0
            continue
        q, r, s, t = (one - v) * (one - w), (one - v) * w, v * (one - w), v * w
        value, wa, a = read(density, a, (one - u) * q, some, density.dtype.type(0))
        value, wb, b = read(density, b, (one - u) * r, some, value)
        value, wc, c = read(density, c, (one - u) * s, some, value)
        value, wd, d = read(density, d, (one - u) * t, some, value)
        value, we, e = read(density, e, u * q, some, value)
        value, wf, f = read(density, f, u * r, some, value)
        value, wg, g = read(density, g, u * s, some, value)
        value, wh, h = read(density, h, u * t, some, value)
        out[point, 0] = value
        for n in range(channels):
            out[point, 1 + n] = (
                wa * coefficients[a, n]
                + wb * coefficients[b, n]
                + wc * coefficients[c, n]
                + wd * coefficients[d, n]
                + we * coefficients[e, n]
                + wf * coefficients[f, n]
                + wg * coefficients[g, n]
                + wh * coefficients[h, n]
            )


@njit(**KERNEL, parallel=True)
def lookup(x, density, coefficients, index, out, channels, block):
    """Each task takes a block of points. Points (N, 3) -> out (N, 1 + C)."""
    for task in prange((x.shape[0] + block - 1) // block):
        begin, end = task * block, min((task + 1) * block, x.shape[0])
        lookup_points(x[begin:end], density, coefficients, index, out[begin:end], channels)


@njit(inline="always")
def add(row, weight, grad, point, for_density, for_coefficients, channels):
    """One vertex's share of a point's gradient."""
    if row >= 0:
        for_density[row] += weight * grad[point, 0]
        for n in range(channels):
            for_coefficients[row, n] += weight * grad[point, 1 + n]


@njit(**KERNEL, parallel=True, fastmath={"contract", "nsz"})
def scatter(grad, x, index, bounds, for_density, for_coefficients, channels):
    """Each task owns the layers bounds[task] to bounds[task + 1] of vertices and looks for the points that touch them:
    no row has two writers, and the order of every sum is that of the points. Both tables come with zeros."""
    one = x.dtype.type(1)
    cells = index.shape[0] - 1
    for task in prange(len(bounds) - 1):
        first, last = bounds[task], bounds[task + 1]
        for point in range(x.shape[0]):
            i, u = locate(x, point, 0, cells)
            if i + 1 < first or i >= last:
                continue
            j, v = locate(x, point, 1, cells)
            k, w = locate(x, point, 2, cells)
            for part in range(max(first - i, 0), min(last - i, 2)):
                weight = u if part else one - u
                near, far = weight * (one - v), weight * v
                a, b, c, d = face(index, i + part, j, k)
                add(a, near * (one - w), grad, point, for_density, for_coefficients, channels)
                add(b, near * w, grad, point, for_density, for_coefficients, channels)
                add(c, far * (one - w), grad, point, for_density, for_coefficients, channels)
                add(d, far * w, grad, point, for_density, for_coefficients, channels)


@njit(**KERNEL)
def layers(x, cells):
    """Points in each layer of cells along the first axis."""
    counts = np.zeros(cells + 1, np.int64)
    for point in range(x.shape[0]):
        counts[locate(x, point, 0, cells)[0]] += 1
    return counts


@njit(inline="always")
def dot(density, coefficients, row, grad, point, channels):
    """<what the vertex holds, grad of the point>."""
    if row < 0:
        return density.dtype.type(EMPTY) * grad[point, 0]
    total = density[row] * grad[point, 0]
    for n in range(channels):
        total += coefficients[row, n] * grad[point, 1 + n]
    return total


@njit(**KERNEL, parallel=True)
def slope(grad, x, density, coefficients, index, out, channels):
    """Each task takes one point: dL/dx (N, 3) by differences of the vertices' values along each axis."""
    one = x.dtype.type(1)
    cells = index.shape[0] - 1
    for point in prange(x.shape[0]):
        i, u = locate(x, point, 0, cells)
        j, v = locate(x, point, 1, cells)
        k, w = locate(x, point, 2, cells)
        for axis in range(3):
            out[point, axis] = 0
        for part in range(2):
            weight = u if part else one - u
            a, b, c, d = face(index, i + part, j, k)
            va = dot(density, coefficients, a, grad, point, channels)
            vb = dot(density, coefficients, b, grad, point, channels)
            vc = dot(density, coefficients, c, grad, point, channels)
            vd = dot(density, coefficients, d, grad, point, channels)
            value = (va * (one - w) + vb * w) * (one - v) + (vc * (one - w) + vd * w) * v
            out[point, 0] += value if part else -value
            out[point, 1] += weight * ((vc - va) * (one - w) + (vd - vb) * w)
            out[point, 2] += weight * ((vb - va) * (one - v) + (vd - vc) * v)
        for axis in range(3):
            out[point, axis] *= x.dtype.type(cells) if 0 <= x[point, axis] <= 1 else x.dtype.type(0)


def shares(points: np.ndarray, cells: int) -> np.ndarray:
    """Bounds (threads + 1,) of the layers of vertices that each thread owns, with about equal numbers of points."""
    threads = get_num_threads()
    before = layers(points, cells).cumsum()
    cuts = np.searchsorted(before, before[-1] * np.arange(1, threads) / threads) + 1
    return np.concatenate([[0], np.minimum(cuts, cells + 1), [cells + 1]])


@voxels.register_kernel("cpu")
def _(x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    channels = coefficients.shape[1]
    out = torch.empty(len(x), 1 + channels, dtype=density.dtype)
    tables = (density.contiguous().numpy(), coefficients.contiguous().numpy())
    block = max(1, min(BLOCK, -(-len(x) // (4 * get_num_threads()))))
    lookup(x.contiguous().numpy(), *tables, index.contiguous().numpy(), out.numpy(), channels, block)
    return out


@table_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    return table_sums(grad, x, index, (rows, grad.shape[1] - 1))


def table_sums(grad: Tensor, x: Tensor, index: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`table_grad` of the first columns of grad (N, 1 + C or more), for tables of size (K, C)."""
    down, points = grad.contiguous().numpy(), x.contiguous().numpy()
    for_density = np.zeros(size[0], down.dtype)
    for_coefficients = np.zeros(size, down.dtype)  # NumPy asks for huge pages, torch not
    bounds = shares(points, index.shape[0] - 1)
    scatter(down, points, index.contiguous().numpy(), bounds, for_density, for_coefficients, size[1])
    return torch.from_numpy(for_density), torch.from_numpy(for_coefficients)


@point_grad.register_kernel("cpu")
def _(grad: Tensor, x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    tables = (density.contiguous().numpy(), coefficients.contiguous().numpy())
    down, channels = grad.contiguous().numpy(), coefficients.shape[1]
    slope(down, x.contiguous().numpy(), *tables, index.contiguous().numpy(), out.numpy(), channels)
    return out
