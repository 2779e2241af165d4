"""A field that learns, as an object that can be begun, saved, resumed and written as a model."""

import base64
import json
import platform
import sys
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from distill.learning.fit import Optimization, Phase
from fields.field import Field
from fields.files import Header, Model, ModelError, round_to_half, save, write_beside
from fields.shape import Shape
from render.camera import Camera
from render.occupancy import OccupancyGrid
from render.precision import precision
from render.renderer import Renderer

CHUNK = 1 << 17  # points asked at once
CHECKPOINT_KEY = "polyfield_checkpoint"


@dataclass(frozen=True)
class Place:
    """Where the field is, and from where it was seen."""

    box: Tensor  # (2, 3) float32, scene units
    transform: Tensor  # (4, 4) float64 similarity, input coordinates to scene units
    background: tuple[float, float, float]  # that metrics are taken on
    train: tuple[Camera, ...]
    test: tuple[Camera, ...]


class Source(Protocol):
    """What a field learns from: photographs, or another field. It holds all of a run's state that is not the
    field's."""

    grid: OccupancyGrid

    def phases(self) -> tuple[Phase, ...]:
        """The losses, in the order in which the run goes through them."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, by names that `Optimization.state` does not use."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        ...


class Recipe(Protocol):
    """A frozen dataclass of what must be equal for a run to be continued exactly."""

    @property
    def architecture(self) -> str:
        """The field's."""
        ...

    @property
    def preset(self) -> str:
        """Its size."""
        ...

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...

    @property
    def steps(self) -> int:
        """At most."""
        ...


class Learning(ABC):
    """Field, source, optimiser and renderer of one run."""

    def __init__(self, place: Place, recipe: Recipe, field: Field, renderer: Renderer, loss: Source) -> None:
        self.place, self.recipe, self.field, self.renderer, self.loss = place, recipe, field, renderer, loss
        self.growth = field.architecture.growth
        self.run = Optimization(field)
        self.half = False  # whether model files take float16

    @abstractmethod
    def opacity(self, x: Tensor) -> Tensor:
        """(M, 3) unit box of the architecture -> (M,) in [0, 1], of one sampling step; 0 in cells that rays skip."""

    def phases(self) -> tuple[Phase, ...]:
        """The run: the source's phases, cut where the architecture takes its next shape."""
        phases = self.loss.phases()
        ends = list(accumulate(phase.share for phase in phases))
        edges = sorted({0.0, *ends[:-1], *self.growth, 1.0})
        result = []
        for start, end in pairwise(edges):
            phase = phases[min(sum(start >= e - 1e-9 for e in ends), len(phases) - 1)]
            name = phase.name + (f", growth {self.growth.index(start) + 1}" if start in self.growth else "")
            grow = self.grow if start in self.growth else None
            result.append(replace(phase, name=name, share=end - start, begin=grow))
        return tuple(result)

    def grow(self) -> None:
        """Put the architecture's next shape in its place."""
        generator = torch.Generator().manual_seed(self.recipe.seed + self.run.phase)
        with torch.no_grad():
            self.field.architecture = self.field.architecture.grown(self.opacity, generator).to(self.device)

    @property
    def shape(self) -> Shape:
        """The field's, as it stands."""
        return Shape(self.recipe.architecture, self.field.architecture.config)

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.loss.grid.bits.device

    def save_checkpoint(self, path: Path) -> None:
        """Everything that an exact continuation needs."""
        tensors = {k: v.contiguous() for k, v in {**self.run.state(torch.device("cpu")), **self.loss.state()}.items()}
        record = {CHECKPOINT_KEY: json.dumps(asdict(self.recipe) | self.shape.record())}  # type: ignore[call-overload]
        write_beside(path, safetensors.torch.save(tensors, record))

    def load_checkpoint(self, path: Path) -> None:
        """Continue from a checkpoint of the same recipe. ModelError where it is another's or damaged."""
        try:
            with safetensors.safe_open(str(path), framework="pt") as file:
                record = json.loads((file.metadata() or {}).get(CHECKPOINT_KEY, "{}"))
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, json.JSONDecodeError) as error:
            raise ModelError(f"{path}: damaged checkpoint: {error}") from None
        wanted = json.loads(json.dumps(asdict(self.recipe)))  # type: ignore[call-overload]
        for name, value in wanted.items():
            if record.get(name) != value:
                raise ModelError(f"{path}: checkpoint has {name} {record.get(name)!r}, this run has {value!r}")
        try:
            network = Shape.from_record(record).network(self.field.space.dims, None)
            self.field.architecture = network.to(self.device)
            self.run.renew()
            on_device = {k: v.to(self.device) if k.startswith("weights.") else v for k, v in tensors.items()}
            self.run.restore(on_device)
            self.loss.restore(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: damaged checkpoint: {error}") from None

    def header(self, metrics: dict[str, Any], thumbnail: bytes) -> Header:
        """The model file's header."""
        place, grid, shape = self.place, self.loss.grid, self.shape.record()
        return Header(
            architecture=shape["architecture"],
            config=shape["config"],
            box=place.box.tolist(),
            step=self.renderer.step,
            cone=self.renderer.cone,
            resolution=grid.resolution,
            transform=place.transform.tolist(),
            background=list(place.background),
            train_cameras=[camera.to_record() for camera in place.train],
            test_cameras=[camera.to_record() for camera in place.test],
            provenance=self.provenance(),
            metrics=metrics,
            thumbnail=base64.b64encode(thumbnail).decode(),
            half=self.half,
        )

    def provenance(self) -> dict[str, Any]:
        """Where the model comes from."""
        packages = {name: version(name) for name in ("polyfield", "torch", "numba", "numpy")}
        return {
            "recipe": asdict(self.recipe),  # type: ignore[call-overload]
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), **packages},
            "steps": self.run.index,
            "train_seconds": round(self.run.seconds, 3),
        }

    def save_model(self, path: Path, metrics: dict[str, Any], thumbnail: bytes) -> int:
        """Write the field as it stands; returns its bytes. ModelError where `half` is asked for and a weight is too
        large."""
        return save(path, Model(self.field, self.loss.grid.bits, self.header(metrics, thumbnail)))

    def save_to_score(self, path: Path) -> None:
        """Write the field, and go on with the weights that the file gives back: what is scored is what is saved."""
        self.save_model(path, {}, b"")
        if self.half:
            round_to_half(self.field)


@torch.no_grad()
def opacity(field: Field, grid: OccupancyGrid, step: float, points: Tensor) -> Tensor:
    """(M, 3) scene units -> (M,) in [0, 1], what one sampling step takes from the light; 0 in cells that rays skip."""
    result = torch.zeros(len(points), device=points.device)
    for part in grid.contains(points).nonzero()[:, 0].split(CHUNK):
        with precision(points.device):
            sigma, _ = field.density(points[part])
        result[part] = -torch.expm1(-sigma * step)
    return result
