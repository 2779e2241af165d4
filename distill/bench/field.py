"""How fast a whole field is asked: density alone, radiance, and radiance with gradients, of random points and of points
along rays; by the fused kernels where the field has them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distill.bench.ops import Bench, Entry, bytes_of, measured
from fields import fused
from fields.field import Field
from fields.shape import preset
from fields.space import CUBE
from render.precision import precision
from render.renderer import UNIT_STEP

RUN = 64  # neighbouring points on a ray

Ask = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def field_rows(architecture: str, size: str, points: int, bench: Bench) -> list[dict[str, Any]]:
    """Six rows. Halves of the parameters are made beforehand, as training keeps them."""
    generator = torch.Generator().manual_seed(0)
    field = preset(architecture, size).build(CUBE, generator).to(bench.device)
    rows = []
    for layout, place in (("random", scattered), ("along rays", along_rays)):
        x, d = (value.to(bench.device) for value in place(points, generator))
        rows += three(field, f"{architecture} {size}, {layout}", x, d, bench)
    return rows


def three(field: Field, title: str, x: Tensor, d: Tensor, bench: Bench) -> list[dict[str, Any]]:
    """Density, radiance, radiance with gradients of all parameters."""
    density, radiance, fused_form = asking(field, x, d)
    parameters = [p for p in field.parameters() if p.requires_grad]
    push = torch.ones(len(x), device=x.device), torch.ones_like(x)

    @torch.no_grad()
    def plain(ask: Callable[[], object]) -> object:
        return ask()

    def learn() -> object:
        with precision(bench.device):
            answer = radiance()
        return torch.autograd.grad(answer, parameters, push, allow_unused=True)

    size = f"{len(x)} points, {title}, {'fused' if fused_form else 'op by op'}"
    shape, head = (products(part) for part in (field.architecture, field.head))
    tables = sum(bytes_of(p) for p in parameters) // (2 if fused_form else 1)
    read, out = bytes_of(x) + tables, bytes_of(*push)
    entries = (
        ("density", lambda: plain(density), read + bytes_of(push[0]), 2 * shape),
        ("radiance", lambda: plain(radiance), read + bytes_of(d) + out, 2 * (shape + head)),
        ("radiance with gradients", learn, 2 * (read + bytes_of(d) + out) + bytes_of(*parameters), 6 * (shape + head)),
    )
    alone = Bench(bench.device, bench.repeats, bench.copy, compare=False)
    return [measured(Entry(name, size, ask, ask, moved, n * len(x)), alone) for name, ask, moved, n in entries]


def asking(field: Field, x: Tensor, d: Tensor) -> tuple[Callable[[], object], Callable[[], Any], bool]:
    """What gives density, what gives sigma and RGB, and whether that is the fused form."""
    with precision(x.device):
        fusible = fused.suits(field, x, d)
    if fusible:
        kept = fused.Asking(copies={p: p.detach().half() for p in field.parameters()})
        return lambda: fused.thickness(field, x, kept), lambda: fused.radiance(field, x, d, kept), True

    def density() -> Tensor:
        with precision(x.device):
            return field.thickness(x)

    def radiance() -> tuple[Tensor, Tensor]:
        with precision(x.device):
            return field.radiance(x, d)

    return density, radiance, False


def products(part: torch.nn.Module) -> int:
    """Multiplications of one point with the matrices of fully connected layers."""
    tables = {id(p) for name, p in part.named_parameters() if name.rpartition(".")[2] == "table"}
    return sum(p.numel() for p in part.parameters() if p.dim() == 2 and max(p.shape) <= 1024 and id(p) not in tables)


def scattered(points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (N, 3) all over the unit box, unit directions (N, 3)."""
    d = torch.randn(points, 3, generator=generator)
    return torch.rand(points, 3, generator=generator), torch.nn.functional.normalize(d, dim=-1)


def along_rays(points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (N, 3) in the unit box, in runs of neighbours on a ray, unit directions (N, 3)."""
    rays = -(-points // RUN)
    begin, d = scattered(rays, generator)
    d = torch.where(begin > 0.5, -d.abs(), d.abs())  # towards the middle: the run stays in the box
    x = begin[:, None] + d[:, None] * (torch.arange(RUN) * UNIT_STEP)[:, None]  # (rays, RUN, 3)
    return x.view(-1, 3)[:points], d[:, None].expand(-1, RUN, -1).reshape(-1, 3)[:points].contiguous()
