"""`bench-scene`: how fast ops, a training step and frames are, as ratios to plain PyTorch taken in the same run."""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from distill import bench_architectures
from distill.bench_architectures import Contest, compete
from distill.bench_ops import machine, median_ms, op_table, ops
from distill.fit import Schedule, fit
from distill.train_scene import BATCH, PRESET, STRIDE
from distill.training import Recipe, Training
from fields.files import write_beside
from render.command import pick_device, run
from scenes.scene import ReadOptions, load

SIDES = (200, 400, 800)  # pixels, longest side of the frames


@dataclass(frozen=True)
class Flags:
    """Measure. Without --ops, --train or --frames: all three."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """data set for --train and --frames"""
    ops: bool = False
    """each op against its PyTorch reference"""
    train: bool = False
    """whole training steps, split into their parts"""
    frames: bool = False
    """whole frames of the model that --train's steps gave"""
    architectures: bool = False
    """train every architecture on DATA for --seconds each: table, JSON and Pareto plot"""
    only: tuple[str, ...] = ()
    """for --architectures: NAME or NAME:PRESET, several; without it, all of the size that suits the device"""
    seconds: float = 300.0
    """for --architectures: training time of each"""
    repeats: int = 7
    """of every measurement, 3 or more; the median counts"""
    steps: int = 150
    """training steps; the first third is not counted"""
    points: int = 1 << 17
    """of each op on points"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    arch: str = "hashgrid"
    """architecture for --train and --frames"""
    preset: str = "auto"
    """its size"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    out: Path | None = None
    """JSON file for the results; for --architectures a folder (default runs/architectures)"""
    json: bool = False
    """print the results as JSON, and nothing else, on standard output"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not self.seconds > 0:
            raise ValueError(f"--seconds must be > 0, found {self.seconds}")
        if self.repeats < 3 or self.steps < 30 or self.points < 1:
            raise ValueError("--repeats must be 3 or more, --steps 30 or more, --points 1 or more")


def main() -> None:
    """Entry point."""
    run(Flags, bench)


def bench(flags: Flags) -> None:
    """Measure what was asked for, print a table each, keep all as JSON."""
    flags.check()
    device = pick_device(flags.device)
    console = Console(stderr=flags.json)
    if flags.architectures:
        contest(flags, device, console)
        return
    everything = not (flags.ops or flags.train or flags.frames)
    result: dict[str, Any] = {"machine": machine(device)}
    if flags.ops or everything:
        result["ops"] = ops(flags.points, flags.repeats, device)
        console.print(op_table(result["ops"]))
    if flags.train or flags.frames or everything:
        training, result["train"] = train_steps(flags, device)
        console.print(pairs("training step", result["train"]))
        if flags.frames or everything:
            result["frames"] = frames(training, flags.repeats)
            console.print(pairs("frames", result["frames"]))
    if flags.out:
        write_beside(flags.out, (json.dumps(result, indent=1) + "\n").encode())
    if flags.json:
        sys.stdout.write(json.dumps(result) + "\n")


def contest(flags: Flags, device: torch.device, console: Console) -> None:
    """All architectures under one protocol."""
    bench_architectures.plotting()  # a missing library is told before the work, not after it
    size = PRESET[device.type] if flags.preset == "auto" else flags.preset
    given = Contest(flags.data, flags.seconds, flags.downscale, device.type, size, flags.only)
    folder = flags.out or Path("runs") / "architectures"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; with --architectures, --out wants a folder")
    result = compete(given, folder, console)
    record, picture = bench_architectures.save(result | {"machine": machine(device)}, folder)
    console.print(bench_architectures.table(result))
    console.print(f"table {record}\nplot {picture}", highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(result) + "\n")


def train_steps(flags: Flags, device: torch.device) -> tuple[Training, dict[str, Any]]:
    """Steps of a run as train-scene would do it; the first third warms up."""
    scene = load(flags.data, ReadOptions(flags.downscale))
    preset = PRESET[device.type] if flags.preset == "auto" else flags.preset
    recipe = Recipe(
        flags.data, flags.arch, preset, 0, flags.steps, BATCH[device.type], flags.downscale, device.type,
        STRIDE[device.type],
    )  # fmt: skip
    training = Training(scene, recipe, device)
    before, counted = 0.0, []
    for step in fit(training.run, training.stages(), Schedule(flags.steps)):
        if step.index >= flags.steps // 3:
            counted.append((step.seconds - before, step.samples, step.rays))
        before = step.seconds
    seconds, samples, rays = zip(*counted, strict=True)
    return training, {
        "data": flags.data,
        "preset": preset,
        "steps": len(counted),
        "median_ms": round(statistics.median(seconds) * 1e3, 2),
        "samples_per_step": round(statistics.mean(samples)),
        "rays_per_step": round(statistics.mean(rays)),
        "samples_per_second": round(sum(samples) / sum(seconds)),
        "samples_per_second_median": round(statistics.median(n / s for n, s in zip(samples, seconds, strict=True))),
    }


def frames(training: Training, repeats: int) -> dict[str, Any]:
    """Frames of the first test view at several sizes."""
    scene = training.scene
    camera = (scene.test or scene.train)[0].camera
    result: dict[str, Any] = {}
    for side in SIDES:
        factor = side / max(camera.size)
        resized = camera.resized(*(max(1, round(n * factor)) for n in camera.size))
        drawn = training.renderer.image(training.field, training.loss.grid, resized)
        spent = median_ms(
            lambda view=resized: training.renderer.image(training.field, training.loss.grid, view), max(3, repeats // 2)
        )
        result[f"{side}_ms"] = round(spent, 1)
        result[f"{side}_samples_per_second"] = round(drawn.samples / spent * 1e3)
    return result


def pairs(title: str, values: dict[str, Any]) -> Table:
    """For a person."""
    table = Table(title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    return table


if __name__ == "__main__":
    main()
