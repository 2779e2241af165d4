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
def matrix(weight, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr):
    """The tile (wide(OUT), wide(IN)) of a matrix whose rows lie STRIDE numbers apart."""
    row, column = tl.arange(0, wide(OUT)), tl.arange(0, wide(IN))
    inside = (row < OUT)[:, None] & (column < IN)[None, :]
    return tl.load(weight + row[:, None] * STRIDE + column[None, :], inside, 0.0)


@triton.jit
def linear(x, weight, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr):
    """x (BLOCK, wide(IN)) -> x W^T (BLOCK, wide(OUT)) float32."""
    return dot(x, tl.trans(matrix(weight, OUT, IN, STRIDE)))


@triton.jit
def linear_grad(x, grad, weight, weight_grad, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr):
    """dL/dx = G W (BLOCK, wide(IN)) of a layer whose output has the gradient G (BLOCK, wide(OUT)); adds G^T x to
    `weight_grad`, float32, laid out as the weights, which no other program writes."""
    w = matrix(weight, OUT, IN, STRIDE)
    add_own(weight_grad, tl.dot(tl.trans(grad.to(w.dtype)), x.to(w.dtype), input_precision="ieee"), OUT, IN, STRIDE)
    return dot(grad, w)


@triton.jit
def add_own(sums, values, OUT: tl.constexpr, IN: tl.constexpr, STRIDE: tl.constexpr):
    """sums += values (wide(OUT), wide(IN)) in this program's own memory: no atomics, the same result every time. The
    caller sets a barrier between two tiles, since another thread may hold the same entry then."""
    row, column = tl.arange(0, wide(OUT)), tl.arange(0, wide(IN))
    inside = (row < OUT)[:, None] & (column < IN)[None, :]
    place = sums + row[:, None] * STRIDE + column[None, :]
    tl.store(place, tl.load(place, inside, 0.0) + values, inside)
