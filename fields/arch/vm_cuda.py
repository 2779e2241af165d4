"""Device functions of the vector-matrix tensor, in Triton: planes times lines, and the linear map to colour features.

Pairs are taken one after the other, and ranks in parts of at most PART, since that is what registers hold. The vertices
per side, which grow in a run, are read on the device. SHAPE is (density rank, colour rank).
"""

import triton
import triton.language as tl

from fields.arch import vm
from fields.base import FEATURES
from fields.kernels.planes_cuda import add, segment, square, value
from fields.kernels.tiles_cuda import column, dot, power, wide

PART = tl.constexpr(32)  # ranks
SHIFT = tl.constexpr(vm.SHIFT)
OUT = tl.constexpr(FEATURES)


@triton.constexpr_function
def parts(ranks):
    """How many parts there are of so many ranks."""
    return -(-ranks // 32)


@triton.constexpr_function
def part(ranks, number):
    """Ranks of one part."""
    return min(32, ranks - 32 * number)


@triton.jit
def places(x, y, z, pair, factors):
    """Where points lie in the plane and in the line of a pair: xy and z, xz and y, yz and x."""
    size = tl.load(factors + 2).to(tl.int32)
    first = pair * (size * size + size)
    a, b = tl.where(pair == 2, y, x), tl.where(pair == 0, y, z)
    c = tl.where(pair == 0, z, tl.where(pair == 1, y, x))
    return square(a, b, size, size, first), segment(c, size, first + size * size)


@triton.jit
def values(table, plane, line, live, NUMBER: tl.constexpr, RANKS: tl.constexpr):
    """One part of the ranks of a plane and of its line, each (BLOCK, wide(SIZE)) float32."""
    SIZE: tl.constexpr = part(RANKS, NUMBER)
    table += PART * NUMBER
    along = value(table, line, live, SIZE, wide(SIZE), RANKS, True)
    return value(table, plane, live, SIZE, wide(SIZE), RANKS, False), along


@triton.jit
def basis(matrix, pair, NUMBER: tl.constexpr, RANKS: tl.constexpr):
    """Where the columns of one part of a pair lie in the matrix (OUT - 1, 3 RANKS), a tile (OUT, wide(SIZE)) whose row
    is the feature that comes of it, and what of the tile there is: nothing for feature 0, log-density."""
    SIZE: tl.constexpr = part(RANKS, NUMBER)
    row, place = tl.arange(0, OUT)[:, None], tl.arange(0, wide(SIZE))[None, :]
    first = pair * RANKS + PART * NUMBER
    return matrix + (row - 1) * (3 * RANKS) + first + place, (row > 0) & (place < SIZE)


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Features (BLOCK, 16) float32 at points (BLOCK,) each in the unit box, where live."""
    density, out = tl.zeros([x.shape[0]], tl.float32), tl.zeros((x.shape[0], OUT), tl.float32)
    for pair in tl.range(0, 3, num_stages=1):
        plane, line = places(x, y, z, pair, fixed[0])
        for number in tl.static_range(parts(SHAPE[0])):
            across, along = values(tables[0], plane, line, live, number, SHAPE[0])
            density += tl.sum(across * along, 1)
        for number in tl.static_range(parts(SHAPE[1])):
            across, along = values(tables[1], plane, line, live, number, SHAPE[1])
            place, inside = basis(weights[0], pair, number, SHAPE[1])
            out += dot(across * along, tl.trans(tl.load(place, inside, 0.0)))
    return tl.where((tl.arange(0, OUT) == 0)[None, :], density[:, None] - SHIFT, out)


@triton.jit
def spread(
    table_grad, plane, line, across, along, pull,
    NUMBER: tl.constexpr, RANKS: tl.constexpr,
):  # fmt: skip
    """Adds to a plane and to its line, from the gradient of their product (BLOCK, wide(SIZE))."""
    SIZE: tl.constexpr = part(RANKS, NUMBER)
    add(table_grad + PART * NUMBER, plane, pull * along, SIZE, RANKS, False)
    add(table_grad + PART * NUMBER, line, pull * across, SIZE, RANKS, True)


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """Adds to the gradients of both tables and of the linear map, from grad (BLOCK, 16) of the features."""
    density = column(grad, 0)[:, None]  # (BLOCK, 1)
    color = tl.where((tl.arange(0, OUT) > 0)[None, :], grad, 0.0)  # (BLOCK, 16)
    scale, back = power(color, weights[0].dtype.element_ty)
    color = (color * scale).to(weights[0].dtype.element_ty)
    for pair in tl.range(0, 3, num_stages=1):
        plane, line = places(x, y, z, pair, fixed[0])
        for number in tl.static_range(parts(SHAPE[0])):
            across, along = values(tables[0], plane, line, live, number, SHAPE[0])
            spread(table_grads[0], plane, line, across, along, density, number, SHAPE[0])
        for number in tl.static_range(parts(SHAPE[1])):
            across, along = values(tables[1], plane, line, live, number, SHAPE[1])
            place, inside = basis(weights[0], pair, number, SHAPE[1])
            pull = dot(color, tl.load(place, inside, 0.0)) * back  # (BLOCK, wide(SIZE))
            spread(table_grads[1], plane, line, across, along, pull, number, SHAPE[1])
            sums = dot(tl.trans(color), (across * along).to(color.dtype)) * back  # (16, wide(SIZE))
            place, inside = basis(weight_grads[0], pair, number, SHAPE[1])
            tl.store(place, tl.load(place, inside, 0.0) + sums, inside)
