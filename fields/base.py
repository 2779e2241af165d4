"""The two types everything else speaks of: an architecture, and the field made of one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor, nn

import fields
from fields import fused
from fields.heads import Head, RadianceHead
from fields.operands import Operands

Opacity = Callable[[Tensor], Tensor]  # (M, 3) unit box -> (M,) in [0, 1], of one sampling step; 0 where rays never go


class Architecture(nn.Module, ABC):
    """Maps points to features. Final subclasses are named `Network`, one in each file of fields/arch, each with a
    frozen `Config` beside it. They are built as `Network(config, dims, generator)`; a generator of None is for the meta
    device, where nothing is drawn and a file's shapes are checked before memory is taken.

    Only `config`, `rate` and `features` must be given; the rest has an answer that says "nothing special".
    """

    config: Any  # the frozen Config that the network has the shape of
    rate: float  # Adam's learning rate after warm-up, of everything that `rates` does not name, the head included
    rates: Mapping[str, float] = MappingProxyType({})  # of this network's parameters whose name begins so
    matrix_rate: float = 0.0  # of weights of fully connected layers, turned as a whole; 0: `rate`, each for itself
    growth: tuple[float, ...] = ()  # shares of a run, rising, in (0, 1), after which `grown` takes this one's place
    bandwidths: tuple[float, ...] = ()  # values of Config.bandwidth to choose from, where the architecture has one

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """x (N, D) float32 in the unit box -> features (N, F), the first of which is log-density per scene unit."""

    def head(self, generator: torch.Generator | None) -> Head:
        """What gives the features their meaning."""
        return RadianceHead(generator)

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


@final
class Field(nn.Module):
    """An architecture under a head, in a box of the scene."""

    box: Tensor  # (2, 3) float32, low and high corner in scene units
    center: Tensor  # (3,) float32
    side: Tensor  # () float32, longest side

    def __init__(self, architecture: Architecture, head: Head, box: Tensor) -> None:
        super().__init__()
        if box.shape != (2, 3) or not bool((box[1] > box[0]).all()):
            raise ValueError(f"box must be a low and a higher corner, (2, 3); found {box.tolist()}")
        self.architecture = architecture
        self.head = head
        self.register_buffer("box", box.float(), persistent=False)
        self.register_buffer("center", box.float().mean(0), persistent=False)
        self.register_buffer("side", (box[1] - box[0]).float().max(), persistent=False)
        self.copies: fused.Copies = {}  # see `copied`

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, 3) scene units -> sigma (N,) >= 0 per scene unit, features (N, F). The box's longest side fills the
        architecture's unit box; points outside get the density of the nearest point of that unit box."""
        features = self.architecture.features((x - self.center) / self.side + 0.5)
        return self.head.density(features), features

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """Features (N, F), unit directions (N, 3) -> RGB (N, 3) in [0, 1]."""
        return self.head.color(features, d)

    def radiance(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """What a ray collects: x (N, 3) scene units, unit directions d (N, 3) -> sigma (N,), RGB (N, 3). In one kernel
        where the field has one and autocast allows half precision."""
        if fused.suits(self, x, d):
            return fused.radiance(self, x, d, fused.Asking(copies=self.copies))
        sigma, features = self.density(x)
        return sigma, self.color(features, d)

    def thickness(self, x: Tensor) -> Tensor:
        """Density alone, sigma (N,) per scene unit, at x (N, 3) scene units. As `radiance`, unless gradients count."""
        if not torch.is_grad_enabled() and fused.suits(self, x):
            return fused.thickness(self, x, fused.Asking(copies=self.copies))
        return self.density(x)[0]

    @contextmanager
    def copied(self, copies: fused.Copies) -> Iterator[None]:
        """Inside, the one kernel reads these copies of parameters in float16, which whoever gives them keeps up to
        date, in place of converting parameters every time."""
        before, self.copies = self.copies, copies
        try:
            yield
        finally:
            self.copies = before

    def parameter_count(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.parameters())


def build(name: str, config: Any, box: Tensor, generator: torch.Generator) -> Field:
    """A new field of architecture `name`, its weights drawn from the generator."""
    network = fields.module(name).Network(config, 3, generator)
    return Field(network, network.head(generator), box)


def parameter_count(name: str, config: Any) -> int:
    """Trainable numbers of a field of this shape, without taking memory for it."""
    with torch.device("meta"):
        network = fields.module(name).Network(config, 3, None)
        return sum(p.numel() for part in (network, network.head(None)) for p in part.parameters())
