"""Hash grid in Triton: what fused kernels ask at a tile of points, and what they hand back."""

import triton
import triton.language as tl

from fields.kernels.grid_cuda import encode
from fields.kernels.grid_scatter_cuda import scatter
from fields.kernels.tiles_cuda import linear, linear_grad


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Points (BLOCK,) in the unit box -> features (BLOCK, 16) float32. SHAPE: levels, channels, width, features."""
    IN: tl.constexpr = SHAPE[0] * SHAPE[1]
    blend = encode(x, y, z, z, live, tables[0], fixed, SHAPE[0], SHAPE[1], 3)  # (BLOCK, wide(IN))
    hidden = tl.maximum(linear(blend, weights[0], SHAPE[2], IN, IN), 0.0)  # (BLOCK, wide(width))
    return linear(hidden, weights[1], SHAPE[3], SHAPE[2], SHAPE[2])


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """grad (BLOCK, 16) = dL/dfeatures, zeros where not live; adds to the gradients of the table and of both layers."""
    IN: tl.constexpr = SHAPE[0] * SHAPE[1]
    blend = encode(x, y, z, z, live, tables[0], fixed, SHAPE[0], SHAPE[1], 3)  # (BLOCK, wide(IN))
    hidden = tl.maximum(linear(blend, weights[0], SHAPE[2], IN, IN), 0.0)  # (BLOCK, wide(width))
    pull = linear_grad(hidden, grad, weights[1], weight_grads[1], SHAPE[3], SHAPE[2], SHAPE[2])
    pull = tl.where(hidden > 0, pull, 0.0)
    pull = linear_grad(blend, pull, weights[0], weight_grads[0], SHAPE[2], IN, IN)  # (BLOCK, wide(IN))
    scatter(x, y, z, z, live, pull, table_grads[0], fixed, SHAPE[0], SHAPE[1], 3)
