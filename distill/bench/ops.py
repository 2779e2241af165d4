"""How fast each op is on its own: its kernel against its PyTorch reference, on the same inputs in the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from distill.bench.results import tabulate
from distill.bench.timing import measure_ms
from fields.kernels import grid, modulate, planes, rbf, voxels, wendland
from render.kernels import composite, march
from render.occupancy import pack

COLUMNS = {  # of a row, with their heading
    "op": "op",
    "size": "size",
    "median_ms": "ms",
    "gigabytes_per_second": "GB/s",
    "share_of_copy": "of copy",
    "teraflops": "TFLOP/s",
    "reference_ms": "PyTorch reference ms",
    "ratio": "times faster",
}


@dataclass(frozen=True)
class Bench:
    """How rows are measured."""

    device: torch.device
    repeats: int  # of every measurement, the median counts
    copy: float  # bytes per second, read and written, of a plain copy on this device in this run
    compare: bool = True  # measure the PyTorch references too


@dataclass(frozen=True)
class Work:
    """An op, what it is compared with, and the least work that it stands for."""

    name: str
    size: str
    kernel: Callable[[], object]
    plain: Callable[[], object]
    moved: int  # bytes that are read or written at least: every input and output once, of tables what is touched
    operations: float = 0  # floating point; 0 where memory alone counts


@dataclass(frozen=True)
class OpTime:
    """How long an op took, what share of the hardware it gets, and how long its reference took."""

    name: str
    size: str
    ms: float  # median
    moved: int  # bytes, see Work
    copy: float  # bytes per second of a plain copy, see Bench
    operations: float  # see Work
    reference_ms: float | None  # None where the reference was not measured

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values; what was not measured is left out."""
        rate = self.moved / self.ms * 1e3
        record = {"op": self.name, "size": self.size, "median_ms": round(self.ms, 3), "bytes": self.moved}
        record |= {"gigabytes_per_second": round(rate / 1e9, 1), "share_of_copy": round(rate / self.copy, 3)}
        if self.operations:
            record["teraflops"] = round(self.operations / self.ms / 1e9, 3)
        if self.reference_ms is None:
            return record
        return record | {"reference_ms": round(self.reference_ms, 2), "ratio": round(self.reference_ms / self.ms, 1)}


