"""Grid encode in Triton: points down, levels across; the lanes of a warp read one level at neighbouring points.

A program takes BLOCK points through all levels at once. The 2^D corners are unrolled; all channels of a vertex are read
as one word (two half numbers: 32 bits, four: 64) or as a few of 64 bits. `encode`, and `scatter` in
fields/kernels/grid_scatter_cuda.py, are device functions that the fused kernels share with the op.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.kernels import grid
from fields.kernels.grid_parts_cuda import WIDTHS, encoded, sloped
from fields.kernels.tiles_cuda import wide

P1, P2, P3 = (tl.constexpr(p) for p in grid.PRIMES[1:])


@triton.constexpr_function
def rows(levels, channels):
    """Levels of a tile: a power of two, and enough for levels times channels to be columns that tl.dot takes."""
    return wide(levels * channels) // channels


@triton.jit
def resolutions(fixed, LEVELS: tl.constexpr, ROWS: tl.constexpr):
    """Of each level, (1, ROWS): scale, first entry, last entry if hashed (else all bits), and how far apart entries of
    neighbours lie along each further axis (dense), or what its places are multiplied by (hashed)."""
    level = tl.arange(0, ROWS)
    inside = level < LEVELS
    scale = tl.load(fixed[0] + level, inside, 0.0)[None, :]
    side = tl.load(fixed[1] + level, inside, 1).to(tl.uint32)[None, :]
    start = tl.load(fixed[2] + level, inside, 0)
    size = tl.load(fixed[2] + level + 1, inside, 1) - start
    dense = side > 0
    mask = tl.where(dense, 0xFFFFFFFF, size.to(tl.uint32)[None, :] - 1)
    far = tl.where(dense, side, P1), tl.where(dense, side * side, P2), tl.where(dense, side * side * side, P3)
    return scale, start.to(tl.uint32)[None, :], mask, dense, far


@triton.jit
def locate(x, scale):
    """Points (BLOCK,), scales (1, ROWS) -> cells and fractions (BLOCK, ROWS); clamped to [0, 1], NaN to 0."""
    inside = tl.minimum(tl.where(x >= 0, x, 0.0), 1.0)
    place = inside[:, None] * scale + 0.5
    low = place.to(tl.int32)
    return low.to(tl.uint32), place - low.to(tl.float32)


@triton.jit
def surround(x, y, z, s, fixed, LEVELS: tl.constexpr, ROWS: tl.constexpr):
    """What `corner` needs of points given by four coordinates (BLOCK,) each, tuples by axis of (BLOCK, ROWS): keys of
    the lower and of the upper vertex, their weights; then what `resolutions` gives of the levels."""
    scale, start, mask, dense, far = resolutions(fixed, LEVELS, ROWS)
    i, u = locate(x, scale)
    j, v = locate(y, scale)
    k, w = locate(z, scale)
    m, r = locate(s, scale)
    near = i, j * far[0], k * far[1], m * far[2]
    keys = near, (i + 1, near[1] + far[0], near[2] + far[1], near[3] + far[2])
    return keys, ((1 - u, 1 - v, 1 - w, 1 - r), (u, v, w, r)), (scale, start, mask, dense)


@triton.jit
def corner(keys, level, PICK: tl.constexpr, D: tl.constexpr):
    """Entries (BLOCK, ROWS) uint32 of the vertex that lies above the point along the axes whose bits PICK has."""
    added = keys[PICK & 1][0]
    mixed = added
    for axis in tl.static_range(1, D):
        added += keys[(PICK >> axis) & 1][axis]
        mixed ^= keys[(PICK >> axis) & 1][axis]
    return level[1] + (tl.where(level[3], added, mixed) & level[2])


@triton.jit
def share(parts, PICK: tl.constexpr, D: tl.constexpr, WITHOUT: tl.constexpr):
    """Weight (BLOCK, ROWS) of a vertex: the product of the fractions of all axes but one."""
    weight = 1.0
    for axis in tl.static_range(D):
        if axis != WITHOUT:
            weight *= parts[(PICK >> axis) & 1][axis]
    return weight


@triton.constexpr_function
def word(dtype, channels):
    """The integer that is read at once: all numbers of an entry, or half or a quarter of them."""
    return {8: tl.int8, 16: tl.int16, 32: tl.int32}.get(channels * dtype.primitive_bitwidth, tl.int64)


@triton.constexpr_function
def words(dtype, channels):
    """How many of them make an entry."""
    return max(1, channels * dtype.primitive_bitwidth // 64)


@triton.jit
def unpacked(bits, dtype: tl.constexpr):
    """The numbers that integers (BLOCK, ROWS) are made of, lowest bits first: a tuple of float32 (BLOCK, ROWS)."""
    if bits.dtype.primitive_bitwidth == dtype.primitive_bitwidth:
        return (bits.to(dtype, bitcast=True).to(tl.float32),)
    elif bits.dtype == tl.int64:
        return unpacked(bits.to(tl.int32), dtype) + unpacked((bits >> 32).to(tl.int32), dtype)
    else:
        return unpacked(bits.to(tl.int16), dtype) + unpacked((bits >> 16).to(tl.int16), dtype)


@triton.jit
def read(table, entry, live, C: tl.constexpr):
    """Entries (BLOCK, ROWS) of a table (E, C): a tuple of C tiles (BLOCK, ROWS) float32, zeros where not live."""
    dtype: tl.constexpr = table.dtype.element_ty
    WORDS: tl.constexpr = words(dtype, C)
    place = table.to(tl.pointer_type(word(dtype, C))) + entry.to(tl.int64) * WORDS
    vertex = unpacked(tl.load(place, live, 0), dtype)
    for i in tl.static_range(1, WORDS):
        vertex = vertex + unpacked(tl.load(place + i, live, 0), dtype)
    return vertex


@triton.jit
def stacked(values, C: tl.constexpr):
    """A tuple of C tiles (BLOCK, ROWS) -> (BLOCK, ROWS, C)."""
    if C == 1:
        return values[0][:, :, None]
    else:
        pairs = tl.join(stacked(values[0::2], C // 2), stacked(values[1::2], C // 2))
        return tl.reshape(pairs, (pairs.shape[0], pairs.shape[1], C))


@triton.jit
def held(values):
    """Values (BLOCK, ROWS) as they are. The compiler lets no layout of registers past a reduction; without it, each of
    the corners would be brought into the layout of the matrix units by itself, through shared memory."""
    return tl.sum(tl.reshape(values, (1, values.shape[0], values.shape[1])), 0)


@triton.jit
def blended(totals, vertex, weight, C: tl.constexpr):
    """Totals + weight * vertex, channel by channel."""
    if C == 1:
        return (totals[0] + weight * vertex[0],)
    else:
        low = blended(totals[: C // 2], vertex[: C // 2], weight, C // 2)
        return low + blended(totals[C // 2 :], vertex[C // 2 :], weight, C // 2)


@triton.jit
def reading(live, LEVELS: tl.constexpr, ROWS: tl.constexpr):
    """Points (BLOCK,) and levels (BLOCK, ROWS) that there are."""
    return live[:, None] & (tl.arange(0, ROWS) < LEVELS)[None, :]


@triton.jit
def encode(x, y, z, s, live, table, fixed, LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr):
    """Points, D of four coordinates (BLOCK,) each -> features (BLOCK, wide(LEVELS * C)) float32, zeros where not live
    and past the last. fixed: pointers to scales, vertices and offsets."""
    ROWS: tl.constexpr = rows(LEVELS, C)
    keys, parts, level = surround(x, y, z, s, fixed, LEVELS, ROWS)
    there = reading(live, LEVELS, ROWS)
    totals = (tl.zeros((x.shape[0], ROWS), tl.float32),) * C
    for pick in tl.static_range(1 << D):
        vertex = read(table, corner(keys, level, pick, D), there, C)
        totals = blended(totals, vertex, share(parts, pick, D, D), C)
    total = stacked([held(values) for values in totals], C)
    return tl.reshape(total, (x.shape[0], ROWS * C))


@triton.jit
def columns(values, C: tl.constexpr):
    """The channels of values (BLOCK, ROWS, C): a tuple of C tiles (BLOCK, ROWS)."""
    if C == 1:
        return (tl.reshape(values, (values.shape[0], values.shape[1])),)
    elif C == 2:
        return tl.split(values)
    else:
        even, odd = tl.split(tl.reshape(values, (values.shape[0], values.shape[1], C // 2, 2)))
        a, b = columns(even, C // 2), columns(odd, C // 2)
        if C == 4:
            return a[0], b[0], a[1], b[1]
        else:
            return a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]


@triton.jit
def points(x, i, live, D: tl.constexpr):
    """Points i (BLOCK,) of (N, D) as four coordinates; the last stands for those that they have not."""
    a, b = tl.load(x + i * D, live, 0.0), tl.load(x + i * D + 1, live, 0.0)
    return a, b, tl.load(x + i * D + min(2, D - 1), live, 0.0), tl.load(x + i * D + D - 1, live, 0.0)


@triton.jit
def block(n, BLOCK: tl.constexpr):
    """Points (BLOCK,) int64 of this program, and which of them there are."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return i, i < n


