"""How fast a whole field is asked: density alone, radiance, and radiance with gradients, of random points and of points
along rays; by one kernel where the field has one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill.bench.ops import Bench, OpTime, Work, count_bytes, measure_work
from fields import fused, tiled
from fields.field import Field
from fields.shape import preset
from fields.space import CUBE
from render.precision import precision
from render.units import UNIT_STEP

RUN = 64  # neighbouring points on a ray


@dataclass(frozen=True)
class Evaluation:
    """What is timed of a field at given points."""

    density: Callable[[], object]
    radiance: Callable[[], Any]  # gives sigma (N,) and RGB (N, 3)
    way: str  # one kernel on a GPU: "fused"; one for tiles of points on a CPU: "tiled"; else "op by op"

    @property
    def number_bytes(self) -> int:
        """Of a parameter as it is read."""
        return 2 if self.way == "fused" else 4


def time_field(architecture: str, size: str, points: int, bench: Bench) -> dict[str, list[OpTime]]:
    """Three rows for random points and three for points along rays. Halves of the parameters are made beforehand, as
    training keeps them."""
    generator = torch.Generator().manual_seed(0)
    field = preset(architecture, size).build(CUBE, generator).to(bench.device)
    rows: dict[str, list[OpTime]] = {}
    for layout, place in POINT_LAYOUTS.items():
        x, d = (value.to(bench.device) for value in place(points, generator))
        rows[layout] = time_layout(field, f"{architecture} {size}, {layout}", x, d, bench)
    return rows


def time_layout(field: Field, title: str, x: Tensor, d: Tensor, bench: Bench) -> list[OpTime]:
    """Density, radiance, radiance with gradients of all parameters."""
    asked = prepare_evaluation(field, x, d)
    parameters = [p for p in field.parameters() if p.requires_grad]
    push = torch.ones(len(x), device=x.device), torch.ones_like(x)

    @torch.no_grad()
    def plain(ask: Callable[[], object]) -> object:
        return ask()

    def learn() -> object:
        with precision(bench.device):
            answer = asked.radiance()
        return torch.autograd.grad(answer, parameters, push, allow_unused=True)

    size = f"{len(x)} points, {title}, {asked.way}"
    shape, head = (count_products(part) for part in (field.architecture, field.head))
    tables = sum(p.numel() for p in parameters) * asked.number_bytes
    read, out = count_bytes(x) + tables, count_bytes(*push)
    every = 2 * (read + count_bytes(d) + out) + count_bytes(*parameters)
    rows = (
        ("density", lambda: plain(asked.density), read + count_bytes(push[0]), 2 * shape),
        ("radiance", lambda: plain(asked.radiance), read + count_bytes(d) + out, 2 * (shape + head)),
        ("radiance with gradients", learn, every, 6 * (shape + head)),
    )
    alone = Bench(bench.device, bench.repeats, bench.copy, compare=False)
    return [measure_work(Work(name, size, ask, ask, moved, n * len(x)), alone) for name, ask, moved, n in rows]


def prepare_evaluation(field: Field, x: Tensor, d: Tensor) -> Evaluation:
    """By one kernel where the field has one."""
    with precision(x.device):
        fusible = fused.suits(field, x, d)
    if fusible:
        kept = fused.Asking(copies={p: p.detach().half() for p in field.parameters()})
        return Evaluation(lambda: fused.thickness(field, x, kept), lambda: fused.radiance(field, x, d, kept), "fused")

    def density() -> Tensor:
        with precision(x.device):
            return field.thickness(x)

    def radiance() -> tuple[Tensor, Tensor]:
        with precision(x.device):
            return field.radiance(x, d)

    return Evaluation(density, radiance, "tiled" if tiled.suits(field, x, d) else "op by op")


def count_products(part: torch.nn.Module) -> int:
    """Multiplications of one point with the matrices of fully connected layers."""
    tables = {id(p) for name, p in part.named_parameters() if name.rpartition(".")[2] == "table"}
    return sum(p.numel() for p in part.parameters() if p.dim() == 2 and max(p.shape) <= 1024 and id(p) not in tables)


def scatter_points(points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (N, 3) all over the unit box, unit directions (N, 3)."""
    d = torch.randn(points, 3, generator=generator)
    return torch.rand(points, 3, generator=generator), torch.nn.functional.normalize(d, dim=-1)


def string_points(points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (N, 3) in the unit box, in runs of neighbours on a ray, unit directions (N, 3)."""
    rays = -(-points // RUN)
    begin, d = scatter_points(rays, generator)
    d = torch.where(begin > 0.5, -d.abs(), d.abs())  # towards the middle: the run stays in the box
    x = begin[:, None] + d[:, None] * (torch.arange(RUN) * UNIT_STEP)[:, None]  # (rays, RUN, 3)
    return x.view(-1, 3)[:points], d[:, None].expand(-1, RUN, -1).reshape(-1, 3)[:points].contiguous()


POINT_LAYOUTS = {"random": scatter_points, "along rays": string_points}  # neighbours share what they read, or not
