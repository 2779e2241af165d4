"""Voxel lookup in Triton: device functions that read vertices and add to their gradients, and the op's kernels on them.

A tile holds points in rows; column 0 is log-density and column 1 + n is coefficient n, as in the op's output.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

import fields.kernels.voxels as op
from fields.backend import repeats
from fields.kernels.atomics_cuda import add_pair
from fields.kernels.planes_cuda import along
from fields.kernels.segments_cuda import sums
from fields.kernels.tiles_cuda import column

EMPTY = tl.constexpr(op.EMPTY)
TILE = 2048  # numbers of a program's tile, points times columns


@triton.jit
def cell(x, y, z, vertices):
    """Lowest vertex (BLOCK,) int32 of the cells around points (BLOCK,) each, fractions above it, and how many vertices
    lie between neighbours on each axis: tuples of three."""
    i, u = along(x, vertices)
    j, v = along(y, vertices)
    k, w = along(z, vertices)
    return (i * vertices + j) * vertices + k, (u, v, w), (vertices * vertices, vertices, 1)


@triton.jit
def corner(index, place, live, pick):
    """Row (BLOCK,) of the vertex that lies above along the axes whose bits `pick` has (z the lowest), -1 where it was
    pruned or the point is not live, and its weight (BLOCK,)."""
    low, fraction, far = place
    weight = 1.0
    for axis in tl.static_range(3):
        above = (pick >> (2 - axis)) & 1
        low += above * far[axis]
        weight *= tl.where(above != 0, fraction[axis], 1 - fraction[axis])
    return tl.load(index + low, live, -1), weight


@triton.jit
def held(density, coefficients, row, C: tl.constexpr, W: tl.constexpr):
    """What vertices hold: log-density (BLOCK,), EMPTY where there is none, and coefficients (BLOCK, W) from column 1
    on, zeros elsewhere."""
    place, here = tl.arange(0, W)[None, :], row >= 0
    inside = here[:, None] & (place > 0) & (place <= C)
    numbers = tl.load(coefficients + row.to(tl.int64)[:, None] * C + place - 1, inside, 0.0)
    return tl.load(density + row, here, EMPTY).to(tl.float32), numbers.to(tl.float32)


@triton.jit
def blended(place, live, density, coefficients, index, C: tl.constexpr, W: tl.constexpr):
    """Log-density and coefficients (BLOCK, W) float32 at points, zeros past the last."""
    first, rest = tl.zeros([live.shape[0]], tl.float32), tl.zeros((live.shape[0], W), tl.float32)
    for pick in tl.static_range(8):
        row, weight = corner(index, place, live, pick)
        log_density, numbers = held(density, coefficients, row, C, W)
        first += weight * log_density
        rest += weight[:, None] * numbers
    return tl.where((tl.arange(0, W) == 0)[None, :], first[:, None], rest)


@triton.jit
def halves(grad):
    """A tile (BLOCK, W) as three of (BLOCK, W / 2): columns 2 j, 2 j + 1 and 2 j + 2."""
    BLOCK: tl.constexpr = grad.shape[0]
    HALF: tl.constexpr = grad.shape[1] // 2
    even, odd = tl.split(tl.reshape(grad, (BLOCK, HALF, 2)))
    j = tl.arange(0, HALF)[None, :]
    after = tl.gather(even, tl.broadcast_to(tl.minimum(j + 1, HALF - 1), (BLOCK, HALF)), 1)
    return even, odd, tl.where(j + 1 < HALF, after, 0.0)


@triton.jit
def add_row(target, row, weight, grad, last, C: tl.constexpr):
    """target[row] += weight * the C coefficients of grad, as `halves` gives it. Two neighbours are added at once where
    the first one's place in memory is even: with C odd, every other row then begins or ends with one alone, whose
    gradient is in `last`: of odd rows, of even ones (BLOCK,)."""
    j, odd = 2 * tl.arange(0, grad[0].shape[1])[None, :], (row & C & 1)[:, None]  # (1, W / 2), (BLOCK, 1)
    here, start = row >= 0, target + row.to(tl.int64) * C  # (BLOCK,)
    a, b = (
        tl.where(odd != 0, grad[0], grad[1]) * weight[:, None],
        tl.where(odd != 0, grad[1], grad[2]) * weight[:, None],
    )
    inside = here[:, None] & (j >= odd) & (j + 2 - odd <= C) & ((a != 0) | (b != 0))
    add_pair(start[:, None] + j - odd, a, b, inside)
    if C % 2:
        odd = row & 1
        alone = weight * tl.where(odd != 0, last[0], last[1])  # (BLOCK,)
        tl.atomic_add(start + tl.where(odd != 0, 0, C - 1), alone, here & (alone != 0), sem="relaxed")


@triton.jit
def shared_out(place, live, grad, for_density, for_coefficients, index, C: tl.constexpr):
    """Adds weight * grad (BLOCK, W) to the kept vertices around each point; zeros are skipped."""
    first, last, parts = column(grad, 0), (column(grad, 1), column(grad, C)), halves(grad)
    for pick in tl.range(0, 8, num_stages=1):
        row, weight = corner(index, place, live, pick)
        share = weight * first  # (BLOCK,)
        tl.atomic_add(for_density + row, share, (row >= 0) & (share != 0), sem="relaxed")
        add_row(for_coefficients, row, weight, parts, last, C)


@triton.jit
def asked(x, n, vertices, BLOCK: tl.constexpr):
    """This program's points: number (BLOCK,) int64, whether there is one, coordinates, and the cells they lie in."""
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = point < n
    x = tl.load(x + 3 * point, live, 0.0), tl.load(x + 3 * point + 1, live, 0.0), tl.load(x + 3 * point + 2, live, 0.0)
    return point, live, x, cell(x[0], x[1], x[2], vertices)