@dataclass(frozen=True)
class OpTimes:
    """Ops and whole fields, in one run on one machine."""

    copy: float  # bytes per second, see Bench
    ops: tuple[OpTime, ...]
    fields: tuple[OpTime, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = {"ops": [op.to_record() for op in self.ops], "fields": [field.to_record() for field in self.fields]}
        return {"copy_bytes_per_second": round(self.copy), **rows}

    def to_table(self) -> Table:
        """For a person."""
        columns: dict[str, Callable[[dict[str, Any]], str]] = {
            heading: lambda row, key=key: str(row.get(key, "")) for key, heading in COLUMNS.items()
        }
        columns["of copy"] = lambda row: f"{row['share_of_copy']:.0%}"
        rows = [row.to_record() for row in (*self.ops, *self.fields)]
        return tabulate(
            "ops and whole fields", columns, rows, f"a plain copy moves {self.copy / 1e9:.1f} GB/s, read and written"
        )


def count_bytes(*tensors: Tensor) -> int:
    """That they take."""
    return sum(t.numel() * t.element_size() for t in tensors)


def measure_work(work: Work, bench: Bench) -> OpTime:
    """The kernel's time, and the reference's where the bench compares."""
    spent = measure_ms(work.kernel, bench.repeats, bench.device)
    theirs = measure_ms(work.plain, 3, bench.device) if bench.compare else None
    return OpTime(work.name, work.size, spent, work.moved, bench.copy, work.operations, theirs)


def time_ops(points: int, bench: Bench) -> tuple[OpTime, ...]:
    """Every op, forward and backward, against its reference on the same inputs."""
    return tuple(row for _, take in list_ops(points, bench, torch.Generator().manual_seed(0)) for row in take())


def list_ops(points: int, bench: Bench, generator: torch.Generator) -> list[tuple[str, Callable[[], list[OpTime]]]]:
    """By name, what measures each op."""
    makers = (make_planes, make_voxels, make_rbf, make_wendland, make_modulate)
    named = [(make.__name__.removeprefix("make_"), make) for make in makers]
    return [
        ("grid encode", lambda: time_grid(points, bench, generator)),
        *((name, lambda make=make: time_problem(make(points, generator), bench)) for name, make in named),
        ("march and composite", lambda: time_rendering(bench, generator)),
    ]


@dataclass(frozen=True)
class Problem:
    """An op, its reference, and what to give them."""

    name: str
    size: str
    op: Callable[..., Tensor]
    plain: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    learnt: tuple[int, ...]  # which inputs get gradients
    gathered: int = 0  # bytes that a point reads of the learnt inputs, where they are tables; 0: they are read whole
    operations: float = 0  # of the forward pass, see Entry


def time_problem(problem: Problem, bench: Bench) -> list[OpTime]:
    """Two rows: an op alone, and with its gradients. Not the backward pass alone: a kernel may work out again what the
    reference keeps from its forward pass, and the two would then be asked for different work."""
    inputs = tuple(value.to(bench.device) for value in problem.inputs)
    leaves = [value.clone().requires_grad_(n in problem.learnt) for n, value in enumerate(inputs)]
    wanted = [leaves[n] for n in problem.learnt]
    output = problem.op(*inputs)
    push = torch.ones_like(output)

    def learn(op: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(op(*leaves), wanted, push)

    whole = count_bytes(*wanted)
    read = min(whole, problem.gathered * len(inputs[0])) if problem.gathered else whole
    once = count_bytes(*inputs) - whole + read + count_bytes(output)
    name, size, op, plain = problem.name, problem.size, problem.op, problem.plain
    alone = Work(name, size, lambda: op(*inputs), lambda: plain(*inputs), once, problem.operations)
    full = Work(
        f"{name} with gradients", size, lambda: learn(op), lambda: learn(plain), 2 * once + whole,
        3 * problem.operations,
    )  # fmt: skip
    return [measure_work(alone, bench), measure_work(full, bench)]


def make_planes(points: int, generator: torch.Generator) -> Problem:
    """Three planes at three scales of 16 channels, as triplane's small preset reads them."""
    plan = planes.layout([[(a, b, size, size) for a, b in planes.SPACE] for size in (64, 128, 256)])
    x, table = (torch.rand(n, c, generator=generator) for n, c in ((points, 3), (plan.rows, 16)))
    size = f"{points} points x 9 planes x 16 channels"
    inputs = (x, table, plan.factors, plan.groups)
    return Problem("planes", size, planes.planes, planes.reference, inputs, (1,), gathered=9 * 4 * 16 * 4)


def make_voxels(points: int, generator: torch.Generator) -> Problem:
    """A grid of 128^3 vertices of which the ball in its middle is kept, degree 2."""
    side = (torch.arange(128) + 0.5) / 128 - 0.5
    kept = side[:, None, None] ** 2 + side[:, None] ** 2 + side**2 < 0.3**2
    index = torch.where(kept, kept.flatten().cumsum(0).view_as(kept) - 1, -1).int()
    rows = int(kept.sum())
    x, density, coefficients = (torch.rand(*s, generator=generator) for s in ((points, 3), (rows,), (rows, 27)))
    size = f"{points} points, {rows} vertices of 128^3, degree 2"
    inputs = (x, density, coefficients, index)
    return Problem("voxels", size, voxels.voxels, voxels.reference, inputs, (1, 2), gathered=8 * 28 * 4)


def make_rbf(points: int, generator: torch.Generator) -> Problem:
    """64 Gaussian neurons over 32 features; fewer points, since the reference holds all pairs."""
    points = points // 8 + 1
    shapes = ((points, 32), (64, 32), (64, 32))
    inputs = tuple(torch.randn(*shape, generator=generator) * 0.3 for shape in shapes)
    size, pairs = f"{points} points x 32 features, 64 neurons", points * 64 * 32
    return Problem("rbf", size, rbf.rbf, rbf.reference, inputs, (0, 1, 2), operations=4 * pairs)


def make_wendland(points: int, generator: torch.Generator) -> Problem:
    """2^13 kernels all over the box, 16 coefficients each."""
    count = 1 << 13
    x, rows, centres = (torch.rand(n, c, generator=generator) for n, c in ((points, 3), (count, 16), (count, 3)))
    side = count ** (1 / 3) / 1.25
    shapes = torch.tensor([side, 0, 0, side, 0, side]).repeat(count, 1)
    waves, cells = torch.logspace(0, 3, 16, 2), wendland.cell_lists(centres, shapes)
    inputs = (x, rows, centres, shapes, waves, cells.starts, cells.members)
    size = f"{points} points, {count} kernels x 16"
    return Problem("wendland", size, wendland.wendland, wendland.reference, inputs, (1,))


def make_modulate(points: int, generator: torch.Generator) -> Problem:
    """Rows of 128 channels."""
    inputs = tuple(torch.randn(*shape, generator=generator) for shape in ((points, 128), (points,), (points,)))
    size = f"{points} points x 128 channels"
    return Problem("modulate", size, modulate.modulate, modulate.reference, inputs, (0, 1, 2))


def time_grid(points: int, bench: Bench, generator: torch.Generator) -> list[OpTime]:
    """Grid encode of random points at 16 levels, 2 features, T = 2^19."""
    plan = grid.layout(3, levels=16, table_bits=19, coarsest=16, finest=2048)
    places: Any = tuple(p.to(bench.device) for p in (plan.scales, plan.vertices, plan.offsets))
    table = torch.rand(int(plan.offsets[-1]), 2, generator=generator).to(bench.device)
    x = torch.rand(points, 3, generator=generator).to(bench.device)
    push = torch.rand(points, 32, generator=generator).to(bench.device)
    leaf = table.clone().requires_grad_()
    value = grid.reference(x, leaf, *places) if bench.compare else push
    size, both = f"{points} points x 16 levels, T = 2^19", count_bytes(x, push)
    touched = min(count_bytes(table), points * 16 * 8 * 2 * 4)
    encode = Work(
        "grid encode", size, lambda: grid.grid_encode(x, table, *places),
        lambda: grid.reference(x, table, *places), both + touched,
    )  # fmt: skip
    backward = Work(
        "grid encode backward", size, lambda: grid.table_grad(push, x, *places, *table.shape),
        lambda: torch.autograd.grad(value, leaf, push, retain_graph=True), both + count_bytes(table) + touched,
    )  # fmt: skip
    return [measure_work(encode, bench), measure_work(backward, bench)]


def make_rays(rays: int, resolution: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Rays from all around, most of them through a ball of occupied cells in the unit box: what `march` takes before
    its numbers."""
    cell = (torch.arange(resolution) + 0.5) / resolution - 0.5
    ball = cell[:, None, None] ** 2 + cell[:, None] ** 2 + cell**2 < 0.3**2
    origins = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=-1) * 1.5 + 0.5
    target = 0.5 + (torch.rand(rays, 3, generator=generator) - 0.5) * 0.7
    directions = torch.nn.functional.normalize(target - origins, dim=-1)
    box, zeros = torch.tensor([[0.0] * 3, [1.0] * 3]), torch.zeros(rays)
    return origins, directions, zeros, zeros, pack(ball.view(1, -1)), box


def time_rendering(bench: Bench, generator: torch.Generator) -> list[OpTime]:
    """March through a ball of occupied cells, composite what it gave."""
    rays, resolution, step, device = 4096, 128, 3**0.5 / 1024, bench.device
    scene: Any = (*(i.to(device) for i in make_rays(rays, resolution, generator)), resolution, step, 0.0)
    counts, _ = march.march_count(*scene, 1 << 30)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    total = int(offsets[-1])
    fill: Any = march.march_fill
    every: Any = march.candidates
    _, t, dt = fill(*scene, offsets, total)

    def samples() -> tuple[Tensor, ...]:
        found = torch.nn.functional.pad(march.march_count(*scene, 1 << 30)[0].cumsum(0), (1, 0))
        return fill(*scene, found, int(found[-1]))

    size, moved = f"{rays} rays, {total} samples", count_bytes(*scene[:6], offsets, t, dt) + total * 8
    walk = Work("march", size, samples, lambda: every(*scene, 1 << 30)[0], moved)
    return [measure_work(work, bench) for work in (walk, *composite_works(t, dt, offsets, bench, generator))]


def composite_works(
    t: Tensor, dt: Tensor, offsets: Tensor, bench: Bench, generator: torch.Generator
) -> tuple[Work, Work]:
    """Composite forward and backward over samples at distances t (N,), lengths dt (N,), packed by offsets (R + 1,)."""
    total, rays, device = len(t), len(offsets) - 1, bench.device
    compose: Any = composite.composite
    plain: Any = composite.reference
    sigma = torch.rand(total, generator=generator).to(device) * 40
    rgb = torch.rand(total, 3, generator=generator).to(device)
    leaves = [sigma.clone().requires_grad_(), rgb.clone().requires_grad_()]
    outputs = [op(*leaves, t, dt, offsets) for op in ((compose, plain) if bench.compare else (compose,))]
    push = torch.rand(rays, 3, generator=generator).to(device)

    def gradient(output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output[0], leaves, push, retain_graph=True)

    size, given = f"{rays} rays, {total} samples", count_bytes(sigma, rgb, t, dt, offsets)
    forward = Work(
        "composite", size, lambda: compose(sigma, rgb, t, dt, offsets),
        lambda: plain(sigma, rgb, t, dt, offsets), given + count_bytes(sigma, push) + rays * 8,
    )  # fmt: skip
    backward = Work(
        "composite backward", size, lambda: gradient(outputs[0]), lambda: gradient(outputs[-1]),
        given + count_bytes(push, sigma) + count_bytes(sigma, rgb),
    )  # fmt: skip
    return forward, backward
