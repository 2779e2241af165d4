"""Voxel lookup: trilinear blend of the vertices of a sparse grid, whose pruned vertices stand for empty space.

Source: Fridovich-Keil et al. 2022 (Plenoxels), section 3.1. The unit box has V vertices along every axis, the first and
the last of them on its faces: a point x sits at p = x (V - 1), in the cell between the vertices floor(p) and
floor(p) + 1 of every axis, and gets the blend of the cell's 8 vertices. `index` holds the row of each vertex in the
tables, or -1 where the vertex was pruned: such a one counts as log-density EMPTY and coefficients 0.

Log-density is what is blended, so that a surface inside a cell may be sharper than the cell: on the chair, 600 steps,
30.7 dB, against 29.3 with density itself blended (as published) and 29.5 with softplus of the blend.
"""

import torch
from torch import Tensor

from fields.backend import TRITON

EMPTY = -10.0  # log-density of a pruned vertex: over the whole box it takes 0.005 % of the light


def corners(x: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (N, 8) int64 of the vertices around each point, their weights, and the weights' slopes (N, 8, 3)."""
    cells = index.shape[0] - 1
    inside = (x >= 0) & (x <= 1)
    place = torch.where(x >= 0, x, torch.zeros_like(x)).clamp(max=1) * cells  # NaN goes to 0
    low = place.detach().floor().clamp(0, cells - 1)
    fraction = (place - low)[:, None, :]
    picks = torch.arange(8, device=x.device)[:, None] >> torch.tensor([2, 1, 0], device=x.device) & 1  # (8, 3)
    factors = torch.where(picks.bool(), fraction, 1 - fraction)
    i, j, k = (low.long()[:, None, :] + picks).unbind(-1)
    rise = (2 * picks - 1) * cells * inside[:, None, :]
    u, v, w = factors.unbind(-1)
    slopes = rise * torch.stack([v * w, u * w, u * v], -1)
    return index[i, j, k].long(), factors.prod(-1), slopes


def gathered(rows: Tensor, density: Tensor, coefficients: Tensor) -> Tensor:
    """What the vertices of `rows` (N, 8) hold: (N, 8, 1 + C)."""
    here = rows >= 0
    safe = rows.clamp(min=0)
    first = torch.where(here, density[safe], EMPTY)
    return torch.cat([first[..., None], coefficients[safe] * here[..., None]], -1)


def reference(x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    """Plain PyTorch, any float type, differentiable in x and in both tables."""
    rows, weights, _ = corners(x, index)
    return (gathered(rows, density, coefficients) * weights[..., None].to(density.dtype)).sum(1)


@torch.library.custom_op("nf::voxels", mutates_args=())
def voxels(x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    """Log-density and coefficients (N, 1 + C) at points.

    x (N, 3) float in [0, 1]; density (K,) float, log-density per scene unit of the K >= 1 kept vertices;
    coefficients (K, C); index (V, V, V) int32, V >= 2. Points outside the unit box are clamped to it, and get no
    gradient along the clamped axis.
    """
    return reference(x, density, coefficients, index)


@torch.library.custom_op("nf::voxels_table_grad", mutates_args=())
def table_grad(grad: Tensor, x: Tensor, index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """dL/ddensity (K,), dL/dcoefficients (K, C): points add weight * grad to their kept vertices. grad (N, 1 + C)."""
    touched, weights, _ = corners(x, index)
    here = (touched >= 0).flatten()
    shares = (grad[:, None, :] * weights[..., None]).flatten(0, 1)[here]
    result = grad.new_zeros(rows, grad.shape[1]).index_add(0, touched.flatten()[here], shares)
    return result[:, 0].contiguous(), result[:, 1:].contiguous()


@torch.library.custom_op("nf::voxels_point_grad", mutates_args=())
def point_grad(grad: Tensor, x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    """dL/dx (N, 3) = sum over the 8 vertices of <grad, what the vertex holds> * d weight / dx. grad (N, 1 + C)."""
    rows, _, slopes = corners(x, index)
    along = (gathered(rows, density, coefficients) * grad[:, None, :]).sum(-1)
    return (along[..., None] * slopes).sum(1)


@voxels.register_fake
def _(x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    return density.new_empty(x.shape[0], 1 + coefficients.shape[1])


@table_grad.register_fake
def _(grad: Tensor, x: Tensor, index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    return grad.new_empty(rows), grad.new_empty(rows, grad.shape[1] - 1)


@point_grad.register_fake
def _(grad: Tensor, x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form; each is only made where it is asked for."""
    x, density, coefficients, index = ctx.saved_tensors
    grad = grad.contiguous()
    for_x = for_density = for_coefficients = None
    if ctx.needs_input_grad[0]:
        for_x = point_grad(grad, x, density, coefficients, index)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        for_density, for_coefficients = table_grad(grad, x, index, len(density))
    return for_x, for_density, for_coefficients, None


voxels.register_autograd(backward, setup_context=remember)


import fields.kernels.voxels_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.voxels_cuda  # noqa: F401
