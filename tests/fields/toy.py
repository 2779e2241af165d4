"""Toy: one dense grid that is refined halfway through a run. Tests copy it into fields/arch: a file is enough."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.base import FEATURES, Architecture, Opacity
from fields.ranges import check


@dataclass(frozen=True)
class Config:
    """Size of the grid."""

    resolution: int = 8  # vertices per axis now, 2 to 64
    finest: int = 16  # at the end, up to 64

    def __post_init__(self) -> None:
        check("toy", self, resolution=(2, 64), finest=(self.resolution, 64))


PRESETS = {
    "tiny": Config(),
    "small": Config(finest=24),
    "base": Config(finest=32),
    "large": Config(finest=64),
}


@final
class Network(Architecture):
    """Trilinear lookup, and nothing else."""

    rate = 3e-2
    growth = (0.5,)

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config = config
        size = (1, FEATURES, *(config.resolution,) * dims)
        self.values = nn.Parameter(torch.rand(size, generator=generator) * 0.2 - 0.1)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        place = (x.clamp(0, 1) * 2 - 1).view(1, -1, 1, 1, 3)
        return functional.grid_sample(self.values, place, align_corners=True).view(FEATURES, -1).T

    def grown(self, opacity: Opacity, generator: torch.Generator) -> "Network":
        """See Architecture."""
        config = replace(self.config, resolution=self.config.finest)
        result = Network(config, self.values.dim() - 2, generator)
        size = result.values.shape[2:]
        finer = functional.interpolate(self.values.detach(), size, mode="trilinear", align_corners=True)
        result.values = nn.Parameter(finer)
        return result

    @staticmethod
    def final(config: Config) -> Config:
        """See Architecture."""
        return replace(config, resolution=config.finest)
