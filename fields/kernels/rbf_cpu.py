"""Gaussian layer on the CPU in Numba: inner loops run over neurons, which lie side by side, so that they vectorise."""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from fields.kernels.options_cpu import KERNEL
from fields.kernels.rbf import LARGEST, precision, rbf, rbf_grad

BLOCK = 2048  # points per task; sums over tasks then have one order, whatever the number of threads


@njit(**KERNEL, parallel=True, fastmath={"contract", "nsz"})
def squares(features, centres, beta, out):
    """Each task takes BLOCK points: -1/2 sum_d beta[d, i] (f_d - c[d, i])^2 -> out (N, K). centres, beta (D, K)."""
    half = features.dtype.type(-0.5)
    for task in prange((features.shape[0] + BLOCK - 1) // BLOCK):
        for point in range(task * BLOCK, min((task + 1) * BLOCK, features.shape[0])):
            row = out[point]
            row[:] = 0
            for d in range(features.shape[1]):
                value, center, weight = features[point, d], centres[d], beta[d]
                for i in range(row.shape[0]):
                    away = value - center[i]
                    row[i] += half * weight[i] * away * away


@njit(**KERNEL, parallel=True, fastmath={"contract", "nsz", "reassoc"})
def pulls(pull, features, centres, beta, down, for_centres, for_log):
    """Each task takes BLOCK points and its own (D, K) slices of the sums, which come with zeros.

    pull (N, K) = dL/dphi * phi; down (N, D) is dL/dfeatures.
    """
    half = features.dtype.type(-0.5)
    for task in prange((features.shape[0] + BLOCK - 1) // BLOCK):
        for point in range(task * BLOCK, min((task + 1) * BLOCK, features.shape[0])):
            row = pull[point]
            for d in range(features.shape[1]):
                value, center, weight = features[point, d], centres[d], beta[d]
                move, widen = for_centres[task, d], for_log[task, d]
                total = features.dtype.type(0)
                for i in range(row.shape[0]):
                    away = value - center[i]
                    along = row[i] * weight[i] * away
                    total -= along
                    move[i] += along
                    widen[i] += half * along * away
                down[point, d] = total


def columns(centres: Tensor, log_precision: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Centres and precisions (D, K): neurons side by side."""
    return centres.T.contiguous().numpy(), precision(log_precision).T.contiguous().numpy()


@rbf.register_kernel("cpu")
def _(features: Tensor, centres: Tensor, log_precision: Tensor) -> Tensor:
    out = torch.empty(len(features), len(centres), dtype=features.dtype)
    squares(features.contiguous().numpy(), *columns(centres, log_precision), out.numpy())
    return out.exp_()  # PyTorch's is vectorised, Numba's is not


@rbf_grad.register_kernel("cpu")
def _(
    grad: Tensor, phi: Tensor, features: Tensor, centres: Tensor, log_precision: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    down = torch.empty_like(features, memory_format=torch.contiguous_format)
    tasks = -(-len(features) // BLOCK)
    sums = torch.zeros(2, tasks, *centres.T.shape, dtype=features.dtype)
    move, widen = sums.numpy()
    pulls(
        (grad * phi).numpy(), features.contiguous().numpy(), *columns(centres, log_precision), down.numpy(), move, widen
    )
    for_centres, for_log = sums.sum(1).mT.contiguous()
    return down, for_centres.clone(), for_log.masked_fill(log_precision.abs() > LARGEST, 0)
