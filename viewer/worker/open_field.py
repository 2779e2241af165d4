"""One field that is open in the worker: read from a file, or learning."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from distill.learning.run import Run
from fields.field import Field
from fields.files import stored
from render.model import LoadedModel
from viewer.messages import FieldOpened
from viewer.worker.drawing import FrameSource, World, carry_box, find_carry
from viewer.worker.learner import Learner


@dataclass
class OpenField:
    """One field that is open: read from a file, or learning."""

    number: int
    name: str
    path: str  # model file, or the data that it learns from
    world: World
    model: LoadedModel | None = None
    learner: Learner | None = None

    @property
    def learning(self) -> Run:
        """What it learns by. ValueError where it was read from a file."""
        if self.learner is None:
            raise ValueError(f"{self.name}: was read from a file, and learns nothing")
        return self.learner.job.run

    @property
    def busy(self) -> bool:
        """Whether it learns just now."""
        return self.learner is not None and self.learner.busy

    @property
    def source(self) -> FrameSource:
        """What is drawn, as it stands."""
        if self.model is not None:
            return FrameSource.of_model(self.model, self.world)
        return FrameSource.of_learning(self.learning, self.world)

    @property
    def field(self) -> Field:
        """The field itself."""
        return self.model.field if self.model is not None else self.learning.field

    @property
    def transform(self) -> Tensor:
        """(4, 4) float64 similarity, input coordinates to its own scene units."""
        return self.model.transform if self.model is not None else self.learning.place.transform

    @property
    def background(self) -> tuple[float, float, float]:
        """What its metrics are taken on."""
        if self.model is None:
            return self.learning.place.background
        r, g, b = self.model.header.background
        return r, g, b

    @property
    def carry(self) -> Tensor:
        """(4, 4) float64 similarity, world to its own scene units."""
        return find_carry(self.world, self.transform)

    def describe(self) -> FieldOpened:
        """What a front end has to know of it."""
        if self.model is not None:
            header, size = self.model.header, Path(self.path).stat().st_size
            recipe = header.provenance.get("recipe")
            preset = str(recipe.get("preset", "")) if isinstance(recipe, dict) else ""
            architecture, scored = header.architecture, header.scored
        else:
            run = self.learning
            size = sum(t.numel() * t.itemsize for t in stored(run.field).values())
            architecture, preset, scored = run.recipe.architecture, run.recipe.preset, None
        (x0, y0, z0), (x1, y1, z1) = carry_box(self.field.space.box.cpu(), torch.linalg.inv(self.carry)).tolist()
        back = tuple(tuple(row) for row in torch.linalg.inv(self.world.transform).tolist())
        return FieldOpened(
            self.number, self.name, self.path, architecture, preset, self.field.parameter_count(), size,
            (x0, y0, z0, x1, y1, z1), back, self.background, scored,
        )  # fmt: skip
