"""Vector-matrix tensor on the CPU, in Numba: what the fused kernels ask at points, and what they hand back.

What tables say is the sum of the density's products, then those of the colour one by one.
"""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fields.arch import vm
from fields.kernels import planes_cpu
from fields.kernels.options_cpu import INNER
from fields.kernels.planes import SPACE
from fields.kernels.tiles_cpu import TILE, add_outer, packed, product, wide
from fields.operands import Operands

LEAD = 1  # inputs in the tile that the first matrix does not read: the density's sum
SHIFT = np.float32(vm.SHIFT)


class Arrays(NamedTuple):
    """Operands as arrays."""

    density: np.ndarray  # (entries, density rank)
    color: np.ndarray  # (entries, colour rank)
    factors: np.ndarray  # (6, 5)
    groups: np.ndarray  # (4,)
    basis: np.ndarray  # (inputs, outputs)
    turned: np.ndarray  # the same, outputs first


def groups() -> Tensor:
    """First factor of each pair (4,)."""
    return torch.arange(0, 2 * len(SPACE) + 1, 2)


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    tables, (factors,) = (table.detach().numpy() for table in operands.tables), operands.fixed
    basis = packed(operands.weights[0].detach().numpy(), LEAD)
    return Arrays(*tables, factors.numpy(), groups().numpy(), basis, np.ascontiguousarray(basis.T))


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    return wide(LEAD + len(SPACE) * int(operands.shape[1]))


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    (density, color), layout = operands.tables, (operands.fixed[0], groups())
    same = push[:, :1].expand(-1, len(SPACE) * density.shape[1])
    return [planes_cpu.table_sums(same, 0, x, density, layout), planes_cpu.table_sums(push, LEAD, x, color, layout)]


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    pairs = len(network.groups) - 1
    layout = (network.factors, network.groups)
    products = np.empty((len(x), pairs * network.density.shape[1]), np.float32)
    planes_cpu.blend_points(x, network.density, *layout, products, 0, True)
    planes_cpu.blend_points(x, network.color, *layout, out, LEAD, True)
    for p in range(len(x)):
        total = np.float32(0)
        for n in range(products.shape[1]):
            total += products[p, n]
        out[p, 0] = total
    out[:, LEAD + pairs * network.color.shape[1] :] = 0


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    color = np.empty((TILE, network.basis.shape[1]), np.float32)
    product(seen, network.basis, color)
    for p in range(TILE):
        out[p, 0] = seen[p, 0] - SHIFT
        for n in range(1, out.shape[1]):
            out[p, n] = color[p, n - 1]


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    color = np.zeros((TILE, network.basis.shape[1]), np.float32)
    for p in range(TILE):
        for n in range(1, push.shape[1]):
            color[p, n - 1] = push[p, n]
    add_outer(seen, color, sums.reshape(network.basis.shape))
    product(color, network.turned, out)
    for p in range(TILE):
        out[p, 0] = push[p, 0]
