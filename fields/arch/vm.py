"""Vector-matrix tensor: three pairs of a plane and a line, multiplied, summed over ranks (TensoRF, Chen et al. 2022).

Density is the sum over pairs and ranks (equation 6); colour features are a linear map of all products (equation 7),
which the shared radiance head reads, as in progressive volume distillation (Fang et al. 2023). TensoRF's own colour
network is larger.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.base import FEATURES, Architecture, Opacity
from fields.kernels.planes import LINES, SPACE, layout, planes
from fields.layers import Perceptron
from fields.operands import Operands
from fields.ranges import check

# sigma = exp(sum - SHIFT), a form of TensoRF's softplus(sum - 10): factors of zero, to which the L1 term drives, are
# nearly empty space. Density factors start at a mean whose sum is SHIFT, so that sigma starts at 1: with factors of
# mean zero and a shift of 4, nothing appeared in 400 steps. Against no shift at all: +0.2 dB after 250 steps of 16 384
# samples (chair), and 28 % more rays for the same samples.
SHIFT = 3.0
GROWTH = (2000, 3000, 4000, 5500, 7000)  # steps of the published run at which the lattice grows
SPARSITY = (4e-4, 2e-4)  # weight of |density factors|, at first and once grown: 5 x the published, see `penalty`


@dataclass(frozen=True)
class Config:
    """Size of the factors."""

    coarsest: int = 128  # vertices per side at the start of a run, 4 to 2048
    resolution: int = 128  # vertices per side of these factors, coarsest to finest
    finest: int = 300  # at the end of a run, coarsest to 2048
    density_rank: int = 16  # products summed for density, of each pair, 1 to 128
    color_rank: int = 48  # products for colour, of each pair, 1 to 256
    settled: float = 7000 / 30000  # share of a run after which the lattice is at its finest, 0.01 to 0.9

    def __post_init__(self) -> None:
        check("vm", self, coarsest=(4, 2048), density_rank=(1, 128), color_rank=(1, 256), settled=(0.01, 0.9))
        check("vm", self, finest=(self.coarsest, 2048))
        check("vm", self, resolution=(self.coarsest, self.finest))


WHEN = "sharpest after five minutes, with triplane, in a smaller file"
PRESETS = {
    "tiny": Config(16, 16, 32, density_rank=4, color_rank=8, settled=0.6),
    "small": Config(64, 64, 160, density_rank=8, color_rank=24, settled=0.6),
    "base": Config(),
    "large": Config(128, 128, 500, density_rank=24, color_rank=72),
}


def levels(config: Config) -> list[int]:
    """Vertices per side in each of a run's shapes, in geometric progression."""
    ratio = config.finest / config.coarsest
    return [round(config.coarsest * ratio ** (n / len(GROWTH))) for n in range(len(GROWTH) + 1)]


def resized(table: Tensor, old: int, new: int) -> Tensor:
    """The table's planes and lines with `new` vertices per side, read off the old ones bilinearly."""
    shapes = [shape for _ in SPACE for shape in ((old, old), (1, old))]
    parts = []
    for part, (rows, columns) in zip(table.split([a * b for a, b in shapes]), shapes, strict=True):
        picture = part.T.reshape(1, -1, rows, columns)
        size = (new if rows > 1 else 1, new)
        finer = functional.interpolate(picture, size, mode="bilinear", align_corners=True)
        parts.append(finer.flatten(2)[0].T)
    return torch.cat(parts).contiguous()


@final
class Network(Architecture):
    """Factors and a linear map."""

    rate = 2e-2
    rates = MappingProxyType({"density": 5e-2, "color": 0.15})  # published: 2e-2, and 1e-3 for the rest, 30 000 steps
    matrix_rate = 2e-2  # against `rate`, of `small` on the chair: +0.4 and +0.8 dB after 250 steps, two seeds

    factors: Tensor
    groups: Tensor
    weights: Tensor  # (E,) 1 / numbers in the factor that the row belongs to

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        if dims != 3:
            raise ValueError(f"vm: reads 3 coordinates, found {dims}")
        self.config = config
        if config.resolution < config.finest:
            self.growth = tuple(config.settled * step / GROWTH[-1] for step in GROWTH)
        size = config.resolution
        plan = layout([[(a, b, size, size), (c, c, size, 1)] for (a, b), c in zip(SPACE, LINES, strict=True)])
        counts = plan.factors[:, 2] * plan.factors[:, 3]
        weights = (1 / (counts * config.density_rank)).repeat_interleave(counts)
        for name, value in (("factors", plan.factors), ("groups", plan.groups), ("weights", weights)):
            self.register_buffer(name, value, persistent=False)
        mean = (SHIFT / (len(SPACE) * config.density_rank)) ** 0.5
        self.density = nn.Parameter(torch.randn(plan.rows, config.density_rank, generator=generator) * 0.1 + mean)
        self.color = nn.Parameter(torch.randn(plan.rows, config.color_rank, generator=generator) * 0.1)
        self.basis = Perceptron((len(SPACE) * config.color_rank, FEATURES - 1), generator)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        density = planes(x, self.density, self.factors, self.groups).sum(1, keepdim=True)
        color = self.basis(planes(x, self.color, self.factors, self.groups))
        return torch.cat([density - SHIFT, color.to(density.dtype)], 1)

    def operands(self) -> Operands:
        """See Architecture. The shape is (density rank, colour rank): it stays as the lattice grows."""
        ranks = (self.config.density_rank, self.config.color_rank)
        return Operands((self.density, self.color), tuple(self.basis.layers), (self.factors,), ranks, FEATURES)

    def penalty(self, generator: torch.Generator) -> Tensor:
        """Sum over factors of the mean absolute density number. Published: 8e-5, then 4e-5, beside a mean square error;
        this house's loss is five times that for small errors."""
        weight = SPARSITY[self.config.resolution > self.config.coarsest]
        return weight * (self.density.abs().sum(1) @ self.weights)

    def grown(self, opacity: Opacity, generator: torch.Generator) -> "Network":
        """See Architecture."""
        now = self.config.resolution
        if now == self.config.finest:
            return self
        new = next(level for level in levels(self.config) if level > now)
        network = Network(replace(self.config, resolution=new), len(SPACE), generator)
        network.density = nn.Parameter(resized(self.density.detach(), now, new))
        network.color = nn.Parameter(resized(self.color.detach(), now, new))
        network.basis.load_state_dict(self.basis.state_dict())
        return network

    @staticmethod
    def final(config: Config) -> Config:
        """See Architecture."""
        return replace(config, resolution=config.finest)
