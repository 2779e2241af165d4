"""Shape: an architecture's name and config, and the head on it, as one thing: built, counted, estimated, stored."""

import dataclasses
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import torch

import fields
from fields import fused
from fields.backend import TRITON
from fields.base import Architecture, Head
from fields.field import Field
from fields.numbers import brief
from fields.space import CUBE, Space

LAYER = 1024  # longest side of a matrix that is taken for a layer's, not for a table
FUSED = 80  # bytes of each sample of a fused field: features in float32, sigma and RGB


@final
@dataclass(frozen=True)
class Shape:
    """What a field is before it has weights. Sizes are those of a field in space, of three coordinates."""

    name: str  # architecture, a file name of fields/arch
    config: Any  # its Config
    head: str = ""  # a file name of fields/heads; given as "", it becomes the architecture's own

    def __post_init__(self) -> None:
        if not self.head:
            object.__setattr__(self, "head", fields.module(self.name).Network.head)

    @staticmethod
    def of(field: Field) -> "Shape":
        """A field's, as it stands."""
        files = (type(part).__module__.rpartition(".")[2] for part in (field.architecture, field.head))
        return Shape(next(files), field.architecture.config, next(files))

    def network(self, dims: int, generator: torch.Generator | None) -> Architecture:
        """The architecture alone, of points with `dims` coordinates; without a generator its weights are about to be
        overwritten."""
        return fields.module(self.name).Network(self.config, dims, generator)

    def build(self, space: Space, generator: torch.Generator | None) -> Field:
        """A new field, its weights drawn from the generator; without one they are about to be overwritten."""
        network = self.network(space.dims, generator)
        head: Head = fields.head(self.head).Readout(network.width, self.config, generator)
        return Field(network, head, space)

    def outline(self, space: Space = CUBE) -> Field:
        """The field without memory for it, on the meta device."""
        with torch.device("meta"):
            return self.build(space, None)

    @property
    def final(self) -> "Shape":
        """What it becomes by all growth; pruning may stay below it."""
        return replace(self, config=fields.module(self.name).Network.final(self.config))

    @property
    def parameters(self) -> int:
        """Trainable numbers."""
        return self.outline().parameter_count()

    @property
    def stored_bytes(self) -> int:
        """Of the weights in a model file."""
        field = self.outline()
        with torch.device("meta"):
            tensors = [*field.architecture.stored().values(), *field.head.stored().values()]
        return sum(t.numel() * t.itemsize for t in tensors)

    @property
    def activation_bytes(self) -> tuple[int, int]:
        """For each sample between field and pixels, upper bounds: asked for density alone, and with gradients.

        Op by op they are about proportional to the widths of the layers, in half precision. Measured on all presets of
        up to 40 M parameters: 33 to 99 % of this.
        """
        field = self.outline()
        if TRITON and fused.fusible(field):
            return 4, FUSED
        parts = (field.architecture, field.head)
        ends = [[sum(p.shape) for p in part.parameters() if p.dim() == 2 and max(p.shape) <= LAYER] for part in parts]
        return 128 + 5 * max(ends[0], default=0), 320 + 21 * sum(map(sum, ends)) // 10

    def record(self) -> dict[str, Any]:
        """JSON values, by the names that a model file's header has for them."""
        return {"architecture": self.name, "config": asdict(self.config), "head": self.head}

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Shape":
        """Inverse of `record`; other entries are not looked at. ValueError where it is no shape."""
        name, config = record["architecture"], record["config"]
        kind = fields.module(name).Config
        entries = {entry.name for entry in dataclasses.fields(kind)}
        if odd := sorted(config.keys() - entries):
            raise ValueError(f"{name}: config has an entry {brief(odd[0])} (there are: {', '.join(sorted(entries))})")
        return Shape(name, kind(**config), record.get("head", ""))


def preset(name: str, preset: str) -> Shape:
    """An architecture's preset. ValueError names the presets there are."""
    presets = fields.module(name).PRESETS
    fields.check_preset(name, preset, presets)
    return Shape(name, presets[preset])
