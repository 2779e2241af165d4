"""Voxels on the CPU, in Numba: what the fused kernels ask at points, and what they hand back. The tables say the
features themselves."""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels import voxels_cpu
from fields.kernels.dense_cpu import copied
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import wide
from fields.operands import Operands

LEAD = 0  # there is no matrix


class Arrays(NamedTuple):
    """Operands as arrays."""

    density: np.ndarray  # (K,)
    coefficients: np.ndarray  # (K, C)
    index: np.ndarray  # (V, V, V) int32


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    return Arrays(*(table.detach().numpy() for table in operands.tables), operands.fixed[0].numpy())


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    return wide(operands.width)


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    _, coefficients = operands.tables
    return [*voxels_cpu.table_sums(push, x, operands.fixed[0], (len(coefficients), coefficients.shape[1]))]


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    channels = network.coefficients.shape[1]
    voxels_cpu.lookup_points(x, network.density, network.coefficients, network.index, out, channels)
    out[:, 1 + channels :] = 0


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    copied(seen, seen.shape[1], out, 0)


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    copied(push, push.shape[1], out, 0)
