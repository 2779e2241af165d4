"""`bench-scene`: how fast ops, training steps and frames are; how good architectures and their conversions are."""

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from distill.bench import ablation as bench_ablation
from distill.bench import architectures as bench_architectures
from distill.bench import conversions as bench_distill
from distill.bench import gpu as bench_gpu
from distill.bench import peers as bench_peers
from distill.bench.architectures import Contest, compete, write_record
from distill.bench.conversions import Match
from distill.bench.curve import Course, curve, curve_table
from distill.bench.field import field_rows
from distill.bench.ops import Bench, op_table, ops
from distill.bench.run import Wish, begun, frames, read, train_steps
from distill.bench.timing import copy_bandwidth, machine
from distill.learning.fit import Schedule
from distill.photographs.settings import PRESET, STEPS, UNBOUNDED
from distill.photographs.training import Training
from render.command import pick_device, run

SCORES = {"cpu": 12, "cuda": 40}  # times that --curve scores the held-out views


@dataclass(frozen=True)
class Flags:
    """Measure. Without anything that says what: --ops, --train and --frames."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """data set, for all but --ops"""
    ops: bool = False
    """each op against its PyTorch reference, and whole fields; bytes a second beside those of a plain copy"""
    train: bool = False
    """whole training steps, split into their parts"""
    frames: bool = False
    """whole frames of the model that --train's steps gave"""
    curve: bool = False
    """how long training takes to 30, 33 and 35 dB on the held-out views"""
    curve_steps: int = 0
    """of --curve; 0: 1300 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """training time of --curve at most; the learning rate falls accordingly"""
    views: int = 25
    """held-out views that --curve scores, at most"""
    engine: Literal["own", "nvidia"] = "own"
    """what --train, --frames and --curve measure; nvidia: tinycudann's encoding and networks, nerfacc's marching and
    compositing, behind the same training loop, where they are installed"""
    against: Literal["", "nvidia"] = ""
    """measure a peer in the same run: tinycudann's networks and nerfacc's marching, where they are installed"""
    gpu_report: bool = False
    """on a GPU: check all kernels, time everything, and print what was asked for beside what was reached"""
    architectures: bool = False
    """train every architecture on DATA for --seconds each: table, JSON and Pareto plot"""
    distill: bool = False
    """convert every architecture into every other, as trained on DATA: matrix, JSON and heat maps"""
    ablation: bool = False
    """with --distill: convert the first of --only into the second with and without the parts of the method"""
    only: tuple[str, ...] = ()
    """for --architectures and --distill: NAME or NAME:PRESET, several; without it, all of the device's usual size. For
    --gpu-report: names of its parts"""
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
        if self.curve_steps < 0 or not self.max_seconds > 0 or self.views < 1:
            raise ValueError("--curve-steps must be 0 or more, --max-seconds > 0, --views 1 or more")


def main() -> None:
    """Entry point."""
    run(Flags, bench)


def bench(flags: Flags) -> None:
    """Measure what was asked for, print a table each, keep all as JSON."""
    flags.check()
    console = Console(stderr=flags.json)
    if flags.gpu_report:
        told_report(flags, console)
        return
    device = pick_device(flags.device)
    if flags.architectures or flags.distill:
        (contest if flags.architectures else distill)(flags, device, console)
        return
    result: dict[str, Any] = {"machine": machine(device), "engine": flags.engine}
    if flags.against:
        result["against"] = bench_peers.against(wish(flags, flags.steps), device, flags.repeats)
        console.print(bench_peers.table(result["against"]))
    else:
        result |= parts(flags, device, console)
    if flags.out:
        write_record(result, flags.out)
    if flags.json:
        sys.stdout.write(json.dumps(result) + "\n")


def parts(flags: Flags, device: torch.device, console: Console) -> dict[str, Any]:
    """What --ops, --train, --frames and --curve give."""
    everything = not (flags.ops or flags.train or flags.frames or flags.curve)
    result: dict[str, Any] = {}
    if flags.ops or everything:
        own = Bench(device, flags.repeats, copy_bandwidth(flags.repeats, device))
        size = PRESET[device.type] if flags.preset == "auto" else flags.preset
        result["copy_bytes_per_second"] = round(own.copy)
        result["ops"] = ops(flags.points, own)
        result["fields"] = field_rows(flags.arch, size, flags.points, own)
        console.print(op_table("ops", result["ops"]), op_table("fields", result["fields"]))
        console.print(f"a plain copy moves {own.copy / 1e9:.1f} GB/s, read and written")
    if flags.train or flags.frames or everything:
        training = started(flags, flags.steps, device)
        result["train"] = train_steps(training)
        console.print(pairs("training step", result["train"]))
        if flags.frames or everything:
            result["frames"] = frames(training, flags.repeats)
            console.print(pairs("frames", result["frames"]))
    if flags.curve:
        steps = flags.curve_steps or (UNBOUNDED if math.isfinite(flags.max_seconds) else STEPS[device.type])
        course = Course(Schedule(steps, flags.max_seconds), flags.views, SCORES[device.type])
        result["curve"] = curve(started(flags, steps, device), course)
        console.print(curve_table(result["curve"]))
    return result


def started(flags: Flags, steps: int, device: torch.device) -> Training:
    """A run before its first step, with the engine that was asked for."""
    asked = wish(flags, steps)
    return bench_peers.started(asked, device) if flags.engine == "nvidia" else begun(asked, read(asked), device)


def wish(flags: Flags, steps: int) -> Wish:
    """What is trained, for so many steps."""
    return Wish(flags.data, flags.arch, flags.preset, steps, flags.downscale)


def told_report(flags: Flags, console: Console) -> None:
    """The report on a GPU, kept part by part. ValueError where there is none."""
    device = pick_device(flags.device)
    if flags.device == "auto" and device.type != "cuda":
        raise ValueError("--gpu-report wants a GPU: PyTorch finds no CUDA device here")
    path = flags.out or Path("runs") / "gpu_report.json"
    plan = bench_gpu.Plan(flags.data, flags.arch, flags.downscale, flags.preset, device.type)
    result = bench_gpu.report(plan, flags.only, path, console)
    console.print(bench_gpu.table(result))
    told(flags, result, {"report": path}, console)


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


def pairs(title: str, values: dict[str, Any]) -> Table:
    """For a person."""
    table = Table(title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    return table


if __name__ == "__main__":
    main()
