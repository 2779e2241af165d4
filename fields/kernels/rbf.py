"""Gaussian layer: neurons that answer near a centre in feature space, each with its own width along every feature.

Source: Bouzidi et al. 2025 (GNF): phi_i = exp(-1/2 sum_k e^{b_ik} (f_k - c_ik)^2). The squares are summed as they stand
and not expanded into f^2 - 2 f c + c^2, which would cancel to noise where f is large and near c.
"""

import torch
from torch import Tensor

from fields.backend import TRITON

LARGEST = 20.0  # |log-precision| beyond which it is held, and gets no gradient: e^20 stays far from overflow


def precision(log_precision: Tensor) -> Tensor:
    """e^b, b held in [-LARGEST, LARGEST]."""
    return log_precision.clamp(-LARGEST, LARGEST).exp()


def reference(features: Tensor, centres: Tensor, log_precision: Tensor) -> Tensor:
    """Plain PyTorch, any float type, differentiable in all three."""
    away = features[:, None, :] - centres
    return torch.exp(-0.5 * (precision(log_precision) * away * away).sum(-1))


@torch.library.custom_op("nf::rbf", mutates_args=())
def rbf(features: Tensor, centres: Tensor, log_precision: Tensor) -> Tensor:
    """Answers (N, K) in [0, 1] of K neurons. features (N, D), centres (K, D), log_precision (K, D), one float type."""
    return reference(features, centres, log_precision)


def gradient_of(
    grad: Tensor, phi: Tensor, features: Tensor, centres: Tensor, log_precision: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Plain PyTorch of rbf_grad, any float type."""
    away = features[:, None, :] - centres  # (N, K, D)
    pull = (grad * phi)[..., None] * precision(log_precision) * away
    held = log_precision.abs() > LARGEST
    return -pull.sum(1), pull.sum(0), (-0.5 * (pull * away).sum(0)).masked_fill(held, 0)


@torch.library.custom_op("nf::rbf_grad", mutates_args=())
def rbf_grad(
    grad: Tensor, phi: Tensor, features: Tensor, centres: Tensor, log_precision: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of features (N, D), centres (K, D), log_precision (K, D). With h = dL/dphi * phi, e = f_k - c_ik:

    dL/df_k = -sum_i h_i e^{b_ik} e;  dL/dc_ik = sum_n h_i e^{b_ik} e;  dL/db_ik = -1/2 sum_n h_i e^{b_ik} e^2.
    """
    return gradient_of(grad, phi, features, centres, log_precision)


@rbf.register_fake
def _(features: Tensor, centres: Tensor, log_precision: Tensor) -> Tensor:
    return features.new_empty(features.shape[0], centres.shape[0])


@rbf_grad.register_fake
def _(
    grad: Tensor, phi: Tensor, features: Tensor, centres: Tensor, log_precision: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(v.new_empty(v.shape) for v in (features, centres, log_precision))  # type: ignore[return-value]


def remember(ctx, inputs, output) -> None:
    """Keep what the backward pass reads."""
    ctx.save_for_backward(output, *inputs)


def backward(ctx, grad: Tensor):
    """Gradients in closed form."""
    return rbf_grad(grad.contiguous(), *ctx.saved_tensors)


rbf.register_autograd(backward, setup_context=remember)


import fields.kernels.rbf_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import fields.kernels.rbf_cuda  # noqa: F401
