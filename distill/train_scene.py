"""`train-scene [DATA]`: photographs to field."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from distill.learning.metrics import Metrics, table
from distill.learning.monitor import Files, Finishing, Scoring, effort, finish_with_progress, fit_with_progress, preview
from distill.learning.profiles import listing
from distill.photographs.settings import Settings, begin
from distill.photographs.training import Training
from fields.files import write_json
from render.command import run
from scenes.evaluate import Scored, median_frame_ms, score_views, summarise
from scenes.scene import Scene
from scenes.sheet import save_sheet

LISTING = 140  # columns of --list where the output is no terminal


@dataclass(frozen=True)
class Flags:
    """Train a neural field from photographs with known cameras. Without DATA: the built-in scene."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """folder with transforms.json or transforms_train.json, a JSON file, or builtin[:SIZE]"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how it is trained"""
    list: bool = False
    """show all architectures and presets with their sizes and what they gave, and train nothing"""
    viewer: bool = False
    """watch it learn in a window: view-scene with the same flags"""
    half: bool = False
    """write weights as float16: half the bytes; what is scored are the rounded weights"""
    json: bool = False
    """print the metrics as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, train)


def train(flags: Flags) -> None:
    """Read, train, score, save, show."""
    if flags.list:
        Console(width=None if sys.stdout.isatty() else LISTING).print(listing())
        return
    if flags.viewer and flags.half:
        raise ValueError("--half: the window saves float32; train without --viewer")
    if flags.viewer:
        open_viewer(flags.data, sys.argv[1:])
    console = Console(stderr=flags.json)

    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False)

    run = begin(flags.data, flags.settings, tell)
    run.training.half = flags.half
    fit_with_progress(run.training, run.schedule, run.files, console, flags.settings.save_every)
    metrics = finish(run.training, run.scene, run.files, console)
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


def open_viewer(data: str, arguments: list[str]) -> None:
    """Become `view-scene`, which takes the same flags. Nothing here may import the viewer."""
    named = [] if data in arguments else [data]  # view-scene opens nothing where nothing is named
    rest = [a for a in arguments if a not in ("--viewer", "--json")]
    os.execv(sys.executable, [sys.executable, "-m", "viewer.view_scene", *named, *rest])


def finish(training: Training, scene: Scene, files: Files, console: Console) -> Metrics:
    """Score the held-out views, write everything, show what it got; returns the metrics."""
    metrics = finish_with_progress(finishing(training, scene, files), console)
    console.print(table(metrics))
    console.print(f"model {files.model}\nsheet {files.sheet}", highlight=False, markup=False, soft_wrap=True)
    return metrics


def finishing(training: Training, scene: Scene, files: Files) -> Finishing:
    """Score held-out views (training views where none are held out) and write everything, view by view."""
    training.save_to_score(files.model)  # before scoring, which may take long
    views, scores = scene.test or scene.train[:8], list[Scored]()
    for one in score_views(
        views, scene.background, lambda c: training.renderer.image(training.field, training.loss.grid, c)
    ):
        scores.append(one)
        yield Scoring("scoring the field", len(scores), len(views))
    metrics = measured(training, scene, scores)
    metrics = metrics.written(training.save_model(files.model, metrics.summary(), preview(training)))
    write_json(files.metrics, metrics.to_record())
    save_sheet(files.sheet, scores)
    files.checkpoint.unlink(missing_ok=True)
    return metrics


def measured(training: Training, scene: Scene, scores: list[Scored]) -> Metrics:
    """What the run gave, but for the model's bytes."""
    quality = summarise(scores, scene.background, "test" if scene.test else "train", training.recipe.downscale)
    drawn, spent = sum(s.frame.samples for s in scores), sum(s.seconds for s in scores)
    return Metrics(quality, effort(training), median_frame_ms(scores), round(drawn / max(spent, 1e-9)))


if __name__ == "__main__":
    main()
