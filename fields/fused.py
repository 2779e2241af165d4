"""The fused field: which fields can be asked by one kernel, and how. Same answers as op by op, within rounding.

Products are taken in half precision, of copies of the parameters; sums, features, densities and gradients are float32.
Gradients need no scaling of the loss: see `power` in fields/kernels/tiles_cuda.py.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fields.backend import TRITON, repeats
from fields.base import Architecture, Head
from fields.operands import Operands, device_functions
from fields.space import Space

Copies = Mapping[Tensor, Tensor]  # parameter -> the same in half precision, kept up to date by whoever trains


@dataclass(frozen=True)
class Asking:
    """How a field is asked."""

    half: torch.dtype = torch.float16  # of products; float32 is exact, and slow
    copies: Copies | None = None  # of the parameters in `half`; None: converted anew
    limit: Tensor | None = None  # () integer on the field's device: points from there on get zeros; None: none do


class Asked(Protocol):
    """What these kernels have to know of a field."""

    architecture: Architecture
    head: Head
    space: Space

    def parameters(self) -> Iterator[nn.Parameter]: ...


def fusible(field: Asked) -> bool:
    """Whether the field's architecture and head have what the kernels need."""
    return all(known(part) for part in (field.architecture, field.head)) and field.space.dims == 3


def known(part: Architecture | Head) -> bool:
    """Whether a network or a head has device functions, and a shape that they take."""
    operands = part.operands() if device_functions(type(part), "cuda") is not None else None
    return operands is not None and operands.small


def suits(field: Asked, *points: Tensor) -> bool:
    """Whether the renderer may ask this field by `radiance` and `thickness`: on a GPU, where autocast allows half
    precision, and nobody wants the gradient of a point or that sums of gradients repeat bit for bit."""
    if not TRITON or not all(p.is_cuda and p.dtype == torch.float32 for p in points):
        return False
    if not torch.is_autocast_enabled("cuda"):
        return False
    if torch.is_grad_enabled() and (repeats() or any(p.requires_grad for p in points)):
        return False
    return all(p.dtype == torch.float32 for p in field.parameters()) and fusible(field)


def radiance(field: Asked, x: Tensor, d: Tensor, asking: Asking | None = None) -> tuple[Tensor, Tensor]:
    """Field.radiance in one kernel: x (N, 3) float32 scene units, unit d (N, 3) -> sigma (N,), RGB (N, 3), with the
    gradients of all parameters that want one. May be captured in a CUDA graph."""
    parameters, parts = converted(field, asking or Asking())
    points = placed(field, x, d, asking or Asking())
    if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
        return Radiance.apply(points, parts, *parameters)  # type: ignore[return-value]
    sigma, rgb, _ = kernels().radiance(points, parts, keep=False)
    return sigma, rgb


@torch.no_grad()
def thickness(field: Asked, x: Tensor, asking: Asking | None = None) -> Tensor:
    """Field.thickness in one kernel, without gradients: x (N, 3) float32 scene units -> sigma (N,)."""
    _, parts = converted(field, asking or Asking())
    return kernels().thickness(placed(field, x, x, asking or Asking()), parts)


def kernels() -> Any:
    """The kernels' file: where PyTorch is built for the CPU, there may be no Triton to import."""
    return importlib.import_module("fields.kernels.fused_cuda")


def placed(field: Asked, x: Tensor, d: Tensor, asking: Asking) -> Any:
    """The kernels' Points."""
    return kernels().Points(x.contiguous(), d.contiguous(), field.space, asking.limit)


def converted(field: Asked, asking: Asking) -> tuple[list[Tensor], Any]:
    """Parameters in the order of the kernels' gradients, and the kernels' Parts. ValueError if it has no such form."""
    network, head = field.architecture.operands(), field.head.operands()
    asks, shows = (device_functions(type(part), "cuda") for part in (field.architecture, field.head))
    both = known(field.architecture) and known(field.head)
    if not both or network is None or head is None or asks is None or shows is None:
        raise ValueError(f"{type(field.architecture).__module__}: a fused form was asked for, but this shape has none")
    parameters = [*network.tables, *network.weights, *head.weights]
    parts = kernels().Parts(halved(network, asking), halved(head, asking), asks, shows)
    return parameters, parts


def halved(operands: Operands, asking: Asking) -> Operands:
    """Operands with what is learnt in the type of products."""
    copies = asking.copies or {}

    def half(given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(copies[p] if p in copies else p.detach().to(asking.half).contiguous() for p in given)

    weights = tuple(p.detach().contiguous() for p in operands.weights) if operands.exact else half(operands.weights)
    return replace(operands, tables=half(operands.tables), weights=weights)


class Radiance(torch.autograd.Function):
    """The kernels forward and backward. Halves are kept, not read again: they may belong to a later step by then."""

    @staticmethod
    def forward(ctx, points: Any, parts: Any, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        sigma, rgb, ctx.kept = kernels().radiance(points, parts, keep=True)
        ctx.points, ctx.parts = points, parts
        return sigma, rgb

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        return None, None, *kernels().radiance_grad(ctx.points, ctx.parts, ctx.kept, *grads)
