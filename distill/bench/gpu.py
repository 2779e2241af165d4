"""The report on a GPU: one command checks every kernel, times everything, and tells what was asked for and reached.

Every part runs in a process of its own, with a limit on its time, so that a kernel that breaks the device or hangs
costs only its part; results are kept as they come.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import fields
from distill.bench import peers as bench_peers
from distill.bench.architectures import write_record
from distill.bench.curve import Course, curve
from distill.bench.field import field_rows
from distill.bench.ops import Bench, makers
from distill.bench.run import Wish, begun, frames, read, train_steps
from distill.bench.timing import copy_bandwidth, forget_peak, machine, peak_bytes, synchronise
from distill.learning.fit import Schedule, fit
from render.command import one_line
from render.metrics import psnr

TESTS = Path(__file__).parents[2] / "tests"


@dataclass(frozen=True)
class Plan:
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

    def wish(self, steps: int) -> Wish:
        """A run on the data."""
        return Wish(self.data, self.architecture, self.preset, steps, self.downscale)


@dataclass(frozen=True)
class Asked:
    """A figure, and where its measurement lies."""

    what: str
    limit: float
    unit: str
    place: tuple[str, ...]  # section, then keys
    least: bool = False  # the limit is the least that will do, not the most


FIGURES = (
    Asked("kernel tests that fail", 0, "", ("kernels", "failed")),
    Asked("training step, 2^18 samples", 1.5, "ms", ("training", "mean_ms")),
    Asked("time to 33.3 dB", 5, "s", ("curve", "seconds_to_db", "33.3")),
    Asked("cold start, first 20 steps included", 20, "s", ("cold", "seconds")),
    Asked("20 000 steps", 35, "s", ("curve", "seconds")),
    Asked("20 000 steps", 36.0, "dB", ("curve", "psnr"), True),
    Asked("frame 800 x 800", 2, "ms", ("curve", "frames", "800x800_ms")),
    Asked("encode + network, 2^20 random points, forward", 0.45, "ms", ("fields", "random", "density")),
    Asked("the same along rays", 0.45, "ms", ("fields", "along rays", "density")),
    Asked("forward + backward, random, colour included", 2.0, "ms", ("fields", "random", "radiance with gradients")),
    Asked("the same along rays", 2.0, "ms", ("fields", "along rays", "radiance with gradients")),
    Asked("peak memory of training", 1024, "MiB", ("curve", "peak_mebibytes")),
    Asked("CPU and GPU pictures agree, worst architecture", 45, "dB", ("agreement", "worst"), True),
)


def kernels(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Every kernel against its float64 reference, by its tests, in parallel where pytest-xdist is installed."""
    return tested(plan, [])


