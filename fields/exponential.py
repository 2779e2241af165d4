"""The exponential that densities are made with: exact, with a gradient that stays finite."""

import torch
from torch import Tensor

LARGEST = 15.0  # argument at which the gradient is held


class TruncatedExp(torch.autograd.Function):
    """exp whose gradient is that of exp(clamp(x)): forward values stay exact, gradients stay finite."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:  # noqa: ANN001
        (x,) = ctx.saved_tensors
        return grads[0] * x.clamp(-LARGEST, LARGEST).exp()
