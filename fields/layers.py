"""Fully connected layers: the small network of decoders, and layers with bias for networks that work on coordinates."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.quantize import rounded

BLOCK = 8192  # rows: batches are padded to a multiple of it, since every new size costs the CPU library a compilation
SMALL_BLOCK = 1024  # rows: so are batches below BLOCK


def fill(count: int) -> int:
    """Rows to add to a batch of `count`."""
    return -count % (BLOCK if count > BLOCK else SMALL_BLOCK)


class Perceptron(nn.Module):
    """Layers of the given widths, without bias, ReLU between them. Arithmetic follows autocast: bf16 where the renderer
    asks for it, which the outputs then have; who takes an exponential of them converts first."""

    def __init__(self, widths: tuple[int, ...], generator: torch.Generator | None) -> None:
        super().__init__()
        self.layers = nn.ParameterList()
        for layer, (inputs, outputs) in enumerate(pairwise(widths), start=2):
            bound = ((3 if layer == len(widths) else 6) / inputs) ** 0.5  # He et al. 2015; no ReLU follows the last
            weight = torch.rand(outputs, inputs, generator=generator) * 2 * bound - bound
            self.layers.append(nn.Parameter(weight))

    def forward(self, x: Tensor) -> Tensor:
        """(N, first width) -> (N, last width)."""
        *hidden, last = self.layers
        count, device = len(x), x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        if fill(count):  # padding by nothing would copy all the same
            x = functional.pad(x, (0, 0, 0, fill(count)))
        for weight in hidden:
            x = functional.relu(functional.linear(x, weight), inplace=True)
        return functional.linear(x, last)[:count]


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