@triton.jit
def pushed(grad, point, live, C: tl.constexpr, W: tl.constexpr):
    """Rows of grad (n, 1 + C) as a tile (BLOCK, W) float32."""
    column = tl.arange(0, W)[None, :]
    return tl.load(grad + point[:, None] * (C + 1) + column, live[:, None] & (column <= C), 0.0).to(tl.float32)


@triton.jit(do_not_specialize=["n", "vertices"])
def lookup(
    x, density, coefficients, index, out, n, vertices, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """One program writes BLOCK rows of out (n, 1 + C)."""
    point, live, _, place = asked(x, n, vertices, BLOCK)
    column = tl.arange(0, W)[None, :]
    result = blended(place, live, density, coefficients, index, C, W)  # (BLOCK, W)
    tl.store(out + point[:, None] * (C + 1) + column, result, live[:, None] & (column <= C))


@triton.jit(do_not_specialize=["n", "vertices"])
def scatter(
    grad, x, index, for_density, for_coefficients, n, vertices,
    C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program adds what BLOCK points share out to their vertices."""
    point, live, _, place = asked(x, n, vertices, BLOCK)
    shared_out(place, live, pushed(grad, point, live, C, W), for_density, for_coefficients, index, C)


@triton.jit(do_not_specialize=["n", "vertices"])
def shares(grad, x, index, rows, values, n, vertices, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr):
    """One program writes what BLOCK points add: rows (n, 8), -1 for none, and values (n, 8, 1 + C) float32."""
    point, live, _, place = asked(x, n, vertices, BLOCK)
    column, push = tl.arange(0, W)[None, :], pushed(grad, point, live, C, W)  # (BLOCK, W)
    for pick in tl.static_range(8):
        row, weight = corner(index, place, live, pick)
        mine = 8 * point + pick  # (BLOCK,)
        tl.store(rows + mine, row.to(tl.int64), live)
        tl.store(values + mine[:, None] * (C + 1) + column, push * weight[:, None], live[:, None] & (column <= C))


@triton.jit(do_not_specialize=["n", "vertices"])
def slope(
    grad, x, density, coefficients, index, out, n, vertices, C: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """One program writes dL/dx (n, 3) of BLOCK points: along each axis, what the upper vertices hold less what the
    lower ones do, weighted by the other two axes."""
    point, live, given, place = asked(x, n, vertices, BLOCK)
    push = pushed(grad, point, live, C, W)  # (BLOCK, W)
    first = tl.sum(tl.where((tl.arange(0, W) == 0)[None, :], push, 0.0), 1)  # (BLOCK,)
    u, v, w = place[1]
    along_x, along_y, along_z = 0.0 * u, 0.0 * u, 0.0 * u
    for pick in tl.range(0, 8, num_stages=1):
        row, _ = corner(index, place, live, pick)
        log_density, numbers = held(density, coefficients, row, C, W)
        value = log_density * first + tl.sum(numbers * push, 1)  # (BLOCK,)
        i, j, k = pick >> 2, (pick >> 1) & 1, pick & 1  # whether the vertex is an upper one
        a, b, c = tl.where(i != 0, u, 1 - u), tl.where(j != 0, v, 1 - v), tl.where(k != 0, w, 1 - w)
        along_x += value * b * c * (2 * i - 1)
        along_y += value * a * c * (2 * j - 1)
        along_z += value * a * b * (2 * k - 1)
    cells = (vertices - 1).to(tl.float32)
    tl.store(out + 3 * point, tl.where((given[0] >= 0) & (given[0] <= 1), along_x * cells, 0.0), live)
    tl.store(out + 3 * point + 1, tl.where((given[1] >= 0) & (given[1] <= 1), along_y * cells, 0.0), live)
    tl.store(out + 3 * point + 2, tl.where((given[2] >= 0) & (given[2] <= 1), along_z * cells, 0.0), live)


def shape(channels: int) -> dict[str, int]:
    """Constants of the kernels."""
    width = triton.next_power_of_2(1 + channels)
    return {"C": channels, "W": width, "BLOCK": max(TILE // width, 16)}


def forward(x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    """See fields/kernels/voxels.py: sums in float32, answers in the type of the tables."""
    if x.dtype == torch.float64:
        return op.reference(x, density, coefficients, index)
    sizes, given = shape(coefficients.shape[1]), (x, density, coefficients, index)
    out = density.new_empty(len(x), 1 + coefficients.shape[1])
    if len(x):
        programs = triton.cdiv(len(x), sizes["BLOCK"])
        lookup[(programs,)](*(t.contiguous() for t in given), out, len(x), len(index), **sizes)
    return out


def table_grad(grad: Tensor, x: Tensor, index: Tensor, rows: int, exact: bool | None = None) -> tuple[Tensor, Tensor]:
    """dL/ddensity (K,), dL/dcoefficients (K, C), float32: with atomics, or where `exact` in a fixed order."""
    if x.dtype == torch.float64:
        return op.table_grad._init_fn(grad, x, index, rows)
    channels, given = grad.shape[1] - 1, (grad.contiguous(), x.contiguous(), index.contiguous())
    sizes, count = shape(channels), (len(x), len(index))
    programs = triton.cdiv(len(x), sizes["BLOCK"])
    if repeats() if exact is None else exact:
        places = torch.empty(8 * len(x), dtype=torch.int64, device=x.device)
        values = x.new_empty(8 * len(x), 1 + channels)
        if len(x):
            shares[(programs,)](*given, places, values, *count, **sizes)
        total = sums(places, values, rows)
        return total[:, 0].contiguous(), total[:, 1:].contiguous()
    for_density, for_coefficients = x.new_zeros(rows), x.new_zeros(rows, channels)
    if len(x):
        scatter[(programs,)](*given, for_density, for_coefficients, *count, **sizes)
    return for_density, for_coefficients


def point_grad(grad: Tensor, x: Tensor, density: Tensor, coefficients: Tensor, index: Tensor) -> Tensor:
    """dL/dx (N, 3) float32."""
    if x.dtype == torch.float64:
        return op.point_grad._init_fn(grad, x, density, coefficients, index)
    sizes, given = shape(coefficients.shape[1]), (grad, x, density, coefficients, index)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    if len(x):
        programs = triton.cdiv(len(x), sizes["BLOCK"])
        slope[(programs,)](*(t.contiguous() for t in given), out, len(x), len(index), **sizes)
    return out


op.voxels.register_kernel("cuda")(forward)
op.table_grad.register_kernel("cuda")(table_grad)
op.point_grad.register_kernel("cuda")(point_grad)
