"""A field teaches a field: the run, and the job from opening the teacher to the scores beside it. A mesh or a data set
can teach as well."""

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from distill.conversion.choose import choose, overhead
from distill.conversion.distillation import Distillation, heritage, inherit
from distill.conversion.edited import edited, require_something
from distill.conversion.report import Compared, HeldOut, finish
from distill.conversion.settings import BATCH, LEVELS, STEPS, Active, ConversionSettings
from distill.learning import memory
from distill.learning.files import Files
from distill.learning.fit import Schedule
from distill.learning.job import Job, Tell
from distill.learning.run import Place, Recipe, Run
from distill.photographs.job import PhotographsRecipe
from distill.photographs.job import prepare as prepare_training
from distill.photographs.report import finish as finish_training
from distill.photographs.settings import BATCH as PICTURE_BATCH
from distill.photographs.settings import STEPS as PICTURE_STEPS
from distill.photographs.settings import STRIDE
from fields.files import Header
from fields.shape import Shape
from render.device import pick_device
from render.model import LoadedModel, open_model
from scenes.assemble import load
from scenes.paths import expect
from scenes.results import locate
from scenes.scene import Scene, carry_views

OVERHEAD = 100_000  # bytes of a model file besides its weights, before there is one


@dataclass(frozen=True)
class Instruction:
    """What must be equal for a teacher to go on teaching exactly."""

    teacher: str  # its file, as it was named
    digest: str  # SHA-256 of that file
    edits: str  # as flags, empty for none
    phases: tuple[str, ...]  # of distill/conversion/distillation.py
    active: tuple[str, ...]  # levels of distill/conversion/active.py that are on


def begin(source: str, settings: ConversionSettings, tell: Tell, *, write: bool = True, name: str = "") -> Job:
    """Find out who teaches, choose what it becomes, and make the run, before its first step or where its checkpoint
    left it. ValueError, ModelError or SceneError where that cannot be; nothing is written then, and never without
    `write`. `name` is what the results call a teacher that is not the person's file."""
    settings.check()
    device = pick_device(settings.device)
    found = expect(source, "model", "scene")
    if found.kind == "scene":
        job = from_pictures(found.path, settings, device, tell, write=write)
    else:
        job = from_model(Path(found.path), name or found.path, settings, device, tell, write=write)
    job.ready(tell, resume=settings.resume, overwrite=settings.overwrite)
    return job


def from_model(
    path: Path, name: str, settings: ConversionSettings, device: torch.device, tell: Tell, *, write: bool
) -> Job:
    """Progressive volume distillation; what is said of the teacher calls it by its name."""
    edits, said = settings.edits(), Path(name)
    model = open_model(path, device)
    require_something(model, said)
    teacher, rest = edited(model, edits), overhead(path, model.header)
    choice = choose(settings.wanted(), model.header, rest, device.type, edited=bool(edits), path=said)
    tell(choice.why)
    shape = replace(choice.shape, head=settings.head)
    memory.check(shape, choice.preset, device)
    files = Files.of(str(path), settings.out, shape.name) if write else None
    if files and files.model.exists() and files.model.samefile(path):
        raise ValueError(f"{path}: is the teacher itself; --out wants another file")
    against = Compared(teacher, name, path.stat().st_size, held_out(settings, teacher))
    schedule = Schedule(settings.most_steps(STEPS[device.type]), settings.max_seconds)
    active = tuple(level for level in LEVELS if level in settings.active)
    recipe = Recipe(
        *origin(model.header.provenance), shape.name, choice.preset, settings.seed, schedule.steps,
        settings.batch or BATCH[device.type], device.type,
        Instruction(name, digest(path), str(edits), settings.phases, active), settings.head,
        seconds=settings.max_seconds,
    )  # fmt: skip
    make = functools.partial(prepare, teacher, recipe, shape, half=settings.half)
    job = Job(make, functools.partial(finish, against), schedule, files, settings.save_every)
    tell([taken_over(job.run, teacher)])
    return job


def prepare(teacher: LoadedModel, recipe: Recipe, shape: Shape, *, half: bool = False) -> Run:
    """A run before its first step: a new field of this shape in the teacher's box, with the teacher's head where it
    fits and the teacher's occupancy. ValueError where the phases cannot be."""
    space, device = teacher.field.space.to("cpu"), teacher.grid.bits.device
    field = shape.build(space, torch.Generator().manual_seed(recipe.seed)).to(device)
    inherit(field, teacher.field)
    active = Active(**{level: level in recipe.source.active for level in LEVELS})
    source = Distillation(teacher, field, recipe.batch, recipe.seed, active, recipe.source.phases)
    if not source.phases():
        raise ValueError(
            f"--phases {' '.join(recipe.source.phases)}: not between {teacher.header.architecture} and "
            f"{recipe.architecture}, whose features differ in number"
        )
    r, g, b = teacher.header.background
    place = Place(space.box, teacher.transform, (r, g, b), teacher.train_cameras, teacher.test_cameras)
    return Run(place, recipe, field, source, teacher.renderer, half=half)


def taken_over(run: Run, teacher: LoadedModel) -> str:
    """What a student begins with, for a person."""
    numbers = sum(value.numel() for value in heritage(run.field, teacher.field).values())
    head = f"the head ({numbers} numbers) and " if numbers else ""
    phases = ", ".join(phase.name for phase in run.source.phases())
    return f"taken over from the teacher: {head}the occupancy; the phases: {phases}"


def held_out(settings: ConversionSettings, teacher: LoadedModel) -> HeldOut | None:
    """The photographs of --data, in the teacher's scene units."""
    if not settings.data:
        return None
    scene = load(settings.data, settings.pictures())
    split = "test" if scene.test else "train"
    return HeldOut(carry_views(scene, teacher.transform, split), scene.background, split, settings.downscale)


def from_pictures(source: str, settings: ConversionSettings, device: torch.device, tell: Tell, *, write: bool) -> Job:
    """Training as `train-scene` does it, for a mesh or a data set."""
    if settings.edits():
        raise ValueError(f"{source}: only a model can be cropped or erased from; convert it without, then again")
    if settings.data:
        raise ValueError("--data is for a model that teaches; pictures bring their own held-out ones")
    scene, kind = load(source, settings.pictures()), device.type
    tell([fact.text for fact in scene.facts])
    choice = choose(settings.wanted(), header_of(scene), OVERHEAD, kind)
    tell(choice.why)
    shape = replace(choice.shape, head=settings.head)
    memory.check(shape, choice.preset, device)
    schedule = Schedule(settings.most_steps(PICTURE_STEPS[kind]), settings.max_seconds)
    recipe = Recipe(
        source, settings.downscale, shape.name, choice.preset, settings.seed, schedule.steps,
        settings.batch or PICTURE_BATCH[kind], kind, PhotographsRecipe(STRIDE[kind]), settings.head,
        locate(source), settings.max_seconds, settings.up, settings.poses,
    )  # fmt: skip
    make = functools.partial(prepare_training, scene, recipe, device, half=settings.half)
    files = Files.of(source, settings.out, shape.name) if write else None
    return Job(make, functools.partial(finish_training, scene), schedule, files, settings.save_every)


def header_of(scene: Scene) -> Header:
    """What the chooser has to know of a teacher that is no model."""
    transform, box = scene.transform.tolist(), scene.box.tolist()
    return Header(
        "", {}, box, 1.0, 0.0, 128, transform, list(scene.background), provenance={"recipe": {"data": scene.name}}
    )


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
