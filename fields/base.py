"""The abstract types: an architecture maps points to features, a head gives them meaning, a volume or a signal."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from fields.exponential import TruncatedExp
from fields.operands import Operands

FEATURES = 16  # F of architectures whose last layer may have any width
Opacity = Callable[[Tensor], Tensor]  # (M, 3) unit box -> (M,) in [0, 1], of one sampling step; 0 where rays never go


class Architecture(nn.Module, ABC):
    """Maps points to features. Final subclasses are named `Network`, one in each file of fields/arch, each with a
    frozen `Config` beside it. They are built as `Network(config, dims, generator)`; a generator of None is for the meta
    device, where nothing is drawn and a file's shapes are checked before memory is taken.

    Only `config`, `rate` and `features` must be given; the rest has an answer that says "nothing special".
    """

    head: str = "radiance"  # what reads the features where nobody says: a file name of fields/heads
    width: int = FEATURES  # features that it gives, F

    config: Any  # the frozen Config that the network has the shape of
    rate: float  # Adam's learning rate after warm-up, of everything that `rates` does not name, the head included
    rates: Mapping[str, float] = MappingProxyType({})  # of this network's parameters whose name begins so
    matrix_rate: float = 0.0  # of weights of fully connected layers, turned as a whole; 0: `rate`, each for itself
    growth: tuple[float, ...] = ()  # shares of a run, rising, in (0, 1), after which `grown` takes this one's place
    bandwidths: tuple[float, ...] = ()  # values of Config.bandwidth to choose from, where the architecture has one

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """x (N, D) float32 in the unit box -> features (N, F). They mean what the head says; all of this house's own
        heads take the first for log-density per scene unit."""

    def penalty(self, generator: torch.Generator) -> Tensor:
        """() What a training step adds to the error of its pixels: the architecture's own regulariser, weighted. The
        generator lives on the network's device."""
        return torch.zeros((), device=next(self.parameters()).device)

    def grown(self, opacity: Opacity, generator: torch.Generator) -> "Architecture":
        """This network in its next shape, with what it has learnt: finer, pruned, or laid out anew. `opacity` tells
        where there is anything. The generator lives on the CPU."""
        return self

    def operands(self) -> Operands | None:
        """What the device functions `features` and `features_grad` in fields/arch/NAME_cuda.py read, parameters as they
        are; None where this shape has none: it is then asked op by op."""
        return None

    @staticmethod
    def final(config: Any) -> Any:
        """The Config after all growth, so that memory can be told before training; pruning may stay below it."""
        return config

    def stored(self) -> dict[str, Tensor]:
        """Tensors for the model file. Their shapes and types depend on the config alone."""
        return self.state_dict()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `stored`."""
        self.load_state_dict(tensors)


class Head(nn.Module, ABC):
    """What features mean. Final subclasses are named `Readout`, one in each file of fields/heads, and are a Volume or a
    Signal. They are built as `Readout(width, config, generator)`: features that there are, the architecture's Config,
    where both share sizes, and a generator as an architecture has it. ValueError where these do not fit."""

    def operands(self) -> Operands | None:
        """What the device functions in fields/heads/NAME_cuda.py read, as Architecture.operands: `density`, `color` and
        their gradients."""
        return None

    def stored(self) -> dict[str, Tensor]:
        """Tensors for the model file, as Architecture.stored."""
        return self.state_dict()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `stored`."""
        self.load_state_dict(tensors)


class Volume(Head):
    """What a renderer can march: density, and colour by direction. Nobody else reads a column of the features."""

    @abstractmethod
    def log_density(self, features: Tensor) -> Tensor:
        """(N, F) -> (N,) float32, of density per scene unit. Never depends on direction: occupancy, meshing and
        distillation need that."""

    def density(self, features: Tensor) -> Tensor:
        """(N, F) -> sigma (N,) per scene unit, with a gradient that stays finite."""
        return TruncatedExp.apply(self.log_density(features))  # type: ignore[return-value]

    @abstractmethod
    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """(N, F), unit directions (N, 3) -> RGB (N, 3) float32 in [0, 1], sRGB as in the photographs."""

    @abstractmethod
    def appearance(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, A): what `color` reads of the features. A student's may be drawn towards a teacher's where
        there are as many."""


class Signal(Head):
    """What is read off point by point: an image, a distance, a video. No renderer marches it."""

    @abstractmethod
    def values(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, C) float32."""
