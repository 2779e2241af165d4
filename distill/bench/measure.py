"""What bench-scene measures, as its flags ask for it: one run in this process, or many in others."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from distill.bench import ablation, peers
from distill.bench.architectures import Contest, compete, save_standings
from distill.bench.charts import require_matplotlib
from distill.bench.conversions import Match, convert_all
from distill.bench.cpu_peers import CpuPlan, compare_on_cpu
from distill.bench.curve import Course, follow
from distill.bench.field import time_field
from distill.bench.gpu import GpuPlan
from distill.bench.gpu_report import report_gpu
from distill.bench.matrix import save_matrix
from distill.bench.ops import Bench, OpTimes, time_ops
from distill.bench.results import BenchResult, Recorded
from distill.bench.run import Trial, begin_trial, read_pictures, time_frames, time_parts, time_steps
from distill.bench.settings import BenchSettings
from distill.bench.timing import describe_machine, measure_copy
from distill.learning.fit import Schedule
from distill.learning.run import Run
from distill.photographs.settings import PRESET, STEPS, UNBOUNDED
from fields.files import write_json
from render.device import pick_device
from scenes.scene import Scene

SCORES = {"cpu": 12, "cuda": 40}  # times that --curve scores the held-out views


def measure(flags: BenchSettings) -> None:
    """Measure what was asked for, print a table each, keep all as JSON."""
    console = Console(stderr=flags.json)
    if flags.gpu_report:
        make_report(flags, console)
        return
    device = pick_device(flags.device)
    if flags.ablation:
        run_ablation(flags, device, console)
    elif flags.distill:
        convert_pairs(flags, device, console)
    elif flags.architectures:
        run_contest(flags, device, console)
    else:
        measure_parts(flags, device, console)


def measure_parts(flags: BenchSettings, device: torch.device, console: Console) -> None:
    """What takes minutes: one after the other, in this process."""
    machine = describe_machine(device)
    record: dict[str, Any] = {"machine": machine.to_record(), "engine": flags.engine}
    console.print(str(machine), highlight=False, markup=False, soft_wrap=True)
    for name, result in take_parts(flags, device, console):
        record |= {name: result.to_record()} if name else result.to_record()
        console.print(result.to_table())
    if flags.out:
        write_json(flags.out, record)
    if flags.json:
        sys.stdout.write(json.dumps(record) + "\n")


def take_parts(flags: BenchSettings, device: torch.device, console: Console) -> Iterator[tuple[str, BenchResult]]:
    """What --against, or --ops, --train, --frames and --curve give, by name; without one where it brings its own."""
    if flags.against == "cpu":
        yield "against", compare_on_cpu(plan_peers(flags), console)
        return
    if flags.against:
        yield "against", peers.compare_engines(make_trial(flags, flags.steps), device, flags.repeats)
        return
    everything = not (flags.ops or flags.train or flags.frames or flags.curve)
    if flags.ops or everything:
        own = Bench(device, flags.repeats, measure_copy(flags.repeats, device))
        ops = time_ops(flags.points, own)
        fields = time_field(flags.arch, name_preset(flags, device), flags.points, own)
        yield "", OpTimes(own.copy, ops, tuple(row for rows in fields.values() for row in rows))
    if flags.train or flags.frames or everything:
        training, _ = begin_run(flags, flags.steps, device)
        yield "train", time_parts(training, flags.repeats) if device.type == "cpu" else time_steps(training)
        if flags.frames or everything:
            yield "frames", time_frames(training, flags.repeats)
    if flags.curve:
        steps = flags.curve_steps or (UNBOUNDED if math.isfinite(flags.max_seconds) else STEPS[device.type])
        course = Course(Schedule(steps, flags.max_seconds), flags.views, SCORES[device.type])
        yield "curve", follow(*begin_run(flags, steps, device), course)


def plan_peers(flags: BenchSettings) -> CpuPlan:
    """What peers on the CPU are compared on."""
    size = PRESET["cpu"] if flags.preset == "auto" else flags.preset
    ours = (flags.data, flags.downscale, flags.arch, size)
    return CpuPlan(*ours, flags.durations, flags.opensplat, flags.tensorf)


def begin_run(flags: BenchSettings, steps: int, device: torch.device) -> tuple[Run, Scene]:
    """A run before its first step, with the engine that was asked for, and its pictures."""
    asked = make_trial(flags, steps)
    scene = read_pictures(asked)
    return (peers.begin_peer if flags.engine == "nvidia" else begin_trial)(asked, scene, device), scene


def make_trial(flags: BenchSettings, steps: int) -> Trial:
    """What is trained, for so many steps."""
    return Trial(flags.data, flags.arch, flags.preset, steps, flags.downscale)


def name_preset(flags: BenchSettings, device: torch.device) -> str:
    """The preset."""
    return PRESET[device.type] if flags.preset == "auto" else flags.preset


def make_report(flags: BenchSettings, console: Console) -> None:
    """The report on a GPU, kept part by part. ValueError where there is none."""
    device = pick_device(flags.device)
    if flags.device == "auto" and device.type != "cuda":
        raise ValueError("--gpu-report wants a GPU: PyTorch finds no CUDA device here")
    path = flags.out or Path("runs") / "gpu_report.json"
    plan = GpuPlan(flags.data, flags.arch, flags.downscale, flags.preset, device.type)
    result = report_gpu(plan, flags.only, path, console)
    console.print(result.to_table())
    tell_results(flags, result, {"report": path}, console)


def run_contest(flags: BenchSettings, device: torch.device, console: Console) -> None:
    """All architectures under one protocol."""
    require_matplotlib()  # a missing library is told before the work, not after it
    folder = choose_folder(flags, "architectures")
    result = compete(enter_contest(flags, device), folder, console)
    files = save_standings(result, describe_machine(device), folder)
    console.print(result.to_table())
    tell_results(flags, result, files, console)


def convert_pairs(flags: BenchSettings, device: torch.device, console: Console) -> None:
    """All conversions under one protocol."""
    require_matplotlib()  # as above
    folder = choose_folder(flags, "distill")
    result = convert_all(pair_up(flags, enter_contest(flags, device), folder), folder, console)
    files = save_matrix(result, describe_machine(device), folder)
    console.print(result.to_table(), result.bests_table())
    tell_results(flags, result, files, console)


def run_ablation(flags: BenchSettings, device: torch.device, console: Console) -> None:
    """One conversion in several variants."""
    folder = choose_folder(flags, "distill")
    path, given = folder / "ablation.json", enter_contest(flags, device)
    match = pair_up(flags, replace(given, only=flags.only[:2] or ablation.PAIR), folder)
    result = ablation.ablate(match, path, console)
    write_json(path, result.to_record() | {"machine": describe_machine(device).to_record()})
    console.print(result.to_table())
    tell_results(flags, result, {"table": path}, console)


def choose_folder(flags: BenchSettings, name: str) -> Path:
    """Where a contest or a matrix is kept. ValueError where that is a file."""
    folder = flags.out or Path("runs") / name
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; with --{name}, --out wants a folder")
    return folder


def enter_contest(flags: BenchSettings, device: torch.device) -> Contest:
    """Who takes part and for how long."""
    return Contest(flags.data, flags.seconds, flags.downscale, device.type, name_preset(flags, device), flags.only)


def pair_up(flags: BenchSettings, given: Contest, folder: Path) -> Match:
    """Who is converted into whom."""
    trained = flags.teachers is not None or flags.resume
    return Match(given, flags.convert_seconds, flags.teachers or folder / "teachers", trained, flags.resume)


def tell_results(flags: BenchSettings, result: Recorded, files: dict[str, Path], console: Console) -> None:
    """Where it lies; and the result for programs."""
    lines = "\n".join(f"{name} {path}" for name, path in files.items())
    console.print(lines, highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(result.to_record()) + "\n")
