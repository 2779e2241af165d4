"""Gather on the CPU in Numba: one ray at a time, from the front."""

import math

import torch
from numba import njit, prange

from fields.kernels.options_cpu import KERNEL
from render.kernels.composite_cpu import arrays
from render.kernels.gather import FAINT, SHARE, gather


@njit(inline="always")
def threshold(opacity, faint, share):
    """b(W), the number of thresholds that an opacity has passed."""
    return max(math.ceil((opacity - faint) / share), 0)


@njit(**KERNEL, parallel=True)
def forward(sigma, t, dt, offsets, opacity, looked, faint, share, weights, solid, distance, shown):
    """Each task takes one ray from its first sample to its last. The last four arrays are written."""
    for r in prange(offsets.shape[0] - 1):
        total, last = float(opacity[r]), float(looked[r])
        light, far, passed = 1 - total, 0.0, threshold(total, faint, share)
        for i in range(offsets[r], offsets[r + 1]):
            after = light * math.exp(-float(sigma[i]) * float(dt[i]))
            w = light - after  # in float64, where even tau = 1e-6 keeps ten digits
            light, total, far = after, total + w, far + w * t[i]
            weights[i] = 0
            now = threshold(total, faint, share)
            if now > passed:
                weights[i], last, passed = total - last, total, now
        solid[r], distance[r], shown[r] = total, far, last


@gather.register_kernel("cpu")
def _(sigma, t, dt, offsets, opacity, looked):
    outputs = tuple(
        torch.empty_like(v, memory_format=torch.contiguous_format) for v in (sigma, opacity, opacity, looked)
    )
    forward(*arrays(sigma, t, dt, offsets, opacity, looked), FAINT, SHARE, *(o.numpy() for o in outputs))
    return outputs
