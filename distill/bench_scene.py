"""`bench-scene`: how fast ops, training steps and frames are; how good architectures and their conversions are."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
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
from distill.bench.timing import describe_machine, measure_copy
from distill.learning.fit import Schedule
from distill.learning.run import Run
from distill.photographs.settings import PRESET, STEPS, UNBOUNDED
from fields.files import write_json
from render.command import run
from render.device import pick_device
from scenes.scene import Scene

SCORES = {"cpu": 12, "cuda": 40}  # times that --curve scores the held-out views


@dataclass(frozen=True)
class Flags:
    """Measure. Without anything that says what: --ops, --train and --frames."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """data set, for all but --ops"""
    ops: bool = False
    """each op against its PyTorch reference, and whole fields; bytes a second beside those of a plain copy"""
    train: bool = False
    """whole training steps; on a CPU split into their parts, beside what this machine can do at most"""
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
    against: Literal["", "nvidia", "cpu"] = ""
    """measure peers in the same run: nvidia: tinycudann's networks and nerfacc's marching, where they are installed;
    cpu: OpenSplat and TensoRF, those that are at hand, for each of --durations"""
    durations: tuple[float, ...] = (60.0, 120.0)
    """for --against cpu: seconds of learning that everybody gets, in turn"""
    opensplat: Path | None = None
    """for --against cpu: OpenSplat's program; without it the one on PATH"""
    tensorf: Path | None = None
    """for --against cpu: a checkout of TensoRF"""
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
        if not self.durations or not all(0 < one < math.inf for one in self.durations):
            raise ValueError(f"--durations must be > 0, one or more, found {self.durations}")
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
    run(Flags, run_bench)


def run_bench(flags: Flags) -> None:
    """Measure what was asked for, print a table each, keep all as JSON."""
    flags.check()
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


def measure_parts(flags: Flags, device: torch.device, console: Console) -> None:
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


def take_parts(flags: Flags, device: torch.device, console: Console) -> Iterator[tuple[str, BenchResult]]:
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


def plan_peers(flags: Flags) -> CpuPlan:
    """What peers on the CPU are compared on."""
    size = PRESET["cpu"] if flags.preset == "auto" else flags.preset
    ours = (flags.data, flags.downscale, flags.arch, size)
    return CpuPlan(*ours, flags.durations, flags.opensplat, flags.tensorf)


def begin_run(flags: Flags, steps: int, device: torch.device) -> tuple[Run, Scene]:
    """A run before its first step, with the engine that was asked for, and its pictures."""
    asked = make_trial(flags, steps)
    scene = read_pictures(asked)
    return (peers.begin_peer if flags.engine == "nvidia" else begin_trial)(asked, scene, device), scene


def make_trial(flags: Flags, steps: int) -> Trial:
    """What is trained, for so many steps."""
    return Trial(flags.data, flags.arch, flags.preset, steps, flags.downscale)


def name_preset(flags: Flags, device: torch.device) -> str:
    """The preset."""
    return PRESET[device.type] if flags.preset == "auto" else flags.preset


def make_report(flags: Flags, console: Console) -> None:
    """The report on a GPU, kept part by part. ValueError where there is none."""
    device = pick_device(flags.device)
    if flags.device == "auto" and device.type != "cuda":
        raise ValueError("--gpu-report wants a GPU: PyTorch finds no CUDA device here")
    path = flags.out or Path("runs") / "gpu_report.json"
    plan = GpuPlan(flags.data, flags.arch, flags.downscale, flags.preset, device.type)
    result = report_gpu(plan, flags.only, path, console)
    console.print(result.to_table())
    tell_results(flags, result, {"report": path}, console)


def run_contest(flags: Flags, device: torch.device, console: Console) -> None:
    """All architectures under one protocol."""
    require_matplotlib()  # a missing library is told before the work, not after it
    folder = choose_folder(flags, "architectures")
    result = compete(enter_contest(flags, device), folder, console)
    files = save_standings(result, describe_machine(device), folder)
    console.print(result.to_table())
    tell_results(flags, result, files, console)


def convert_pairs(flags: Flags, device: torch.device, console: Console) -> None:
    """All conversions under one protocol."""
    require_matplotlib()  # as above
    folder = choose_folder(flags, "distill")
    result = convert_all(pair_up(flags, enter_contest(flags, device), folder), folder, console)
    files = save_matrix(result, describe_machine(device), folder)
    console.print(result.to_table(), result.bests_table())
    tell_results(flags, result, files, console)


def run_ablation(flags: Flags, device: torch.device, console: Console) -> None:
    """One conversion in several variants."""
    folder = choose_folder(flags, "distill")
    path, given = folder / "ablation.json", enter_contest(flags, device)
    match = pair_up(flags, replace(given, only=flags.only[:2] or ablation.PAIR), folder)
    result = ablation.ablate(match, path, console)
    write_json(path, result.to_record() | {"machine": describe_machine(device).to_record()})
    console.print(result.to_table())
    tell_results(flags, result, {"table": path}, console)


def choose_folder(flags: Flags, name: str) -> Path:
    """Where a contest or a matrix is kept. ValueError where that is a file."""
    folder = flags.out or Path("runs") / name
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; with --{name}, --out wants a folder")
    return folder


def enter_contest(flags: Flags, device: torch.device) -> Contest:
    """Who takes part and for how long."""
    return Contest(flags.data, flags.seconds, flags.downscale, device.type, name_preset(flags, device), flags.only)


def pair_up(flags: Flags, given: Contest, folder: Path) -> Match:
    """Who is converted into whom."""
    trained = flags.teachers is not None or flags.resume
    return Match(given, flags.convert_seconds, flags.teachers or folder / "teachers", trained, flags.resume)


def tell_results(flags: Flags, result: Recorded, files: dict[str, Path], console: Console) -> None:
    """Where it lies; and the result for programs."""
    lines = "\n".join(f"{name} {path}" for name, path in files.items())
    console.print(lines, highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(result.to_record()) + "\n")


if __name__ == "__main__":
    main()
