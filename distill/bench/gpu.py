"""What the report on a GPU measures, part by part, and how much of it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import fields
from distill.bench.curve import Course, LearningCurve, follow
from distill.bench.field import time_field
from distill.bench.ops import Bench, OpTime, list_ops
from distill.bench.peers import Comparison, compare_engines
from distill.bench.run import FrameTimes, StepTimes, Trial, begin_trial, read_pictures, time_frames, time_steps
from distill.bench.timing import forget_peak, measure_copy, read_peak, synchronise
from distill.learning.fit import Schedule
from distill.learning.run import Run
from distill.photographs.settings import PRESET
from fields.programs import program
from render.command import one_line
from render.metrics import psnr
from scenes.scene import Scene

TESTS = Path(__file__).parents[2] / "tests"


@dataclass(frozen=True)
class GpuPlan:
    """What is measured, how large and how often."""

    data: str = "builtin"
    architecture: str = "hashgrid"
    downscale: int = 1
    preset: str = "auto"
    device: str = "cuda"
    points: int = 1 << 20  # of ops and of whole fields
    repeats: int = 20  # of every measurement
    steps: int = 900  # of the training whose steps are timed
    curve_steps: int = 20_000
    views: int = 25
    scores: int = 40  # on the way
    lesson: str = "builtin:128"  # pictures that every architecture learns, to be compared between CPU and GPU
    lesson_batch: int = 1 << 15  # samples of a step
    lessons: int = 300  # steps of those fields

    def trial(self, steps: int) -> Trial:
        """A run on the data."""
        return Trial(self.data, self.architecture, self.preset, steps, self.downscale)


@dataclass(frozen=True)
class CheckedKernels:
    """What pytest found."""

    passed: int
    failed: int
    status: int  # that it ended with
    failures: tuple[str, ...]  # its lines on the first of them

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def check_kernels(plan: GpuPlan, device: torch.device) -> CheckedKernels:
    """Every kernel against its float64 reference, by its tests, in parallel where pytest-xdist is installed."""
    return run_tests(plan, [])


def check_memory(plan: GpuPlan, device: torch.device) -> CheckedKernels:
    """The kernels' tests under NVIDIA's memory checker. Slow: only where it is asked for by name."""
    return run_tests(plan, ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9"])


def run_tests(plan: GpuPlan, before: list[str]) -> CheckedKernels:
    """How many of the kernels' tests pass. ValueError where there are none to run."""
    if not TESTS.is_dir() or importlib.util.find_spec("pytest") is None:
        raise ValueError(f"{TESTS}: the kernels' tests come with the repository and want pytest")
    parallel = [] if before or importlib.util.find_spec("xdist") is None else ["-n", "8"]
    options = ["-q", "-p", "no:cacheprovider", "--device", plan.device, *parallel]
    command = [*before, sys.executable, "-m", "pytest", *options]
    files = sorted(str(path) for pattern in ("test_*_cuda.py", "test_fused*.py") for path in TESTS.rglob(pattern))
    done = subprocess.run([*command, *files], cwd=TESTS.parent, capture_output=True, text=True, check=False)
    return count_tests(done.stdout, done.returncode, done.stderr)


def count_tests(printed: str, status: int, told: str) -> CheckedKernels:
    """pytest's last lines as numbers. ValueError where it did not get so far."""
    end = printed.splitlines()[-1] if printed else ""
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", end)}
    if "passed" not in counts and "failed" not in counts:
        raise ValueError(f"pytest ended with {status}: {last_line(told or printed)}")
    failures = [line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR"))]
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return CheckedKernels(counts.get("passed", 0), failed, status, tuple(failures[:20]))


@dataclass(frozen=True)
class FirstSteps:
    """Of a process."""

    pictures_seconds: float  # to read them
    steps_seconds: float

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ColdStart:
    """From the start of a process to its 20th step."""

    seconds: float
    within: FirstSteps

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"seconds": self.seconds} | self.within.to_record()


def start_cold(plan: GpuPlan, device: torch.device) -> ColdStart:
    """A process of its own, pictures read and kernels compiled anew."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        done = subprocess.run(
            program("distill.bench.gpu_report", "first_steps", json.dumps(asdict(plan))),
            env=os.environ | {"TRITON_CACHE_DIR": folder}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        spent = time.perf_counter() - begin
    if done.returncode:
        raise ValueError(last_line(done.stderr))
    return ColdStart(round(spent, 2), FirstSteps(**json.loads(done.stdout.splitlines()[-1])))


def take_first_steps(plan: GpuPlan, device: torch.device) -> FirstSteps:
    """What `start_cold` runs."""
    begin, trial = time.perf_counter(), plan.trial(20)
    scene = read_pictures(trial)
    pictures = time.perf_counter() - begin
    run_trial(trial, scene, device)
    synchronise(device)
    return FirstSteps(round(pictures, 2), round(time.perf_counter() - begin - pictures, 2))


def run_trial(trial: Trial, scene: Scene, device: torch.device) -> Run:
    """All of a trial's steps."""
    training = begin_trial(trial, scene, device)
    for _ in training.steps(Schedule(trial.steps)):
        pass
    return training


