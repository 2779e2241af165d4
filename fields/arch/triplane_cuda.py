"""Device functions of the tri-plane, in Triton: planes of every scale, product or sum, and the decoder.

The decoder's first layer is a sum over scales and over parts of at most PART channels: the tile of one of them is what
a program holds. SHAPE is (coarsest, scales, channels, width, whether the planes of a scale are multiplied).
"""

import triton
import triton.language as tl

from fields.arch import triplane
from fields.base import FEATURES
from fields.kernels.planes_cuda import add, square, value
from fields.kernels.tiles_cuda import linear, linear_grad, wide

PART = tl.constexpr(32)  # channels
SHIFT = tl.constexpr(triplane.SHIFT)
OUT = tl.constexpr(FEATURES)


@triton.constexpr_function
def parts(channels):
    """How many parts there are of so many channels."""
    return -(-channels // 32)


@triton.constexpr_function
def part(channels, number):
    """Channels of one part."""
    return min(32, channels - 32 * number)


@triton.jit
def places(x, y, z, scale, SHAPE: tl.constexpr):
    """Where points lie in the three planes of a scale: xy, xz, yz."""
    side = SHAPE[0] << scale
    rows = side * side
    first = rows - SHAPE[0] * SHAPE[0]  # rows of the scales before: 3 (1 + 4 + 16 + ..) times the coarsest squared
    xy, xz = square(x, y, side, side, first), square(x, z, side, side, first + rows)
    return xy, xz, square(y, z, side, side, first + 2 * rows)


@triton.jit
def values(table, where, live, NUMBER: tl.constexpr, SHAPE: tl.constexpr):
    """One part of the channels of the three planes at points, each (BLOCK, wide(SIZE)) float32."""
    C: tl.constexpr = SHAPE[2]
    SIZE: tl.constexpr = part(C, NUMBER)
    table += PART * NUMBER
    xy = value(table, where[0], live, SIZE, wide(SIZE), C, False)
    xz = value(table, where[1], live, SIZE, wide(SIZE), C, False)
    return xy, xz, value(table, where[2], live, SIZE, wide(SIZE), C, False)


@triton.jit
def combined(read, SHAPE: tl.constexpr):
    """What the decoder reads of three planes."""
    return read[0] * read[1] * read[2] if SHAPE[4] else read[0] + read[1] + read[2]


@triton.jit
def hidden(x, y, z, live, tables, weights, SHAPE: tl.constexpr):
    """The decoder's hidden layer before its ReLU, (BLOCK, wide(WIDTH)) float32."""
    C: tl.constexpr = SHAPE[2]
    WIDTH: tl.constexpr = SHAPE[3]
    SCALES: tl.constexpr = SHAPE[1]
    total = tl.zeros((x.shape[0], wide(WIDTH)), tl.float32)
    for scale in tl.range(0, SCALES, num_stages=1):
        where = places(x, y, z, scale, SHAPE)
        for number in tl.static_range(parts(C)):
            read = combined(values(tables[0], where, live, number, SHAPE), SHAPE)
            total += linear(read, weights[0] + scale * C + PART * number, WIDTH, part(C, number), SCALES * C)
    return total


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Features (BLOCK, 16) float32 at points (BLOCK,) each in the unit box, where live."""
    WIDTH: tl.constexpr = SHAPE[3]
    layer = tl.maximum(hidden(x, y, z, live, tables, weights, SHAPE), 0.0)  # (BLOCK, wide(WIDTH))
    out = linear(layer, weights[1], OUT, WIDTH, WIDTH)  # (BLOCK, 16)
    return out - tl.where(tl.arange(0, out.shape[1]) == 0, SHIFT, 0.0)[None, :]


@triton.jit
def part_grad(
    where, push, live, tables, weights, table_grads, weight_grads, scale,
    NUMBER: tl.constexpr, SHAPE: tl.constexpr,
):  # fmt: skip
    """Of one part of one scale's channels: adds to its columns of the first layer, and to its three planes. `push` is
    the gradient of the hidden layer before its ReLU."""
    C: tl.constexpr = SHAPE[2]
    SIZE: tl.constexpr = part(C, NUMBER)
    read = values(tables[0], where, live, NUMBER, SHAPE)  # three times (BLOCK, wide(SIZE))
    place = scale * C + PART * NUMBER
    pull = linear_grad(
        combined(read, SHAPE), push, weights[0] + place, weight_grads[0] + place, SHAPE[3], SIZE, SHAPE[1] * C
    )  # fmt: skip
    target = table_grads[0] + PART * NUMBER
    if SHAPE[4]:
        add(target, where[0], pull * (read[1] * read[2]), SIZE, C, False)
        add(target, where[1], pull * (read[0] * read[2]), SIZE, C, False)
        add(target, where[2], pull * (read[0] * read[1]), SIZE, C, False)
    else:
        for plane in tl.static_range(3):
            add(target, where[plane], pull, SIZE, C, False)


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """Adds to the gradients of the table and of the decoder, from grad (BLOCK, 16) of the features. The planes are read
    a second time: their tiles would not all stay in registers."""
    SCALES: tl.constexpr = SHAPE[1]
    WIDTH: tl.constexpr = SHAPE[3]
    layer = tl.maximum(hidden(x, y, z, live, tables, weights, SHAPE), 0.0)  # (BLOCK, wide(WIDTH))
    push = linear_grad(layer, grad, weights[1], weight_grads[1], OUT, WIDTH, WIDTH)
    push = tl.where(layer > 0, push, 0.0)  # (BLOCK, wide(WIDTH))
    for scale in tl.range(0, SCALES, num_stages=1):
        where = places(x, y, z, scale, SHAPE)
        for number in tl.static_range(parts(SHAPE[2])):
            part_grad(where, push, live, tables, weights, table_grads, weight_grads, scale, number, SHAPE)
