"""Wendland kernels in space: bumps of bounded, ellipsoidal support around fixed centres, each with its coefficients.

Sources: the sum and its waves are NeuRBF's (Chen et al. 2023); the kernel is Wendland's C2 function (Wendland 1995).
With y = U (x - c) in the frame of a kernel, r = |y| and phi = (1 - r)^4 (4 r + 1) inside r < 1, zero elsewhere,

    f_j(x) = sum over kernels of a_j sin(m_j phi).

Value and slope are zero where a support ends, so that f and its gradient are continuous while kernels come and go; a
fixed number of nearest kernels would jump. Cells of the unit box list the kernels whose support may touch them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.backend import TRITON

FINEST = 128  # cells along the box's side at most
ENTRIES = 128  # list entries per kernel at most, on average
CHUNK = 1 << 13  # kernels whose lists are made at once, at most
LISTED = 1 << 20  # entries of theirs, about


@dataclass(frozen=True)
class Cells:
    """Kernels by cell of the unit box. Cell (i, j, k) of G^3 is number i + G (j + G k)."""

    starts: Tensor  # (G^3 + 1,) int64, where each cell's part of `members` begins
    members: Tensor  # (E,) int64 kernels, rising within each cell


def unpacked(shapes: Tensor) -> Tensor:
    """(M, 6) -> upper triangular U (M, 3, 3), rows first."""
    full = shapes.new_zeros(len(shapes), 9)
    full[:, [0, 1, 2, 4, 5, 8]] = shapes
    return full.view(-1, 3, 3)


def reach(shapes: Tensor) -> Tensor:
    """(M, 6) -> half the extents (M, 3) of every support's bounding box: the lengths of the rows of U^-1."""
    eye = torch.eye(3, dtype=shapes.dtype, device=shapes.device).expand(len(shapes), 3, 3)
    return torch.linalg.solve_triangular(unpacked(shapes), eye, upper=True).norm(dim=-1)


