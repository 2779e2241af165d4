"""What a conversion gave: against the teacher, against photographs, in bytes, milliseconds and seconds."""

import statistics
from collections.abc import Generator
from dataclasses import dataclass

import torch

from distill.learning.files import Files, begin_scoring, write_all
from distill.learning.job import Finishing, Scoring, score
from distill.learning.metrics import Metrics, Teacher
from distill.learning.run import Run
from render.camera import Camera
from render.metrics import Quality, Score
from render.model import LoadedModel
from render.paths import surrounding
from render.pictures import bytes_of
from scenes.evaluate import median_frame_ms, score_views, summarise
from scenes.scene import View

VIEWS = 8  # drawn to compare student and teacher where the model names no test cameras
NAMES = "teacher", "student", "difference"  # of the sheet


@dataclass(frozen=True)
class HeldOut:
    """What both are scored against besides each other. Nothing was learnt from them here."""

    views: tuple[View, ...]  # cameras in the model's scene units
    background: tuple[float, float, float]
    split: str  # test or train
    downscale: int


@dataclass(frozen=True)
class Compared:
    """What a student is scored beside."""

    teacher: LoadedModel
    file: str  # of the teacher, as it was named
    model_bytes: int  # of that file
    photographs: HeldOut | None


def finish(against: Compared, run: Run, files: Files | None) -> Finishing:
    """Score and write everything, view by view.

    The metrics' `psnr` and `ssim` are those against photographs where there are any, else those against the teacher's
    pictures; `scored_on` says which.
    """
    begin_scoring(run, files)
    teacher, background = against.teacher, run.place.background
    drawn, places = list[tuple[View, float]](), cameras(teacher)
    yield Scoring("drawing the teacher", 0, len(places))
    for camera in places:
        drawn.append(view_of(teacher, camera, len(drawn), background))
        yield Scoring("drawing the teacher", len(drawn), len(places))
    scores = yield from score(tuple(view for view, _ in drawn), background, run.image, "scoring the student")
    quality, own = summarise(scores, background, "teacher's", 1), None
    likeness, took = quality.psnr, run.effort()
    if against.photographs:
        quality, own = yield from on_photographs(against, against.photographs, run)
    spent = milliseconds([seconds for _, seconds in drawn])
    taught = Teacher(against.file, teacher.header.architecture, against.model_bytes, spent, likeness, own)
    return write_all(run, files, Metrics(quality, took, median_frame_ms(scores), None, taught), scores, NAMES)


def on_photographs(
    against: Compared, photographs: HeldOut, run: Run
) -> Generator[Scoring, None, tuple[Quality, Score]]:
    """The student against photographs, and the teacher's mean over them."""
    views, background = photographs.views, photographs.background
    student = yield from score(views, background, run.image, "scoring the student on photographs")
    teacher = yield from score(views, background, against.teacher.image, "scoring the teacher on photographs")
    split, downscale = photographs.split, photographs.downscale
    ours, theirs = (summarise(one, background, split, downscale) for one in (student, teacher))
    return ours, Score(against.file, theirs.psnr, theirs.ssim)


def cameras(teacher: LoadedModel) -> tuple[Camera, ...]:
    """Where student and teacher are compared: test cameras, or some of the training ones, or some all around."""
    if teacher.test_cameras:
        return teacher.test_cameras
    others = teacher.train_cameras or surrounding(teacher.field.space.box.cpu())
    return others[:: max(1, len(others) // VIEWS)][:VIEWS]


def view_of(
    teacher: LoadedModel, camera: Camera, number: int, background: tuple[float, float, float]
) -> tuple[View, float]:
    """The teacher's picture, in bytes as a photograph is, and the seconds that it took."""
    one = next(iter(score_views((blank(camera, number),), background, teacher.image)))
    rgb = torch.from_numpy(bytes_of(one.render))
    opaque = torch.full_like(rgb[..., :1], 255)
    return View(camera, torch.cat([rgb, opaque], -1), one.view.valid, one.view.name), one.seconds


def blank(camera: Camera, number: int) -> View:
    """A view without a picture yet."""
    width, height = camera.size
    whole = torch.ones((), dtype=torch.bool).expand(height, width)
    return View(camera, torch.zeros(height, width, 4, dtype=torch.uint8), whole, f"view {number:03d}")


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return round(statistics.median(seconds) * 1e3, 1)
