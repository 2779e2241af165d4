"""The two types everything else speaks of: an architecture, and the field made of one."""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from torch import Tensor, nn

import fields
from fields.heads import RadianceHead


class Architecture(nn.Module, ABC):
    """Maps points to features. Final subclasses are named `Network`, one in each file of fields/arch, each with a
    frozen `Config` beside it. They are built as `Network(config, dims, generator)`; a generator of None is for the meta
    device, where nothing is drawn and a file's shapes are checked before memory is taken."""

    config: Any  # the frozen Config that the network was built from
    rate: float  # Adam's learning rate after warm-up

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """x (N, D) float32 in the unit box -> features (N, F) float32."""


@final
class Field(nn.Module):
    """An architecture under a head, in a box of the scene."""

    box: Tensor  # (2, 3) float32, low and high corner in scene units
    center: Tensor  # (3,) float32
    side: Tensor  # () float32, longest side

    def __init__(self, architecture: Architecture, head: RadianceHead, box: Tensor) -> None:
        super().__init__()
        if box.shape != (2, 3) or not bool((box[1] > box[0]).all()):
            raise ValueError(f"box must be a low and a higher corner, (2, 3); found {box.tolist()}")
        self.architecture = architecture
        self.head = head
        self.register_buffer("box", box.float(), persistent=False)
        self.register_buffer("center", box.float().mean(0), persistent=False)
        self.register_buffer("side", (box[1] - box[0]).float().max(), persistent=False)

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, 3) scene units -> sigma (N,) >= 0 per scene unit, features (N, F). The box's longest side fills the
        architecture's unit box; points outside get the density of the nearest point of that unit box."""
        features = self.architecture.features((x - self.center) / self.side + 0.5)
        return self.head.density(features), features

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """Features (N, F), unit directions (N, 3) -> RGB (N, 3) in [0, 1]."""
        return self.head.color(features, d)

    def parameter_count(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.parameters())


def build(name: str, config: Any, box: Tensor, generator: torch.Generator) -> Field:
    """A new field of architecture `name`, its weights drawn from the generator."""
    network = fields.module(name).Network(config, 3, generator)
    return Field(network, RadianceHead(generator), box)
