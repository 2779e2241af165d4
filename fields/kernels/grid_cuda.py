"""Grid encode in Triton: points down, levels across; the lanes of a warp read one level at neighbouring points.

A program takes BLOCK points through all levels at once; the 2^D corners are unrolled, and all channels of a vertex are
one load (two half numbers: one 32-bit word). `encode`, `scatter` and `slope` are device functions that the fused
kernels share with the op.
"""

import triton
import triton.language as tl

from fields.kernels.atomics_cuda import add_pair
from fields.kernels.grid import PRIMES
from fields.kernels.tiles_cuda import wide

P1, P2, P3 = (tl.constexpr(p) for p in PRIMES[1:])


@triton.constexpr_function
def rows(levels, channels):
    """Levels of a tile: a power of two, and enough for levels times channels to be columns that tl.dot takes."""
    return wide(levels * channels) // channels


@triton.constexpr_function
def bits(n):
    """Binary digits of a power of two after the first."""
    return n.bit_length() - 1


@triton.jit
def resolutions(fixed, LEVELS: tl.constexpr, ROWS: tl.constexpr):
    """Of each level, (1, LEVELS): scale, first entry, last entry if hashed (else all bits), and how far apart entries of
    neighbouring vertices lie along each axis (dense) or what their places are multiplied by (hashed)."""
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
def moved(values, BY: tl.constexpr):
    """Values (RUNS, LANES, ROWS) of the point BY lanes before (behind where negative); at the ends, of the end."""
    lane = tl.arange(0, values.shape[1])
    source = tl.minimum(tl.maximum(lane - BY, 0), values.shape[1] - 1)
    return tl.gather(values, tl.broadcast_to(source[None, :, None], values.shape), 1)


@triton.jit
def runs(keys, D: tl.constexpr, LANES: tl.constexpr):
    """Neighbouring points in one cell, by LANES points (RUNS, LANES, ROWS): how many lanes before each one its run
    begins, and whether it ends there."""
    SHAPE: tl.constexpr = (keys[0][0].shape[0] // LANES, LANES, keys[0][0].shape[1])
    lane = tl.arange(0, LANES)[None, :, None]
    begins = tl.broadcast_to(lane == 0, SHAPE)
    for axis in tl.static_range(D):
        key = tl.reshape(keys[0][axis], SHAPE)
        begins = begins | (key != moved(key, 1))
    begins = begins.to(tl.int32)
    ends = (lane == LANES - 1) | (moved(begins, -1) != 0)
    first = begins * lane
    for step in tl.static_range(bits(LANES)):
        first = tl.maximum(first, moved(first, 1 << step))
    return lane - first, ends


@triton.jit
def gathered(values, behind, LANES: tl.constexpr):
    """Sums of values (RUNS, LANES, ROWS) from the beginning of each run."""
    for step in tl.static_range(bits(LANES)):
        values += tl.where(behind >= (1 << step), moved(values, 1 << step), 0.0)
    return values


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
def scatter(
    x, y, z, s, live, grad, table_grad, fixed,
    LEVELS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Adds weight * grad to the 2^D entries of each level: grad (BLOCK, wide(LEVELS * C)), table_grad (E, C) float32.

    The last point of a run writes the sum of its run, unless that is zero.
    """
    ROWS: tl.constexpr = rows(LEVELS, C)
    LANES: tl.constexpr = min(32, x.shape[0])
    keys, parts, level = surround(x, y, z, s, fixed, LEVELS, ROWS)
    behind, ends = runs(keys, D, LANES)
    grad = tl.reshape(tl.where(live[:, None], grad, 0.0), (x.shape[0], ROWS, C))
    pushes = [moved(tl.reshape(push, behind.shape), 0) for push in columns(grad, C)]
    ends = ends & (tl.arange(0, ROWS) < LEVELS)[None, None, :]
    for pick in tl.static_range(1 << D):
        entry = tl.reshape(corner(keys, level, pick, D), behind.shape)  # (RUNS, LANES, ROWS)
        weight = tl.reshape(share(parts, pick, D, D), behind.shape)
        place = table_grad + entry.to(tl.int64) * C
        if C == 1:
            a = gathered(weight * pushes[0], behind, LANES)
            tl.atomic_add(place, a, ends & (a != 0), sem="relaxed")
        for pair in tl.static_range(C // 2):
            a = gathered(weight * pushes[2 * pair], behind, LANES)
            b = gathered(weight * pushes[2 * pair + 1], behind, LANES)
            add_pair(place + 2 * pair, a, b, ends & ((a != 0) | (b != 0)), PACKED)
