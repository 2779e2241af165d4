"""RBF on the CPU, in Numba: the grid and Gaussians that read it, or kernels in space beside it and a decoder."""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fields.kernels import gaussians_cpu, grid_cpu, perceptron_cpu, wendland_cpu
from fields.kernels.grid import table_grad
from fields.kernels.rbf import LARGEST, precision
from fields.kernels.tiles_cpu import packed, wide
from fields.kernels.wendland import coefficient_grad
from fields.operands import Operands

LEAD = 0  # inputs in the tile that the first matrix does not read


class Neurons(NamedTuple):
    """Gaussians in feature space, side by side."""

    centres: np.ndarray  # (D, K)
    precision: np.ndarray  # (D, K), zeros past the last of either
    widening: np.ndarray  # (D, K), -1/2 precision, zero where the log-precision is held
    by_neuron: np.ndarray  # (K, D) centres
    precision_by_neuron: np.ndarray  # (K, D)
    bias: np.ndarray  # (outputs,)


class Beside(NamedTuple):
    """Kernels in space."""

    coefficients: np.ndarray  # (M, F)
    centres: np.ndarray
    shapes: np.ndarray
    waves: np.ndarray
    starts: np.ndarray
    members: np.ndarray


class Arrays(NamedTuple):
    """Operands as arrays. Of neurons, and of kernels in space, there may be none."""

    table: np.ndarray  # (entries, C)
    scales: np.ndarray
    vertices: np.ndarray
    offsets: np.ndarray
    axes: tuple[int, ...]  # as many as there are coordinates
    channels: tuple[int, ...]  # C
    gaussian: bool  # whether neurons read the grid, or two layers
    neurons: Neurons
    kernels: Beside
    cells: int  # of the kernels' lists, along the box's side
    coefficients: tuple[int, ...]  # F
    weights: tuple[np.ndarray, ...]  # of both layers, or twice that of the neurons' answers, (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first


def neurons(operands: Operands) -> Neurons:
    """Those of a Gaussian readout."""
    centres, log, _, bias = (weight.detach() for weight in operands.weights)
    spread = precision(log)
    free = torch.where(log.abs() > LARGEST, 0, -0.5 * spread)
    across, along, widening = (packed(values.numpy()) for values in (centres, spread, free))
    turned = (np.ascontiguousarray(values.T) for values in (across, along))
    return Neurons(across, along, widening, *turned, packed(bias.numpy()))


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    table, *coefficients = (table.detach().numpy() for table in operands.tables)
    fixed = tuple(values.numpy() for values in operands.fixed)
    none, line, whole = np.zeros((0, 0), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    kernels = Beside(*coefficients, *fixed[3:]) if coefficients else Beside(none, none, none, line, whole, whole)
    gaussian = operands.shape[2] > 0
    read = Neurons(none, none, none, none, none, line)
    weights = operands.weights[2:3] * 2 if gaussian else operands.weights
    packs = tuple(packed(weight.detach().numpy()) for weight in weights)
    turned = tuple(np.ascontiguousarray(weight.T) for weight in packs)
    size, cells = int(operands.shape[3]), int(operands.shape[5])
    return Arrays(
        table, *fixed[:3], (0,) * 3, (0,) * table.shape[1], gaussian, neurons(operands) if gaussian else read, kernels,
        cells, (0,) * size, packs, turned,
    )  # fmt: skip


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


@njit(nogil=True, error_model="numpy")
def encode(network, x, out):
    """See fields/kernels/fused_cpu.py."""
    layout = (network.scales, network.vertices, network.offsets)
    grid = len(network.scales) * len(network.channels)
    out[:, grid:] = 0
    grid_cpu.encode_points(x, network.table, *layout, out, network.axes, network.channels)
    if len(network.coefficients) > 0:
        own, cells, size = network.kernels, network.cells, network.coefficients
        places, lists = (own.centres, own.shapes), (own.starts, own.members)
        wendland_cpu.gather_points(x, own.coefficients, *places, own.waves, *lists, out, grid, cells, size)


@njit(nogil=True, error_model="numpy")
def decode(network, seen, out):
    """See fields/kernels/fused_cpu.py."""
    if network.gaussian:
        gaussians_cpu.readout(seen, network.neurons, network.weights[0], out)
    else:
        perceptron_cpu.two_layers(seen, network.weights, out)


@njit(nogil=True, error_model="numpy")
def decode_grad(network, seen, push, sums, out):
    """See fields/kernels/fused_cpu.py."""
    weights, turned = network.weights, network.turned
    if network.gaussian:
        gaussians_cpu.readout_grad(seen, push, network.neurons, weights[0], turned[0], sums, out)
    else:
        perceptron_cpu.two_layers_grad(seen, push, weights, turned, sums, out)
