"""Radiance: the first feature is log-density, the others feed a small network that gives view-dependent colour."""

from typing import Any, final

import torch
from torch import Tensor

from fields.base import Volume
from fields.encodings import COEFFICIENTS, spherical_harmonics
from fields.layers import Perceptron
from fields.operands import Operands


@final
class Readout(Volume):
    """sigma = exp(F[0]); RGB = sigmoid(network(F[1:], spherical harmonics of the direction))."""

    def __init__(self, width: int, config: Any, generator: torch.Generator | None, hidden: int = 64) -> None:
        super().__init__()
        if width < 2:
            raise ValueError(f"head radiance wants 2 features or more, found {width}")
        self.width = width
        self.network = Perceptron((width - 1 + COEFFICIENTS, hidden, hidden, 3), generator)

    def log_density(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 0].float()

    def appearance(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 1:]

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Volume."""
        harmonics = spherical_harmonics(d).to(features.dtype)
        return self.network(torch.cat([features[:, 1:], harmonics], -1)).float().sigmoid()

    def operands(self) -> Operands:
        """See Head. The shape is (features, width of the hidden layers)."""
        weights = tuple(self.network.layers)
        return Operands((), weights, (), (self.width, len(weights[0])), self.width)
