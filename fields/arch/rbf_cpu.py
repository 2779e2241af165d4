"""RBF on the CPU, in Numba: the grid and Gaussians that read it, or kernels in space beside it and a decoder."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from numba.extending import overload
from torch import Tensor

from fields.kernels import gaussians_cpu, perceptron_cpu, wendland_cpu
from fields.kernels.grid import table_grad
from fields.kernels.grid_cpu import GridArrays, encode_grid, grid_arrays
from fields.kernels.options_cpu import INNER
from fields.kernels.rbf import LARGEST, precision
from fields.kernels.tiles_cpu import packed, wide
from fields.kernels.wendland import coefficient_grad
from fields.operands import Operands

LEAD = 0  # inputs in the tile that the first matrix does not read


class Gaussians(NamedTuple):
    """Neurons in feature space, side by side, and the map of their answers."""

    centres: np.ndarray  # (D, K)
    precision: np.ndarray  # (D, K), zeros past the last of either
    widening: np.ndarray  # (D, K), -1/2 precision, zero where the log-precision is held
    by_neuron: np.ndarray  # (K, D) centres
    precision_by_neuron: np.ndarray  # (K, D)
    bias: np.ndarray  # (outputs,)
    weight: np.ndarray  # (K, outputs)
    turned: np.ndarray  # (outputs, K)


class Layers(NamedTuple):
    """Two layers."""

    weights: tuple[np.ndarray, ...]  # (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first


class Beside(NamedTuple):
    """Kernels in space."""

    coefficients: np.ndarray  # (M, F)
    centres: np.ndarray
    shapes: np.ndarray
    waves: np.ndarray
    starts: np.ndarray
    members: np.ndarray
    cells: int  # of the lists, along the box's side
    channels: tuple[int, ...]  # F


class Arrays(NamedTuple):
    """Operands as arrays."""

    grid: GridArrays
    kernels: tuple[Beside, ...]  # one, or none
    reader: Gaussians | Layers


def gaussians(operands: Operands) -> Gaussians:
    """Those of a Gaussian readout."""
    centres, log, weight, bias = (weight.detach() for weight in operands.weights)
    spread = precision(log)
    free = torch.where(log.abs() > LARGEST, 0, -0.5 * spread)
    across, along, widening, answers = (packed(v.numpy()) for v in (centres, spread, free, weight))
    turned = tuple(np.ascontiguousarray(values.T) for values in (across, along, answers))
    return Gaussians(across, along, widening, *turned[:2], packed(bias.numpy()), answers, turned[2])


def layers(operands: Operands) -> Layers:
    """Those of a decoder."""
    weights = tuple(packed(weight.detach().numpy()) for weight in operands.weights)
    return Layers(weights, tuple(np.ascontiguousarray(weight.T) for weight in weights))


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    table, *coefficients = operands.tables
    layout, places = operands.fixed[:3], tuple(values.numpy() for values in operands.fixed[3:])
    size, cells = (0,) * int(operands.shape[3]), int(operands.shape[5])
    kernels = (Beside(coefficients[0].detach().numpy(), *places, cells, size),) if coefficients else ()
    reader = gaussians(operands) if operands.shape[2] > 0 else layers(operands)
    return Arrays(grid_arrays(table, layout), kernels, reader)


def reads(reader: Gaussians | Layers, seen: np.ndarray, out: np.ndarray) -> None:
    """Features, out (TILE, outputs), of what tables said."""
    _reads(reader.__class__)(reader, seen, out)


def reads_grad(
    reader: Gaussians | Layers, seen: np.ndarray, push: np.ndarray, sums: np.ndarray, out: np.ndarray
) -> None:
    """Its gradient, as decode_grad."""
    _reads_grad(reader.__class__)(reader, seen, push, sums, out)


def asks(kernels: tuple[Beside, ...], x: np.ndarray, out: np.ndarray, first: int) -> None:
    """What kernels in space, where there are any, say of points (P, 3): columns of out from `first` on."""
    _asks(len(kernels))(kernels, x, out, first)


def _reads(kind: type) -> Callable:
    def by_gaussians(reader, seen, out):
        gaussians_cpu.readout(seen, reader, reader.weight, out)

    def by_layers(reader, seen, out):
        perceptron_cpu.two_layers(seen, reader.weights, out)

    return by_gaussians if kind is Gaussians else by_layers


def _reads_grad(kind: type) -> Callable:
    def by_gaussians(reader, seen, push, sums, out):
        gaussians_cpu.readout_grad(seen, push, reader, reader.weight, reader.turned, sums, out)

    def by_layers(reader, seen, push, sums, out):
        perceptron_cpu.two_layers_grad(seen, push, reader.weights, reader.turned, sums, out)

    return by_gaussians if kind is Gaussians else by_layers


def _asks(count: int) -> Callable:
    def one(kernels, x, out, first):
        own = kernels[0]
        places, lists = (own.centres, own.shapes), (own.starts, own.members)
        wendland_cpu.gather_points(x, own.coefficients, *places, own.waves, *lists, out, first, own.cells, own.channels)

    def none(kernels, x, out, first):
        pass

    return one if count else none


# Numba asks these for what it puts in the place of a call.
overload(reads)(lambda reader, seen, out: _reads(reader.instance_class))
overload(reads_grad)(lambda reader, seen, push, sums, out: _reads_grad(reader.instance_class))
overload(asks)(lambda kernels, x, out, first: _asks(len(kernels)))


def columns(operands: Operands) -> int:
    """See fields/tiled.py."""
    levels, channels, _, coefficients, *_ = operands.shape
    return wide(int(levels * channels + coefficients))


def table_grads(operands: Operands, x: Tensor, push: Tensor) -> list[Tensor]:
    """See fields/tiled.py."""
    levels, channels, _, coefficients, *_ = map(int, operands.shape)
    grid, (table, *_) = levels * channels, operands.tables
    grads = [table_grad(push[:, :grid], x, *operands.fixed[:3], *table.shape)]
    if coefficients:
        mine = push[:, grid : grid + coefficients].contiguous()
        grads.append(coefficient_grad(mine, x, *operands.fixed[3:]))
    return grads


@njit(**INNER)
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    grid = encode_grid(network.grid, x, out)
    out[:, grid:] = 0
    asks(network.kernels, x, out, grid)


@njit(**INNER)
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    reads(network.reader, seen, out)


@njit(**INNER)
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    reads_grad(network.reader, seen, push, sums, out)
