"""Tri-plane on the CPU, in Numba: what the fused kernels ask at points, and what they hand back."""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fields.arch import triplane
from fields.kernels import perceptron_cpu, planes_cpu
from fields.kernels.options_cpu import INNER
from fields.kernels.planes import SPACE
from fields.kernels.tiles_cpu import TILE, packed, wide
from fields.operands import Operands

LEAD = 0  # inputs in the tile that the first matrix does not read
SHIFT = np.float32(triplane.SHIFT)


class Arrays(NamedTuple):
    """Operands as arrays."""

    table: np.ndarray  # (entries, C)
    factors: np.ndarray  # (3 scales, 5)
    groups: np.ndarray  # (scales + 1,), the planes of a scale together, also where they are summed
    multiplied: bool
    weights: tuple[np.ndarray, ...]  # of both layers, (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first


def groups(factors: Tensor) -> Tensor:
    """First plane of each scale (scales + 1,)."""
    return torch.arange(0, len(factors) + 1, len(SPACE))


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    (table,), (factors,) = operands.tables, operands.fixed
    weights = tuple(packed(weight.detach().numpy()) for weight in operands.weights)
    turned = tuple(np.ascontiguousarray(weight.T) for weight in weights)
    layout = (factors.numpy(), groups(factors).numpy())
    return Arrays(table.detach().numpy(), *layout, bool(operands.shape[4]), weights, turned)


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    _, scales, channels, *_ = operands.shape
    return wide(int(scales * channels))


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    (table,), (factors,) = operands.tables, operands.fixed
    layout = (factors, groups(factors))
    return [planes_cpu.table_sums(push, 0, x, table, layout, multiplied=bool(operands.shape[4]))]


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    layout = (network.factors, network.groups)
    out[:, (len(network.groups) - 1) * network.table.shape[1] :] = 0
    planes_cpu.blend_points(x, network.table, *layout, out, 0, network.multiplied)


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    perceptron_cpu.two_layers(seen, network.weights, out)
    for p in range(TILE):
        out[p, 0] -= SHIFT


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    perceptron_cpu.two_layers_grad(seen, push, network.weights, network.turned, sums, out)
