"""What a conversion gave: against the teacher, against photographs, in bytes, milliseconds and seconds."""

import json
import statistics
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from distill.conversion.conversion import Conversion
from distill.conversion.poses import surrounding
from distill.learning.monitor import Files, Finishing, Scoring, effort, finish_with_progress, preview
from fields.files import write_beside
from render.camera import Camera
from render.metrics import plain
from render.model import LoadedModel
from render.pictures import bytes_of
from render.renderer import Frame
from scenes.evaluate import Scored, report, score_views
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
) -> dict[str, Any]:
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
    result = report(scores, background, "teacher's", 1)
    metrics = {
        **result.to_record(),
        "scored_on": str(result.protocol),
        "psnr_teacher": plain(result.psnr),
        **effort(conversion),
        "frame_ms_median": milliseconds([s.seconds for s in scores]),
        "teacher": {
            "file": conversion.recipe.teacher,
            "architecture": teacher.header.architecture,
            "model_bytes": teacher_bytes,
            "frame_ms_median": milliseconds([seconds for _, seconds in drawn]),
        },
    }
    if photographs:
        metrics |= yield from against(photographs, conversion)
    kept = {k: v for k, v in metrics.items() if k not in ("images", "model_bytes")}
    metrics["model_bytes"] = conversion.save_model(files.model, kept, preview(conversion))
    write_beside(files.metrics, (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    save_sheet(files.sheet, scores, NAMES)
    files.checkpoint.unlink(missing_ok=True)
    return metrics


def cameras(teacher: LoadedModel) -> tuple[Camera, ...]:
    """Where student and teacher are compared: test cameras, or some of the training ones, or some all around."""
    if teacher.test_cameras:
        return teacher.test_cameras
    others = teacher.train_cameras or surrounding(teacher.field.box.cpu())
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


def against(photographs: Photographs, conversion: Conversion) -> Finishing:
    """Student and teacher against photographs."""
    views, background = photographs.views, photographs.background
    student = yield from scored(views, background, drawing(conversion), "scoring the student on photographs")
    teacher = yield from scored(views, background, conversion.teacher.image, "scoring the teacher on photographs")
    both = [report(one, background, photographs.split, photographs.downscale) for one in (student, teacher)]
    record = both[0].to_record()
    return record | {
        "scored_on": str(both[0].protocol),
        "photographs": {"teacher_psnr": plain(both[1].psnr), "teacher_ssim": plain(both[1].ssim)},
    }


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return round(statistics.median(seconds) * 1e3, 1)


def table(metrics: dict[str, Any]) -> Table:
    """The end of a conversion, for a person."""
    teacher, photographs = metrics["teacher"], metrics.get("photographs")
    title = f"{teacher['architecture']} into {metrics['architecture']} {metrics['preset']}"
    result = Table("", "student", "teacher", title=title)
    result.add_row("against the teacher", f"{float(metrics['psnr_teacher']):.2f} dB", "")
    if photographs:
        own, theirs = float(metrics["psnr"]), float(photographs["teacher_psnr"])
        result.add_row("against photographs", f"{own:.2f} dB ({own - theirs:+.2f})", f"{theirs:.2f} dB")
    result.add_row("file", f"{metrics['model_bytes'] / 1e6:.2f} MB", f"{teacher['model_bytes'] / 1e6:.2f} MB")
    result.add_row("frame", f"{metrics['frame_ms_median']:.0f} ms", f"{teacher['frame_ms_median']:.0f} ms")
    result.add_row("took", f"{metrics['train_seconds']:.0f} s, {metrics['steps']} steps", "")
    result.caption = metrics["scored_on"]
    return result
