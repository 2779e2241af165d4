"""Photographs teach a field: the run, and the job from reading them to the scores on those that were held out."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from distill.device.captured import captured
from distill.learning import memory
from distill.learning.files import Files
from distill.learning.fit import Schedule
from distill.learning.job import Job, Tell
from distill.learning.learnables import Learnables
from distill.learning.optimizer import Optimizer
from distill.learning.run import Place, Recipe, Run, Source
from distill.photographs.frequency import choose
from distill.photographs.pixels import HostPixels
from distill.photographs.report import finish
from distill.photographs.settings import BATCH, PRESET, STRIDE, Settings
from distill.photographs.source import Batching, Photographs
from fields.backend import TRITON, repeats
from fields.field import Field
from fields.fused import fusible
from fields.shape import Shape, preset
from fields.space import Space
from render.device import pick_device
from render.occupancy import RESOLUTION, OccupancyEstimate, cascades_for
from render.renderer import Renderer
from scenes.assemble import load
from scenes.placing.cells import possible_cells
from scenes.results import locate
from scenes.scene import Scene

CONE = 1 / 256  # growth of steps with distance, for scenes that exceed the unit cube


@dataclass(frozen=True)
class PhotographsRecipe:
    """What must be equal for photographs to go on teaching exactly."""

    step: float  # scene units, shortest sampling interval
    bandwidth: float = 0.0  # cycles per box side, in place of the preset's; 0: the preset's


def begin(
    data: str, settings: Settings, tell: Tell, *, scene: Scene | None = None, half: bool = False, write: bool = True
) -> Job:
    """Read the pictures, unless `scene` holds them already, and make the run, before its first step or where its
    checkpoint left it. ValueError, SceneError or ModelError where that cannot be; nothing is written then, and never
    without `write`."""
    settings.check()
    device = pick_device(settings.device)
    torch.use_deterministic_algorithms(settings.deterministic)
    kind = device.type
    chosen = PRESET[kind] if settings.preset == "auto" else settings.preset
    shape = replace(preset(settings.arch, chosen), head=settings.head)
    batch = settings.batch or BATCH[kind]
    memory.check(shape, chosen, device, batch)
    fixed = given_bandwidth(settings, shape)
    files = Files.of(data, settings.out) if write else None
    scene = scene or load(data, settings.pictures())
    photographs = sum(view.image.numel() for view in scene.train)
    tell([*(fact.text for fact in scene.facts), *memory.lines(shape, device, batch, photographs)])
    bandwidth = chosen_bandwidth(settings, shape, scene, tell) if fixed is None else fixed
    schedule = Schedule(settings.most_steps(kind), settings.max_seconds)
    recipe = Recipe(
        data, settings.downscale, settings.arch, chosen, settings.seed, schedule.steps, batch, kind,
        PhotographsRecipe(STRIDE[kind], bandwidth), settings.head, locate(data), settings.max_seconds,
        settings.up, settings.poses,
    )  # fmt: skip
    make = functools.partial(prepare, scene, recipe, device, half=half)
    job = Job(make, functools.partial(finish, scene), schedule, files, settings.save_every)
    job.ready(tell, resume=settings.resume, overwrite=settings.overwrite)
    return job


def prepare(scene: Scene, recipe: Recipe, device: torch.device, *, half: bool = False) -> Run:
    """A run before its first step, as the device does it best."""
    shape = replace(preset(recipe.architecture, recipe.preset), head=recipe.head)
    if recipe.source.bandwidth:
        shape = replace(shape, config=replace(shape.config, bandwidth=recipe.source.bandwidth))
    field = shape.build(Space(scene.box), torch.Generator().manual_seed(recipe.seed)).to(device)
    renderer = Renderer(recipe.source.step, CONE if cascades_for(scene.box) > 1 else 0.0)
    return teach(scene, recipe, field, renderer, best(field, device), half=half)


@dataclass(frozen=True)
class Teaching:
    """How photographs teach."""

    source: Callable[[Scene, Field, Renderer, OccupancyEstimate, int, int], Source]  # the last: batch and seed
    mover: Callable[[Learnables], Optimizer]


def waiting(
    scene: Scene, field: Field, renderer: Renderer, occupancy: OccupancyEstimate, batch: int, seed: int
) -> Photographs:
    """Photographs whose steps the host takes, one by one."""
    pixels = HostPixels(scene.train, occupancy.values.device, seed)
    return Photographs(pixels, field, renderer, occupancy, Batching(batch), seed)


STEPWISE = Teaching(waiting, Optimizer)


def best(field: Field, device: torch.device) -> Teaching:
    """Steps of fixed size on a GPU, in half precision where the field is fused."""
    if not TRITON or device.type != "cuda" or repeats():
        return STEPWISE
    from distill.device import adam_cuda  # asks for Triton

    def mover(learnables: Learnables) -> Optimizer:
        return Optimizer(learnables, torch.float16 if fusible(field) else None, adam_cuda)

    return Teaching(captured, mover)


def teach(
    scene: Scene, recipe: Recipe, field: Field, renderer: Renderer, teaching: Teaching, *, half: bool = False
) -> Run:
    """A run of this field, before its first step."""
    device = field.space.box.device
    possible = possible_cells(scene, cascades_for(scene.box), RESOLUTION)
    occupancy = OccupancyEstimate(scene.box.to(device), renderer.step, possible.to(device), RESOLUTION)
    source = teaching.source(scene, field, renderer, occupancy, recipe.batch, recipe.seed)
    train, test = (tuple(view.camera for view in views) for views in (scene.train, scene.test))
    place = Place(scene.box, scene.transform, scene.background, train, test)
    return Run(place, recipe, field, source, renderer, teaching.mover, half)


def given_bandwidth(settings: Settings, shape: Shape) -> float | None:
    """Cycles per box side as the flag says, 0 where the preset's own stands, None where the pictures shall decide."""
    if not settings.frequency:
        return 0.0
    if not hasattr(shape.config, "bandwidth"):
        raise ValueError(f"--frequency: {settings.arch} has no frequency to choose")
    if settings.frequency == "auto":
        return None
    try:
        value = float(settings.frequency)
    except ValueError:
        raise ValueError(f"--frequency wants auto or a number, found {settings.frequency!r}") from None
    replace(shape.config, bandwidth=value)
    return value


def chosen_bandwidth(settings: Settings, shape: Shape, scene: Scene, tell: Tell) -> float:
    """Cycles per box side that fit the pictures, told."""
    start = time.perf_counter()
    choice = choose(shape, scene, settings.seed)
    tell([f"{choice}; {time.perf_counter() - start:.1f} s"])
    return choice.bandwidth
