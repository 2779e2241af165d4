"""One conversion: a model's field, and another that learns from it."""

import hashlib
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.conversion.active import Active
from distill.conversion.distillation import Distillation, inherit
from distill.learning.run import Learning, Place, opacity
from fields.shape import Shape
from render.model import LoadedModel


@dataclass(frozen=True)
class Recipe:
    """What must be equal for a conversion to be continued exactly."""

    teacher: str  # its file, as it was named
    digest: str  # SHA-256 of that file
    edits: str  # as flags, empty for none
    data: str  # what the teacher, or its own teacher, was trained on
    downscale: int  # of that
    architecture: str
    preset: str
    seed: int
    steps: int
    batch: int
    device: str
    phases: tuple[str, ...]  # of distill/conversion/distillation.py
    active: tuple[str, ...]  # levels of distill/conversion/active.py that are on


LEVELS = tuple(field.name for field in fields_of(Active))


class Conversion(Learning):
    """A field that learns from another one."""

    recipe: Recipe

    def __init__(self, teacher: LoadedModel, recipe: Recipe, config: Any, device: torch.device) -> None:
        """A new field of shape `config` in the teacher's box, with the teacher's head where it fits and the teacher's
        occupancy."""
        generator = torch.Generator().manual_seed(recipe.seed)
        space = teacher.field.space.to("cpu")
        field = Shape(recipe.architecture, config).build(space, generator).to(device)
        self.inherited = inherit(field, teacher.field)
        active = Active(**{level: level in recipe.active for level in LEVELS})
        loss = Distillation(teacher, field, teacher.grid, recipe.batch, recipe.seed, active)
        loss.named = recipe.phases
        if not loss.phases():
            raise ValueError(
                f"--phases {' '.join(recipe.phases)}: not between {teacher.header.architecture} and "
                f"{recipe.architecture}, whose features differ in number"
            )
        header = teacher.header
        background = (header.background[0], header.background[1], header.background[2])
        cameras = teacher.train_cameras, teacher.test_cameras
        place = Place(space.box, teacher.transform, background, *cameras)
        super().__init__(place, recipe, field, teacher.renderer, loss)
        self.teacher = teacher

    def opacity(self, x: Tensor) -> Tensor:
        """See Learning: by the teacher, who knows it from the start."""
        return opacity(self.teacher.field, self.teacher.grid, self.renderer.step, self.field.space.scene(x))

    def taken_over(self) -> str:
        """What the student begins with, for a person."""
        head = f"the head ({self.inherited} numbers) and " if self.inherited else ""
        return f"taken over from the teacher: {head}the occupancy; the phases: {self.phase_names()}"

    def phase_names(self) -> str:
        """The phases in order."""
        return ", ".join(phase.name for phase in self.loss.phases())

    def provenance(self) -> dict[str, Any]:
        """See Learning; and where the teacher came from."""
        return super().provenance() | {"teacher": self.teacher.header.provenance}


def origin(provenance: dict[str, Any]) -> tuple[str, int]:
    """What a model was trained on, directly or through its teachers: data set, and what it was downscaled by."""
    recipe = provenance.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    data, downscale = recipe.get("data"), recipe.get("downscale")
    return data if isinstance(data, str) else "", downscale if isinstance(downscale, int) else 1


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
