"""Modulate: each row is normalised over its channels, scaled and shifted by its own two numbers, and passed by a ReLU.

Source: Lee et al. 2024 (coordinate-aware modulation): h = relu(gamma Norm(z) + beta), gamma and beta scalars of
the place, shared by all channels. Norm is layer normalisation without weights (Ba et al. 2016), one point at a time.
"""

import torch
from torch import Tensor

from fields.backend import TRITON

EPS = 1e-5  # added to the variance


def reference(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Plain PyTorch, any float type, differentiable in all three."""
    wide = z.to(gamma.dtype)
    centered = wide - wide.mean(-1, keepdim=True)
    norm = centered * (centered.square().mean(-1, keepdim=True) + EPS).rsqrt()
    return (gamma[:, None] * norm + beta[:, None]).relu().to(z.dtype)


@torch.library.custom_op("nf::modulate", mutates_args=())
def modulate(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """relu(gamma Norm(z) + beta) (N, C) in the type of z.

    z (N, C) bfloat16, float32 or float64, C >= 1; gamma (N,) and beta (N,) float32, or float64 where z is.
    """
    return reference(z, gamma, beta)


def gradient_of(grad: Tensor, z: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Plain PyTorch of modulate_grad, any float type."""
    wide = z.to(gamma.dtype)
    centered = wide - wide.mean(-1, keepdim=True)
    inverse = (centered.square().mean(-1, keepdim=True) + EPS).rsqrt()
    norm = centered * inverse
    u = torch.where(gamma[:, None] * norm + beta[:, None] > 0, grad.to(gamma.dtype), 0)
    for_beta, for_gamma = u.sum(-1), (u * norm).sum(-1)
    rest = (for_beta[:, None] + norm * for_gamma[:, None]) / z.shape[1]
    return (gamma[:, None] * inverse * (u - rest)).to(z.dtype), for_gamma, for_beta


@torch.library.custom_op("nf::modulate_grad", mutates_args=())
def modulate_grad(grad: Tensor, z: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """With n = Norm(z), s the root of variance + EPS, u = grad where gamma n + beta > 0, else 0:

    dL/dbeta = sum_c u,  dL/dgamma = sum_c u n,  dL/dz = gamma / s (u - dL/dbeta / C - n dL/dgamma / C).
    """
    return gradient_of(grad, z, gamma, beta)


@modulate.register_fake
def _(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return torch.empty_like(z)


@modulate_grad.register_fake
def _(grad: Tensor, z: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(z), torch.empty_like(gamma), torch.empty_like(beta)


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(*inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form."""
    return modulate_grad(grad.contiguous(), *ctx.saved_tensors)


modulate.register_autograd(backward, setup_context=remember)


import fields.kernels.modulate_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.modulate_cuda  # noqa: F401
