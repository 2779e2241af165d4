"""Gather: which samples of a frame are looked at, and with what weight.

Colours cost as much as densities, and neighbours on a surface have nearly the same. The weights w_i of composite.py are
therefore gathered: with W_i = sum_{j<=i} w_j, the opacity up to and with sample i, and the threshold number
b(W) = ceil((W - FAINT) / SHARE), 0 below FAINT, sample i is looked at where b(W_i) exceeds b(W_{i-1}), with the weight
of all samples since the last look. What is left at a ray's end is less than FAINT + SHARE of all light.
"""

import torch
from torch import Tensor

from fields.backend import TRITON
from render.kernels.composite import transmittance

FAINT = 1e-3  # opacity from which a ray is looked at
SHARE = 1 / 64  # of a ray's light, what one look stands for at least


def threshold(opacity: Tensor) -> Tensor:
    """b(W), the number of thresholds that an opacity has passed."""
    return ((opacity - FAINT) / SHARE).ceil().clamp(min=0)


def reference(
    sigma: Tensor, t: Tensor, dt: Tensor, offsets: Tensor, opacity: Tensor, looked: Tensor
) -> tuple[Tensor, ...]:
    """Plain PyTorch, any float type, in float64 inside."""
    counts, tau = offsets[1:] - offsets[:-1], (sigma * dt).double()
    ray = torch.repeat_interleave(torch.arange(len(counts), device=sigma.device), counts)
    light = 1 - opacity.double()[ray]
    through = transmittance(tau, offsets)
    weights, before = light * through * -torch.expm1(-tau), 1 - light * through
    after = before + weights
    seen = threshold(after) > threshold(before)
    gathered = torch.zeros_like(weights)
    here, total = ray[seen], after[seen]
    behind = torch.cat([total.new_zeros(1), total[:-1]])[: len(total)]
    fresh = torch.cat([here.new_full((1,), -1), here[:-1]])[: len(here)] != here  # the first look of this ray
    gathered[seen] = total - torch.where(fresh, looked.double()[here], behind)
    solid, distance, shown = (
        weights.new_zeros(len(counts)).index_add(0, ray, v) for v in (weights, weights * t, gathered)
    )
    return tuple(v.to(sigma.dtype) for v in (gathered, opacity + solid, distance, looked + shown))


@torch.library.custom_op("nf::gather", mutates_args=())
def gather(
    sigma: Tensor, t: Tensor, dt: Tensor, offsets: Tensor, opacity: Tensor, looked: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights (N,) with which samples are looked at, 0 for most; the rays' opacity (R,) behind these samples; distance
    (R,) = sum w t of these samples; how much of the opacity (R,) has been looked at.

    sigma (N,) >= 0 per scene unit, t and dt (N,) scene units, all of one float type; offsets (R + 1,) int64 with
    offsets[R] = N; opacity (R,) in [0, 1] of what lies before these samples, and looked (R,), at most that. Has no
    gradient: it is for frames.
    """
    weights, solid, distance, shown = reference(sigma, t, dt, offsets, opacity, looked)
    return weights, solid, distance, shown


@gather.register_fake
def _(sigma, t, dt, offsets, opacity, looked):
    return torch.empty_like(sigma), torch.empty_like(opacity), torch.empty_like(opacity), torch.empty_like(looked)


import render.kernels.gather_cpu  # noqa: E402  (last: it registers its kernel with the op above)

if TRITON:
    import render.kernels.gather_cuda  # noqa: F401
