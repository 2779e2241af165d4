"""CAM on the CPU, in Numba: what the fused kernels ask at points, and what they hand back.

The grid says what scales and shifts the layers; the point itself is kept beside it, and its waves are made again.
Weights and grid are rounded once for each call.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels.dense_cpu import DenseArrays, as_filed, run, run_grad, stacked, workspace
from fields.kernels.grid import table_grad
from fields.kernels.grid_cpu import GridArrays, encode_grid, grid_arrays
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import TILE
from fields.kernels.waves_cpu import waves
from fields.operands import Operands
from fields.quantize import rounded

LEAD = 0  # inputs in the tile that the first matrix does not read


class Arrays(NamedTuple):
    """Operands as arrays."""

    grid: GridArrays  # 2 depth numbers at each vertex
    cycles: np.ndarray  # (K,)
    stack: DenseArrays


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    _, skip, bits = map(int, operands.shape)
    cycles, *layout = operands.fixed
    table = rounded(operands.tables[0].detach(), bits).T.contiguous()
    weights = tuple(as_filed(weight, bits) for weight in operands.weights)
    stack = stacked(weights, LEAD, skip, modulated=True)
    return Arrays(grid_arrays(table, layout), cycles.numpy(), stack)


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    return 2 * int(operands.shape[0]) + 3


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    (grid,), (_, *layout) = operands.tables, operands.fixed
    entries, channels = grid.shape[::-1]
    return [table_grad(push[:, :channels], x, *layout, entries, channels).T.contiguous()]


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    first = encode_grid(network.grid, x, out)
    for p in range(len(x)):
        for axis in range(3):
            out[p, first + axis] = x[p, axis]


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, len(network.grid.channels), network.cycles, first)
    run(network.stack, first, seen, workspace(network.stack, 2), out)


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, len(network.grid.channels), network.cycles, first)
    space = workspace(network.stack, len(network.stack.layers))
    run(network.stack, first, seen, space, np.empty_like(push))
    run_grad(network.stack, seen, space, push, sums, out, first[:, :0])
    out[:, len(network.grid.channels) :] = 0
