"""CAM: a coordinate MLP whose layers are normalised, then scaled and shifted by small grids (Lee et al. 2024).

Each hidden layer is h = relu(gamma(u) Norm(W h + b) + beta(u)), with scalars gamma and beta that are the same
for all its neurons. In the paper u is the view direction in every layer, which would make density depend on it; here
the layers of the density read them from a grid over position, and only those of the colour from a grid over direction.
Norm is over the neurons of one point, as in the paper's pictures; in its radiance fields it spans the samples of a ray,
which packed samples have not. Weights and grids are rounded to eight bits while they are learnt, as in the paper.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from fields.base import FEATURES, Architecture
from fields.encodings import frequencies, octaves
from fields.layers import arithmetic, padded
from fields.modulation import Lookup, Modulated, Stack
from fields.operands import Operands
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


WHEN = "the smallest files, below 0.3 MB; slow to learn and to draw"
PRESETS = {
    "tiny": Config(depth=3, width=32, skip=2, frequencies=4, bandwidth=8.0, grid=6),
    "small": Config(depth=4, width=128, skip=0, bandwidth=32.0, grid=24),
    "base": Config(),
    "large": Config(depth=8, width=512, grid=32),
}


@final
class Network(Architecture):
    """Waves, then modulated layers, then the features."""

    head = "modulated"
    rates = MappingProxyType({"grid": 3e-2})  # 1.5 dB more than 1e-2 after 300 steps of `small` on the chair
    matrix_rate = 0.03  # `small` on the chair, 250 steps: 29.5 dB; 29.2 with 0.02, 26.7 with `rate`
    bandwidths = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

    cycles: Tensor

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        self.rate = min(1.28 / config.width, 2e-2)  # 1e-2 at 128 neurons; less where sums are longer
        self.register_buffer("cycles", octaves(config.frequencies, config.bandwidth), persistent=False)
        stack = Stack(config.depth, config.width, config.skip, config.bits)
        self.body = Modulated(dims * (1 + 2 * config.frequencies), FEATURES, stack, generator)
        self.grid = nn.Parameter(torch.zeros(2 * config.depth, config.grid**dims))
        self.lookup = Lookup(dims, config.grid)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        place = padded(x)
        scalars = self.lookup(place, rounded(self.grid, self.config.bits))
        return self.body(arithmetic(frequencies(place, self.cycles)), scalars)[: len(x)]

    def operands(self) -> Operands | None:
        """See Architecture. Three coordinates. The shape is (depth, skip, bits)."""
        if self.dims != 3:
            return None
        config, lookup = self.config, self.lookup
        weights = tuple(p for layer in (*self.body.hidden, self.body.last) for p in layer.parameters())
        fixed = (self.cycles, lookup.scales, lookup.vertices, lookup.offsets)
        return Operands((self.grid,), weights, fixed, (config.depth, config.skip, config.bits), FEATURES)

    def stored(self) -> dict[str, Tensor]:
        """See Architecture."""
        return encode(self.state_dict(), self.config.bits)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """See Architecture."""
        self.load_state_dict(decode(tensors))
