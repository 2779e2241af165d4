"""`convert-scene MODEL --to ARCH`: any neural field into any other; a mesh or posed pictures can teach as well."""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console

from distill.conversion.active import Active
from distill.conversion.choose import Wanted, choose, overhead, parse_bytes, size
from distill.conversion.conversion import LEVELS, Conversion, Recipe, digest, origin
from distill.conversion.distillation import SHARES
from distill.conversion.edits import Edits, edited, require_something
from distill.conversion.report import Photographs, finish
from distill.learning import memory
from distill.learning.fit import Schedule
from distill.learning.metrics import Metrics
from distill.learning.monitor import SUFFIX, Files, fit_with_progress
from distill.learning.run import Learning
from distill.photographs.settings import BATCH as PICTURE_BATCH
from distill.photographs.settings import STEPS as PICTURE_STEPS
from distill.photographs.settings import STRIDE, UNBOUNDED, Tell
from distill.photographs.training import Recipe as TrainingRecipe
from distill.photographs.training import Training
from distill.train_scene import finish as finish_training
from fields.files import Header
from fields.shape import Shape
from render.command import pick_device, run
from render.model import LoadedModel, open_model
from scenes.scene import ReadOptions, Scene, SceneError, carry_views, format_of, load

OVERHEAD = 100_000  # bytes of a model file besides its weights, before there is one
STEPS = {"cpu": 2000, "cuda": 20_000}  # without --steps and --max-seconds
BATCH = {"cpu": 1 << 13, "cuda": 1 << 17}
PHASES = tuple(SHARES)
ACTIVE = tuple(level for level in LEVELS if getattr(Active(), level))
Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Flags:
    """Convert a model into another architecture. No data set is needed: the model teaches from random cameras."""

    model: Annotated[str, tyro.conf.Positional]
    """model file; or a mesh or data set as for train-scene, whose pictures then teach"""
    to: str = ""
    """architecture to convert into, a file name of fields/arch; auto: the best that meets the limits"""
    preset: str = "auto"
    """size of the architecture: tiny, small, base, large; auto: small on CPU, base on CUDA, or what meets the limits"""
    out: Path | None = None
    """model file (the report lies beside it) or folder for the results; runs/NAME_ARCH where not given"""
    max_bytes: str = ""
    """largest model file: 600kB, 5MB, 1.5MiB, or bytes"""
    min_psnr: float | None = None
    """dB that the result should have on held-out pictures"""
    max_frame_ms: float | None = None
    """milliseconds that a frame may take"""
    data: str = ""
    """photographs to score teacher and student against; not used to learn"""
    crop: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """keep only this box, baked into the result: x0 y0 z0 x1 y1 z1 in the data set's own coordinates"""
    erase: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """remove this box: x0 y0 z0 x1 y1 z1"""
    min_density: float = 0.0
    """remove what is less dense than this, per scene unit"""
    steps: int = 0
    """optimiser steps; 0: 2000 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """time at most, without scoring; the learning rate falls accordingly"""
    batch: int = 0
    """samples per step; 0: 8192 on CPU, 131072 on CUDA (pictures as teachers: as train-scene)"""
    phases: tuple[str, ...] = PHASES
    """what the teacher says, in this order: to see what each is worth"""
    active: tuple[str, ...] = ACTIVE
    """cameras and rays that come again where the student is wrong; samples (points) weighted by what is seen; none"""
    downscale: int = 1
    """divide width and height of the pictures of --data, or of a data set that teaches, by this"""
    max_resolution: int = 1920
    """longest side of these pictures in pixels"""
    skip_missing: bool = False
    """go on without pictures that are missing"""
    half: bool = False
    """write weights as float16: half the bytes; what is scored are the rounded weights"""
    seed: int = 0
    """of weights, cameras, jitter and backgrounds"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    resume: bool = False
    """continue the conversion whose checkpoint lies at OUT"""
    save_every: float = 60.0
    """seconds between checkpoints"""
    json: bool = False
    """print the report as JSON, and nothing else, on standard output"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not self.to:
            raise ValueError("--to wants an architecture to convert into, or auto (train-scene --list shows them)")
        if self.steps < 0 or not self.max_seconds > 0 or not self.save_every > 0:
            raise ValueError("--steps must be >= 0, --max-seconds and --save-every > 0")
        if self.batch and not 1 << 10 <= self.batch <= 1 << 20:
            raise ValueError(f"--batch must be 1024 to 1048576 samples, found {self.batch}")
        if len(self.crop) > 1:
            raise ValueError(f"--crop wants one box, found {len(self.crop)}; take --erase for holes")
        self.pictures()  # says what is wrong with these flags, also where no pictures are read

        for flag, values, known in (("phases", self.phases, PHASES), ("active", self.active, ("none", *LEVELS))):
            if not values or not set(values) <= set(known):
                raise ValueError(f"--{flag} wants some of {', '.join(known)}; found {' '.join(values) or 'nothing'}")

    def edits(self) -> Edits:
        """What to remove."""
        return Edits(self.crop[0] if self.crop else (), self.erase, self.min_density)

    def wanted(self) -> Wanted:
        """What to convert into."""
        limit = parse_bytes(self.max_bytes) if self.max_bytes else None
        return Wanted(self.to, self.preset, limit, self.min_psnr, self.max_frame_ms)

    def pictures(self) -> ReadOptions:
        """How pictures are read."""
        return ReadOptions(self.downscale, self.max_resolution, self.skip_missing)


def main() -> None:
    """Entry point."""
    run(Flags, convert)


def convert(flags: Flags) -> None:
    """Find out who teaches; learn; report."""
    flags.check()
    console, device = Console(stderr=flags.json), pick_device(flags.device)
    if is_picture_source(flags.model):
        metrics = from_pictures(flags, device, console)
    else:
        metrics = from_model(flags, Path(flags.model), device, console)
    for line in missed(flags.wanted(), metrics):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


def is_picture_source(source: str) -> bool:
    """Whether pictures teach: a data set or a mesh, not a model file. SceneError where it is nothing of all that."""
    if Path(source).is_file() and Path(source).suffix == SUFFIX:
        return False
    try:
        format_of(source)
    except SceneError as error:
        if Path(source).is_file():
            return False  # open_model says what is wrong with it
        raise SceneError(str(error).replace("a data set or 'builtin'", "a model file, a mesh or a data set")) from None
    return True


@dataclass(frozen=True)
class Begun:
    """A conversion before its first step, or where its checkpoint left it."""

    conversion: Conversion
    config: Any  # what the student is built from
    photographs: Photographs | None  # to score both against
    files: Files
    schedule: Schedule


def begin(flags: Flags, path: Path, device: torch.device, tell: Tell) -> Begun:
    """Open the teacher, choose what it becomes, make the run. ValueError or ModelError where that cannot be; nothing is
    written then."""
    edits, model = flags.edits(), open_model(path, device)
    require_something(model, path)
    teacher, rest = edited(model, edits), overhead(path, model.header)
    choice = choose(flags.wanted(), model.header, rest, device.type, edited=bool(edits), path=path)
    tell(choice.why)
    memory.check(Shape(choice.architecture, choice.config), choice.preset, device)
    files = Files.at(flags.out or Path("runs") / f"{path.stem}_{choice.architecture}")
    if files.model.exists() and files.model.samefile(path):
        raise ValueError(f"{path}: is the teacher itself; --out wants another file")
    photographs = held_out(flags, teacher)
    recipe = Recipe(
        str(path), digest(path), str(edits), *origin(model.header.provenance), choice.architecture, choice.preset,
        flags.seed, steps(flags, STEPS[device.type]), flags.batch or BATCH[device.type], device.type, flags.phases,
        tuple(level for level in LEVELS if level in flags.active),
    )  # fmt: skip
    conversion = Conversion(teacher, recipe, choice.config, device)
    tell([conversion.taken_over()])
    ready(conversion, flags, files, tell)
    return Begun(conversion, choice.config, photographs, files, Schedule(recipe.steps, flags.max_seconds))


def from_model(flags: Flags, path: Path, device: torch.device, console: Console) -> Metrics:
    """Progressive volume distillation; returns the report."""
    run = begin(flags, path, device, lambda lines: tell(console, lines))
    fit_with_progress(run.conversion, run.schedule, run.files, console, flags.save_every)
    return finish(run.conversion, run.photographs, path.stat().st_size, run.files, console)


def from_pictures(flags: Flags, device: torch.device, console: Console) -> Metrics:
    """Training as `train-scene` does it, for a mesh or a data set; returns its metrics."""
    if flags.edits():
        raise ValueError(f"{flags.model}: only a model can be cropped or erased from; convert it without, then again")
    if flags.data:
        raise ValueError("--data is for a model that teaches; pictures bring their own held-out ones")
    scene = load(flags.model, flags.pictures())
    tell(console, scene.facts)
    choice = choose(flags.wanted(), header_of(scene), OVERHEAD, device.type)
    tell(console, choice.why)
    memory.check(Shape(choice.architecture, choice.config), choice.preset, device)
    files = Files.at(flags.out or Path("runs") / f"{Path(flags.model).stem.replace(':', '_')}_{choice.architecture}")
    recipe = TrainingRecipe(
        flags.model, choice.architecture, choice.preset, flags.seed, steps(flags, PICTURE_STEPS[device.type]),
        flags.batch or PICTURE_BATCH[device.type], flags.downscale, device.type, STRIDE[device.type],
    )  # fmt: skip
    training = Training(scene, recipe, device)
    ready(training, flags, files, lambda lines: tell(console, lines))
    fit_with_progress(training, Schedule(recipe.steps, flags.max_seconds), files, console, flags.save_every)
    return finish_training(training, scene, files, console)


def ready(learning: Learning, flags: Flags, files: Files, tell: Tell) -> None:
    """Begin or continue, and see that the results can be written."""
    learning.half = flags.half
    if flags.resume:
        learning.load_checkpoint(files.checkpoint)
        tell([f"continues at step {learning.run.index}"])
    files.prepare()


def steps(flags: Flags, usual: int) -> int:
    """Optimiser steps at most."""
    return flags.steps or (UNBOUNDED if math.isfinite(flags.max_seconds) else usual)


def held_out(flags: Flags, teacher: LoadedModel) -> Photographs | None:
    """The photographs of --data, in the teacher's scene units."""
    if not flags.data:
        return None
    scene = load(flags.data, flags.pictures())
    split = "test" if scene.test else "train"
    return Photographs(carry_views(scene, teacher.transform, split), scene.background, split, flags.downscale)


