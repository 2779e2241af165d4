"""CAM on the CPU, in Numba: what the fused kernels ask at points, and what they hand back.

The grid says what scales and shifts the layers; the point itself is kept beside it, and its waves are made again.
Weights and grid are rounded once for each call.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels import grid_cpu
from fields.kernels.dense_cpu import DenseArrays, run, run_grad, stacked, workspace
from fields.kernels.grid import table_grad
from fields.kernels.tiles_cpu import TILE
from fields.kernels.waves_cpu import waves
from fields.operands import Operands
from fields.quantize import rounded

LEAD = 0  # inputs in the tile that the first matrix does not read


class Arrays(NamedTuple):
    """Operands as arrays."""

    table: np.ndarray  # (V^3, 2 depth)
    scales: np.ndarray
    vertices: np.ndarray
    offsets: np.ndarray
    axes: tuple[int, ...]  # as many as there are coordinates
    channels: tuple[int, ...]  # 2 depth
    cycles: np.ndarray  # (K,)
    stack: DenseArrays


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    depth, skip, bits = map(int, operands.shape)
    cycles, *layout = (values.numpy() for values in operands.fixed)
    table = rounded(operands.tables[0].detach(), bits).T.contiguous().numpy()
    weights = tuple(given(weight, bits) for weight in operands.weights)
    stack = stacked(weights, LEAD, skip, modulated=True)
    return Arrays(table, *layout, (0,) * 3, (0,) * (2 * depth), cycles, stack)


def given(weight: Tensor, bits: int) -> np.ndarray:
    """A matrix as a file of so many bits would hold it, or a bias."""
    weight = weight.detach()
    return (rounded(weight, bits) if weight.dim() > 1 else weight).numpy()


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    return 2 * int(operands.shape[0]) + 3


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    (grid,), (_, *layout) = operands.tables, operands.fixed
    entries, channels = grid.shape[::-1]
    return [table_grad(push[:, :channels], x, *layout, entries, channels).T.contiguous()]


@njit(nogil=True, error_model="numpy")
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    layout = (network.scales, network.vertices, network.offsets)
    grid_cpu.encode_points(x, network.table, *layout, out, network.axes, network.channels)
    for p in range(len(x)):
        for axis in range(3):
            out[p, len(network.channels) + axis] = x[p, axis]


@njit(nogil=True, error_model="numpy")
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, len(network.channels), network.cycles, first)
    run(network.stack, first, seen, workspace(network.stack, 2), out)


@njit(nogil=True, error_model="numpy")
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, len(network.channels), network.cycles, first)
    space = workspace(network.stack, len(network.stack.layers))
    run(network.stack, first, seen, space, np.empty_like(push))
    run_grad(network.stack, seen, space, push, sums, out, first[:, :0])
    out[:, len(network.channels) :] = 0
