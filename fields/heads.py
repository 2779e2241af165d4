"""What features mean. Radiance: the first is log-density, the rest feed a view-dependent colour network."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from fields.encodings import COEFFICIENTS, spherical_harmonics
from fields.operands import Operands
from fields.perceptron import Perceptron

FEATURES = 16
LARGEST = 15.0  # log-density at which the gradient of exp is held


class TruncatedExp(torch.autograd.Function):
    """exp whose gradient is that of exp(clamp(x)): forward values stay exact, gradients stay finite."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:  # noqa: ANN001
        (x,) = ctx.saved_tensors
        return grads[0] * x.clamp(-LARGEST, LARGEST).exp()


class Head(nn.Module, ABC):
    """What features mean. The first is log-density, always: sigma = exp(F[0]) per scene unit."""

    width: int  # features that it reads, F

    def density(self, features: Tensor) -> Tensor:
        """(N, F) -> sigma (N,). Never depends on direction: occupancy, meshing and distillation need that."""
        return TruncatedExp.apply(features[:, 0].float())  # type: ignore[return-value]

    @abstractmethod
    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """(N, F), unit directions (N, 3) -> RGB (N, 3) float32 in [0, 1], sRGB as in the photographs."""

    def operands(self) -> Operands | None:
        """What the device functions `color` and `color_grad` beside the head's file read, as Architecture.operands."""
        return None

    def stored(self) -> dict[str, Tensor]:
        """Tensors for the model file, as Architecture.stored."""
        return self.state_dict()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `stored`."""
        self.load_state_dict(tensors)


@final
class RadianceHead(Head):
    """RGB = sigmoid(network(F[1:], spherical harmonics of the direction))."""

    width = FEATURES

    def __init__(self, generator: torch.Generator | None, width: int = 64) -> None:
        super().__init__()
        self.network = Perceptron((FEATURES - 1 + COEFFICIENTS, width, width, 3), generator)

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Head."""
        harmonics = spherical_harmonics(d).to(features.dtype)
        return self.network(torch.cat([features[:, 1:], harmonics], -1)).float().sigmoid()

    def operands(self) -> Operands:
        """See Head. The shape is (features, width of the hidden layers)."""
        weights = tuple(self.network.layers)
        return Operands((), weights, (), (FEATURES, len(weights[0])), FEATURES)
