"""A field that learns, as one whole that can be begun, saved, resumed and written as a model."""

import base64
import dataclasses
import functools
import json
import math
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Protocol, final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from distill.learning import memory
from distill.learning.fit import Optimization, Phase, Schedule, Step, fit
from distill.learning.learnables import Learnables
from distill.learning.metrics import Effort, Metrics
from distill.learning.optimizer import Optimizer
from fields import json_files
from fields.field import Field
from fields.files import Header, Model, ModelError, save, write_beside
from fields.numbers import brief, printable
from fields.shape import Shape
from render.camera import Camera
from render.model import LoadedModel
from render.occupancy import OccupancyGrid
from render.precision import precision
from render.renderer import Frame, Renderer
from scenes.results import digest, locate

LARGEST_WEIGHT = 1e15  # that a run may go on with
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

    def learnables(self) -> Learnables:
        """What is learnt beside the field and is part of no model: the source's own parameters, at their rates."""
        ...

    def opacity(self, x: Tensor) -> Tensor:
        """(M, 3) scene units -> (M,) in [0, 1], of one sampling step; 0 in cells that rays skip."""
        ...

    def origin(self) -> dict[str, Any]:
        """What a model that learnt here says of where it comes from, besides the recipe. JSON values."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, by names that `Optimization.state` does not use."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        ...


LATER = {"up": "auto", "poses": "auto"}  # entries of a recipe that earlier versions have not


@dataclass(frozen=True)
class Recipe:
    """What must be equal for a run to be continued exactly."""

    data: str  # what was learnt from, directly or through teachers
    downscale: int  # of that
    architecture: str
    preset: str
    seed: int  # of everything random
    steps: int  # at most
    batch: int  # samples per step
    device: str  # its type
    source: Any  # a frozen dataclass of JSON values: what must be equal of the source besides
    head: str = ""  # a file name of fields/heads; empty: the architecture's own
    location: str = ""  # of the data, as scenes/results.py has it; empty where other entries say what it is
    seconds: float = math.inf  # of training at most; another one may continue it
    up: str = "auto"  # axis of a mesh that was learnt from, as --up has it
    poses: str = "auto"  # how they were written, as --poses has it

    def record(self) -> dict[str, Any]:
        """JSON values, those of the source among them."""
        record = asdict(self)
        del record["location"], record["seconds"]
        return record | record.pop("source")

    def origin(self) -> dict[str, Any]:
        """What a model says of it: nothing of this machine."""
        more = {"max_seconds": self.seconds} if math.isfinite(self.seconds) else {}
        return {"recipe": self.record(), **({"location": digest(self.location)} if self.location else {}), **more}

    def difference(self, record: dict[str, Any], where: object) -> str:
        """What another run's record says that is not equal, in words; empty where all is. `where` is the location of
        its data or the digest of that; None where it does not say."""
        if not self.has_data(record.get("data"), where):
            return f"data {brief(record.get('data'))}, this run has {self.location or self.data!r}"
        wanted = json.loads(json.dumps(self.record()))
        taught = wanted.get("digest") == record.get("digest")  # by the same teacher, whatever it was called
        known = {"data", "teacher"} if taught else {"data"}
        for name, value in wanted.items():
            if name not in known and record.get(name, LATER.get(name)) != value:
                return f"{name} {brief(record.get(name))}, this run has {brief(value)}"
        return ""

    def has_data(self, text: object, where: object) -> bool:
        """Whether that is our data. It still is where it has moved: is called as before, and nothing lies there now."""
        if not self.location:
            return text == self.data
        if not isinstance(where, str):
            return isinstance(text, str) and locate(text) == self.location
        moved = text == self.data and Path(where).is_absolute() and not Path(where).exists()
        return moved or where in (self.location, digest(self.location))


@final
@dataclass(frozen=True)
class Run:
    """A field, what it learns from, and all that was learnt so far. Given whole: only tensors and counts change."""

    place: Place
    recipe: Recipe
    field: Field
    source: Source
    renderer: Renderer
    mover: Callable[[Learnables], Optimizer] = Optimizer  # makes the optimiser
    half: bool = False  # whether model files take float16
    growth: tuple[float, ...] = dataclasses.field(init=False)  # shares of the run at which the field takes a new shape
    optimization: Optimization = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        optimization = Optimization(self.field, self.mover, self.source.learnables())
        self.__dict__.update(growth=self.field.architecture.growth, optimization=optimization)

    def steps(self, schedule: Schedule) -> Iterator[Step]:
        """Learn, from where the run stands."""
        return fit(self.optimization, self.phases(), schedule)

    def phases(self) -> tuple[Phase, ...]:
        """The run: the source's phases, cut where the architecture takes its next shape."""
        phases = self.source.phases()
        ends = list(accumulate(phase.share for phase in phases))
        edges = sorted({0.0, *ends[:-1], *self.growth, 1.0})
        result = []
        for start, end in pairwise(edges):
            phase = phases[min(sum(start >= e - 1e-9 for e in ends), len(phases) - 1)]
            name = phase.name + (f", growth {self.growth.index(start) + 1}" if start in self.growth else "")
            own = phase.begin if start in (0.0, *ends) else None  # else the phase goes on
            begins = [begin for begin in (own, self.grow if start in self.growth else None) if begin]
            enter = functools.partial(call_all, begins) if begins else None
            result.append(replace(phase, name=name, share=end - start, begin=enter))
        return tuple(result)

    def opacity(self, x: Tensor) -> Tensor:
        """(M, 3) unit box of the architecture -> (M,) in [0, 1], of one sampling step; 0 in cells that rays skip."""
        return self.source.opacity(self.field.space.scene(x))

    def grow(self) -> None:
        """Put the architecture's next shape in its place."""
        generator = torch.Generator().manual_seed(self.recipe.seed + self.optimization.phase)
        with torch.no_grad():
            self.field.architecture = self.field.architecture.grown(self.opacity, generator).to(self.device)

    @property
    def shape(self) -> Shape:
        """The field's, as it stands."""
        return Shape.of(self.field)

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.source.grid.bits.device

    def save_checkpoint(self, path: Path) -> None:
        """Everything that an exact continuation needs."""
        tensors = {**self.optimization.state(torch.device("cpu")), **self.source.state()}
        told = self.shape.record() | self.recipe.record() | {"location": self.recipe.location}
        record = {CHECKPOINT_KEY: json.dumps(told)}
        write_beside(path, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, record))

    def load_checkpoint(self, path: Path) -> None:
        """Continue from a checkpoint of the same recipe. ModelError where there is none of it, or a damaged one."""
        if not path.is_file():
            raise ModelError(f"{path}: no checkpoint to continue from; --out names a run's folder")
        record, tensors = read_checkpoint(path)
        if difference := self.recipe.difference(record, record.get("location")):
            raise ModelError(f"{path}: checkpoint has {difference}")
        try:
            shape = Shape.from_record(record)
            check_sound(shape.outline(self.field.space), tensors)
            network = shape.network(self.field.space.dims, None)
            self.field.architecture = network.to(self.device)
            self.optimization.renew()
            on_device = {k: v.to(self.device) if k.startswith("weights.") else v for k, v in tensors.items()}
            self.optimization.restore(on_device)
            self.source.restore(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: damaged checkpoint: {error}") from None

    def header(self, metrics: Metrics | None = None, thumbnail: bytes = b"") -> Header:
        """The model file's header; without metrics of a field that was not scored."""
        place, grid = self.place, self.source.grid
        return Header(
            **self.shape.record(),
            **self.field.space.record(),
            step=self.renderer.step,
            cone=self.renderer.cone,
            resolution=grid.resolution,
            transform=place.transform.tolist(),
            background=list(place.background),
            train_cameras=[camera.to_record() for camera in place.train],
            test_cameras=[camera.to_record() for camera in place.test],
            provenance=self.provenance(),
            metrics=metrics.summary() if metrics else {},
            thumbnail=base64.b64encode(thumbnail).decode(),
            half=self.half,
        )

    def provenance(self) -> dict[str, Any]:
        """Where the model comes from."""
        packages = {name: version(name) for name in ("polyfield", "torch", "numba", "numpy")}
        return {
            **self.recipe.origin(),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), **packages},
            "steps": self.optimization.index,
            "train_seconds": round(self.optimization.seconds, 3),
            **self.source.origin(),
        }

    def effort(self) -> Effort:
        """What the run took, for its metrics."""
        device, took = self.device, self.optimization
        cuda = device.type == "cuda"
        return Effort(
            seconds=round(took.seconds, 2),
            steps=took.index,
            samples=took.samples,
            samples_per_second=round(took.samples / max(took.seconds, 1e-9)),
            parameters=self.field.parameter_count(),
            model_bytes=0,
            peak_memory_bytes=torch.cuda.max_memory_allocated() if cuda else memory.peak(),
            device=torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads",
            architecture=self.recipe.architecture,
            preset=self.recipe.preset,
        )

    def image(self, camera: Camera) -> Frame:
        """A picture of the field as it stands, from a camera in scene units."""
        return self.renderer.image(self.field, self.source.grid, camera)

    def save_model(self, path: Path, metrics: Metrics | None = None, thumbnail: bytes = b"") -> int:
        """Write the field as it stands; returns its bytes. ModelError where `half` is asked for and a weight is too
        large."""
        return save(path, Model(self.field, self.source.grid.bits, self.header(metrics, thumbnail)))

    def model(self, metrics: Metrics | None = None, thumbnail: bytes = b"") -> LoadedModel:
        """What the file would open as; it shares the field, which goes on learning."""
        place, header = self.place, self.header(metrics, thumbnail)
        return LoadedModel(self.field, self.source.grid, self.renderer, header, place.train, place.test)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a checkpoint says of its run, and all of that run's state. ModelError where it is none."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            record = json_files.loads((file.metadata() or {}).get(CHECKPOINT_KEY, "{}"))
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: damaged checkpoint: {error}") from None
    if not isinstance(record, dict):
        raise ModelError(f"{path}: damaged checkpoint: expected an object, found {brief(record)}")
    return record, tensors


