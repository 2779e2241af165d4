"""How fast each op is on its own: its kernel against its PyTorch reference, on the same inputs in the same run."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import torch
from rich.table import Table
from torch import Tensor

from fields.kernels import grid, modulate, planes, rbf, voxels, wendland
from render.kernels import composite, march
from render.occupancy import pack
from render.precision import precision


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


def ops(points: int, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Every op against its reference, forward and backward, on the same inputs."""
    generator = torch.Generator().manual_seed(0)
    rows = grid_rows(points, repeats, device, generator)
    for make in (plane_problem, voxel_problem, rbf_problem, wendland_problem, modulate_problem):
        rows += both(make(points, generator), repeats, device)
    return [*rows, *render_rows(repeats, device, generator)]


@dataclass(frozen=True)
class Problem:
    """An op, its reference, and what to give them."""

    name: str
    size: str
    op: Callable[..., Tensor]
    plain: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    learnt: tuple[int, ...]  # which inputs get gradients


def both(problem: Problem, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Two rows: an op alone, and with its gradients. Not the backward pass alone: a kernel may work out again what the
    reference keeps from its forward pass, and the two would then be asked for different work."""
    inputs = tuple(value.to(device) for value in problem.inputs)
    leaves = [value.clone().requires_grad_(n in problem.learnt) for n, value in enumerate(inputs)]
    wanted = [leaves[n] for n in problem.learnt]
    push = torch.ones_like(problem.op(*inputs))

    def learn(op: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(op(*leaves), wanted, push)

    name, size, op, plain = problem.name, problem.size, problem.op, problem.plain
    return [
        against(name, size, lambda: op(*inputs), lambda: plain(*inputs), repeats),
        against(f"{name} with gradients", size, lambda: learn(op), lambda: learn(plain), repeats),
    ]


def plane_problem(points: int, generator: torch.Generator) -> Problem:
    """Three planes at three scales of 16 channels, as triplane's small preset reads them."""
    plan = planes.layout([[(a, b, size, size) for a, b in planes.SPACE] for size in (64, 128, 256)])
    x, table = (torch.rand(n, c, generator=generator) for n, c in ((points, 3), (plan.rows, 16)))
    size = f"{points} points x 9 planes x 16 channels"
    inputs = (x, table, plan.factors, plan.groups)
    return Problem("planes", size, planes.planes, planes.reference, inputs, (1,))


def voxel_problem(points: int, generator: torch.Generator) -> Problem:
    """A grid of 128^3 vertices of which the ball in its middle is kept, degree 2."""
    side = (torch.arange(128) + 0.5) / 128 - 0.5
    kept = side[:, None, None] ** 2 + side[:, None] ** 2 + side**2 < 0.3**2
    index = torch.where(kept, kept.flatten().cumsum(0).view_as(kept) - 1, -1).int()
    rows = int(kept.sum())
    x, density, coefficients = (torch.rand(*s, generator=generator) for s in ((points, 3), (rows,), (rows, 27)))
    size = f"{points} points, {rows} vertices of 128^3, degree 2"
    inputs = (x, density, coefficients, index)
    return Problem("voxels", size, voxels.voxels, voxels.reference, inputs, (1, 2))


def rbf_problem(points: int, generator: torch.Generator) -> Problem:
    """64 Gaussian neurons over 32 features; fewer points, since the reference holds all pairs."""
    points = points // 8 + 1
    shapes = ((points, 32), (64, 32), (64, 32))
    inputs = tuple(torch.randn(*shape, generator=generator) * 0.3 for shape in shapes)
    return Problem("rbf", f"{points} points x 32 features, 64 neurons", rbf.rbf, rbf.reference, inputs, (0, 1, 2))


def wendland_problem(points: int, generator: torch.Generator) -> Problem:
    """2^13 kernels all over the box, 16 coefficients each."""
    count = 1 << 13
    x, rows, centres = (torch.rand(n, c, generator=generator) for n, c in ((points, 3), (count, 16), (count, 3)))
    side = count ** (1 / 3) / 1.25
    shapes = torch.tensor([side, 0, 0, side, 0, side]).repeat(count, 1)
    waves, cells = torch.logspace(0, 3, 16, 2), wendland.cell_lists(centres, shapes)
    inputs = (x, rows, centres, shapes, waves, cells.starts, cells.members)
    size = f"{points} points, {count} kernels x 16"
    return Problem("wendland", size, wendland.wendland, wendland.reference, inputs, (1,))


def modulate_problem(points: int, generator: torch.Generator) -> Problem:
    """Rows of 128 channels."""
    inputs = tuple(torch.randn(*shape, generator=generator) for shape in ((points, 128), (points,), (points,)))
    size = f"{points} points x 128 channels"
    return Problem("modulate", size, modulate.modulate, modulate.reference, inputs, (0, 1, 2))


def grid_rows(points: int, repeats: int, device: torch.device, generator: torch.Generator) -> list[dict[str, Any]]:
    """Grid encode of random points at 16 levels, 2 features, T = 2^19."""
    plan = grid.layout(3, levels=16, table_bits=19, coarsest=16, finest=2048)
    places: Any = tuple(p.to(device) for p in (plan.scales, plan.vertices, plan.offsets))
    table = torch.rand(int(plan.offsets[-1]), 2, generator=generator).to(device)
    x = torch.rand(points, 3, generator=generator).to(device)
    push = torch.rand(points, 32, generator=generator).to(device)
    leaf = table.clone().requires_grad_()
    value = grid.reference(x, leaf, *places)
    size = f"{points} points x 16 levels, T = 2^19"
    return [
        against(
            "grid encode", size, lambda: grid.grid_encode(x, table, *places),
            lambda: grid.reference(x, table, *places), repeats,
        ),
        against(
            "grid encode backward", size, lambda: grid.table_grad(push, x, *places, *table.shape),
            lambda: torch.autograd.grad(value, leaf, push, retain_graph=True), repeats,
        ),
    ]  # fmt: skip


def render_rows(repeats: int, device: torch.device, generator: torch.Generator) -> list[dict[str, Any]]:
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
    counts, _ = march.march_count(*scene, 1 << 30)
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
        found = torch.nn.functional.pad(march.march_count(*scene, 1 << 30)[0].cumsum(0), (1, 0))
        return fill(*scene, found, int(found[-1]))

    def gradient(output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output[0], leaves, push, retain_graph=True)

    size = f"{rays} rays, {total} samples"
    return [
        against("march", size, samples, lambda: every(*scene, 1 << 30)[0], repeats),
        against(
            "composite", size, lambda: compose(sigma, rgb, t, dt, offsets),
            lambda: plain(sigma, rgb, t, dt, offsets), repeats,
        ),
        against(
            "composite backward", size, lambda: gradient(outputs[0]), lambda: gradient(outputs[1]), repeats
        ),
    ]  # fmt: skip


def op_table(rows: list[dict[str, Any]]) -> Table:
    """For a person."""
    table = Table("op", "size", "ms", "PyTorch reference ms", "times faster", title="ops")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("op", "size", "median_ms", "reference_ms", "ratio")))
    return table
