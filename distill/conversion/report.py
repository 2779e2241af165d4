"""What a conversion gave: against the teacher, against photographs, in bytes, milliseconds and seconds."""

import statistics
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from rich.console import Console

from distill.conversion.conversion import Conversion
from distill.conversion.poses import surrounding
from distill.learning.metrics import Metrics, Teacher, table
from distill.learning.monitor import Files, Finishing, Scoring, effort, finish_with_progress, preview
from fields.files import write_json
from render.camera import Camera
from render.metrics import Quality, Score
from render.model import LoadedModel
from render.pictures import bytes_of
from render.renderer import Frame
from scenes.evaluate import Scored, median_frame_ms, score_views, summarise
from scenes.scene import View
from scenes.sheet import save_sheet

VIEWS = 8  # drawn to compare student and teacher where the model names no test cameras
NAMES = "teacher", "student", "difference"  # of the sheet
Draw = Callable[[Camera], Frame]


@dataclass(frozen=True)
class Photographs:
    """What both are scored against besides each other. Nothing was learnt from them here."""

    views: tuple[View, ...]  # cameras in the model's scene units
    background: tuple[float, float, float]
    split: str  # test or train
    downscale: int


def finish(
    conversion: Conversion, photographs: Photographs | None, teacher_bytes: int, files: Files, console: Console
) -> Metrics:
    """Score, write everything, show what it got; returns the report."""
    metrics = finish_with_progress(finishing(conversion, photographs, teacher_bytes, files), console)
    console.print(table(metrics))
    console.print(f"model {files.model}\nsheet {files.sheet}", highlight=False, markup=False, soft_wrap=True)
    return metrics


def finishing(conversion: Conversion, photographs: Photographs | None, teacher_bytes: int, files: Files) -> Finishing:
    """Score and write everything, view by view.

    The metrics' `psnr` and `ssim` are those against photographs where there are any, else those against the teacher's
    pictures; `scored_on` says which.
    """
    conversion.save_to_score(files.model)  # before scoring, which may take long
    teacher, background = conversion.teacher, conversion.place.background
    drawn, places = list[tuple[View, float]](), cameras(teacher)
    for camera in places:
        drawn.append(view_of(teacher, camera, len(drawn), background))
        yield Scoring("drawing the teacher", len(drawn), len(places))
    pictures = tuple(view for view, _ in drawn)
    scores = yield from scored(pictures, background, drawing(conversion), "scoring the student")
    quality, own = summarise(scores, background, "teacher's", 1), None
    likeness, took = quality.psnr, effort(conversion)
    if photographs:
        quality, own = yield from against(photographs, conversion)
    spent = milliseconds([seconds for _, seconds in drawn])
    architecture = teacher.header.architecture
    taught = Teacher(conversion.recipe.teacher, architecture, teacher_bytes, spent, likeness, own)
    metrics = Metrics(quality, took, median_frame_ms(scores), None, taught)
    metrics = metrics.written(conversion.save_model(files.model, metrics.summary(), preview(conversion)))
    write_json(files.metrics, metrics.to_record())
    save_sheet(files.sheet, scores, NAMES)
    files.checkpoint.unlink(missing_ok=True)
    return metrics


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


def drawing(conversion: Conversion) -> Draw:
    """How the student is drawn."""
    return lambda camera: conversion.renderer.image(conversion.field, conversion.loss.grid, camera)


def scored(
    views: tuple[View, ...], background: tuple[float, float, float], draw: Draw, who: str
) -> Generator[Scoring, None, list[Scored]]:
    """All views, one after the other."""
    scores: list[Scored] = []
    for one in score_views(views, background, draw):
        scores.append(one)
        yield Scoring(who, len(scores), len(views))
    return scores


def against(photographs: Photographs, conversion: Conversion) -> Generator[Scoring, None, tuple[Quality, Score]]:
    """The student against photographs, and the teacher's mean over them."""
    views, background = photographs.views, photographs.background
    student = yield from scored(views, background, drawing(conversion), "scoring the student on photographs")
    teacher = yield from scored(views, background, conversion.teacher.image, "scoring the teacher on photographs")
    split, downscale = photographs.split, photographs.downscale
    ours, theirs = (summarise(one, background, split, downscale) for one in (student, teacher))
    return ours, Score(conversion.recipe.teacher, theirs.psnr, theirs.ssim)


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return round(statistics.median(seconds) * 1e3, 1)
