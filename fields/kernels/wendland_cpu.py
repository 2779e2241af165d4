"""Wendland kernels on the CPU in Numba: tasks take blocks of points, each point walks the list of its cell.

Waves are taken with a polynomial sine over the channels, which lie side by side, so that it vectorises: 0.3 ns a number
in float32 where NumPy's takes 3.7. F comes as a tuple whose length the compiler knows: loops of 16 numbers unroll.
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from fields.kernels.options_cpu import INNER, KERNEL
from fields.kernels.wendland import coefficient_grad, point_grad, wendland

BLOCK = 512  # points per task
PARTS = 16  # tasks of a scatter at most, each with its own sums: the order of sums is free of the number of threads
SUMS = 1 << 23  # numbers in all those sums together; one part alone may have more
K3, K5, K7, K9 = -1 / 6, 1 / 120, -1 / 5040, 1 / 362880
K11, K13, K15 = -1 / 39916800, 1 / 6227020800, -1 / 1307674368000


@njit(inline="always")
def sine(a):
    """sin a to 1e-11 for |a| up to some hundreds: whole half turns off, then Taylor's series."""
    kind = type(a)
    turns = np.floor(a * kind(1 / np.pi) + kind(0.5))
    b = a - turns * kind(np.pi)
    s = b * b
    tail = kind(K9) + s * (kind(K11) + s * (kind(K13) + s * kind(K15)))
    odd = turns - kind(2) * np.floor(turns * kind(0.5))
    return (kind(1) - kind(2) * odd) * (b + b * s * (kind(K3) + s * (kind(K5) + s * (kind(K7) + s * tail))))


@njit(inline="always")
def inside(x, point, axis):
    """A coordinate clamped to the unit box, NaN to 0."""
    value = x[point, axis]
    if not value >= 0:
        return x.dtype.type(0)
    return min(value, x.dtype.type(1))


@njit(inline="always")
def cell_of(u, v, w, cells):
    """Number of the cell that holds a point of the unit box."""
    side = type(u)(cells)
    i, j, k = min(np.int64(u * side), cells - 1), min(np.int64(v * side), cells - 1), min(np.int64(w * side), cells - 1)
    return i + cells * (j + cells * k)


@njit(inline="always")
def frame(u, v, w, centres, shapes, m):
    """y = U (x - c) of kernel m."""
    du, dv, dw = u - centres[m, 0], v - centres[m, 1], w - centres[m, 2]
    a = shapes[m, 0] * du + shapes[m, 1] * dv + shapes[m, 2] * dw
    return a, shapes[m, 3] * dv + shapes[m, 4] * dw, shapes[m, 5] * dw


@njit(inline="always")
def bump(q):
    """phi of q = r^2 < 1."""
    one = type(q)(1)
    r = np.sqrt(q)
    rest = (one - r) * (one - r)
    return rest * rest * (type(q)(4) * r + one)


@njit(**INNER, fastmath={"contract", "nsz"})
def gather_points(x, coefficients, centres, shapes, waves, starts, members, out, first, cells, channels):
    """f of points (P, 3) into F columns of `out`, from `first` on."""
    for point in range(len(x)):
        u, v, w = inside(x, point, 0), inside(x, point, 1), inside(x, point, 2)
        cell = cell_of(u, v, w, cells)
        row = out[point, first : first + len(channels)]
        row[:] = 0
        for entry in range(starts[cell], starts[cell + 1]):
            m = members[entry]
            a, b, c = frame(u, v, w, centres, shapes, m)
            q = a * a + b * b + c * c
            if q < 1:
                phi, values = bump(q), coefficients[m]
                for j in range(len(channels)):
                    row[j] += values[j] * sine(phi * waves[j])


@njit(**KERNEL, parallel=True)
def gather(x, coefficients, centres, shapes, waves, starts, members, out, cells, channels):
    """Each task takes BLOCK points: f (N, F) into `out`."""
    for task in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        begin, end = task * BLOCK, min((task + 1) * BLOCK, x.shape[0])
        own = out[begin:end]
        gather_points(x[begin:end], coefficients, centres, shapes, waves, starts, members, own, 0, cells, channels)


