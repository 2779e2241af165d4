"""CAM: a coordinate MLP whose layers are normalised, then scaled and shifted by small grids (Lee et al. 2024).

Each hidden layer is h = relu(gamma(u) Norm(W h + b) + beta(u)), with scalars gamma and beta that are the same
for all its neurons. In the paper u is the view direction in every layer, which would make density depend on it; here
the layers of the density read them from a grid over position, and only those of the colour from a grid over direction.
Norm is over the neurons of one point, as in the paper's pictures; in its radiance fields it spans the samples of a ray,
which packed samples have not. Weights and grids are rounded to eight bits while they are learnt, as in the paper.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from fields.base import Architecture
from fields.dense import Dense, arithmetic, padded
from fields.encodings import COEFFICIENTS, frequencies, octaves, spherical_harmonics
from fields.heads import FEATURES, Head
from fields.kernels.grid import grid_encode, layout
from fields.kernels.modulate import modulate
from fields.quantize import decode, encode, rounded
from fields.ranges import check, check_choice


@dataclass(frozen=True)
class Config:
    """Size of the network and of what modulates it."""

    depth: int = 8  # hidden layers, 2 to 32
    width: int = 240  # neurons of a layer, 8 to 2048
    skip: int = 4  # hidden layers before the waves are read again, less than depth; 0: never
    frequencies: int = 10  # waves per coordinate, from half a cycle per box side to bandwidth, 2 to 32
    bandwidth: float = 256.0  # highest frequency, cycles per box side, 0.5 to 4096
    grid: int = 12  # vertices along the box's longest side that gamma and beta have, 4 to 256
    azimuths: int = 10  # directions around, of the colour's gamma and beta, 3 to 64
    elevations: int = 5  # from straight down to straight up, 3 to 64
    bits: int = 8  # of weights and grids: 8, or 32 for no rounding

    def __post_init__(self) -> None:
        check("cam", self, depth=(2, 32), width=(8, 2048), frequencies=(2, 32), bandwidth=(0.5, 4096), grid=(4, 256))
        check("cam", self, skip=(0, self.depth - 1), azimuths=(3, 64), elevations=(3, 64))
        check_choice("cam", self, bits=(8, 32))


PRESETS = {
    "tiny": Config(depth=3, width=32, skip=2, frequencies=4, bandwidth=8.0, grid=6),
    "small": Config(depth=4, width=128, skip=0, bandwidth=32.0, grid=24),
    "base": Config(),
    "large": Config(depth=8, width=512, grid=32),
}


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

    def __init__(self, inputs: int, outputs: int, config: Config, generator: torch.Generator | None) -> None:
        super().__init__()
        self.skip, width, bits = config.skip, config.width, config.bits
        reads = [inputs] + [width + inputs * (n == config.skip) for n in range(1, config.depth)]
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


@final
class ModulatedHead(Head):
    """RGB = sigmoid(network(F[1:], spherical harmonics of the direction)), modulated by the direction."""

    width = FEATURES

    def __init__(self, config: Config, generator: torch.Generator | None, width: int = 64) -> None:
        super().__init__()
        self.config = replace(config, depth=2, width=width, skip=0)
        self.body = Modulated(FEATURES - 1 + COEFFICIENTS, 3, self.config, generator)
        self.grid = nn.Parameter(torch.zeros(4, config.elevations, config.azimuths))
        self.reach = max(config.azimuths, config.elevations) + 2  # vertices of an axis, those that come twice included
        self.lookup = Lookup(2, self.reach)

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Head."""
        seen = torch.cat([features[:, 1:], spherical_harmonics(d).to(features.dtype)], -1)
        rgb = self.body(arithmetic(padded(seen)), self.scalars(padded(d)))
        return rgb[: len(d)].float().sigmoid()

    def scalars(self, d: Tensor) -> Tensor:
        """Unit directions (N, 3) -> gamma - 1 and beta of each layer (N, 4), continuous on the whole sphere: azimuth
        closes on itself, and all azimuths of a pole have its mean."""
        grid = rounded(self.grid, self.config.bits)
        poles = torch.stack([grid[:, 0], grid[:, -1]], 1).mean(2, keepdim=True).expand(-1, -1, grid.shape[2])
        grid = torch.cat([poles[:, :1], grid[:, 1:-1], poles[:, 1:]], 1)
        vertex = torch.arange(self.reach, device=d.device)
        level = (vertex - 1).clamp(0, self.config.elevations - 1)
        return self.lookup(self.places(d), grid[:, level][:, :, vertex % self.config.azimuths].flatten(1))

    def places(self, d: Tensor) -> Tensor:
        """Unit directions (N, 3) -> (N, 2) in the lookup's unit box: azimuth from vertex 1/2 to azimuths + 1/2,
        elevation from vertex 1 to elevations."""
        x, y, z = d.unbind(-1)
        azimuth = torch.atan2(y, x) / (2 * torch.pi) + 0.5
        elevation = torch.atan2(z, torch.hypot(x, y)) / torch.pi + 0.5
        places = [azimuth * self.config.azimuths, elevation * (self.config.elevations - 1) + 0.5]
        return torch.stack(places, -1) / (self.reach - 2)

    def stored(self) -> dict[str, Tensor]:
        """See Head."""
        return encode(self.state_dict(), self.config.bits)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """See Head."""
        self.load_state_dict(decode(tensors))


@final
class Network(Architecture):
    """Waves, then modulated layers, then the features."""

    rates = MappingProxyType({"grid": 3e-2})  # 1.5 dB more than 1e-2 after 300 steps of `small` on the chair
    matrix_rate = 0.03  # `small` on the chair, 250 steps: 29.5 dB; 29.2 with 0.02, 26.7 with `rate`
    bandwidths = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

    cycles: Tensor

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config = config
        self.rate = min(1.28 / config.width, 2e-2)  # 1e-2 at 128 neurons; less where sums are longer
        self.register_buffer("cycles", octaves(config.frequencies, config.bandwidth), persistent=False)
        self.body = Modulated(dims * (1 + 2 * config.frequencies), FEATURES, config, generator)
        self.grid = nn.Parameter(torch.zeros(2 * config.depth, config.grid**dims))
        self.lookup = Lookup(dims, config.grid)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        place = padded(x)
        scalars = self.lookup(place, rounded(self.grid, self.config.bits))
        return self.body(arithmetic(frequencies(place, self.cycles)), scalars)[: len(x)]

    def head(self, generator: torch.Generator | None) -> Head:
        """See Architecture."""
        return ModulatedHead(self.config, generator)

    def stored(self) -> dict[str, Tensor]:
        """See Architecture."""
        return encode(self.state_dict(), self.config.bits)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """See Architecture."""
        self.load_state_dict(decode(tensors))