def boxes(centres: Tensor, extents: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """First cell (M, 3) of each support along every axis, and how many (M, 3)."""
    low = ((centres - extents) * cells).floor().clamp(0, cells - 1).long()
    high = ((centres + extents) * cells).floor().clamp(0, cells - 1).long()
    return low, high - low + 1


def cell_lists(centres: Tensor, shapes: Tensor) -> Cells:
    """Lists of all kernels, in cells as fine as FINEST and ENTRIES allow: one cell where nothing else fits."""
    centres, shapes = centres.detach().double(), shapes.detach().double()
    extents = reach(shapes) * (1 + 1e-5)  # float32 points may round into the neighbouring cell
    cells = FINEST
    while cells > 1 and boxes(centres, extents, cells)[1].prod(-1).sum() > ENTRIES * len(centres) + FINEST:
        cells //= 2
    counts = boxes(centres, extents, cells)[1].prod(-1)
    parts = torch.arange(len(centres), device=centres.device).split(together(counts))
    found = [touched(part, centres[part], shapes[part], extents[part], cells) for part in parts]
    number, kernel = (torch.cat(both) for both in zip(*found, strict=True))
    starts = torch.zeros(cells**3 + 1, dtype=torch.int64, device=centres.device)
    starts[1:] = torch.bincount(number, minlength=cells**3).cumsum(0)
    return Cells(starts, kernel[number.argsort(stable=True)])


def together(counts: Tensor) -> list[int]:
    """How many kernels in a row have their lists made at once, where they have `counts` (M,) entries at most."""
    part = counts.cumsum(0) // LISTED
    return [int(n) for some in part.unique_consecutive(return_counts=True)[1].tolist() for n in chunks(some)]


def chunks(count: int) -> list[int]:
    """CHUNK as often as it goes into a count, and the rest."""
    return [CHUNK] * (count // CHUNK) + ([count % CHUNK] if count % CHUNK else [])


def touched(kernels: Tensor, centres: Tensor, shapes: Tensor, extents: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Cells (E,) that the supports of some kernels (m,) may touch, and whose support it is (E,), rising."""
    low, counts = boxes(centres, extents, cells)
    total = counts.prod(-1)
    kernel = torch.arange(len(centres), device=centres.device).repeat_interleave(total)
    place = torch.arange(len(kernel), device=centres.device) - (total.cumsum(0) - total)[kernel]
    wide, high = counts[kernel, 0], counts[kernel, 1]
    cell = low[kernel] + torch.stack([place % wide, place // wide % high, place // (wide * high)], -1)
    frame = unpacked(shapes)
    away = (frame[kernel] @ ((cell + 0.5) / cells - centres[kernel])[..., None])[..., 0].norm(dim=-1)
    near = away <= 1.001 + frame.norm(dim=1).sum(-1)[kernel] * 0.5 / cells  # |U d| over half a cell, at most
    number = (cell * torch.tensor([1, cells, cells * cells], device=cell.device)).sum(-1)
    return number[near], kernels[kernel[near]]


@dataclass(frozen=True)
class Pairs:
    """Every point with every kernel of its cell whose support holds it."""

    point: Tensor  # (P,) int64
    kernel: Tensor  # (P,) int64
    phi: Tensor  # (P,) the kernel's value
    slope: Tensor  # (P, 3) its gradient, -20 (1 - r)^3 U^T y


def pairs(x: Tensor, centres: Tensor, shapes: Tensor, starts: Tensor, members: Tensor) -> Pairs:
    """See Pairs. Points outside the unit box are clamped to it, NaN to its low corner."""
    cells = round((len(starts) - 1) ** (1 / 3))
    inside = torch.where(x > 0, x.clamp(max=1), torch.zeros_like(x))
    axes = (inside.detach() * cells).long().clamp(max=cells - 1)
    cell = (axes * torch.tensor([1, cells, cells * cells], device=x.device)).sum(-1)
    total = starts[cell + 1] - starts[cell]
    point = torch.arange(len(x), device=x.device).repeat_interleave(total)
    place = torch.arange(len(point), device=x.device) - (total.cumsum(0) - total)[point]
    kernel = members[starts[cell][point] + place]
    frame = unpacked(shapes)[kernel]
    y = (frame @ (inside[point] - centres[kernel])[..., None])[..., 0]
    held = y.detach().square().sum(-1) < 1
    point, kernel, y, frame = point[held], kernel[held], y[held], frame[held]
    r = y.square().sum(-1).clamp(min=1e-30).sqrt()
    slope = -20 * (1 - r)[:, None] ** 3 * (frame.mT @ y[..., None])[..., 0]
    return Pairs(point, kernel, (1 - r) ** 4 * (4 * r + 1), slope * ((x >= 0) & (x <= 1))[point])


def reference(
    x: Tensor, coefficients: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    """Plain PyTorch, any float type, differentiable in x and coefficients."""
    found = pairs(x, centres, shapes, starts, members)
    values = coefficients[found.kernel] * torch.sin(found.phi[:, None] * waves)
    return x.new_zeros(len(x), coefficients.shape[1]).index_add(0, found.point, values)


def coefficient_grad_of(
    grad: Tensor, x: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    """Plain PyTorch of coefficient_grad, any float type."""
    found = pairs(x, centres, shapes, starts, members)
    shares = grad[found.point] * torch.sin(found.phi[:, None] * waves)
    return grad.new_zeros(len(centres), grad.shape[1]).index_add(0, found.kernel, shares)


def point_grad_of(
    grad: Tensor,
    x: Tensor,
    coefficients: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    """Plain PyTorch of point_grad, any float type."""
    found = pairs(x, centres, shapes, starts, members)
    along = grad[found.point] * coefficients[found.kernel] * waves * torch.cos(found.phi[:, None] * waves)
    return torch.zeros_like(x).index_add(0, found.point, along.sum(-1, keepdim=True) * found.slope)


@torch.library.custom_op("nf::wendland", mutates_args=())
def wendland(
    x: Tensor, coefficients: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    """f (N, F) at points x (N, 3) of the unit box. Only x and coefficients get gradients.

    coefficients (M, F); centres (M, 3); shapes (M, 6), the upper triangle of U row by row, diagonal > 0; waves (F,)
    = m, from 0 to 64; starts and members as in `Cells`, of these centres and shapes. Floats are of one type.
    """
    return reference(x, coefficients, centres, shapes, waves, starts, members)


@torch.library.custom_op("nf::wendland_coefficient_grad", mutates_args=())
def coefficient_grad(
    grad: Tensor,
    x: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    """dL/da_j (M, F): every point adds grad_j sin(m_j phi) to the kernels that hold it. grad (N, F)."""
    return coefficient_grad_of(grad, x, centres, shapes, waves, starts, members)


@torch.library.custom_op("nf::wendland_point_grad", mutates_args=())
def point_grad(
    grad: Tensor,
    x: Tensor,
    coefficients: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    """dL/dx (N, 3) = sum over kernels of (sum_j grad_j a_j m_j cos(m_j phi)) dphi/dx. grad (N, F)."""
    return point_grad_of(grad, x, coefficients, centres, shapes, waves, starts, members)


@wendland.register_fake
def _(
    x: Tensor, coefficients: Tensor, centres: Tensor, shapes: Tensor, waves: Tensor, starts: Tensor, members: Tensor
) -> Tensor:
    return x.new_empty(x.shape[0], coefficients.shape[1])


@coefficient_grad.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    return grad.new_empty(centres.shape[0], grad.shape[1])


@point_grad.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    coefficients: Tensor,
    centres: Tensor,
    shapes: Tensor,
    waves: Tensor,
    starts: Tensor,
    members: Tensor,
) -> Tensor:
    return x.new_empty(x.shape)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form; each is only made where it is asked for."""
    x, coefficients, *rest = ctx.saved_tensors
    grad = grad.contiguous()
    for_x = for_coefficients = None
    if ctx.needs_input_grad[0]:
        for_x = point_grad(grad, x, coefficients, *rest)
    if ctx.needs_input_grad[1]:
        for_coefficients = coefficient_grad(grad, x, *rest)
    return for_x, for_coefficients, None, None, None, None, None


wendland.register_autograd(backward, setup_context=remember)


import fields.kernels.wendland_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.wendland_cuda  # noqa: F401
