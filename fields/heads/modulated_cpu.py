"""Device functions of the modulated head on the CPU, in Numba: density, colour whose layers are scaled and shifted by a
grid over directions, and their gradients. Weights and grid are rounded once for each call."""

from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.dense_cpu import DenseArrays, as_filed, run, run_grad, stacked, workspace_in, workspace_size
from fields.kernels.options_cpu import INNER
from fields.kernels.shading_cpu import (
    color_inputs,
    color_pull,
    first_density,
    first_density_grad,
    shown,
    shown_grad,
)
from fields.kernels.tiles_cpu import TILE, packed
from fields.operands import Operands
from fields.quantize import rounded

LEAD = 1  # inputs in the tile that the first matrix does not read: log-density
SCALARS = 4  # gamma - 1 and beta of two layers


class Arrays(NamedTuple):
    """Operands as arrays."""

    width: int  # of the features
    outputs: int  # of the network, rounded up
    azimuths: int
    elevations: int
    kept: int  # numbers that `color` leaves of a tile
    grid: np.ndarray  # (elevations * azimuths, SCALARS rounded up), the poles' rows all alike
    stack: DenseArrays


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    azimuths, elevations, bits = map(int, operands.shape)
    *weights, grid = operands.weights
    seen = rounded(grid.detach(), bits).clone()
    seen[:, [0, -1]] = seen[:, [0, -1]].mean(2, keepdim=True)
    stack = stacked(tuple(as_filed(weight, bits) for weight in weights), LEAD, 0, modulated=True)
    grid = packed(seen.flatten(1).numpy())
    kept = TILE * SCALARS + workspace_size(stack)
    return Arrays(operands.width, int(stack.layers[-1, 2]), azimuths, elevations, kept, grid, stack)


@njit(**INNER)
def density(head, f, out):
    """See fields/kernels/fused_cpu.py."""
    first_density(f, out)


@njit(**INNER)
def density_grad(head, f, for_sigma, out):
    """See fields/kernels/fused_cpu.py."""
    first_density_grad(f, for_sigma, out)


@njit(**INNER)
def cell(place, last):
    """Lower vertex and fraction above it of a place among so many, clamped, NaN to 0."""
    place = place if place >= 0 else np.float32(0)
    place = min(place, np.float32(last))
    low = np.int64(place)
    return low, place - np.float32(low)


@njit(**INNER)
def around(head, d, p, rows, weights):
    """Rows of the grid around direction p, and their weights, (4,) each."""
    x, y, z = d[p, 0], d[p, 1], d[p, 2]
    half = np.float32(0.5)
    turn = np.arctan2(y, x) * np.float32(1 / (2 * np.pi)) + half
    rise = np.arctan2(z, np.sqrt(x * x + y * y)) * np.float32(1 / np.pi) + half
    i, u = cell(turn * np.float32(head.azimuths) + half, head.azimuths + 1)
    j, v = cell(rise * np.float32(head.elevations - 1), head.elevations - 1)
    near, far = i % head.azimuths, (i + 1) % head.azimuths
    low, high = j * head.azimuths, min(j + 1, head.elevations - 1) * head.azimuths
    one = np.float32(1)
    rows[0], rows[1], rows[2], rows[3] = low + near, low + far, high + near, high + far
    weights[0], weights[1] = (one - u) * (one - v), u * (one - v)
    weights[2], weights[3] = (one - u) * v, u * v


@njit(**INNER)
def same(d, p):
    """Whether a direction is the one before: those of a ray's points are."""
    return d[p, 0] == d[p - 1, 0] and d[p, 1] == d[p - 1, 1] and d[p, 2] == d[p - 1, 2]


@njit(**INNER)
def scalars(head, d, out):
    """What the grid says along directions d (TILE, 3): out (TILE, SCALARS)."""
    rows, weights = np.empty(4, np.int64), np.empty(4, np.float32)
    for p in range(TILE):
        for n in range(SCALARS):
            out[p, n] = 0
        if p > 0 and same(d, p):
            for n in range(SCALARS):
                out[p, n] = out[p - 1, n]
            continue
        around(head, d, p, rows, weights)
        for corner in range(4):
            for n in range(SCALARS):
                out[p, n] += weights[corner] * head.grid[rows[corner], n]


@njit(**INNER)
def scalars_grad(head, d, push, sums):
    """Adds to the gradient of the grid, sums (elevations * azimuths, SCALARS or more), from push (TILE, SCALARS). What
    comes to a vertex of a pole, all of its azimuths share."""
    rows, weights = np.empty(4, np.int64), np.empty(4, np.float32)
    last, part = (head.elevations - 1) * head.azimuths, np.float32(1) / np.float32(head.azimuths)
    for p in range(TILE):
        if p == 0 or not same(d, p):
            around(head, d, p, rows, weights)
        for corner in range(4):
            row, weight = rows[corner], weights[corner]
            if row < head.azimuths or row >= last:
                first = 0 if row < head.azimuths else last
                for other in range(first, first + head.azimuths):
                    for n in range(SCALARS):
                        sums[other, n] += part * weight * push[p, n]
            else:
                for n in range(SCALARS):
                    sums[row, n] += weight * push[p, n]


@njit(**INNER)
def color(head, f, d, kept, out):
    """See fields/kernels/fused_cpu.py."""
    said, space = kept[: TILE * SCALARS].reshape((TILE, SCALARS)), workspace_in(head.stack, kept[TILE * SCALARS :])
    seen, last = np.empty((TILE, head.stack.layers[0, 1]), np.float32), np.empty((TILE, head.outputs), np.float32)
    color_inputs(f, d, head.width, seen)
    scalars(head, d, said)
    run(head.stack, seen, said, space, last)
    shown(last, out)


@njit(**INNER)
def color_grad(head, d, kept, rgb, for_rgb, sums, out):
    """See fields/kernels/fused_cpu.py."""
    said, space = kept[: TILE * SCALARS].reshape((TILE, SCALARS)), workspace_in(head.stack, kept[TILE * SCALARS :])
    push, pull = np.empty((TILE, head.outputs), np.float32), np.empty((TILE, head.stack.layers[0, 1]), np.float32)
    own, for_scalars = len(head.stack.numbers), np.zeros_like(said)
    shown_grad(rgb, for_rgb, push)
    run_grad(head.stack, said, space, push, sums[:own], for_scalars, pull)
    scalars_grad(head, d, for_scalars, sums[own:].reshape(head.grid.shape))
    color_pull(pull, head.width, out)