def header_of(scene: Scene) -> Header:
    """What the chooser has to know of a teacher that is no model."""
    transform, box = scene.transform.tolist(), scene.box.tolist()
    return Header(
        "", {}, box, 1.0, 0.0, 128, transform, list(scene.background), provenance={"recipe": {"data": scene.name}}
    )


def missed(wanted: Wanted, metrics: Metrics) -> Iterator[str]:
    """Limits that the result does not keep, one line each."""
    quality, bytes_taken = metrics.quality, metrics.effort.model_bytes
    if wanted.max_bytes is not None and bytes_taken > wanted.max_bytes:
        yield f"the file has {size(bytes_taken)}, more than --max-bytes {size(wanted.max_bytes)}"
    if wanted.min_psnr is not None and quality.psnr < wanted.min_psnr:
        yield f"{quality.psnr:.2f} dB ({quality.protocol}) is less than --min-psnr {wanted.min_psnr:g}"
    if wanted.max_frame_ms is not None and metrics.frame_ms > wanted.max_frame_ms:
        yield f"a frame took {metrics.frame_ms:.0f} ms, more than --max-frame-ms {wanted.max_frame_ms:g}"


def tell(console: Console, lines: Iterable[str]) -> None:
    """Facts for the person, one a line."""
    for line in lines:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
