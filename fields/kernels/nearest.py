"""Nearest centre: which of M points in space lies closest to each of N others."""

import torch
from torch import Tensor

from fields.backend import TRITON

CHUNK = 1 << 24  # distances held at once


def reference(x: Tensor, centres: Tensor) -> Tensor:
    """Plain PyTorch, any float type; all distances, a chunk of points at a time. Of equal ones, the first."""
    parts = x.split(max(CHUNK // max(len(centres), 1), 1))
    away = [(part[:, None] - centres).square().sum(-1).argmin(1) for part in parts if len(part)]
    return torch.cat([torch.zeros(0, dtype=torch.int64, device=x.device), *away])


@torch.library.custom_op("nf::nearest", mutates_args=())
def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """Number (N,) int64 of the centre nearest to each point; of equally near ones, any. x (N, 3), centres (M, 3) finite
    and of one float type, M >= 1. A point that is not finite gets some centre. Without gradients."""
    return reference(x, centres)


@nearest.register_fake
def _(x: Tensor, centres: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], dtype=torch.int64)


import fields.kernels.nearest_cpu  # noqa: E402  (last: it registers its kernel with the op above)

if TRITON:
    import fields.kernels.nearest_cuda  # noqa: F401
