"""Modulated: as radiance, but the layers of the colour network are scaled and shifted by a grid over directions (Lee et
al. 2024); weights and grid are rounded to eight bits while they are learnt."""

from typing import Any, final

import torch
from torch import Tensor, nn

from fields.base import Volume
from fields.encodings import COEFFICIENTS, spherical_harmonics
from fields.layers import arithmetic, padded
from fields.modulation import Lookup, Modulated, Stack
from fields.operands import Operands
from fields.quantize import decode, encode, rounded
from fields.ranges import require


@final
class Readout(Volume):
    """sigma = exp(F[0]); RGB = sigmoid(network(F[1:], spherical harmonics of the direction)), modulated by direction.

    From the architecture's Config come `azimuths`, `elevations` and `bits`.
    """

    def __init__(self, width: int, config: Any, generator: torch.Generator | None, hidden: int = 64) -> None:
        super().__init__()
        require("head modulated", config, "azimuths", "elevations", "bits")
        self.config, self.width = config, width
        self.body = Modulated(width - 1 + COEFFICIENTS, 3, Stack(2, hidden, 0, config.bits), generator)
        self.grid = nn.Parameter(torch.zeros(4, config.elevations, config.azimuths))
        self.reach = max(config.azimuths, config.elevations) + 2  # vertices of an axis, those that come twice included
        self.lookup = Lookup(2, self.reach)

    def log_density(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 0].float()

    def appearance(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 1:]

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Volume."""
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

    def operands(self) -> Operands:
        """See Head. The shape is (azimuths, elevations, bits)."""
        config, weights = (
            self.config,
            tuple(p for layer in (*self.body.hidden, self.body.last) for p in layer.parameters()),
        )
        return Operands((), (*weights, self.grid), (), (config.azimuths, config.elevations, config.bits), self.width)

    def stored(self) -> dict[str, Tensor]:
        """See Head."""
        return encode(self.state_dict(), self.config.bits)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """See Head."""
        self.load_state_dict(decode(tensors))