@njit(**KERNEL, parallel=True, fastmath={"contract", "nsz"})
def scatter(grad, x, centres, shapes, waves, starts, members, out, cells, channels):
    """Each task takes its share of the points and its own sums out[task] (M, F), which come with zeros."""
    share = (x.shape[0] + out.shape[0] - 1) // out.shape[0]
    for task in prange(out.shape[0]):
        for point in range(task * share, min((task + 1) * share, x.shape[0])):
            u, v, w = inside(x, point, 0), inside(x, point, 1), inside(x, point, 2)
            cell = cell_of(u, v, w, cells)
            row = grad[point]
            for entry in range(starts[cell], starts[cell + 1]):
                m = members[entry]
                a, b, c = frame(u, v, w, centres, shapes, m)
                q = a * a + b * b + c * c
                if q < 1:
                    phi, sums = bump(q), out[task, m]
                    for j in range(len(channels)):
                        sums[j] += row[j] * sine(phi * waves[j])


@njit(**KERNEL, parallel=True, fastmath={"contract", "nsz", "reassoc"})
def slope(grad, x, coefficients, centres, shapes, waves, starts, members, out, cells, channels):
    """Each task takes BLOCK points: dL/dx (N, 3) into `out`; a cosine is the sine a quarter turn on."""
    one, quarter = x.dtype.type(1), x.dtype.type(np.pi / 2)
    for task in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        for point in range(task * BLOCK, min((task + 1) * BLOCK, x.shape[0])):
            u, v, w = inside(x, point, 0), inside(x, point, 1), inside(x, point, 2)
            cell = cell_of(u, v, w, cells)
            row = grad[point]
            out[point, :] = 0
            for entry in range(starts[cell], starts[cell + 1]):
                m = members[entry]
                a, b, c = frame(u, v, w, centres, shapes, m)
                q = a * a + b * b + c * c
                if q < 1:
                    phi, values, along = bump(q), coefficients[m], x.dtype.type(0)
                    for j in range(len(channels)):
                        along += row[j] * values[j] * waves[j] * sine(phi * waves[j] + quarter)
                    rest = one - np.sqrt(q)
                    along *= x.dtype.type(-20) * rest * rest * rest
                    out[point, 0] += along * shapes[m, 0] * a
                    out[point, 1] += along * (shapes[m, 1] * a + shapes[m, 3] * b)
                    out[point, 2] += along * (shapes[m, 2] * a + shapes[m, 4] * b + shapes[m, 5] * c)
            for axis in range(3):
                if not 0 <= x[point, axis] <= 1:
                    out[point, axis] = 0


def arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """NumPy views."""
    return tuple(t.contiguous().numpy() for t in tensors)


def side(starts: Tensor) -> int:
    """Cells along the box's side."""
    return round((len(starts) - 1) ** (1 / 3))


@wendland.register_kernel("cpu")
def _(
    x: Tensor, coefficients: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    out = torch.empty(len(x), coefficients.shape[1], dtype=x.dtype)
    inputs = arrays(x, coefficients, centres, shapes, waves, starts, members)
    gather(*inputs, out.numpy(), side(starts), (0,) * out.shape[1])
    return out


@coefficient_grad.register_kernel("cpu")
def _(
    grad: Tensor,
    x: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    size = len(centres) * grad.shape[1]
    parts = min(max(SUMS // max(size, 1), 1), PARTS)
    out = np.zeros((parts, len(centres), grad.shape[1]), grad.numpy().dtype)
    scatter(*arrays(grad, x, centres, shapes, waves, starts, members), out, side(starts), (0,) * grad.shape[1])
    return torch.from_numpy(out).sum(0)


@point_grad.register_kernel("cpu")
def _(
    grad: Tensor,
    x: Tensor,
    coefficients: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    inputs = arrays(grad, x, coefficients, centres, shapes, waves, starts, members)
    slope(*inputs, out.numpy(), side(starts), (0,) * grad.shape[1])
    return out
