"""`bench-scene`: how fast ops, training steps and frames are; how good architectures and their conversions are."""

import json
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from distill import bench_ablation, bench_architectures, bench_distill
from distill.bench_architectures import Contest, compete, write_record
from distill.bench_distill import Match
from distill.bench_ops import machine, median_ms, op_table, ops
from distill.fit import Schedule, fit
from distill.settings import BATCH, PRESET, STRIDE
from distill.training import Recipe, Training
from render.command import pick_device, run
from scenes.scene import ReadOptions, load

SIDES = (200, 400, 800)  # pixels, longest side of the frames


@dataclass(frozen=True)
class Flags:
    """Measure. Without --ops, --train, --frames, --architectures or --distill: the first three."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """data set, for all but --ops"""
    ops: bool = False
    """each op against its PyTorch reference"""
    train: bool = False
    """whole training steps, split into their parts"""
    frames: bool = False
    """whole frames of the model that --train's steps gave"""
    architectures: bool = False
    """train every architecture on DATA for --seconds each: table, JSON and Pareto plot"""
    distill: bool = False
    """convert every architecture into every other, as trained on DATA: matrix, JSON and heat maps"""
    ablation: bool = False
    """with --distill: convert the first of --only into the second with and without the parts of the method"""
    only: tuple[str, ...] = ()
    """for --architectures and --distill: NAME or NAME:PRESET, several; without it, all of the device's usual size"""
    seconds: float = 300.0
    """for --architectures and for the teachers of --distill: training time of each"""
    convert_seconds: float = 60.0
    """for --distill: time of each conversion"""
    teachers: Path | None = None
    """for --distill: folder with NAME-PRESET/model.safetensors, as --architectures leaves them; only those that are
    missing are trained, there; without it all are, in OUT/teachers"""
    resume: bool = False
    """for --distill: keep the teachers and conversions that OUT holds already"""
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
    """JSON file for the results; for --architectures and --distill a folder (runs/architectures, runs/distill)"""
    json: bool = False
    """print the results as JSON, and nothing else, on standard output"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not self.seconds > 0:
            raise ValueError(f"--seconds must be > 0, found {self.seconds}")
        if not self.convert_seconds > 0:
            raise ValueError(f"--convert-seconds must be > 0, found {self.convert_seconds}")
        if not self.distill and (self.ablation or self.teachers or self.resume):
            raise ValueError("--ablation, --teachers and --resume are for --distill, which is not given")
        if self.distill and self.architectures:
            raise ValueError("--architectures and --distill are two runs; --teachers takes what the first one leaves")
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
    if flags.architectures or flags.distill:
        (contest if flags.architectures else distill)(flags, device, console)
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
        write_record(result, flags.out)
    if flags.json:
        sys.stdout.write(json.dumps(result) + "\n")


def contest(flags: Flags, device: torch.device, console: Console) -> None:
    """All architectures under one protocol."""
    bench_architectures.plotting()  # a missing library is told before the work, not after it
    folder = folder_of(flags, "architectures")
    result = compete(entered(flags, device), folder, console)
    record, picture = bench_architectures.save(result | {"machine": machine(device)}, folder)
    console.print(bench_architectures.table(result))
    told(flags, result, {"table": record, "plot": picture}, console)


def distill(flags: Flags, device: torch.device, console: Console) -> None:
    """All conversions under one protocol, or one in several variants."""
    bench_architectures.plotting()  # as above
    folder, given = folder_of(flags, "distill"), entered(flags, device)
    if flags.ablation:
        given = replace(given, only=flags.only[:2] or bench_ablation.PAIR)
    trained = flags.teachers is not None or flags.resume
    match = Match(given, flags.convert_seconds, flags.teachers or folder / "teachers", trained, flags.resume)
    if flags.ablation:
        result = bench_ablation.ablate(match, folder, console)
        record = folder / "ablation.json"
        write_record(result | {"machine": machine(device)}, record)
        console.print(bench_ablation.table(result))
        told(flags, result, {"table": record}, console)
        return
    result = bench_distill.convert_all(match, folder, console)
    record, picture = bench_distill.save(result | {"machine": machine(device)}, folder)
    console.print(bench_distill.matrix(result), bench_distill.bests(result))
    told(flags, result, {"table": record, "plot": picture}, console)


def folder_of(flags: Flags, name: str) -> Path:
    """Where a contest or a matrix is kept. ValueError where that is a file."""
    folder = flags.out or Path("runs") / name
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; with --{name}, --out wants a folder")
    return folder


def entered(flags: Flags, device: torch.device) -> Contest:
    """Who takes part and for how long."""
    size = PRESET[device.type] if flags.preset == "auto" else flags.preset
    return Contest(flags.data, flags.seconds, flags.downscale, device.type, size, flags.only)


def told(flags: Flags, result: dict[str, Any], files: dict[str, Path], console: Console) -> None:
    """Where it lies; and the result for programs."""
    lines = "\n".join(f"{name} {path}" for name, path in files.items())
    console.print(lines, highlight=False, markup=False, soft_wrap=True)
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
