"""Device functions of the voxels, in Triton: blended vertices.

The vertices per side, which grow in a run, are read on the device. SHAPE is (harmonics,).
"""

import triton
import triton.language as tl

from fields.kernels.tiles_cuda import wide
from fields.kernels.voxels_cuda import blended, cell, shared_out


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """Features (BLOCK, W) float32 at points (BLOCK,) each in the unit box, where live; log-density EMPTY elsewhere."""
    place = cell(x, y, z, tl.load(fixed[1]))
    return blended(place, live, tables[0], tables[1], fixed[0], 3 * SHAPE[0], wide(1 + 3 * SHAPE[0]))


@triton.jit
def features_grad(x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr):
    """Adds to the gradients of both tables, from grad (BLOCK, W) of the features. No table is read."""
    place = cell(x, y, z, tl.load(fixed[1]))
    shared_out(place, live, grad, table_grads[0], table_grads[1], fixed[0], 3 * SHAPE[0])
