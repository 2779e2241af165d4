"""Plain ReLU networks over coordinates on the CPU, in Numba: what the fused kernels ask at points, and what they hand
back. There are no tables: the point itself is kept, and its waves are made again."""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels.dense_cpu import DenseArrays, run, run_grad, stacked, workspace
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import TILE
from fields.kernels.waves_cpu import waves
from fields.operands import Operands

LEAD = 0  # inputs in the tile that the first matrix does not read


class Arrays(NamedTuple):
    """Operands as arrays."""

    cycles: np.ndarray  # (K,)
    stack: DenseArrays


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    weights = tuple(weight.detach().numpy() for weight in operands.weights)
    return Arrays(operands.fixed[0].numpy(), stacked(weights, LEAD, int(operands.shape[2]), modulated=False))


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    return 3


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    return []


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    for p in range(len(x)):
        for axis in range(3):
            out[p, axis] = x[p, axis]


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, 0, network.cycles, first)
    run(network.stack, first, seen, workspace(network.stack, 2), out)


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    first = np.empty((TILE, network.stack.layers[0, 1]), np.float32)
    waves(seen, 0, network.cycles, first)
    space = workspace(network.stack, len(network.stack.layers))
    run(network.stack, first, seen, space, np.empty_like(push))
    run_grad(network.stack, seen, space, push, sums, out, first[:, :0])
    out[:] = 0