@triton.jit
def line(i, live, LEVELS: tl.constexpr, C: tl.constexpr):
    """Where points i (BLOCK,) lie in (N, LEVELS * C), and which there are; (BLOCK, wide(LEVELS * C))."""
    column = tl.arange(0, wide(LEVELS * C))
    return (i * (LEVELS * C))[:, None] + column[None, :], live[:, None] & (column < LEVELS * C)[None, :]


@triton.jit(do_not_specialize=["n"])
def encode_kernel(
    x, table, scales, vertices, offsets, out, n,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program p: points p BLOCK to (p + 1) BLOCK, all levels."""
    i, live = block(n, BLOCK)
    a, b, c, d = points(x, i, live, D)
    features = encode(a, b, c, d, live, table, (scales, vertices, offsets), LEVELS, C, D)
    place, there = line(i, live, LEVELS, C)
    tl.store(out + place, features, there)


@triton.jit(do_not_specialize=["n"])
def slope_kernel(
    grad, x, table, scales, vertices, offsets, out, n,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program p: dL/dx of points p BLOCK to (p + 1) BLOCK."""
    ROWS: tl.constexpr = rows(LEVELS, C)
    i, live = block(n, BLOCK)
    place, there = line(i, live, LEVELS, C)
    push = tl.load(grad + place, there, 0.0).to(tl.float32)  # (BLOCK, ROWS * C)
    pushes = [held(values) for values in columns(tl.reshape(push, (BLOCK, ROWS, C)), C)]
    a, b, c, d = points(x, i, live, D)
    keys, parts, level = surround(a, b, c, d, (scales, vertices, offsets), LEVELS, ROWS)
    there = reading(live, LEVELS, ROWS)
    sums = (tl.zeros((BLOCK, ROWS), tl.float32),) * D
    for pick in tl.static_range(1 << D):
        along = inner(read(table, corner(keys, level, pick, D), there, C), pushes, C)  # (BLOCK, ROWS)
        sums = inclined(sums, along, parts, pick, D, 0)
    for axis in tl.static_range(D):
        value = tl.load(x + i * D + axis, live, 0.0)
        inside = (value >= 0) & (value <= 1)
        tl.store(out + i * D + axis, tl.where(inside, tl.sum(sums[axis] * level[0], 1), 0.0), live)


@triton.jit
def inner(vertex, pushes, C: tl.constexpr):
    """<vertex, pushes> (BLOCK, ROWS), over the channels."""
    total = vertex[0] * pushes[0]
    for c in tl.static_range(1, C):
        total += vertex[c] * pushes[c]
    return total


@triton.jit
def inclined(sums, along, parts, PICK: tl.constexpr, D: tl.constexpr, AXIS: tl.constexpr):
    """Sums, from AXIS on, with what this vertex adds along each axis: up where it lies above the point, else down."""
    term = along * share(parts, PICK, D, AXIS)
    added = (sums[AXIS] + term if (PICK >> AXIS) & 1 else sums[AXIS] - term,)
    if AXIS + 1 == D:
        return added
    else:
        return added + inclined(sums, along, parts, PICK, D, AXIS + 1)


def launch(n: int, levels: int, channels: int, most: int = 64) -> tuple[tuple[int], dict[str, int]]:
    """Programs, and points and warps of each: as many as fit a processor's registers."""
    size = min(most, 64 if levels * channels <= 64 else 32)
    return (triton.cdiv(n, size),), {"BLOCK": size, "num_warps": 4 if size * levels <= 512 else 8}


def whole(table: Tensor) -> Tensor:
    """The table without gaps, beginning where a word may begin."""
    table = table.contiguous()
    return table.clone() if table.data_ptr() % 16 else table


@grid.grid_encode.register_kernel("cuda")
def forward(x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """See `grid_encode`. x (N, D) float32 -> (N, L * C) in the table's type."""
    if x.dtype == torch.float64:
        return grid.reference(x, table, scales, vertices, offsets)
    (n, dims), channels, levels = x.shape, table.shape[1], len(scales)
    if channels not in WIDTHS:
        return encoded(lambda part: forward(x, part, scales, vertices, offsets), table, levels)
    out = table.new_empty(n, levels * channels)
    if n:
        programs, sizes = launch(n, levels, channels)
        plan = (scales, vertices, offsets)
        encode_kernel[programs](x.contiguous(), whole(table), *plan, out, n, levels, channels, dims, **sizes)
    return out


@grid.point_grad.register_kernel("cuda")
def point_grad(grad: Tensor, x: Tensor, table: Tensor, scales: Tensor, vertices: Tensor, offsets: Tensor) -> Tensor:
    """See `grid.point_grad`. grad (N, L * C) -> (N, D) float32."""
    if x.dtype == torch.float64:
        return grid.point_slopes(grad, x, table, scales, vertices, offsets)
    (n, dims), channels, levels = x.shape, table.shape[1], len(scales)
    if channels not in WIDTHS:
        return sloped(lambda push, part: point_grad(push, x, part, scales, vertices, offsets), grad, table, levels)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    if n:
        programs, sizes = launch(n, levels, channels)
        given = (grad.contiguous(), x.contiguous(), whole(table), scales, vertices, offsets)
        slope_kernel[programs](*given, out, n, levels, channels, dims, **sizes)
    return out


import fields.kernels.grid_scatter_cuda  # noqa: E402, F401  (last: the gradient of the table, with these functions)
