"""Composite: samples along rays become colour, opacity, distance and weights (emission-absorption quadrature).

With optical thickness tau_i = sigma_i dt_i: transmittance T_i = exp(-sum_{j<i} tau_j), weight
w_i = T_i (1 - exp(-tau_i)), colour = sum w_i c_i, opacity = sum w_i, distance = sum w_i t_i (Max 1995; Mildenhall et
al. 2020, eq. 3).
"""

import torch
from torch import Tensor

from fields.backend import TRITON


def transmittance(tau: Tensor, offsets: Tensor) -> Tensor:
    """Light that reaches each sample (N,), from optical thickness (N,) of packed rays. A ray's first sample gets 1.

    The running sum over all rays is kept in float64: a ray's own share is a small difference of large numbers.
    """
    before = tau.double().cumsum(0) - tau.double()
    counts = offsets[1:] - offsets[:-1]
    first = offsets[:-1].clamp(max=max(len(tau) - 1, 0))
    start = before[first] if len(tau) else before.new_zeros(len(first))
    return torch.exp(torch.repeat_interleave(start, counts, output_size=len(tau)) - before).to(tau.dtype)


def reference(sigma: Tensor, rgb: Tensor, t: Tensor, dt: Tensor, offsets: Tensor) -> tuple[Tensor, ...]:
    """Plain PyTorch, any float type, differentiable in sigma, rgb, t and dt."""
    tau = sigma * dt
    weights = transmittance(tau, offsets) * -torch.expm1(-tau)
    rays = len(offsets) - 1
    ray = torch.repeat_interleave(torch.arange(rays, device=sigma.device), offsets[1:] - offsets[:-1])
    color = rgb.new_zeros(rays, 3).index_add(0, ray, weights[:, None] * rgb)
    opacity = sigma.new_zeros(rays).index_add(0, ray, weights)
    distance = sigma.new_zeros(rays).index_add(0, ray, weights * t)
    return color, opacity, distance, weights


def grad_reference(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets):
    """`composite_grad` in plain PyTorch."""
    rays = len(offsets) - 1
    counts = offsets[1:] - offsets[:-1]
    ray = torch.repeat_interleave(torch.arange(rays, device=sigma.device), counts)
    u = (for_color[ray] * rgb).sum(-1) + for_opacity[ray] + for_distance[ray] * t + for_weights
    tau = sigma * dt
    after = transmittance(tau, offsets) * torch.exp(-tau)
    share = weights * u
    total = share.new_zeros(rays).index_add(0, ray, share)
    through = share.double().cumsum(0)
    begin = torch.cat([through.new_zeros(1), through])[offsets[:-1]]
    rest = total[ray] - (through - begin[ray]).to(share.dtype)
    return u * after - rest, weights[:, None] * for_color[ray]


@torch.library.custom_op("nf::composite", mutates_args=())
def composite(
    sigma: Tensor, rgb: Tensor, t: Tensor, dt: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour (R, 3) without background, opacity (R,) in [0, 1], distance (R,) = sum w t, weights (N,).

    sigma (N,) >= 0 per scene unit, rgb (N, 3), t and dt (N,) scene units, all of one float type; offsets (R + 1,)
    int64 with offsets[R] = N. Rays without samples get zeros.
    """
    color, opacity, distance, weights = reference(sigma, rgb, t, dt, offsets)
    return color, opacity, distance, weights


@torch.library.custom_op("nf::composite_grad", mutates_args=())
def composite_grad(
    for_color: Tensor,
    for_opacity: Tensor,
    for_distance: Tensor,
    for_weights: Tensor,
    sigma: Tensor,
    rgb: Tensor,
    t: Tensor,
    dt: Tensor,
    weights: Tensor,
    offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    """dL/dtau (N,) and dL/drgb (N, 3).

    With u_i = dL/dw_i = <dL/dcolor, c_i> + dL/dopacity + dL/ddistance t_i + dL/dweights_i:
    dL/dtau_i = u_i T_{i+1} - sum_{j>i} w_j u_j,   dL/drgb_i = w_i dL/dcolor.
    """
    return grad_reference(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets)


@torch.library.custom_op("nf::reach", mutates_args=())
def reach(sigma: Tensor, dt: Tensor, offsets: Tensor) -> Tensor:
    """Light that reaches each sample (N,), as `transmittance` of sigma dt, without a gradient."""
    return transmittance(sigma * dt, offsets)


@composite.register_fake
def _(sigma: Tensor, rgb: Tensor, t: Tensor, dt: Tensor, offsets: Tensor) -> tuple[Tensor, ...]:
    rays = offsets.shape[0] - 1
    return rgb.new_empty(rays, 3), sigma.new_empty(rays), sigma.new_empty(rays), torch.empty_like(sigma)


@reach.register_fake
def _(sigma, dt, offsets):
    return torch.empty_like(sigma)


@composite_grad.register_fake
def _(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets):
    return torch.empty_like(sigma), torch.empty_like(rgb)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs, output[3])


def backward(ctx, *grads: Tensor):
    """Gradients in closed form; tau = sigma dt carries both to sigma and to dt."""
    sigma, rgb, t, dt, offsets, weights = ctx.saved_tensors
    dense = [g.contiguous() for g in grads]
    for_tau, for_rgb = composite_grad(*dense, sigma, rgb, t, dt, weights, offsets)
    for_t = for_dt = None
    if ctx.needs_input_grad[2]:
        for_t = weights * torch.repeat_interleave(dense[2], offsets[1:] - offsets[:-1])
    if ctx.needs_input_grad[3]:
        for_dt = for_tau * sigma
    return for_tau * dt, for_rgb, for_t, for_dt, None


composite.register_autograd(backward, setup_context=remember)


import render.kernels.composite_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import render.kernels.composite_cuda  # noqa: F401