@dataclass(frozen=True)
class OpFailure:
    """An op that could not be measured."""

    name: str
    reason: str

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"op": self.name, "error": self.reason}


@dataclass(frozen=True)
class OpRows:
    """Every op without its reference."""

    copy: float  # bytes per second, see Bench
    rows: tuple[OpTime | OpFailure, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"copy_gigabytes_per_second": round(self.copy / 1e9, 1), "rows": [row.to_record() for row in self.rows]}


def time_each_op(plan: GpuPlan, device: torch.device) -> OpRows:
    """One that fails is told in its row."""
    bench, rows = make_bench(plan, device), list[OpTime | OpFailure]()
    for name, take in list_ops(plan.points, bench, torch.Generator().manual_seed(0)):
        try:
            rows += take()
        except Exception as error:
            rows.append(OpFailure(name, one_line(error)))
    return OpRows(bench.copy, tuple(rows))


def make_bench(plan: GpuPlan, device: torch.device) -> Bench:
    """How ops and fields are measured here: without their references."""
    return Bench(device, plan.repeats, measure_copy(plan.repeats, device), compare=False)


@dataclass(frozen=True)
class FieldTimes:
    """Density, radiance and gradients of a whole field."""

    layouts: dict[str, list[OpTime]]  # by how points lie, see POINT_LAYOUTS

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values: all rows, and again the milliseconds by layout and name."""
        record: dict[str, Any] = {"rows": [row.to_record() for rows in self.layouts.values() for row in rows]}
        return record | {layout: {row.name: round(row.ms, 3) for row in rows} for layout, rows in self.layouts.items()}


def time_whole_field(plan: GpuPlan, device: torch.device) -> FieldTimes:
    """At the size that is trained."""
    size = PRESET[device.type] if plan.preset == "auto" else plan.preset
    return FieldTimes(time_field(plan.architecture, size, plan.points, make_bench(plan, device)))


def time_training(plan: GpuPlan, device: torch.device) -> StepTimes:
    """Training steps."""
    trial = plan.trial(plan.steps)
    return time_steps(begin_trial(trial, read_pictures(trial), device))


@dataclass(frozen=True)
class CurveAndFrames:
    """A whole run, then frames of its field."""

    curve: LearningCurve
    peak_mebibytes: int  # that training took
    frames: FrameTimes

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        more = {"peak_mebibytes": self.peak_mebibytes, "frames": self.frames.to_record()}
        return self.curve.to_record() | more


def follow_course(plan: GpuPlan, device: torch.device) -> CurveAndFrames:
    """Time to dB, with the kernels loaded beforehand; then frames of that field, and the memory that training took."""
    trial = plan.trial(plan.curve_steps)
    scene = read_pictures(trial)
    run_trial(replace(trial, steps=60), scene, device)
    training = begin_trial(trial, scene, device)
    forget_peak(device)
    curve = follow(training, scene, Course(Schedule(trial.steps), plan.views, plan.scores))
    return CurveAndFrames(curve, round(read_peak(device) / 2**20), time_frames(training, plan.repeats))


@dataclass(frozen=True)
class Agreement:
    """Of pictures drawn on the device and on the CPU."""

    found: dict[str, float | str]  # by architecture: dB, or in one line why there is none

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values; `worst` only where every architecture has its dB."""
        numbers = [value for value in self.found.values() if not isinstance(value, str)]
        worst = {"worst": min(numbers)} if numbers and len(numbers) == len(fields.NAMES) else {}
        return self.found | worst


def compare_processors(plan: GpuPlan, device: torch.device) -> Agreement:
    """For every architecture: a field that learnt on the device, drawn there and on the CPU."""
    scene, found = read_pictures(Trial(plan.lesson, "", "", 0)), dict[str, float | str]()
    for name in fields.NAMES:
        try:
            trial = Trial(plan.lesson, name, "tiny", plan.lessons, batch=plan.lesson_batch)
            found[name] = compare_drawings(trial, scene, device)
        except Exception as error:
            found[name] = one_line(error)
    return Agreement(found)


def compare_drawings(trial: Trial, scene: Scene, device: torch.device) -> float:
    """Of one architecture, in dB."""
    run = run_trial(trial, scene, device)
    camera = (scene.test or scene.train)[0].camera
    there = run.image(camera).pixels.rgb.cpu().clamp(0, 1)
    cpu = torch.device("cpu")
    here = run.renderer.image(run.field.to(cpu), run.source.grid.to(cpu), camera).pixels.rgb.clamp(0, 1)
    return round(min(psnr(there, here), 99.0), 2)


def compare_with_peer(plan: GpuPlan, device: torch.device) -> Comparison:
    """tinycudann and nerfacc in the same run, where they are installed."""
    return compare_engines(plan.trial(plan.steps), device, plan.repeats, plan.points)


def last_line(text: str) -> str:
    """Of what a process told, at most 300 letters."""
    return (text.strip().splitlines() or [""])[-1][:300]
