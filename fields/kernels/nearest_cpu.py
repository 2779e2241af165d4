"""Nearest centre on the CPU in Numba: centres lie in buckets of a cube; each point looks through shells of buckets
around its own until no other can hold a nearer one."""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from fields.kernels.nearest import nearest
from fields.kernels.options_cpu import KERNEL

FINEST = 128  # buckets along the cube's side at most
BLOCK = 256  # points per task


@njit(inline="always")
def bucket(value, low, scale, side):
    """Bucket of a coordinate; those outside the cube, and NaN, go to the border."""
    place = (value - low) * scale
    if not place >= 0:
        return np.int64(0)
    return np.int64(min(place, side - 1))


@njit(inline="always")
def shell(x, point, centres, order, starts, at, ring, side, best, number):
    """Best squared distance and its centre after the buckets at Chebyshev distance `ring` from `at`."""
    i, j, k = at
    for c in range(max(k - ring, 0), min(k + ring, side - 1) + 1):
        for b in range(max(j - ring, 0), min(j + ring, side - 1) + 1):
            step = 1 if abs(c - k) == ring or abs(b - j) == ring else max(2 * ring, 1)
            for a in range(i - ring, i + ring + 1, step):
                if 0 <= a < side:
                    cell = a + side * (b + side * c)
                    for entry in range(starts[cell], starts[cell + 1]):
                        m = order[entry]
                        u, v = x[point, 0] - centres[m, 0], x[point, 1] - centres[m, 1]
                        w = x[point, 2] - centres[m, 2]
                        away = u * u + v * v + w * w
                        if away < best:
                            best, number = away, m
    return best, number


@njit(**KERNEL, parallel=True)
def search(x, centres, order, starts, low, scale, side, out):
    """Each task takes BLOCK points. A bucket in shell r + 1 is at least r bucket widths away, plus the way to the edge
    of the point's own bucket; a point outside the cube only lies farther."""
    width = 1 / scale
    for task in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        for point in range(task * BLOCK, min((task + 1) * BLOCK, x.shape[0])):
            i = bucket(x[point, 0], low[0], scale, side)
            j = bucket(x[point, 1], low[1], scale, side)
            k = bucket(x[point, 2], low[2], scale, side)
            best, number = np.inf, np.int64(0)
            for ring in range(side):
                best, number = shell(x, point, centres, order, starts, (i, j, k), ring, side, best, number)
                if best <= ((ring - 0.001) * width) ** 2 and ring > 0:
                    break
            out[point] = number


def buckets(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, int]:
    """Centres in order of their buckets, where each bucket starts, the cube's low corner, buckets per unit, and their
    number along the side. Centres mostly lie on surfaces: about two to a bucket of a face."""
    side = min(max(int((len(centres) / 2) ** 0.5), 1), FINEST)
    low, high = centres.min(0), centres.max(0)
    scale = side / max(float((high - low).max()) * 1.001, 1e-12)
    cell = np.clip(((centres - low) * scale).astype(np.int64), 0, side - 1) @ np.array([1, side, side * side])
    starts = np.zeros(side**3 + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(cell, minlength=side**3))
    return np.argsort(cell, kind="stable"), starts, low, scale, side


@nearest.register_kernel("cpu")
def _(x: Tensor, centres: Tensor) -> Tensor:
    out = torch.empty(len(x), dtype=torch.int64)
    rows = centres.contiguous().numpy()
    search(x.contiguous().numpy(), rows, *buckets(rows), out.numpy())
    return out
