"""`train-scene [DATA]`: photographs to field."""

import json
import math
import resource
import signal
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
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from distill import memory
from distill.fit import Schedule, Step, fit
from distill.frequency import choose
from distill.profiles import listing
from distill.training import Recipe, Training, preset
from fields.files import write_beside
from render.command import pick_device, run
from render.pictures import encode_png
from render.renderer import UNIT_STEP
from scenes.evaluate import Scored, report, score_views
from scenes.scene import ReadOptions, Scene, load
from scenes.sheet import save_sheet

STEPS = {"cpu": 1300, "cuda": 20_000}  # without --steps and --max-seconds
PRESET = {"cpu": "small", "cuda": "base"}
BATCH = {"cpu": 1 << 15, "cuda": 1 << 18}
STRIDE = {"cpu": 3 * UNIT_STEP, "cuda": UNIT_STEP}  # longer steps: more rays per second, see docs/design.md
UNBOUNDED = 1_000_000  # steps, where only the time is limited
PREVIEW = 240  # pixels, longest side
LISTING = 140  # columns of --list where the output is no terminal
PREVIEW_EVERY = 15.0  # seconds


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
        training.load_checkpoint(out / "checkpoint.safetensors")
        console.print(f"continues at step {training.run.index}")
    prepare_folder(out)
    fit_with_progress(training, flags, out, console)
    finish(training, scene, out, console, flags.json)


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


def prepare_folder(out: Path) -> None:
    """Make OUT and see that it can be written to, before training and after all that may be wrong with the input."""
    out.mkdir(parents=True, exist_ok=True)
    write_beside(out / ".writable", b"")
    (out / ".writable").unlink()


def fit_with_progress(training: Training, flags: Flags, out: Path, console: Console) -> None:
    """Run the loop with a bar, a log, checkpoints and previews. Ctrl-C finishes the step, saves, and raises."""
    schedule = Schedule(training.recipe.steps, flags.max_seconds)
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C stops at once

    previous = signal.signal(signal.SIGINT, stop)
    try:
        with Monitor(training, out, console, flags.save_every) as monitor:
            for step in fit(training.run, training.stages(), schedule):
                monitor.saw(step)
                if stopped:
                    break
    finally:
        signal.signal(signal.SIGINT, previous)
    if stopped:
        training.save_checkpoint(out / "checkpoint.safetensors")
        training.save_model(out / "model.safetensors", {}, b"")
        console.print(f"saved {out / 'model.safetensors'}; continue with --resume", highlight=False, markup=False)
        raise KeyboardInterrupt


class Monitor:
    """What a person sees while it trains: bar, log.jsonl, preview.png; and the checkpoints."""

    def __init__(self, training: Training, out: Path, console: Console, every: float) -> None:
        self.training, self.out, self.every = training, out, every
        text = TextColumn("{task.description}")
        columns = (BarColumn(), text, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task("first step compiles the CPU kernels ...", total=1.0)
        resumed = training.run.index > 0
        self.log = (out / "log.jsonl").open("a" if resumed else "w", encoding="utf-8")
        self.saved = self.shown = self.drawn = time.monotonic()
        self.mse, self.samples, self.seconds = 0.0, 0, training.run.seconds

    def __enter__(self) -> "Monitor":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.log.close()

    def saw(self, step: Step) -> None:
        """Take note of one step."""
        self.mse = step.mse if self.mse == 0 else 0.95 * self.mse + 0.05 * step.mse
        self.samples += step.samples
        now = time.monotonic()
        if step.trouble:
            self.bar.console.print(f"step {step.index}: {step.trouble}", style="yellow")
        if now - self.shown > 0.5 or step.index == 0:
            self.show(step)
            self.shown = now
        if now - self.drawn > min(PREVIEW_EVERY, self.every):
            write_beside(self.out / "preview.png", preview(self.training))
            self.drawn = time.monotonic()
        if now - self.saved > self.every:
            self.training.save_checkpoint(self.out / "checkpoint.safetensors")
            self.saved = time.monotonic()

    def show(self, step: Step) -> None:
        """Bar and log."""
        decibel = -10 * math.log10(max(self.mse, 1e-10))
        rate = self.samples / max(step.seconds - self.seconds, 1e-9)
        self.samples, self.seconds = 0, step.seconds
        text = f"step {step.index + 1}  {decibel:.2f} dB  {rate / 1e6:.2f} M samples/s"
        self.bar.update(self.task, completed=step.progress, description=text)
        record = {
            "step": step.index + 1,
            "stage": step.stage,
            "seconds": round(step.seconds, 3),
            "loss": step.loss,
            "batch_psnr": decibel,
        }
        record |= {"rays": step.rays, "samples": step.samples, "samples_per_second": round(rate), "note": step.trouble}
        self.log.write(json.dumps(record) + "\n")
        self.log.flush()


def preview(training: Training) -> bytes:
    """A small picture of the first test view (the first training view where there is none)."""
    scene = training.scene
    camera = (scene.test or scene.train)[0].camera
    shrink = min(1.0, PREVIEW / max(camera.size))
    camera = camera.resized(round(camera.size[0] * shrink), round(camera.size[1] * shrink))
    frame = training.renderer.image(training.field, training.loss.grid, camera)
    background = torch.tensor(scene.background, device=frame.pixels.rgb.device)
    return encode_png(frame.pixels.over(background).cpu())


def finish(training: Training, scene: Scene, out: Path, console: Console, as_json: bool) -> None:
    """Score the held-out views, write everything, show what it got."""
    path = out / "model.safetensors"
    training.save_model(path, {}, b"")  # before scoring, which may take long
    scores = list(scored(training, scene, console))
    metrics = measured(training, scene, scores)
    metrics["model_bytes"] = training.save_model(path, summary(metrics), preview(training))
    write_beside(out / "metrics.json", (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())
    save_sheet(out / "test_sheet.png", scores)
    (out / "checkpoint.safetensors").unlink(missing_ok=True)
    if as_json:
        sys.stdout.write(json.dumps(metrics, allow_nan=False) + "\n")
    console.print(table(metrics))
    console.print(f"model {path}\nsheet {out / 'test_sheet.png'}", highlight=False, markup=False, soft_wrap=True)


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
    device = training.device
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    drawn, spent = sum(s.frame.samples for s in scores), sum(s.seconds for s in scores)
    return result.to_record() | {
        "scored_on": str(result.protocol),
        "train_seconds": round(training.run.seconds, 2),
        "steps": training.run.index,
        "samples": training.run.samples,
        "samples_per_second": round(training.run.samples / max(training.run.seconds, 1e-9)),
        "parameters": training.field.parameter_count(),
        "model_bytes": 0,
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else peak,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "frame_ms_median": round(statistics.median(s.seconds for s in scores) * 1e3, 1),
        "frame_samples_per_second": round(drawn / max(spent, 1e-9)),
        "architecture": training.recipe.architecture,
        "preset": training.recipe.preset,
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
