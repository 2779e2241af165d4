"""Field: an architecture under a head, in a space. What everything that renders and learns asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from fields import fused, tiled
from fields.base import Architecture, Head, Signal, Volume
from fields.space import Space


@final
class Field(nn.Module):
    """An architecture under a head, in a space. Moving it to a device or another type moves its space too."""

    def __init__(self, architecture: Architecture, head: Head, space: Space) -> None:
        super().__init__()
        self.architecture = architecture
        self.head = head
        self.space = space
        self.copies: fused.Copies = {}  # see `copied`

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Field":
        super()._apply(fn, recurse)
        self.space = self.space.mapped(fn)
        return self

    head: Head
    space: Space

    @property
    def volume(self) -> Volume:
        """The head, as what a renderer can march. ValueError where it is a signal."""
        if not isinstance(self.head, Volume):
            raise ValueError(f"{type(self.head).__module__} gives no density: it is no volume")
        return self.head

    def values(self, x: Tensor) -> Tensor:
        """x (N, D) scene units -> (N, C), what a signal says there. ValueError where the head is a volume."""
        if not isinstance(self.head, Signal):
            raise ValueError(f"{type(self.head).__module__} gives density and colour: it is no signal")
        return self.head.values(self.architecture.features(self.space.unit(x)))

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, 3) scene units -> sigma (N,) >= 0 per scene unit, features (N, F). Points outside the unit box get the
        density of its nearest point."""
        if tiled.suits(self, x):
            return tiled.density(self, x)
        features = self.architecture.features(self.space.unit(x))
        return self.volume.density(features), features

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """Features (N, F), unit directions (N, 3) -> RGB (N, 3) in [0, 1]."""
        if tiled.suits(self, d) and features.dtype == torch.float32:
            return tiled.color(self, features, d)
        return self.volume.color(features, d)

    def radiance(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """What a ray collects: x (N, 3) scene units, unit directions d (N, 3) -> sigma (N,), RGB (N, 3). In one kernel
        where the field has one; on a GPU, where autocast allows half precision, too."""
        if fused.suits(self, x, d):
            return fused.radiance(self, x, d, fused.Asking(copies=self.copies))
        if tiled.suits(self, x, d):
            return tiled.radiance(self, x, d)
        sigma, features = self.density(x)
        return sigma, self.color(features, d)

    def thickness(self, x: Tensor) -> Tensor:
        """Density alone, sigma (N,) per scene unit, at x (N, 3) scene units. As `radiance`, unless gradients count."""
        if not torch.is_grad_enabled():
            if fused.suits(self, x):
                return fused.thickness(self, x, fused.Asking(copies=self.copies))
            if tiled.suits(self, x):
                return tiled.thickness(self, x)
        return self.density(x)[0]

    @torch.no_grad()
    def glance(self, x: Tensor) -> tuple[Tensor, tiled.Recall | None]:
        """As `thickness`, without gradients, and what has `radiance` of some of the points without asking again, where
        there is such a thing."""
        recall = tiled.glance(self, x) if tiled.suits(self, x) else None
        return (recall.sigma, recall) if recall else (self.thickness(x), None)

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
