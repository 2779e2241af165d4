"""`bench-scene`: how fast ops, a training step and frames are, as ratios to plain PyTorch taken in the same run."""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numba
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from distill import bench_architectures
from distill.bench_architectures import Contest, compete
from distill.fit import Schedule, fit
from distill.train_scene import BATCH, PRESET, STRIDE
from distill.training import Recipe, Training
from fields.files import write_beside
from fields.kernels import grid
from render.command import pick_device, run
from render.kernels import composite, march
from render.occupancy import pack
from render.precision import precision
from scenes.scene import ReadOptions, load


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
    """of grid encode"""
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
        result["ops"] = ops(flags, device)
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


def machine(device: torch.device) -> dict[str, Any]:
    """What the numbers were taken on."""
    with precision(device):
        half = torch.is_autocast_enabled(device.type)
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "bf16": half,
        "torch": torch.__version__,
        "numba": numba.__version__,
    }


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call in milliseconds, after one that is not counted; synchronised on CUDA."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:]) * 1e3


def against(name: str, size: str, kernel: Callable[[], object], plain: Callable[[], object], repeats: int) -> dict:
    """One row: the kernel, the reference, and how many times faster the kernel is."""
    mine = median_ms(kernel, repeats)
    theirs = median_ms(plain, 3)
    row = {"op": name, "size": size, "median_ms": round(mine, 3), "reference_ms": round(theirs, 2)}
    return row | {"ratio": round(theirs / mine, 1)}


def ops(flags: Flags, device: torch.device) -> list[dict[str, Any]]:
    """Every op against its reference, forward and backward, on the same inputs."""
    generator = torch.Generator().manual_seed(0)
    return [*grid_rows(flags, device, generator), *render_rows(flags, device, generator)]


def grid_rows(flags: Flags, device: torch.device, generator: torch.Generator) -> list[dict[str, Any]]:
    """Grid encode of random points at 16 levels, 2 features, T = 2^19."""
    plan = grid.layout(3, levels=16, table_bits=19, coarsest=16, finest=2048)
    places: Any = tuple(p.to(device) for p in (plan.scales, plan.vertices, plan.offsets))
    table = torch.rand(int(plan.offsets[-1]), 2, generator=generator).to(device)
    x = torch.rand(flags.points, 3, generator=generator).to(device)
    push = torch.rand(flags.points, 32, generator=generator).to(device)
    leaf = table.clone().requires_grad_()
    value = grid.reference(x, leaf, *places)
    size = f"{flags.points} points x 16 levels, T = 2^19"
    return [
        against(
            "grid encode", size, lambda: grid.grid_encode(x, table, *places),
            lambda: grid.reference(x, table, *places), flags.repeats,
        ),
        against(
            "grid encode backward", size, lambda: grid.table_grad(push, x, *places, *table.shape),
            lambda: torch.autograd.grad(value, leaf, push, retain_graph=True), flags.repeats,
        ),
    ]  # fmt: skip


def render_rows(flags: Flags, device: torch.device, generator: torch.Generator) -> list[dict[str, Any]]:
    """March through a ball of occupied cells, composite what it gave."""
    rays, resolution, step = 4096, 128, 3**0.5 / 1024
    cell = (torch.arange(resolution) + 0.5) / resolution - 0.5
    ball = cell[:, None, None] ** 2 + cell[:, None] ** 2 + cell**2 < 0.3**2
    origins = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=-1) * 1.5 + 0.5
    target = 0.5 + (torch.rand(rays, 3, generator=generator) - 0.5) * 0.7
    box = torch.tensor([[0.0] * 3, [1.0] * 3])
    zeros = torch.zeros(rays)
    inputs = (
        origins,
        torch.nn.functional.normalize(target - origins, dim=-1),
        zeros,
        zeros,
        pack(ball.view(1, -1)),
        box,
    )
    scene: Any = (*(i.to(device) for i in inputs), resolution, step, 0.0)
    counts = march.march_count(*scene, 1 << 30)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    total = int(offsets[-1])
    fill: Any = march.march_fill
    every: Any = march.candidates
    compose: Any = composite.composite
    plain: Any = composite.reference
    _, t, dt = fill(*scene, offsets, total)
    sigma = torch.rand(total, generator=generator).to(device) * 40
    rgb = torch.rand(total, 3, generator=generator).to(device)
    leaves = [sigma.clone().requires_grad_(), rgb.clone().requires_grad_()]
    outputs = [compose(*leaves, t, dt, offsets), plain(*leaves, t, dt, offsets)]
    push = torch.rand(rays, 3, generator=generator).to(device)

    def samples() -> tuple[Tensor, ...]:
        found = torch.nn.functional.pad(march.march_count(*scene, 1 << 30).cumsum(0), (1, 0))
        return fill(*scene, found, int(found[-1]))

    def gradient(output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output[0], leaves, push, retain_graph=True)

    size = f"{rays} rays, {total} samples"
    return [
        against("march", size, samples, lambda: every(*scene, 1 << 30)[0], flags.repeats),
        against(
            "composite", size, lambda: compose(sigma, rgb, t, dt, offsets),
            lambda: plain(sigma, rgb, t, dt, offsets), flags.repeats,
        ),
        against(
            "composite backward", size, lambda: gradient(outputs[0]), lambda: gradient(outputs[1]), flags.repeats
        ),
    ]  # fmt: skip


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
    """Frames of the first test view at 200, 400 and 800 pixels."""
    scene = training.scene
    camera = (scene.test or scene.train)[0].camera
    result: dict[str, Any] = {}
    for side in (200, 400, 800):
        factor = side / max(camera.size)
        resized = camera.resized(*(max(1, round(n * factor)) for n in camera.size))
        drawn = training.renderer.image(training.field, training.loss.grid, resized)
        spent = median_ms(
            lambda view=resized: training.renderer.image(training.field, training.loss.grid, view), max(3, repeats // 2)
        )
        result[f"{side}_ms"] = round(spent, 1)
        result[f"{side}_samples_per_second"] = round(drawn.samples / spent * 1e3)
    return result


def op_table(rows: list[dict[str, Any]]) -> Table:
    """For a person."""
    table = Table("op", "size", "ms", "PyTorch reference ms", "times faster", title="ops")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("op", "size", "median_ms", "reference_ms", "ratio")))
    return table


def pairs(title: str, values: dict[str, Any]) -> Table:
    """For a person."""
    table = Table(title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    return table


if __name__ == "__main__":
    main()
