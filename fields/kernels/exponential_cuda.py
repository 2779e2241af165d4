"""The held slope of the exponential of a first feature, in Triton: see fields/exponential.py."""

import triton
import triton.language as tl

from fields import exponential
from fields.kernels.tiles_cuda import column

LARGEST = tl.constexpr(exponential.LARGEST)


@triton.jit
def first_slope(f, grad):
    """f (BLOCK, W), dL/d exp(f[0]) (BLOCK,) -> dL/df (BLOCK, W), zero but for column 0."""
    slope = grad * tl.exp(tl.minimum(tl.maximum(column(f, 0), -LARGEST), LARGEST))
    return tl.where((tl.arange(0, f.shape[1]) == 0)[None, :], slope[:, None], 0.0)
