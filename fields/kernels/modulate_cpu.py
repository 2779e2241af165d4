"""Modulate on the CPU in Numba: a row is read once, and everything about it happens while it lies in cache.

NumPy has no bfloat16: such rows come as their bits, uint16, and are widened into the upper half of a float32.
"""

import numpy as np
import torch
from numba import njit, prange
from numba.core import types
from numba.extending import overload
from torch import Tensor

from fields.kernels.modulate import EPS, modulate, modulate_grad
from fields.kernels.options_cpu import KERNEL

BLOCK = 64  # rows per task
FAST = {"contract", "nsz", "reassoc"}  # sums over channels in any order


def widen(source, row, bits, out) -> None:
    """Row `row` of (N, C) numbers, or of bfloat16 bits, into out (C,); bits (C,) uint32 is the memory behind out.

    The compiler takes the versions below; this one serves where it is off.
    """
    if source.dtype == np.uint16:
        bits[:] = source[row].astype(np.uint32) << np.uint32(16)
    else:
        out[:] = source[row]


@overload(widen, inline="always")
def _widen(source, row, bits, out):
    if source.dtype == types.uint16:

        def wide(source, row, bits, out):
            for c in range(out.shape[0]):
                bits[c] = np.uint32(source[row, c]) << np.uint32(16)

        return wide

    def copy(source, row, bits, out):
        for c in range(out.shape[0]):
            out[c] = source[row, c]

    return copy


def narrow(values, bits, row, out) -> None:
    """values (C,), whose memory is bits (C,) uint32, into row `row` of out; to bfloat16 bits round half to even."""
    if out.dtype == np.uint16:
        out[row] = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    else:
        out[row] = values


@overload(narrow, inline="always")
def _narrow(values, bits, row, out):
    if out.dtype == types.uint16:

        def rounded(values, bits, row, out):
            for c in range(values.shape[0]):
                b = bits[c]
                out[row, c] = np.uint16(
                    (b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
                )

        return rounded

    def copy(values, bits, row, out):
        for c in range(values.shape[0]):
            out[row, c] = values[c]

    return copy


@njit(inline="always")
def normalize(values):
    """values (C,) -> Norm(values) in place; returns 1 / root of (variance + EPS)."""
    count = values.dtype.type(values.shape[0])
    total = values.dtype.type(0)
    for c in range(values.shape[0]):
        total += values[c]
    mean = total / count
    total = values.dtype.type(0)
    for c in range(values.shape[0]):
        values[c] -= mean
        total += values[c] * values[c]
    inverse = values.dtype.type(1) / np.sqrt(total / count + values.dtype.type(EPS))
    for c in range(values.shape[0]):
        values[c] *= inverse
    return inverse


@njit(**KERNEL, parallel=True, fastmath=FAST)
def forward(z, gamma, beta, out):
    """Each task takes a block of rows. z (N, C), gamma (N,), beta (N,) -> out (N, C)."""
    channels = z.shape[1]
    for task in prange((z.shape[0] + BLOCK - 1) // BLOCK):
        n = np.empty(channels, gamma.dtype)
        bits = n.view(np.uint32)
        zero = gamma.dtype.type(0)
        for row in range(task * BLOCK, min((task + 1) * BLOCK, z.shape[0])):
            widen(z, row, bits, n)
            normalize(n)
            scale, shift = gamma[row], beta[row]
            for c in range(channels):
                n[c] = max(scale * n[c] + shift, zero)
            narrow(n, bits, row, out)


@njit(**KERNEL, parallel=True, fastmath=FAST)
def gradient(grad, z, gamma, beta, for_z, for_gamma, for_beta):
    """Each task takes a block of rows; see modulate_grad."""
    channels = z.shape[1]
    for task in prange((z.shape[0] + BLOCK - 1) // BLOCK):
        n, u = np.empty(channels, gamma.dtype), np.empty(channels, gamma.dtype)
        n_bits, u_bits = n.view(np.uint32), u.view(np.uint32)
        zero, share = gamma.dtype.type(0), gamma.dtype.type(1) / gamma.dtype.type(channels)
        for row in range(task * BLOCK, min((task + 1) * BLOCK, z.shape[0])):
            widen(z, row, n_bits, n)
            widen(grad, row, u_bits, u)
            inverse = normalize(n)
            scale, shift = gamma[row], beta[row]
            total, along = zero, zero
            for c in range(channels):
                u[c] = u[c] if scale * n[c] + shift > zero else zero
                total += u[c]
                along += u[c] * n[c]
            for_beta[row], for_gamma[row] = total, along
            total, along, scale = total * share, along * share, scale * inverse
            for c in range(channels):
                u[c] = scale * (u[c] - total - n[c] * along)
            narrow(u, u_bits, row, for_z)


def rows(x: Tensor) -> np.ndarray:
    """NumPy view of (N, C) numbers, or of their bits where they are bfloat16."""
    x = x.contiguous()
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


@modulate.register_kernel("cpu")
def _(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    out = torch.empty(z.shape, dtype=z.dtype)
    forward(rows(z), gamma.contiguous().numpy(), beta.contiguous().numpy(), rows(out))
    return out


@modulate_grad.register_kernel("cpu")
def _(grad: Tensor, z: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    for_z = torch.empty(z.shape, dtype=z.dtype)
    for_gamma, for_beta = torch.empty(len(z), dtype=gamma.dtype), torch.empty(len(z), dtype=gamma.dtype)
    scale, shift = gamma.contiguous().numpy(), beta.contiguous().numpy()
    gradient(rows(grad), rows(z), scale, shift, rows(for_z), for_gamma.numpy(), for_beta.numpy())
    return for_z, for_gamma, for_beta