def check_sound(outline: Field, tensors: dict[str, Tensor]) -> None:
    """ValueError where a checkpoint lacks weights of a field that has no memory yet, or holds others or no numbers."""
    wanted = {f"weights.{name}": value for name, value in outline.state_dict().items()}
    for name, value in wanted.items():
        found = tensors.get(name)
        if found is None or found.shape != value.shape or found.dtype != value.dtype:
            raise ValueError(f"'{name}' is missing, or has another shape or type than the run's")
    for name, value in tensors.items():
        largest = LARGEST_WEIGHT if name in wanted else math.inf
        if value.is_floating_point() and not bool((value.isfinite() & (value.abs() <= largest)).all()):
            raise ValueError(f"'{printable(name, 80)}' holds numbers that are not finite, or that no training leaves")


def call_all(works: list[Callable[[], None]]) -> None:
    """One after the other."""
    for work in works:
        work()


@torch.no_grad()
def opacity(field: Field, grid: OccupancyGrid, step: float, points: Tensor) -> Tensor:
    """(M, 3) scene units -> (M,) in [0, 1], what one sampling step takes from the light; 0 in cells that rays skip."""
    result = torch.zeros(len(points), device=points.device)
    for part in grid.contains(points).nonzero()[:, 0].split(CHUNK):
        with precision(points.device):
            sigma, _ = field.density(points[part])
        result[part] = -torch.expm1(-sigma * step)
    return result
