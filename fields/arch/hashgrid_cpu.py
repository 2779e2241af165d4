"""Hash grid on the CPU, in Numba: what the fused kernels ask at points, and what they hand back."""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels import perceptron_cpu
from fields.kernels.grid import table_grad
from fields.kernels.grid_cpu import GridArrays, encode_grid, grid_arrays
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import packed, wide
from fields.operands import Operands

LEAD = 0  # inputs in the tile that the first matrix does not read


class Arrays(NamedTuple):
    """Operands as arrays."""

    grid: GridArrays
    weights: tuple[np.ndarray, ...]  # of both layers, (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    weights = tuple(packed(weight.detach().numpy()) for weight in operands.weights)
    turned = tuple(np.ascontiguousarray(weight.T) for weight in weights)
    return Arrays(grid_arrays(operands.tables[0], operands.fixed), weights, turned)


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    levels, channels, *_ = operands.shape
    return wide(int(levels * channels))


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    (table,), (levels, channels, *_) = operands.tables, operands.shape
    return [table_grad(push[:, : int(levels * channels)], x, *operands.fixed, *table.shape)]


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    out[:, encode_grid(network.grid, x, out) :] = 0


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    perceptron_cpu.two_layers(seen, network.weights, out)


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    perceptron_cpu.two_layers_grad(seen, push, network.weights, network.turned, sums, out)
