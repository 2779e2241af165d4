"""Modulated layers and the small grids that scale and shift them: what CAM's network and its head are made of."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fields.kernels.grid import grid_encode, layout
from fields.kernels.modulate import modulate
from fields.layers import Dense


@dataclass(frozen=True)
class Stack:
    """Sizes of modulated layers."""

    depth: int  # hidden layers
    width: int  # neurons of each
    skip: int  # hidden layers before the input is read again; 0: never
    bits: int  # of the weights in a file, 8 or 32


class Lookup(nn.Module):
    """Linear interpolation on one grid: x (N, D) in the unit box, table (C, V^D), first axis fastest -> (N, C).

    Vertex v of an axis lies at (v - 1/2) / (V - 2).
    """

    scales: Tensor
    vertices: Tensor
    offsets: Tensor

    def __init__(self, dims: int, vertices: int) -> None:
        super().__init__()
        plan = layout(dims, 1, 24, vertices - 1, vertices - 1)
        for name in ("scales", "vertices", "offsets"):
            self.register_buffer(name, getattr(plan, name), persistent=False)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """See the class."""
        return grid_encode(x, table.T.contiguous(), self.scales, self.vertices, self.offsets)


class Modulated(nn.Module):
    """Modulated layers of one width, then a plain one."""

    def __init__(self, inputs: int, outputs: int, stack: Stack, generator: torch.Generator | None) -> None:
        super().__init__()
        self.skip, width, bits = stack.skip, stack.width, stack.bits
        reads = [inputs] + [width + inputs * (n == stack.skip) for n in range(1, stack.depth)]
        self.hidden = nn.ModuleList(Dense(read, width, generator, bits=bits) for read in reads)
        self.last = Dense(width, outputs, generator, gain=1, bits=bits)

    def forward(self, seen: Tensor, scalars: Tensor) -> Tensor:
        """seen (N, inputs), scalars (N, 2 depth) with gamma - 1 and beta of each layer in turn -> (N, outputs)."""
        columns, h = scalars.unbind(1), seen
        for number, layer in enumerate(self.hidden):
            again = number == self.skip and number > 0
            z = layer(torch.cat([h, seen], -1) if again else h)
            h = modulate(z, 1 + columns[2 * number], columns[2 * number + 1])
        return self.last(h)
