"""Fully connected layers on tiles in registers, in Triton: what fused kernels are made of.

A tile holds BLOCK points in rows and their numbers in columns, as many as the next power of two from 16 on; columns
past the last hold zeros. Matrices lie in memory as PyTorch has them, W (OUT, IN) row by row. Products are taken in the
type of the weights and summed in float32.
"""

import triton
import triton.language as tl


@triton.constexpr_function
def wide(n):
    """Columns of a tile for n numbers: what tl.dot takes."""
    return max(16, triton.next_power_of_2(n))


@triton.jit
def dot(a, b):
    """a (M, K) float32 times b (K, N) -> (M, N) float32, in the type of b; exact products where that is float32."""
    return tl.dot(a.to(b.dtype), b, input_precision="ieee")


@triton.jit
def matrix(weight, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr, FIRST: tl.constexpr = 0):
    """The tile (wide(OUT), wide(IN)) of a matrix whose rows lie STRIDE numbers apart. Columns before FIRST are zeros
    and are not read: two tiles side by side then multiply two parts of one matrix."""
    row, column = tl.arange(0, wide(OUT)), tl.arange(0, wide(IN))
    inside = (row < OUT)[:, None] & ((column >= FIRST) & (column < IN))[None, :]
    return tl.load(weight + row[:, None] * STRIDE + column[None, :], inside, 0.0)


@triton.jit
def linear(x, weight, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr, FIRST: tl.constexpr = 0):
    """x (BLOCK, wide(IN)) -> x W^T (BLOCK, wide(OUT)) float32."""
    return dot(x, tl.trans(matrix(weight, OUT, IN, STRIDE, FIRST)))


@triton.jit
def power(tile, DTYPE: tl.constexpr):
    """() A power of two that brings the largest |number| of a float32 tile to 64 and a bit, and one over it, so that
    float16 holds the tile: below it are 2^20 to full precision, above it 2^10 for sums. 1 for types with the exponents
    of float32.

    This stands in for the scaling of losses: it needs no state, no look at the result and no lost step, and every
    product of gradients gets its own. Numbers that are not finite stay so.
    """
    if tl.float16 == DTYPE:
        bits = tl.max(tl.max(tl.abs(tile), 1), 0).to(tl.int32, bitcast=True)
        exponent = tl.minimum(tl.maximum(6 - ((bits >> 23) - 127), -100), 100)
        scale = ((127 + exponent) << 23).to(tl.float32, bitcast=True)
        back = ((127 - exponent) << 23).to(tl.float32, bitcast=True)
    else:
        scale = 1.0
        back = 1.0
    return scale, back


@triton.jit
def linear_grad(
    x, grad, weight, weight_grad, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr, FIRST: tl.constexpr = 0
):
    """dL/dx = G W (BLOCK, wide(IN)) of a layer whose output has the gradient G (BLOCK, wide(OUT)) float32; adds G^T x
    to `weight_grad`, float32, laid out as the weights, which no other program writes."""
    w = matrix(weight, OUT, IN, STRIDE, FIRST)
    scale, back = power(grad, w.dtype)
    scaled = (grad * scale).to(w.dtype)
    sums = tl.dot(tl.trans(scaled), x.to(w.dtype), input_precision="ieee")
    add_own(weight_grad, sums * back, OUT, IN, STRIDE, FIRST)
    return dot(scaled, w) * back


@triton.jit
def matrix_grad(
    x, grad, weight_grad, DTYPE: tl.constexpr, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr
):  # fmt: skip
    """The part of `linear_grad` that belongs to the weights: for a layer whose input is not learnt."""
    scale, back = power(grad, DTYPE)
    sums = tl.dot(tl.trans((grad * scale).to(DTYPE)), x.to(DTYPE), input_precision="ieee")
    add_own(weight_grad, sums * back, OUT, IN, STRIDE)


@triton.jit
def add_own(sums, values, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr, FIRST: tl.constexpr = 0):
    """sums += values (wide(OUT), wide(IN)) in this program's own memory: no atomics, the same result every time. The
    caller sets a barrier between two tiles, since another thread may hold the same entry then."""
    row, column = tl.arange(0, wide(OUT)), tl.arange(0, wide(IN))
    inside = (row < OUT)[:, None] & ((column >= FIRST) & (column < IN))[None, :]
    place = sums + row[:, None] * STRIDE + column[None, :]
    tl.store(place, tl.load(place, inside, 0.0) + values, inside)


@triton.jit
def column(tile, NUMBER: tl.constexpr):
    """Column NUMBER (BLOCK,) of a tile (BLOCK, W)."""
    mine = tl.arange(0, tile.shape[1]) == NUMBER
    return tl.sum(tl.where(mine[None, :], tile, 0.0), 1)
