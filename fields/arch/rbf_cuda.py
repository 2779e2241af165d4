"""Device functions of RBF, in Triton: the grid and Gaussians that read it, or kernels in space beside it and a decoder.

Gaussians are taken some at a time: a tile (BLOCK, some, W) of all differences of points and centres is what registers
hold. SHAPE is (levels, channels, neurons, coefficients, width, cells): neurons is 0 where the placement is space,
coefficients 0 where there are no kernels in space.
"""

import triton
import triton.language as tl

from fields.base import FEATURES
from fields.kernels import wendland_cuda
from fields.kernels.grid_cuda import encode
from fields.kernels.grid_scatter_cuda import scatter
from fields.kernels.rbf_cuda import spread
from fields.kernels.tiles_cuda import linear, linear_grad, wide

OUT = tl.constexpr(FEATURES)


@triton.constexpr_function
def some(points, columns, neurons):
    """Gaussians taken at once."""
    return max(1, min(triton.next_power_of_2(neurons), 4096 // (points * columns)))


@triton.jit
def neurons(weights, first, SOME: tl.constexpr, D: tl.constexpr, K: tl.constexpr):
    """Of neurons from `first` on: centres and precisions (SOME, wide(D)), zeros and ones past column D; whether a
    precision is free to move; and what the output makes of the answers (OUT, SOME), zeros past neuron K.

    Sums of products are taken along the last axis: along a middle one the compiler would make them products of matrices
    that are not exact."""
    k, d, o = first + tl.arange(0, SOME), tl.arange(0, wide(D)), tl.arange(0, OUT)
    place, inside = k[:, None] * D + d[None, :], (k < K)[:, None] & (d < D)[None, :]  # (SOME, wide(D))
    centre = tl.load(weights[0] + place, inside, 0.0).to(tl.float32)
    log = tl.load(weights[1] + place, inside, 0.0).to(tl.float32)
    output = tl.load(weights[2] + o[:, None] * K + k[None, :], (k < K)[None, :], 0.0).to(tl.float32)
    return centre, spread(log), tl.abs(log) <= 20.0, output


@triton.jit
def answered(f, centre, beta):
    """Differences e (BLOCK, SOME, W) of features f (BLOCK, W) and centres, and answers phi (BLOCK, SOME)."""
    e = f[:, None, :] - centre[None, :, :]
    return e, tl.exp(-0.5 * tl.sum(beta[None, :, :] * e * e, 2))


@triton.jit
def gaussians(f, weights, D: tl.constexpr, K: tl.constexpr):
    """The Gaussian readout (BLOCK, OUT) of features f (BLOCK, wide(D))."""
    SOME: tl.constexpr = some(f.shape[0], f.shape[1], K)
    out = tl.zeros((f.shape[0], OUT), tl.float32) + tl.load(weights[3] + tl.arange(0, OUT)).to(tl.float32)[None, :]
    for first in tl.range(0, K, SOME, num_stages=1):
        centre, beta, _, output = neurons(weights, first, SOME, D, K)
        phi = answered(f, centre, beta)[1]
        out += tl.sum(phi[:, None, :] * output[None, :, :], 2)
    return out


@triton.jit
def gaussians_grad(f, grad, weights, weight_grads, D: tl.constexpr, K: tl.constexpr):
    """dL/df (BLOCK, wide(D)) of grad (BLOCK, OUT), as rbf_grad has it; adds to the gradients of the readout."""
    SOME: tl.constexpr = some(f.shape[0], f.shape[1], K)
    o, pull = tl.arange(0, OUT), tl.zeros_like(f)
    bias = weight_grads[3] + o
    tl.store(bias, tl.load(bias) + tl.sum(grad, 0))
    for first in tl.range(0, K, SOME, num_stages=1):
        centre, beta, free, output = neurons(weights, first, SOME, D, K)
        e, phi = answered(f, centre, beta)
        h = phi * tl.sum(grad[:, None, :] * tl.trans(output)[None, :, :], 2)  # (BLOCK, SOME)
        along = h[:, :, None] * beta[None, :, :] * e  # (BLOCK, SOME, W)
        pull -= tl.sum(along, 1)
        own(weight_grads[0], tl.sum(along, 0), first, D, K)
        own(weight_grads[1], tl.where(free, -0.5 * tl.sum(along * e, 0), 0.0), first, D, K)
        k = first + tl.arange(0, SOME)
        place = weight_grads[2] + o[None, :] * K + k[:, None]  # (SOME, OUT)
        sums = tl.sum(grad[:, None, :] * phi[:, :, None], 0)
        tl.store(place, tl.load(place, (k < K)[:, None], 0.0) + sums, (k < K)[:, None])
    return pull


@triton.jit
def own(sums, values, first, D: tl.constexpr, K: tl.constexpr):
    """Adds values (SOME, wide(D)) to rows from `first` on of this program's sums (K, D)."""
    k, d = first + tl.arange(0, values.shape[0]), tl.arange(0, values.shape[1])
    place, inside = sums + k[:, None] * D + d[None, :], (k < K)[:, None] & (d < D)[None, :]
    tl.store(place, tl.load(place, inside, 0.0) + values, inside)


@triton.jit
def beside(x, y, z, live, tables, fixed, SHAPE: tl.constexpr):
    """Answers (BLOCK, wide(F)) of the kernels in space."""
    return wendland_cuda.answers(
        x, y, z, live, tables[1], fixed[3], fixed[4], fixed[5], fixed[6], fixed[7], SHAPE[5], SHAPE[3], wide(SHAPE[3])
    )


@triton.jit
def hidden(grid, kernels, weights, SHAPE: tl.constexpr):
    """The decoder's hidden layer (BLOCK, wide(WIDTH)) of the grid's features and the kernels' beside them."""
    GRID: tl.constexpr = SHAPE[0] * SHAPE[1]
    total = linear(grid, weights[0], SHAPE[4], GRID, GRID + SHAPE[3])
    if SHAPE[3] > 0:
        total += linear(kernels, weights[0] + GRID, SHAPE[4], SHAPE[3], GRID + SHAPE[3])
    return tl.maximum(total, 0.0)


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Features (BLOCK, 16) float32 at points (BLOCK,) each in the unit box, where live."""
    grid = encode(x, y, z, z, live, tables[0], fixed, SHAPE[0], SHAPE[1], 3)  # (BLOCK, wide(levels channels))
    if SHAPE[2] > 0:
        out = gaussians(grid, weights, SHAPE[0] * SHAPE[1], SHAPE[2])
    else:
        kernels = beside(x, y, z, live, tables, fixed, SHAPE) if SHAPE[3] > 0 else grid
        out = linear(hidden(grid, kernels, weights, SHAPE), weights[1], OUT, SHAPE[4], SHAPE[4])
    return out


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """Adds to the gradients of all that is learnt, from grad (BLOCK, 16) of the features."""
    GRID: tl.constexpr = SHAPE[0] * SHAPE[1]
    F: tl.constexpr = SHAPE[3]
    grid = encode(x, y, z, z, live, tables[0], fixed, SHAPE[0], SHAPE[1], 3)  # (BLOCK, wide(GRID))
    if SHAPE[2] > 0:
        pull = gaussians_grad(grid, grad, weights, weight_grads, GRID, SHAPE[2])
    else:
        kernels = beside(x, y, z, live, tables, fixed, SHAPE) if F > 0 else grid
        layer = hidden(grid, kernels, weights, SHAPE)  # (BLOCK, wide(WIDTH))
        push = linear_grad(layer, grad, weights[1], weight_grads[1], OUT, SHAPE[4], SHAPE[4])
        push = tl.where(layer > 0, push, 0.0)
        pull = linear_grad(grid, push, weights[0], weight_grads[0], SHAPE[4], GRID, GRID + F)
        if F > 0:
            mine = linear_grad(kernels, push, weights[0] + GRID, weight_grads[0] + GRID, SHAPE[4], F, GRID + F)
            wendland_cuda.scatter(
                x, y, z, live, mine, table_grads[1], fixed[3], fixed[4], fixed[5], fixed[6], fixed[7], SHAPE[5], 1.0,
                F, wide(F), False,
            )  # fmt: skip
    scatter(x, y, z, z, live, pull, table_grads[0], fixed, SHAPE[0], SHAPE[1], 3)
