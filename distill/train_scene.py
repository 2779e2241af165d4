"""`train-scene [DATA]`: photographs to field."""

import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from distill import memory
from distill.fit import Schedule
from distill.frequency import choose
from distill.learning import preset
from distill.profiles import listing
from distill.progress import Files, effort, fit_with_progress, preview
from distill.training import Recipe, Training
from fields.files import write_beside
from render.command import pick_device, run
from render.renderer import UNIT_STEP
from scenes.evaluate import Scored, report, score_views
from scenes.scene import ReadOptions, Scene, load
from scenes.sheet import save_sheet

STEPS = {"cpu": 1300, "cuda": 20_000}  # without --steps and --max-seconds
PRESET = {"cpu": "small", "cuda": "base"}
BATCH = {"cpu": 1 << 15, "cuda": 1 << 18}
STRIDE = {"cpu": 3 * UNIT_STEP, "cuda": UNIT_STEP}  # longer steps: more rays per second, see docs/design.md
UNBOUNDED = 1_000_000  # steps, where only the time is limited
LISTING = 140  # columns of --list where the output is no terminal


@dataclass(frozen=True)
class Flags:
    """Train a neural field from photographs with known cameras. Without DATA: the built-in scene."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """folder with transforms.json or transforms_train.json, a JSON file, or builtin[:SIZE]"""
    out: Path | None = None
    """folder for the results; runs/NAME where not given"""
    arch: str = "hashgrid"
    """architecture: a file name of fields/arch"""
    preset: str = "auto"
    """size of the architecture: tiny, small, base, large; auto: small on CPU, base on CUDA"""
    list: bool = False
    """show all architectures and presets with their sizes and what they gave, and train nothing"""
    frequency: str = ""
    """highest frequency of the encoding in cycles per box side, or auto: matched to the photographs' spectrum"""
    steps: int = 0
    """optimiser steps; 0: 1300 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """training time at most; the learning rate falls accordingly"""
    batch: int = 0
    """samples per step that carry gradients; 0: 32768 on CPU, 262144 on CUDA"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    max_resolution: int = 1920
    """longest side of the pictures in pixels; larger ones are shrunk"""
    skip_missing: bool = False
    """go on without pictures that the data set names and that are missing"""
    seed: int = 0
    """of weights, pixels, jitter and backgrounds"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    deterministic: bool = False
    """forbid operations that do not repeat bit for bit"""
    resume: bool = False
    """continue the run whose checkpoint lies in OUT"""
    save_every: float = 60.0
    """seconds between checkpoints"""
    json: bool = False
    """print the metrics as JSON, and nothing else, on standard output"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if self.steps < 0 or not self.max_seconds > 0 or not self.save_every > 0:
            raise ValueError("--steps must be >= 0, --max-seconds and --save-every > 0")


def main() -> None:
    """Entry point."""
    run(Flags, train)


def train(flags: Flags) -> None:
    """Read, train, score, save, show."""
    flags.check()
    if flags.list:
        Console(width=None if sys.stdout.isatty() else LISTING).print(listing())
        return
    console = Console(stderr=flags.json)
    device = pick_device(flags.device)
    torch.use_deterministic_algorithms(flags.deterministic)
    chosen = PRESET[device.type] if flags.preset == "auto" else flags.preset
    memory.check(flags.arch, chosen, preset(flags.arch, chosen), device)
    fixed = given_bandwidth(flags, preset(flags.arch, chosen))
    out = flags.out or Path("runs") / (Path(flags.data).stem.replace(":", "_") or "scene")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; --out wants a folder")
    files = Files.within(out)
    if device.type == "cuda":
        console.print("device: CUDA; this version has no CUDA kernels yet, its ops run as plain PyTorch there")
    scene = load(flags.data, ReadOptions(flags.downscale, flags.max_resolution, flags.skip_missing))
    for fact in scene.facts:
        console.print(f"  {fact}", highlight=False, markup=False)
    bandwidth = chosen_bandwidth(flags, preset(flags.arch, chosen), scene, console) if fixed is None else fixed
    steps = flags.steps or (UNBOUNDED if math.isfinite(flags.max_seconds) else STEPS[device.type])
    batch = flags.batch or BATCH[device.type]
    where = (flags.downscale, device.type, STRIDE[device.type])
    recipe = Recipe(flags.data, flags.arch, chosen, flags.seed, steps, batch, *where, bandwidth)
    training = Training(scene, recipe, device)
    if flags.resume:
        training.load_checkpoint(files.checkpoint)
        console.print(f"continues at step {training.run.index}")
    files.prepare()
    fit_with_progress(training, Schedule(steps, flags.max_seconds), files, console, flags.save_every)
    metrics = finish(training, scene, files, console)
    if flags.json:
        sys.stdout.write(json.dumps(metrics, allow_nan=False) + "\n")


