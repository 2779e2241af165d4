"""Tri-plane: three planes per scale, read bilinearly and multiplied (K-Planes, Fridovich-Keil et al. 2023) or summed
(EG3D, Chan et al. 2022), and a small network."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from fields.base import FEATURES, Architecture
from fields.kernels.planes import SPACE, layout, planes
from fields.layers import Perceptron
from fields.operands import Operands
from fields.ranges import check, check_choice

SHIFT = 1.0  # sigma = exp(raw - 1) (K-Planes, hybrid decoder)
SPARED = 8  # one cell of a plane in so many is asked for its variation in each step; 32 saves a tenth, costs 0.4 dB
START = {"product": (0.1, 0.5), "sum": (-0.1, 0.1)}  # limits of the uniform draw; a product must stay off zero


@dataclass(frozen=True)
class Config:
    """Size of the planes and of their decoder."""

    coarsest: int = 128  # vertices per side of the first scale's planes, 4 to 1024
    scales: int = 3  # each twice as fine as the one before, 1 to 5
    channels: int = 32  # features of a plane, 1 to 128
    width: int = 64  # of the decoder's hidden layer, 16 to 256
    combine: str = "product"  # of the three planes of a scale: product or sum
    smooth: float = 0.03  # weight of the planes' variation in the loss, 0 to 100

    def __post_init__(self) -> None:
        check("triplane", self, coarsest=(4, 1024), scales=(1, 5), channels=(1, 128), width=(16, 256), smooth=(0, 100))
        check_choice("triplane", self, combine=tuple(START))


WHEN = "sharpest after five minutes, with vm"
PRESETS = {
    "tiny": Config(coarsest=16, scales=2, channels=8),
    "small": Config(coarsest=64, channels=16),
    "base": Config(),
    "large": Config(scales=4),
}


class Variation(torch.autograd.Function):
    """() Half the weighted sum of squared first differences at some vertices of a table, its gradient in closed form:
    autograd would fill a table of zeros for each of the three vertices that a cell reads."""

    @staticmethod
    def forward(ctx, table: Tensor, near: Tensor, up: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN001
        """table (E, C); near (M,) rows; their neighbours are near + 1 and up (M,); weight (M,) of each."""
        here = table[near]
        right, above = table[near + 1] - here, table[up] - here
        ctx.save_for_backward(table, near, up, weight, right, above)
        return 0.5 * ((right.square() + above.square()).sum(1) @ weight)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        table, near, up, weight, right, above = ctx.saved_tensors
        scale = (weight * grads[0])[:, None]
        right, above = right * scale, above * scale
        slope = torch.zeros_like(table).index_add_(0, near + 1, right).index_add_(0, up, above)
        return slope.index_add_(0, near, -right - above), None, None, None


@final
class Network(Architecture):
    """Planes, then one hidden layer."""

    rate = 2e-2
    rates = MappingProxyType({"table": 0.1})  # against 5e-2: +1.2 dB after 250 steps; published: 1e-2, in 30 000 steps

    factors: Tensor
    groups: Tensor

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        if dims != 3:
            raise ValueError(f"triplane: reads 3 coordinates, found {dims}")
        self.config = config
        sizes = [config.coarsest << scale for scale in range(config.scales)]
        scales = [[(a, b, size, size) for a, b in SPACE] for size in sizes]
        if config.combine == "sum":
            scales = [[plane] for group in scales for plane in group]
        plan = layout(scales)
        self.sizes = [plane[2] for group in scales for plane in group]  # vertices per side of each plane
        for name in ("factors", "groups"):
            self.register_buffer(name, getattr(plan, name), persistent=False)
        low, high = START[config.combine]
        draw = torch.rand(plan.rows, config.channels, generator=generator)
        self.table = nn.Parameter(draw * (high - low) + low)
        self.decoder = Perceptron((config.scales * config.channels, config.width, FEATURES), generator)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        read = planes(x, self.table, self.factors, self.groups)
        if self.config.combine == "sum":
            read = read.view(len(x), self.config.scales, len(SPACE), self.config.channels).sum(2).flatten(1)
        features = self.decoder(read)
        return torch.cat([features[:, :1] - SHIFT, features[:, 1:]], 1)

    def operands(self) -> Operands:
        """See Architecture. The shape is (coarsest, scales, channels, width, whether planes are multiplied)."""
        config, weights = self.config, tuple(self.decoder.layers)
        shape = (config.coarsest, config.scales, config.channels, config.width, int(config.combine == "product"))
        return Operands((self.table,), weights, (self.factors,), shape, FEATURES)

    def penalty(self, generator: torch.Generator) -> Tensor:
        """Total variation, the mean over all planes of half the mean square of first differences along a, and along b,
        estimated from cells drawn anew each time. The published weight of 1e-4 belongs to sums over planes."""
        if self.config.smooth == 0:
            return super().penalty(generator)
        near, up, weight, start = [], [], [], 0
        for size in self.sizes:
            count = -(-((size - 1) ** 2) // SPARED)
            i, j = torch.randint(size - 1, (2, count), generator=generator, device=self.table.device)
            near.append(start + i + size * j)
            up.append(near[-1] + size)
            weight.append(torch.full_like(near[-1], 1 / (count * self.config.channels), dtype=self.table.dtype))
            start += size * size
        share = self.config.smooth / len(self.sizes)
        total = Variation.apply(self.table, *(torch.cat(part) for part in (near, up, weight)))
        return share * total  # type: ignore[return-value]
