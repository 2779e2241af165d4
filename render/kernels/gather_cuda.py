"""Gather in Triton: one lane is one ray, from the front."""

import torch
import triton
import triton.language as tl

from render.kernels import gather as op
from render.kernels.composite_cuda import alpha

LANES = 32  # rays of a program: one warp


@triton.jit
def threshold(opacity, FAINT: tl.constexpr, SHARE: tl.constexpr):
    """b(W), the number of thresholds that an opacity has passed."""
    return tl.maximum(tl.ceil((opacity - FAINT) / SHARE), 0.0)


@triton.jit
def forward_kernel(
    sigma, t, dt, offsets, opacity, looked, weights, solid, distance, shown, rays,
    FAINT: tl.constexpr, SHARE: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One program takes LANES rays. Opacity is kept as the light that is
    left and as the sum of weights: near 1 the sum has no digits for what is left."""
    ray = tl.program_id(0) * LANES + tl.arange(0, LANES)
    live = ray < rays
    i, end = tl.load(offsets + ray, live, 0), tl.load(offsets + ray + 1, live, 0)  # (LANES,)
    total, last = tl.load(opacity + ray, live, 0.0), tl.load(looked + ray, live, 0.0)
    light, far, passed = 1 - total, tl.zeros_like(total), threshold(total, FAINT, SHARE)
    longest = tl.max(end - i)
    while longest > 0:
        inside = i < end
        tau = tl.load(sigma + i, inside, 0.0) * tl.load(dt + i, inside, 0.0)
        w = light * alpha(tau)
        light, total, far = light * tl.exp(-tau), total + w, far + w * tl.load(t + i, inside, 0.0)
        now = threshold(total, FAINT, SHARE)
        seen = inside & (now > passed)
        tl.store(weights + i, tl.where(seen, total - last, 0.0), inside)
        last, passed = tl.where(seen, total, last), tl.where(seen, now, passed)
        i += 1
        longest -= 1
    tl.store(solid + ray, total, live)
    tl.store(distance + ray, far, live)
    tl.store(shown + ray, last, live)


@op.gather.register_kernel("cuda")
def forward(sigma, t, dt, offsets, opacity, looked):
    """See `gather`."""
    if sigma.dtype == torch.float64:
        return op.reference(sigma, t, dt, offsets, opacity, looked)
    inputs = [v.contiguous() for v in (sigma, t, dt, offsets, opacity, looked)]
    outputs = tuple(torch.empty_like(v) for v in (inputs[0], inputs[4], inputs[4], inputs[5]))
    grid = (triton.cdiv(len(opacity), LANES),)
    forward_kernel[grid](*inputs, *outputs, len(opacity), op.FAINT, op.SHARE, LANES, num_warps=1)
    return outputs
