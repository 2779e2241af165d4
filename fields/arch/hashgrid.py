"""Hash grid: feature grids, coarse ones dense and fine ones hashed, and a small network (Mueller et al. 2022)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from fields.base import FEATURES, Architecture
from fields.kernels.grid import grid_encode, layout
from fields.layers import Perceptron
from fields.operands import Operands
from fields.ranges import check, check_choice


@dataclass(frozen=True)
class Config:
    """Size of the grid and of its decoder."""

    levels: int = 16  # resolutions, coarse to fine, 1 to 32
    channels: int = 2  # features per level: 1, 2, 4 or 8
    table_bits: int = 19  # log2 of the entries of a hashed level, 8 to 24
    coarsest: int = 16  # cells along the box's longest side at the first level, 2 to 512
    finest: int = 2048  # at the last level, up to 65536
    width: int = 64  # of the hidden layer, 16 to 256

    def __post_init__(self) -> None:
        check("hashgrid", self, levels=(1, 32), table_bits=(8, 24), coarsest=(2, 512), width=(16, 256))
        check("hashgrid", self, finest=(self.coarsest, 65536))
        check_choice("hashgrid", self, channels=(1, 2, 4, 8))


WHEN = "learns fastest: the usual choice"
PRESETS = {
    "tiny": Config(levels=8, channels=2, table_bits=14, finest=512),
    "small": Config(levels=8, channels=4, table_bits=17, finest=512),
    "base": Config(levels=16, channels=2, table_bits=19),
    "large": Config(levels=16, channels=4, table_bits=21, finest=4096),
}


@final
class Network(Architecture):
    """Grid encode, then one hidden layer."""

    rate = 2e-2  # twice the published one: +0.5 dB after 50 s with batches of 2^15 samples

    scales: Tensor
    vertices: Tensor
    offsets: Tensor

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        plan = layout(dims, config.levels, config.table_bits, config.coarsest, config.finest)
        for name in ("scales", "vertices", "offsets"):
            self.register_buffer(name, getattr(plan, name), persistent=False)
        entries = int(plan.offsets[-1])
        self.table = nn.Parameter((torch.rand(entries, config.channels, generator=generator) * 2 - 1) * 1e-4)
        self.decoder = Perceptron((config.levels * config.channels, config.width, FEATURES), generator)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        return self.decoder(grid_encode(x, self.table, self.scales, self.vertices, self.offsets))

    def operands(self) -> Operands | None:
        """See Architecture. Three coordinates. Small: up to 64 numbers of the grid, and a hidden layer up to 128 wide,
        what a tile of points and its matrices may take of a GPU's registers."""
        grid = self.config.levels * self.config.channels
        if self.dims != 3:
            return None
        fixed = (self.scales, self.vertices, self.offsets)
        shape = (self.config.levels, self.config.channels, self.config.width, FEATURES)
        small = grid <= 64 and self.config.width <= 128
        return Operands((self.table,), tuple(self.decoder.layers), fixed, shape, FEATURES, small=small)
