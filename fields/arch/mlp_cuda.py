"""Device functions of the MLP, in Triton: waves of the point, and plain layers with ReLU.

The gradient keeps no activations: for every layer it goes forward again up to there, since all of them together are
more than registers hold. SHAPE is (depth, width, skip, frequencies).
"""

import triton
import triton.language as tl

from fields.base import FEATURES
from fields.kernels.tiles_cuda import linear, linear_grad, matrix_grad, wide
from fields.kernels.wendland_cuda import sine

OUT = tl.constexpr(FEATURES)


@triton.constexpr_function
def inputs(frequencies):
    """Numbers that the first layer reads."""
    return 3 + 6 * frequencies


@triton.jit
def waves(x, y, z, live, cycles, K: tl.constexpr):
    """(BLOCK, wide(3 + 6 K)): 2 x - 1, sines and cosines of 2 pi times cycles times x, coordinate by coordinate."""
    column = tl.arange(0, wide(inputs(K)))  # (W,)
    place = tl.maximum(column - 3, 0)
    wave = place % (3 * K)
    coordinate = tl.where(column < 3, column, wave // K)[None, :]
    point = tl.where(coordinate == 0, x[:, None], tl.where(coordinate == 1, y[:, None], z[:, None]))  # (BLOCK, W)
    turns = point * tl.load(cycles + wave % K)[None, :]
    turns = turns - tl.floor(turns) + tl.where(place >= 3 * K, 0.25, 0.0)[None, :]
    value = tl.where((column < 3)[None, :], 2.0 * point - 1.0, sine(turns * 6.283185307179586))
    return tl.where(live[:, None] & (column < inputs(K))[None, :], value, 0.0)


@triton.jit
def biased(product, bias, WIDTH: tl.constexpr):
    """A product (BLOCK, wide(WIDTH)) with its bias."""
    column = tl.arange(0, wide(WIDTH))
    return product + tl.load(bias + column, column < WIDTH, 0.0).to(tl.float32)[None, :]


@triton.jit
def layer(h, seen, weights, NUMBER: tl.constexpr, SHAPE: tl.constexpr):
    """Hidden layer NUMBER (BLOCK, wide(WIDTH)), of `seen` where it is the first, which layer `skip` reads too."""
    WIDTH: tl.constexpr = SHAPE[1]
    IN: tl.constexpr = inputs(SHAPE[3])
    if NUMBER == 0:
        z = linear(seen, weights[0], WIDTH, IN, IN)
    elif SHAPE[2] == NUMBER:
        z = linear(h, weights[2 * NUMBER], WIDTH, WIDTH, WIDTH + IN)
        z += linear(seen, weights[2 * NUMBER] + WIDTH, WIDTH, IN, WIDTH + IN)
    else:
        z = linear(h, weights[2 * NUMBER], WIDTH, WIDTH, WIDTH)
    return tl.maximum(biased(z, weights[2 * NUMBER + 1], WIDTH), 0.0)


@triton.jit
def hidden(seen, weights, LAYERS: tl.constexpr, SHAPE: tl.constexpr):
    """What the first so many layers, one at least, make of the waves."""
    h = layer(seen, seen, weights, 0, SHAPE)
    for number in tl.static_range(1, LAYERS):
        h = layer(h, seen, weights, number, SHAPE)
    return h


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Features (BLOCK, 16) float32 at points (BLOCK,) each in the unit box, where live."""
    DEPTH: tl.constexpr = SHAPE[0]
    h = hidden(waves(x, y, z, live, fixed[0], SHAPE[3]), weights, DEPTH, SHAPE)
    return biased(linear(h, weights[2 * DEPTH], OUT, SHAPE[1], SHAPE[1]), weights[2 * DEPTH + 1], OUT)


@triton.jit
def bias_grad(sums, push, WIDTH: tl.constexpr):
    """Adds push (BLOCK, wide(WIDTH)) to this program's gradient of a bias."""
    place = tl.arange(0, wide(WIDTH))
    tl.store(sums + place, tl.load(sums + place, place < WIDTH, 0.0) + tl.sum(push, 0), place < WIDTH)


@triton.jit
def layer_grad(seen, push, weights, weight_grads, NUMBER: tl.constexpr, SHAPE: tl.constexpr):
    """From push (BLOCK, wide(WIDTH)), the gradient of layer NUMBER behind its ReLU, that of the layer before; adds to
    the gradients of its weights."""
    WIDTH: tl.constexpr = SHAPE[1]
    IN: tl.constexpr = inputs(SHAPE[3])
    h = hidden(seen, weights, NUMBER, SHAPE) if NUMBER > 0 else seen
    push = tl.where(layer(h, seen, weights, NUMBER, SHAPE) > 0, push, 0.0)
    bias_grad(weight_grads[2 * NUMBER + 1], push, WIDTH)
    weight, sums = weights[2 * NUMBER], weight_grads[2 * NUMBER]
    if NUMBER == 0:
        matrix_grad(seen, push, sums, weight.dtype.element_ty, WIDTH, IN, IN)
        pull = push
    elif SHAPE[2] == NUMBER:
        matrix_grad(seen, push, sums + WIDTH, weight.dtype.element_ty, WIDTH, IN, WIDTH + IN)
        pull = linear_grad(h, push, weight, sums, WIDTH, WIDTH, WIDTH + IN)
    else:
        pull = linear_grad(h, push, weight, sums, WIDTH, WIDTH, WIDTH)
    return pull


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """Adds to the gradients of all layers, from grad (BLOCK, 16) of the features."""
    DEPTH: tl.constexpr = SHAPE[0]
    seen = waves(x, y, z, live, fixed[0], SHAPE[3])  # (BLOCK, wide(3 + 6 K))
    h = hidden(seen, weights, DEPTH, SHAPE)
    bias_grad(weight_grads[2 * DEPTH + 1], grad, OUT)
    push = linear_grad(h, grad, weights[2 * DEPTH], weight_grads[2 * DEPTH], OUT, SHAPE[1], SHAPE[1])
    for number in tl.static_range(DEPTH):
        push = layer_grad(seen, push, weights, weight_grads, DEPTH - 1 - number, SHAPE)
