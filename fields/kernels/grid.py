"""Grid encode: multi-resolution feature grids, dense where they fit and hashed where they do not.

Source: Mueller et al. 2022, section 3. Level l has scale s_l; a point x of the unit box sits at p = x s_l + 1/2 between
the vertices floor(p) and floor(p) + 1 of every axis; its features are the multilinear blend of the 2^D corners.
Vertex (i_1 .. i_D) of a dense level is entry sum_a i_a V^(a-1) with V vertices per axis; of a hashed level
xor_a (i_a * PRIMES[a]) mod 2^32 mod size, where size is a power of two.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.backend import TRITON

PRIMES = (1, 2654435761, 805459861, 3674653429)


@dataclass(frozen=True)
class GridLayout:
    """Where each level lies in the table."""

    scales: Tensor  # (L,) float32, p = x * scale + 1/2
    vertices: Tensor  # (L,) int64, vertices per axis of a dense level, 0 where the level is hashed
    offsets: Tensor  # (L + 1,) int64, first entry of each level; the last is the number of entries E


def layout(dims: int, levels: int, table_bits: int, coarsest: int, finest: int) -> GridLayout:
    """Levels in geometric progression from `coarsest` to `finest` cells per axis, at most 2^table_bits entries each."""
    growth = math.exp(math.log(finest / coarsest) / max(levels - 1, 1))
    scales, vertices, offsets = [], [], [0]
    for level in range(levels):
        scale = coarsest * growth**level - 1
        count = math.ceil(scale - 1e-6) + 2
        dense = count**dims <= 2**table_bits
        scales.append(scale)
        vertices.append(count if dense else 0)
        offsets.append(offsets[-1] + (-(-(count**dims) // 8) * 8 if dense else 2**table_bits))
    return GridLayout(*(torch.tensor(values, device="cpu") for values in (scales, vertices, offsets)))


def corners(x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Table entries (N, L, 2^D) int64 around each point, their weights, and the weights' slopes (N, L, 2^D, D)."""
    dims = x.shape[1]
    place = x.clamp(0, 1)[:, None, :] * scales[:, None].to(x.dtype) + 0.5
    low = place.detach().floor()
    fraction = place - low
    picks = torch.arange(2**dims, device=x.device)[:, None] >> torch.arange(dims, device=x.device) & 1  # (2^D, D)
    cell = low.long()[:, :, None, :] + picks
    factors = torch.where(picks.bool(), fraction[:, :, None, :], 1 - fraction[:, :, None, :])
    dense = torch.zeros_like(cell[..., 0])
    hashed = torch.zeros_like(dense)
    for axis in range(dims):
        dense = dense + cell[..., axis] * vertices[:, None] ** axis
        hashed = hashed ^ (cell[..., axis] * PRIMES[axis] & 0xFFFFFFFF)
    size = (offsets[1:] - offsets[:-1])[:, None]
    index = torch.where(vertices[:, None] > 0, dense, hashed % size) + offsets[:-1, None]
    slopes = []
    for axis in range(dims):
        others = [a for a in range(dims) if a != axis]
        inside = ((x[:, axis] >= 0) & (x[:, axis] <= 1))[:, None, None]
        rise = (2 * picks[:, axis] - 1) * scales[:, None].to(x.dtype)
        slopes.append(rise * factors[..., others].prod(-1) * inside)
    return index, factors.prod(-1), torch.stack(slopes, -1)


def reference(x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """Plain PyTorch, any float type, differentiable in x and table."""
    index, weights, _ = corners(x, scales, vertices, offsets)
    return (table[index] * weights[..., None].to(table.dtype)).sum(2).flatten(1)


def table_sums(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    """`table_grad` in plain PyTorch."""
    index, weights, _ = corners(x, scales, vertices, offsets)
    shares = grad.view(*index.shape[:2], 1, channels) * weights[..., None]
    result = torch.zeros(entries, channels, dtype=shares.dtype, device=grad.device)
    return result.index_add(0, index.flatten(), shares.reshape(-1, channels))


def point_slopes(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """`point_grad` in plain PyTorch."""
    index, _, slopes = corners(x, scales, vertices, offsets)
    along = (table[index] * grad.view(*index.shape[:2], 1, table.shape[1])).sum(-1)
    return (along[..., None] * slopes).sum((1, 2))


@torch.library.custom_op("nf::grid_encode", mutates_args=())
def grid_encode(x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """Features (N, L * C), level by level.

    x (N, D) float in [0, 1], D = 2, 3 or 4; table (E, C) float; scales (L,), vertices (L,), offsets (L + 1,) as in
    `GridLayout`. Points outside the unit box are clamped to it, and get no gradient along the clamped axis.
    """
    return reference(x, table, scales, vertices, offsets)


@torch.library.custom_op("nf::grid_encode_table_grad", mutates_args=())
def table_grad(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    """dL/dtable (E, C): each point adds weight * grad to its 2^D entries of each level. grad (N, L * C); half types
    give float32."""
    return table_sums(grad, x, scales, vertices, offsets, entries, channels)


@torch.library.custom_op("nf::grid_encode_point_grad", mutates_args=())
def point_grad(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """dL/dx (N, D) = sum over levels and corners of <grad_l, table[corner]> * d weight / dx. grad (N, L * C)."""
    return point_slopes(grad, x, table, scales, vertices, offsets)


@grid_encode.register_fake
def _(x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], scales.shape[0] * table.shape[1], dtype=table.dtype)


@table_grad.register_fake
def _(
    grad: Tensor, x: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor, entries: int, channels: int
) -> Tensor:
    return x.new_empty(entries, channels)


@point_grad.register_fake
def _(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    return torch.empty_like(x)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form; each is only made where it is asked for."""
    x, table, scales, vertices, offsets = ctx.saved_tensors
    grad = grad.contiguous()
    for_x = for_table = None
    if ctx.needs_input_grad[0]:
        for_x = point_grad(grad, x, table, scales, vertices, offsets)
    if ctx.needs_input_grad[1]:
        for_table = table_grad(grad, x, scales, vertices, offsets, *table.shape)
    return for_x, for_table, None, None, None


grid_encode.register_autograd(backward, setup_context=remember)


import fields.kernels.grid_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.grid_cuda  # noqa: F401
