"""Planes: factor lattices over pairs of axes, read bilinearly and multiplied within a group.

Sources: Fridovich-Keil et al. 2023 (K-Planes), equations 1 and 2, a group being the planes of one scale; Chan et al.
2022 (EG3D), where every plane is a group of its own; Chen et al. 2022 (TensoRF), equation 3, a group being a plane and
a line.

A factor over the axes (a, b) is a lattice of size_a x size_b vertices that spans the unit box, its first and last
vertices on the faces: a point x sits at p = (x_a (size_a - 1), x_b (size_b - 1)). Vertex (i, j) is row
offset + i + size_a j of the table. A line is a factor whose second side has one vertex; axis b plays no part then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from fields.backend import TRITON

# What each plane spans, written out: the third of three planes is YZ, and not ZX, which is XZ once more.
SPACE = ((0, 1), (0, 2), (1, 2))  # xy xz yz
SPACE_TIME = (*SPACE, (0, 3), (1, 3), (2, 3))  # and xt yt zt
LINES = (2, 1, 0)  # the axis that each plane of SPACE leaves over


@dataclass(frozen=True)
class PlanesLayout:
    """Where each factor lies in the table."""

    factors: Tensor  # (P, 5) int64: axis a, axis b, size a, size b, first row
    groups: Tensor  # (G + 1,) int64, first factor of each group; the last is the number of factors P
    rows: int  # of the table, E


def layout(groups: Sequence[Sequence[tuple[int, int, int, int]]]) -> PlanesLayout:
    """Groups of factors (axis a, axis b, size a, size b), in the order of the op's output. size_a >= 2, size_b >= 1."""
    factors, starts, row = [], [0], 0
    for group in groups:
        for a, b, size_a, size_b in group:
            if size_a < 2 or size_b < 1:
                raise ValueError(f"a factor wants at least 2 x 1 vertices, found {size_a} x {size_b}")
            factors.append((a, b, size_a, size_b, row))
            row += size_a * size_b
        starts.append(len(factors))
    return PlanesLayout(torch.tensor(factors, device="cpu"), torch.tensor(starts, device="cpu"), row)


def along(x: Tensor, axis: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Lower vertex (N, P) int64 of each point on one axis of every factor, and the fraction (N, P) above it. Points are
    clamped to the box, NaN to 0; on the last vertex the fraction is 1."""
    place = x[:, axis].nan_to_num(0.0).clamp(0, 1) * (size - 1).to(x.dtype)
    low = torch.minimum(place.detach().floor(), (size - 2).clamp(min=0).to(x.dtype))
    return low.long(), place - low


def corners(x: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N, P, 4) int64 of the vertices around each point, and their weights (N, P, 4). On a line, the upper two
    are the lower two, and weigh nothing."""
    a, b, size_a, size_b, start = factors.unbind(1)
    (i, u), (j, v) = along(x, a, size_a), along(x, b, size_b)
    up = torch.where(size_b > 1, size_a, 0)
    first = start + i + size_a * j
    rows = torch.stack([first, first + 1, first + up, first + up + 1], -1)
    return rows, torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], -1)


def others(values: Tensor, groups: Tensor) -> Tensor:
    """(N, P, C) -> (N, P, C): of each factor, the product of the others in its group. Never a division: a factor that
    is zero gets its gradient all the same."""
    result = torch.ones_like(values)
    for first, end in pairwise(groups.tolist()):
        for one in range(first, end):
            rest = [other for other in range(first, end) if other != one]
            result[:, one] = values[:, rest].prod(1)
    return result


def reference(x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """Plain PyTorch, any float type, differentiable in x and table."""
    rows, weights = corners(x, factors)
    values = (table[rows] * weights[..., None].to(table.dtype)).sum(2)
    edges = groups.tolist()
    products = [values[:, first:end].prod(1) for first, end in pairwise(edges)]
    return torch.cat(products, -1)


@torch.library.custom_op("nf::planes", mutates_args=())
def planes(x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """Features (N, G * C), group by group: the product of the group's factors at each point.

    x (N, D) float in [0, 1]; table (E, C) float; factors (P, 5), groups (G + 1,) as in `PlanesLayout`. Points outside
    the unit box are clamped to it, and get no gradient along the clamped axis.
    """
    return reference(x, table, factors, groups)


@torch.library.custom_op("nf::planes_table_grad", mutates_args=())
def table_grad(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """dL/dtable (E, C): each point adds weight * grad_g * (product of the group's other factors) to the four vertices
    of every factor. grad (N, G * C)."""
    rows, weights = corners(x, factors)
    values = (table[rows] * weights[..., None]).sum(2)
    push = spread(grad, groups, table.shape[1]) * others(values, groups)
    shares = push[:, :, None, :] * weights[..., None]
    return torch.zeros_like(table).index_add(0, rows.flatten(), shares.reshape(-1, table.shape[1]))


@torch.library.custom_op("nf::planes_point_grad", mutates_args=())
def point_grad(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    """dL/dx (N, D): with t_ij the vertices of a factor and q = grad_g * (product of the group's other factors), each
    factor adds <q, (1 - v)(t_10 - t_00) + v (t_11 - t_01)> (size_a - 1) on axis a, and likewise on axis b."""
    rows, weights = corners(x, factors)
    read = table[rows]
    values = (read * weights[..., None]).sum(2)
    push = spread(grad, groups, table.shape[1]) * others(values, groups)
    t00, t10, t01, t11 = (read * push[:, :, None, :]).sum(-1).unbind(-1)  # each (N, P)
    a, b, size_a, size_b, _ = factors.unbind(1)
    (_, u), (_, v) = along(x, a, size_a), along(x, b, size_b)
    on_a = ((1 - v) * (t10 - t00) + v * (t11 - t01)) * (size_a - 1)
    on_b = ((1 - u) * (t01 - t00) + u * (t11 - t10)) * (size_b - 1)
    result = torch.zeros_like(x).index_add(1, a, on_a).index_add(1, b, on_b)
    return result * ((x >= 0) & (x <= 1))


def spread(grad: Tensor, groups: Tensor, channels: int) -> Tensor:
    """(N, G * C) -> (N, P, C): each factor gets its group's."""
    return grad.view(len(grad), -1, channels).repeat_interleave(groups.diff(), 1)


@planes.register_fake
def _(x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    return table.new_empty(x.shape[0], (groups.shape[0] - 1) * table.shape[1])


@table_grad.register_fake
def _(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    return table.new_empty(table.shape)


@point_grad.register_fake
def _(grad: Tensor, x: Tensor, table: Tensor, factors: Tensor, groups: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form; each is only made where it is asked for."""
    x, table, factors, groups = ctx.saved_tensors
    grad = grad.contiguous()
    for_x = for_table = None
    if ctx.needs_input_grad[0]:
        for_x = point_grad(grad, x, table, factors, groups)
    if ctx.needs_input_grad[1]:
        for_table = table_grad(grad, x, table, factors, groups)
    return for_x, for_table, None, None


planes.register_autograd(backward, setup_context=remember)


import fields.kernels.planes_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.planes_cuda  # noqa: F401
