"""Fully connected layers with bias, for networks that work on coordinates."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.perceptron import fill
from fields.quantize import rounded


def padded(x: Tensor) -> Tensor:
    """(N, D) -> (N rounded up to one of few sizes, D), zeros below: every new size costs a compilation."""
    return functional.pad(x, (0, 0, 0, fill(len(x))))


def arithmetic(x: Tensor) -> Tensor:
    """x in the type that autocast multiplies matrices in, or as it is."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class Dense(nn.Module):
    """x (N, inputs) -> x W^T + b (N, outputs), in the type of autocast, with W as a file of `bits` would hold it.

    W begins uniform with variance gain / inputs: 2 keeps the size of signals that went through a ReLU (He et al. 2015,
    eq. 10) or a sine (Sitzmann et al. 2020, theorem 1.8), 1 that of signals of unit variance. b begins at zero.
    """

    def __init__(
        self, inputs: int, outputs: int, generator: torch.Generator | None, *, gain: float = 2.0, bits: int = 32
    ) -> None:
        super().__init__()
        bound, self.bits = (3 * gain / inputs) ** 0.5, bits
        self.weight = nn.Parameter((torch.rand(outputs, inputs, generator=generator) * 2 - 1) * bound)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.linear(x, rounded(self.weight, self.bits), self.bias)