def sanitizer(plan: Plan, device: torch.device) -> dict[str, Any]:
    """The kernels' tests under NVIDIA's memory checker. Slow: only where it is asked for by name."""
    return tested(plan, ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9"])


def tested(plan: Plan, before: list[str]) -> dict[str, Any]:
    """How many of the kernels' tests pass. ValueError where there are none to run."""
    if not TESTS.is_dir() or importlib.util.find_spec("pytest") is None:
        raise ValueError(f"{TESTS}: the kernels' tests come with the repository and want pytest")
    parallel = [] if before or importlib.util.find_spec("xdist") is None else ["-n", "8"]
    command = [
        *before,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--device",
        plan.device,
        *parallel,
    ]
    files = sorted(str(path) for pattern in ("test_*_cuda.py", "test_fused*.py") for path in TESTS.rglob(pattern))
    done = subprocess.run([*command, *files], cwd=TESTS.parent, capture_output=True, text=True, check=False)
    return counted(done.stdout, done.returncode, done.stderr)


def counted(printed: str, status: int, told: str) -> dict[str, Any]:
    """pytest's last lines as numbers. ValueError where it did not get so far."""
    counts = {
        word: int(n)
        for n, word in re.findall(r"(\d+) (passed|failed|error)", printed.splitlines()[-1] if printed else "")
    }
    if "passed" not in counts and "failed" not in counts:
        raise ValueError(f"pytest ended with {status}: {last_line(told or printed)}")
    failures = [line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR"))]
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return {"passed": counts.get("passed", 0), "failed": failed, "status": status, "failures": failures[:20]}


def cold(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Seconds from the start of a process to its 20th step, pictures read and kernels compiled anew."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "distill.bench.gpu", "first_steps", json.dumps(asdict(plan))]
        begin = time.perf_counter()
        done = subprocess.run(
            command, env=os.environ | {"TRITON_CACHE_DIR": folder}, capture_output=True, text=True, check=False
        )
        spent = time.perf_counter() - begin
    if done.returncode:
        raise ValueError(last_line(done.stderr))
    return {"seconds": round(spent, 2), **json.loads(done.stdout.splitlines()[-1])}


def first_steps(plan: Plan, device: torch.device) -> dict[str, Any]:
    """What `cold` runs."""
    begin = time.perf_counter()
    scene = read(plan.wish(20))
    pictures = time.perf_counter() - begin
    training = begun(plan.wish(20), scene, device)
    for _ in fit(training.run, training.phases(), Schedule(20)):
        pass
    synchronise(device)
    return {"pictures_seconds": round(pictures, 2), "steps_seconds": round(time.perf_counter() - begin - pictures, 2)}


def bench_of(plan: Plan, device: torch.device) -> Bench:
    """How ops and fields are measured here: without their references."""
    return Bench(device, plan.repeats, copy_bandwidth(plan.repeats, device), compare=False)


def ops(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Every op; one that fails is told in its row."""
    bench, rows = bench_of(plan, device), list[dict[str, Any]]()
    for name, make in makers(plan.points, bench, torch.Generator().manual_seed(0)):
        try:
            rows += make()
        except Exception as error:
            rows.append({"op": name, "error": one_line(error)})
    return {"copy_gigabytes_per_second": round(bench.copy / 1e9, 1), "rows": rows}


def whole_fields(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Density, radiance and gradients of whole fields."""
    training = begun(plan.wish(30), read(Wish("builtin:48", plan.architecture, plan.preset, 30)), device)
    rows = field_rows(plan.architecture, training.recipe.preset, plan.points, bench_of(plan, device))
    times = {
        layout: {r["op"]: r["median_ms"] for r in rows if layout in r["size"]} for layout in ("random", "along rays")
    }
    return {"rows": rows, **times}


def training(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Training steps."""
    wish = plan.wish(plan.steps)
    return train_steps(begun(wish, read(wish), device))


def course(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Time to dB, with the kernels loaded beforehand; then frames of that field, and the memory that training took."""
    wish = plan.wish(plan.curve_steps)
    scene = read(wish)
    warm = begun(replace(wish, steps=60), scene, device)
    for _ in fit(warm.run, warm.phases(), Schedule(60)):
        pass
    del warm
    run = begun(wish, scene, device)
    forget_peak(device)
    result = curve(run, Course(Schedule(wish.steps), plan.views, plan.scores))
    result["peak_mebibytes"] = round(peak_bytes(device) / 2**20)
    result["frames"] = frames(run, plan.repeats)
    return result


def agreement(plan: Plan, device: torch.device) -> dict[str, Any]:
    """For every architecture, in dB: a field that learnt on the device, drawn there and on the CPU."""
    scene, result = read(Wish(plan.lesson, "", "", 0)), dict[str, Any]()
    for name in fields.NAMES:
        try:
            result[name] = agreeing(
                Wish(plan.lesson, name, "tiny", plan.lessons, batch=plan.lesson_batch), scene, device
            )
        except Exception as error:
            result[name] = one_line(error)
    numbers = [value for value in result.values() if not isinstance(value, str)]
    return result | ({"worst": min(numbers)} if len(numbers) == len(fields.NAMES) else {})


def agreeing(wish: Wish, scene: Any, device: torch.device) -> float:
    """Of one architecture."""
    run = begun(wish, scene, device)
    for _ in fit(run.run, run.phases(), Schedule(wish.steps)):
        pass
    camera = (scene.test or scene.train)[0].camera
    there = run.renderer.image(run.field, run.loss.grid, camera).pixels.rgb.cpu().clamp(0, 1)
    cpu = torch.device("cpu")
    here = run.renderer.image(run.field.to(cpu), run.loss.grid.to(cpu), camera).pixels.rgb.clamp(0, 1)
    return round(min(psnr(there, here), 99.0), 2)


def peers(plan: Plan, device: torch.device) -> dict[str, Any]:
    """tinycudann and nerfacc in the same run, where they are installed."""
    return bench_peers.against(plan.wish(plan.steps), device, plan.repeats, plan.points)


Section = Callable[[Plan, torch.device], dict[str, Any]]
SECTIONS: dict[str, tuple[Section, int]] = {  # by name: what it does, seconds at most
    "kernels": (kernels, 240),
    "cold": (cold, 60),
    "ops": (ops, 60),
    "fields": (whole_fields, 60),
    "training": (training, 60),
    "curve": (course, 180),
    "agreement": (agreement, 150),
    "peers": (peers, 120),
    "sanitizer": (sanitizer, 1800),
}
ASIDE = ("sanitizer",)  # only where it is named


def report(plan: Plan, only: tuple[str, ...], path: Path, console: Console) -> dict[str, Any]:
    """All parts or the named ones, kept in `path` after each. ValueError for a name that is none."""
    chosen = chosen_parts(only)
    result: dict[str, Any] = {"plan": asdict(plan), "machine": machine(torch.device(plan.device))}
    for name in chosen:
        begin = time.perf_counter()
        console.print(f"{name} ...", end=" ")
        result[name] = apart(name, plan)
        spent = time.perf_counter() - begin
        console.print(f"{spent:.0f} s  {result[name].get('error', '')}", highlight=False, markup=False)
        write_record(result, path)
    return result


def chosen_parts(only: tuple[str, ...]) -> list[str]:
    """Names of sections. ValueError where there is no such one."""
    for name in only:
        if name not in SECTIONS:
            raise ValueError(f"--gpu-report has no part {name!r} (there are: {', '.join(SECTIONS)})")
    return list(only) or [name for name in SECTIONS if name not in ASIDE]


def apart(name: str, plan: Plan) -> dict[str, Any]:
    """One part in a process of its own: what it found, or `error` in one line."""
    limit = SECTIONS[name][1]
    try:
        done = process(name, plan, limit)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {limit} s"}
    if done.returncode:
        return {"error": last_line(done.stderr) or f"ended with {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def process(name: str, plan: Plan, limit: float) -> subprocess.CompletedProcess[str]:
    """`main` in a process, at most `limit` seconds long."""
    command = [sys.executable, "-m", "distill.bench.gpu", name, json.dumps(asdict(plan))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)


def last_line(text: str) -> str:
    """Of what a process told, at most 300 letters."""
    return (text.strip().splitlines() or [""])[-1][:300]


def found(result: dict[str, Any], place: tuple[str, ...]) -> float | None:
    """The figure at a place of the report; none where it was not measured or not reached."""
    value: Any = result
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def table(result: dict[str, Any]) -> Table:
    """Asked and reached."""
    plan = result["plan"]
    shown = Table("figure", "asked", "reached", "", title=f"{plan['architecture']} on {result['machine']['device']}")
    for figure in FIGURES:
        value = found(result, figure.place)
        met = value is not None and (value >= figure.limit if figure.least else value <= figure.limit)
        sign = "at least" if figure.least else "at most"
        reached = "not measured" if value is None else f"{value:g} {figure.unit}"
        if value is None and figure.place[0] in result and "error" not in result[figure.place[0]]:
            reached = "not reached"
        shown.add_row(figure.what, f"{sign} {figure.limit:g} {figure.unit}", reached, "yes" if met else "no")
    for name in SECTIONS:
        if "error" in result.get(name, {}):
            shown.add_row(name, "", result[name]["error"], "failed")
    told = result.get("curve", {}).get("scored_on", "")
    shown.caption = f"{plan['data']}; {told}" if told else plan["data"]
    return shown


def main() -> None:
    """One section, for `apart`: its result as JSON in the last line; or the reason in one line, and status 1."""
    name, plan = sys.argv[1], Plan(**json.loads(sys.argv[2]))
    section = first_steps if name == "first_steps" else SECTIONS[name][0]
    try:
        result = json.dumps(section(plan, torch.device(plan.device)), allow_nan=False)
    except Exception as error:
        if os.environ.get("POLYFIELD_TRACEBACK") == "1":
            raise
        sys.stderr.write(f"{type(error).__name__}: {one_line(error)}\n")
        sys.exit(1)
    sys.stdout.write(f"\n{result}\n")


if __name__ == "__main__":
    main()
