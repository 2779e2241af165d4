"""Composite on the CPU in Numba: one ray at a time, forward from the front, backward from the back. Threads take some
rays after the other."""

import math

import torch
from numba import njit
from torch import Tensor

from fields.kernels.options_cpu import KERNEL
from fields.kernels.queue_cpu import share, stretch
from render.kernels.composite import composite, composite_grad, reach

RAYS = 64  # that a thread takes at a time


@njit(**KERNEL)
def forward(queue, sigma, rgb, t, dt, offsets, color, opacity, distance, weights):
    """Each ray from its first sample to its last."""
    begin, end = stretch(queue, RAYS, len(offsets) - 1)
    while begin < end:
        for r in range(begin, end):
            light = 1.0
            red = green = blue = total = far = 0.0
            for i in range(offsets[r], offsets[r + 1]):
                after = light * math.exp(-float(sigma[i]) * float(dt[i]))
                w = light - after  # in float64, where even tau = 1e-6 keeps ten digits
                light = after
                weights[i] = w
                red, green, blue = red + w * rgb[i, 0], green + w * rgb[i, 1], blue + w * rgb[i, 2]
                total, far = total + w, far + w * t[i]
            color[r, 0], color[r, 1], color[r, 2] = red, green, blue
            opacity[r], distance[r] = total, far
        begin, end = stretch(queue, RAYS, len(offsets) - 1)


@njit(**KERNEL)
def reverse(
    queue, for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets, for_tau, for_rgb
):
    """Each ray from its last sample to its first; `behind` is the sum of w_j u_j over j > i."""
    begin, end = stretch(queue, RAYS, len(offsets) - 1)
    while begin < end:
        for r in range(begin, end):
            depth = 0.0
            for i in range(offsets[r], offsets[r + 1]):
                depth += float(sigma[i]) * float(dt[i])
            red, green, blue = for_color[r, 0], for_color[r, 1], for_color[r, 2]
            behind = 0.0
            for i in range(offsets[r + 1] - 1, offsets[r] - 1, -1):
                u = red * rgb[i, 0] + green * rgb[i, 1] + blue * rgb[i, 2]
                u += for_opacity[r] + for_distance[r] * t[i] + for_weights[i]
                for_tau[i] = u * math.exp(-depth) - behind  # depth still holds this sample: T_{i+1}
                depth -= float(sigma[i]) * float(dt[i])
                behind += weights[i] * u
                for_rgb[i, 0], for_rgb[i, 1], for_rgb[i, 2] = weights[i] * red, weights[i] * green, weights[i] * blue
        begin, end = stretch(queue, RAYS, len(offsets) - 1)


@njit(**KERNEL)
def arrive(queue, sigma, dt, offsets, light):
    """Light that reaches each sample of each ray."""
    begin, end = stretch(queue, RAYS, len(offsets) - 1)
    while begin < end:
        for r in range(begin, end):
            depth = 0.0
            for i in range(offsets[r], offsets[r + 1]):
                light[i] = math.exp(-depth)
                depth += float(sigma[i] * dt[i])
        begin, end = stretch(queue, RAYS, len(offsets) - 1)


def arrays(*tensors: Tensor):
    """NumPy views, contiguous so that one compiled form serves all callers."""
    return [x.detach().contiguous().numpy() for x in tensors]


@composite.register_kernel("cpu")
def _(sigma, rgb, t, dt, offsets):
    rays = len(offsets) - 1
    outputs = (torch.empty(rays, 3, dtype=sigma.dtype), torch.empty(rays, dtype=sigma.dtype),
               torch.empty(rays, dtype=sigma.dtype), torch.empty(len(sigma), dtype=sigma.dtype))  # fmt: skip
    share(forward, *arrays(sigma, rgb, t, dt, offsets), *(o.numpy() for o in outputs))
    return outputs


@composite_grad.register_kernel("cpu")
def _(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets):
    for_tau, for_rgb = torch.empty(len(sigma), dtype=sigma.dtype), torch.empty(len(sigma), 3, dtype=sigma.dtype)
    inputs = arrays(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets)
    share(reverse, *inputs, for_tau.numpy(), for_rgb.numpy())
    return for_tau, for_rgb


@reach.register_kernel("cpu")
def _(sigma, dt, offsets):
    light = torch.empty_like(sigma, memory_format=torch.contiguous_format)
    share(arrive, *arrays(sigma, dt, offsets), light.numpy())
    return light
