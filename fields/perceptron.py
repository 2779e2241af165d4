"""The small fully connected network of decoders: no bias, ReLU between layers."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 8192  # rows: batches are padded to a multiple of it, since every new size costs the CPU library a compilation
SMALL_BLOCK = 1024  # rows: so are batches below BLOCK


def fill(count: int) -> int:
    """Rows to add to a batch of `count`."""
    return -count % (BLOCK if count > BLOCK else SMALL_BLOCK)


class Perceptron(nn.Module):
    """Layers of the given widths. Arithmetic follows autocast: bf16 where the renderer asks for it, which the outputs
    then have; who takes an exponential of them converts first."""

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
