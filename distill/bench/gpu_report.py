"""The report on a GPU: one command checks every kernel, times everything, and tells what was asked for and reached.

Every part runs in a process of its own, with a limit on its time, so that a kernel that breaks the device or hangs
costs only its part; results are kept as they come.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from distill.bench import gpu
from distill.bench.gpu import GpuPlan, last_line
from distill.bench.results import Recorded
from distill.bench.timing import Machine, describe_machine
from fields.files import write_json
from fields.programs import program
from render.command import one_line


@dataclass(frozen=True)
class Target:
    """A figure that is asked for, and where its measurement lies."""

    what: str
    limit: float
    unit: str
    place: tuple[str, ...]  # section, then keys
    least: bool = False  # the limit is the least that will do, not the most


FIGURES = (
    Target("kernel tests that fail", 0, "", ("kernels", "failed")),
    Target("training step, 2^18 samples", 1.5, "ms", ("training", "mean_ms")),
    Target("time to 33.3 dB", 5, "s", ("curve", "seconds_to_db", "33.3")),
    Target("cold start, first 20 steps included", 20, "s", ("cold", "seconds")),
    Target("20 000 steps", 35, "s", ("curve", "seconds")),
    Target("20 000 steps", 36.0, "dB", ("curve", "psnr"), True),
    Target("frame 800 x 800", 2, "ms", ("curve", "frames", "800x800_ms")),
    Target("encode + network, 2^20 random points, forward", 0.45, "ms", ("fields", "random", "density")),
    Target("the same along rays", 0.45, "ms", ("fields", "along rays", "density")),
    Target("forward + backward, random, colour included", 2.0, "ms", ("fields", "random", "radiance with gradients")),
    Target("the same along rays", 2.0, "ms", ("fields", "along rays", "radiance with gradients")),
    Target("peak memory of training", 1024, "MiB", ("curve", "peak_mebibytes")),
    Target("CPU and GPU pictures agree, worst architecture", 45, "dB", ("agreement", "worst"), True),
)


Section = Callable[[GpuPlan, torch.device], Recorded]
GPU_PARTS: dict[str, tuple[Section, int]] = {  # by name: what it does, seconds at most
    "kernels": (gpu.check_kernels, 240),
    "cold": (gpu.start_cold, 60),
    "ops": (gpu.time_each_op, 60),
    "fields": (gpu.time_whole_field, 60),
    "training": (gpu.time_training, 60),
    "curve": (gpu.follow_course, 180),
    "agreement": (gpu.compare_processors, 150),
    "peers": (gpu.compare_with_peer, 120),
    "sanitizer": (gpu.check_memory, 1800),
}
ASIDE = ("sanitizer",)  # only where it is named


@dataclass(frozen=True)
class GpuReport:
    """The parts that were measured, as their processes printed them."""

    plan: GpuPlan
    machine: Machine
    parts: dict[str, dict[str, Any]]  # by name: a part's JSON, or its `error`

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"plan": asdict(self.plan), "machine": self.machine.to_record(), **self.parts}

    def find(self, place: tuple[str, ...]) -> float | None:
        """The figure at a place; None where it was not measured or not reached."""
        value: Any = self.parts
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def show(self, figure: Target) -> str:
        """The figure for a person."""
        value = self.find(figure.place)
        if value is not None:
            return f"{value:g} {figure.unit}"
        part = self.parts.get(figure.place[0], {"error": ""})
        return "not measured" if "error" in part else "not reached"

    def meets(self, figure: Target) -> bool:
        """Whether it is as was asked."""
        value = self.find(figure.place)
        return value is not None and (value >= figure.limit if figure.least else value <= figure.limit)

    def to_table(self) -> Table:
        """Target and reached."""
        plan = self.plan
        shown = Table("figure", "asked", "reached", "", title=f"{plan.architecture} on {self.machine.device}")
        for figure in FIGURES:
            asked = f"{'at least' if figure.least else 'at most'} {figure.limit:g} {figure.unit}"
            shown.add_row(figure.what, asked, self.show(figure), "yes" if self.meets(figure) else "no")
        for name, part in self.parts.items():
            if "error" in part:
                shown.add_row(name, "", part["error"], "failed")
        told = self.parts.get("curve", {}).get("scored_on", "")
        shown.caption = f"{plan.data}; {told}" if told else plan.data
        return shown


def report_gpu(plan: GpuPlan, only: tuple[str, ...], path: Path, console: Console) -> GpuReport:
    """All parts or the named ones, kept in `path` after each. ValueError for a name that is none."""
    chosen = choose_parts(only)
    result = GpuReport(plan, describe_machine(torch.device(plan.device)), {})
    for name in chosen:
        begin = time.perf_counter()
        console.print(f"{name} ...", end=" ")
        part = run_part(name, plan)
        result = replace(result, parts=result.parts | {name: part})
        spent = time.perf_counter() - begin
        console.print(f"{spent:.0f} s  {part.get('error', '')}", highlight=False, markup=False)
        write_json(path, result.to_record())
    return result


def choose_parts(only: tuple[str, ...]) -> list[str]:
    """Names of sections. ValueError where there is no such one."""
    for name in only:
        if name not in GPU_PARTS:
            raise ValueError(f"--gpu-report has no part {name!r} (there are: {', '.join(GPU_PARTS)})")
    return list(only) or [name for name in GPU_PARTS if name not in ASIDE]


def run_part(name: str, plan: GpuPlan) -> dict[str, Any]:
    """One part in a process of its own: what it found, or `error` in one line."""
    limit = GPU_PARTS[name][1]
    try:
        done = start_process(name, plan, limit)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {limit} s"}
    if done.returncode:
        return {"error": last_line(done.stderr) or f"ended with {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def start_process(name: str, plan: GpuPlan, limit: float) -> subprocess.CompletedProcess[str]:
    """`main` in a process, at most `limit` seconds long."""
    words = program("distill.bench.gpu_report", name, json.dumps(asdict(plan)))
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=limit)


def main() -> None:
    """One section, for `run_part`: its result as JSON in the last line; or the reason in one line, and status 1."""
    name, plan = sys.argv[1], GpuPlan(**json.loads(sys.argv[2]))
    section = gpu.take_first_steps if name == "first_steps" else GPU_PARTS[name][0]
    try:
        result = json.dumps(section(plan, torch.device(plan.device)).to_record(), allow_nan=False)
    except Exception as error:
        if os.environ.get("POLYFIELD_TRACEBACK") == "1":
            raise
        sys.stderr.write(f"{type(error).__name__}: {one_line(error)}\n")
        sys.exit(1)
    sys.stdout.write(f"\n{result}\n")


if __name__ == "__main__":
    main()