def given_bandwidth(flags: Flags, config: Any) -> float | None:
    """Cycles per box side as the flag says, 0 where the preset's own stands, None where the pictures shall decide."""
    if not flags.frequency:
        return 0.0
    if not hasattr(config, "bandwidth"):
        raise ValueError(f"--frequency: {flags.arch} has no frequency to choose")
    if flags.frequency == "auto":
        return None
    try:
        value = float(flags.frequency)
    except ValueError:
        raise ValueError(f"--frequency wants auto or a number, found {flags.frequency!r}") from None
    replace(config, bandwidth=value)
    return value


def chosen_bandwidth(flags: Flags, config: Any, scene: Scene, console: Console) -> float:
    """Cycles per box side that fit the pictures, told."""
    begin = time.perf_counter()
    choice = choose(flags.arch, config, scene, flags.seed)
    console.print(f"  {choice}; {time.perf_counter() - begin:.1f} s", highlight=False, markup=False)
    return choice.bandwidth


def finish(training: Training, scene: Scene, files: Files, console: Console) -> dict[str, Any]:
    """Score the held-out views, write everything, show what it got; returns the metrics."""
    training.save_model(files.model, {}, b"")  # before scoring, which may take long
    scores = list(scored(training, scene, console))
    metrics = measured(training, scene, scores)
    metrics["model_bytes"] = training.save_model(files.model, summary(metrics), preview(training))
    write_beside(files.metrics, (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    save_sheet(files.sheet, scores)
    files.checkpoint.unlink(missing_ok=True)
    console.print(table(metrics))
    console.print(f"model {files.model}\nsheet {files.sheet}", highlight=False, markup=False, soft_wrap=True)
    return metrics


def scored(training: Training, scene: Scene, console: Console) -> Iterator[Scored]:
    """Held-out views (training views where none are held out), scored under a bar."""
    views = scene.test or scene.train[:8]
    with Progress(BarColumn(), TextColumn("scoring {task.completed} of {task.total} views"), console=console) as bar:
        task = bar.add_task("", total=len(views))
        for one in score_views(
            views, scene.background, lambda c: training.renderer.image(training.field, training.loss.grid, c)
        ):
            yield one
            bar.advance(task)


def measured(training: Training, scene: Scene, scores: list[Scored]) -> dict[str, Any]:
    """metrics.json, but for the model's bytes."""
    result = report(scores, scene.background, "test" if scene.test else "train", training.recipe.downscale)
    drawn, spent = sum(s.frame.samples for s in scores), sum(s.seconds for s in scores)
    return result.to_record() | {
        "scored_on": str(result.protocol),
        **effort(training),
        "frame_ms_median": round(statistics.median(s.seconds for s in scores) * 1e3, 1),
        "frame_samples_per_second": round(drawn / max(spent, 1e-9)),
    }


def summary(metrics: dict[str, Any]) -> dict[str, Any]:
    """What of the metrics goes into the model file."""
    return {k: v for k, v in metrics.items() if k not in ("images", "model_bytes")}


def table(metrics: dict[str, Any]) -> Table:
    """The end of a run, for a person."""
    result = Table(title=f"{metrics['architecture']} {metrics['preset']}", show_header=False)
    rows = {
        "PSNR": f"{float(metrics['psnr']):.2f} dB",
        "SSIM": f"{float(metrics['ssim']):.4f}",
        "scored on": metrics["scored_on"],
        "trained": f"{metrics['train_seconds']:.0f} s, {metrics['steps']} steps",
        "throughput": f"{metrics['samples_per_second'] / 1e6:.2f} M samples/s in training",
        "frame": f"{metrics['frame_ms_median']:.0f} ms",
        "model": f"{metrics['model_bytes'] / 1e6:.1f} MB, {metrics['parameters'] / 1e6:.2f} M parameters",
        "peak memory": f"{metrics['peak_memory_bytes'] / 1e9:.2f} GB",
        "device": metrics["device"],
    }
    for name, value in rows.items():
        result.add_row(name, value)
    return result


if __name__ == "__main__":
    main()
