"""The fused field on the CPU: which fields can be asked tile by tile, and how. Same answers as op by op, but for
rounding.

Beside an architecture or a head NAME.py whose shape has operands, NAME_cpu.py holds the device functions that
fields/kernels/fused_cpu.py lists; `arrays(operands)`, the named tuple of arrays that these read; LEAD, inputs in the
tile that the first matrix does not read; and, of an architecture, `columns(operands)`, E, and
`table_grads(operands, x, push)`: gradients of its tables, where points x (N, 3) in the unit box sent back push (N, E).
Everything is float32, and results repeat bit for bit.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fields.base import Architecture, Head
from fields.fused import Asked
from fields.kernels import fused_cpu as kernels
from fields.kernels.queue_cpu import share
from fields.kernels.tiles_cpu import TILE, unpacked, wide
from fields.operands import Operands, device_functions

GROUP = 8 * TILE  # points whose density one thread asks together
GROUPS = 64  # at most, of tiles whose gradients of matrices have sums of their own
FEWEST = 16  # groups at least, where there are as many tiles
ROOM = 1 << 22  # numbers that all sums together should not exceed


@dataclass(frozen=True)
class TiledForm:
    """A network or a head: what it learns from, and the file with its device functions."""

    operands: Operands
    functions: ModuleType

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What is learnt, in the order of the gradients."""
        return (*self.operands.tables, *self.operands.weights)

    def arrays(self) -> Any:
        """What the device functions read."""
        return self.functions.arrays(self.operands)

    @property
    def room(self) -> int:
        """Numbers that the gradients of its matrices take in a group's sums."""
        return sum(int(np.prod(self.packed_shape(n))) for n in range(len(self.operands.weights)))

    def packed_shape(self, number: int) -> tuple[int, ...]:
        """Shape in which a matrix or a bias lies."""
        outputs, *inputs = self.operands.weights[number].shape
        lead = 0 if number else self.functions.LEAD
        return (wide(lead + int(np.prod(inputs))), wide(outputs)) if inputs else (wide(outputs),)

    @property
    def width(self) -> int:
        """W, columns of a tile of features."""
        return wide(self.operands.width)

    @property
    def columns(self) -> int:
        """E, columns of what tables say."""
        return self.functions.columns(self.operands)

    def gradients(self, groups: np.ndarray) -> list[Tensor]:
        """Those of its matrices, in their shapes, from every group's (groups, S)."""
        sums, result, first = groups.sum(0), [], 0
        for number, weight in enumerate(self.operands.weights):
            shape = self.packed_shape(number)
            room = sums[first : first + int(np.prod(shape))].reshape(shape)
            flat = tuple(weight.flatten(1).shape) if weight.dim() > 1 else tuple(weight.shape)
            part = unpacked(room, flat, 0 if number else self.functions.LEAD)
            result.append(torch.from_numpy(part).view(weight.shape))
            first += room.size
        return result


@dataclass(frozen=True)
class Recall:
    """What was read and worked out at M points, to be taken again for N of them while no parameter changes."""

    network: TiledForm
    head: TiledForm
    x: Tensor  # (M, 3) in the unit box
    seen: Tensor  # (M or more, E), what tables said
    features: Tensor  # (M or more, W), F rounded up
    sigma: Tensor  # (M,)
    some: Tensor | None = None  # (N,) int64, which of the points, where it is not all of them

    def at(self, index: Tensor) -> "Recall":
        """The same for some of the N."""
        return replace(self, some=index if self.some is None else self.some.index_select(0, index))

    @property
    def index(self) -> Tensor:
        """(N,) int64, which of the points."""
        return torch.arange(len(self.x)) if self.some is None else self.some

    def density(self) -> tuple[Tensor, Tensor]:
        """Sigma (N,) and features (N, W), with the gradients of the network's parameters."""
        return TiledDensity.apply(self, *self.network.parameters)  # type: ignore[return-value]

    def radiance(self, d: Tensor, ray: Tensor) -> tuple[Tensor, Tensor]:
        """Field.radiance, each along the unit direction of its ray (N,), of d (R, 3): sigma (N,), RGB (N, 3), with the
        gradients of all parameters."""
        sigma, features = self.density()
        return sigma, shade(self.head, features, d, ray)


def form(owner: Architecture | Head) -> TiledForm | None:
    """A network or a head as the kernels take it; None where its shape has no such form."""
    functions = device_functions(type(owner), "cpu")
    operands = owner.operands() if functions else None
    return TiledForm(operands, functions) if functions and operands else None


def suits(field: Asked, *points: Tensor) -> bool:
    """Whether these kernels answer for this field at these points: on the CPU, in float32, where nobody wants the
    gradient of a point."""
    if not all(p.device.type == "cpu" and p.dtype == torch.float32 for p in points):
        return False
    if torch.is_grad_enabled() and any(p.requires_grad for p in points):
        return False
    return all(p.dtype == torch.float32 for p in field.parameters()) and fusible(field)


def fusible(field: Asked) -> bool:
    """Whether the field's architecture and head have what the kernels need."""
    return field.space.dims == 3 and form(field.architecture) is not None and form(field.head) is not None


def both(field: Asked) -> tuple[TiledForm, TiledForm]:
    """Network and head. ValueError where the kernels know one of them not."""
    network, head = form(field.architecture), form(field.head)
    if network is None or head is None:
        raise ValueError(f"{type(field.architecture).__module__}: a fused form was asked for, but this shape has none")
    return network, head


@torch.no_grad()
def thickness(field: Asked, x: Tensor) -> Tensor:
    """Field.thickness: x (N, 3) scene units -> sigma (N,)."""
    network, head = both(field)
    nothing = (x.new_empty(1, network.columns), x.new_empty(1, network.width))
    return asked(network, head, field.space.unit(x).contiguous(), *nothing)


@torch.no_grad()
def glance(field: Asked, x: Tensor, *, learn: bool = True) -> Recall:
    """Density alone at x (N, 3) scene units, and what need not be worked out again, where nothing is to learn without
    what tables said."""
    network, head = both(field)
    rows, unit = -(-len(x) // GROUP) * GROUP + 1, field.space.unit(x).contiguous()
    seen, features = x.new_empty(rows if learn else 1, network.columns), x.new_empty(rows, network.width)
    sigma = asked(network, head, unit, seen, features)
    return Recall(network, head, unit, seen, features, sigma)


def asked(network: TiledForm, head: TiledForm, unit: Tensor, seen: Tensor, features: Tensor) -> Tensor:
    """Sigma (N,) of points in the unit box; see the kernel."""
    sigma = unit.new_empty(len(unit))
    given = (unit.numpy(), network.arrays(), head.arrays())
    share(kernels.thickness, *given, GROUP, sigma.numpy(), seen.numpy(), features.numpy())
    return sigma


def density(field: Asked, x: Tensor) -> tuple[Tensor, Tensor]:
    """Field.density: x (N, 3) scene units -> sigma (N,), features (N, F)."""
    width = field.architecture.width
    if not torch.is_grad_enabled():
        recall = glance(field, x, learn=False)
        return recall.sigma, recall.features[: len(x), :width]
    sigma, features = glance(field, x).density()
    return sigma, features[:, :width]


def color(field: Asked, features: Tensor, d: Tensor) -> Tensor:
    """Field.color: features (N, F), unit d (N, 3) -> RGB (N, 3)."""
    _, head = both(field)
    room = wide(features.shape[1])
    same = features if features.shape[1] == room else functional.pad(features, (0, room - features.shape[1]))
    return shade(head, same, d, torch.arange(len(d)))


def radiance(field: Asked, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Field.radiance: x (N, 3) scene units, unit d (N, 3) -> sigma (N,), RGB (N, 3)."""
    return glance(field, x, learn=torch.is_grad_enabled()).radiance(d, torch.arange(len(d)))


def shade(head: TiledForm, features: Tensor, d: Tensor, ray: Tensor) -> Tensor:
    """RGB (N, 3) of features (N, W), each along the unit direction of its ray (N,), of d (R, 3)."""
    return TiledColor.apply(features.contiguous(), d.detach().contiguous(), ray, head, *head.parameters)  # type: ignore[return-value]


class TiledDensity(torch.autograd.Function):
    """Sigma and features of what was recalled, and the gradients of the network's parameters."""

    @staticmethod
    def forward(ctx, recall: Recall, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        ctx.recall, ctx.index = recall, recall.index
        ctx.arrays = (recall.network.arrays(), recall.head.arrays())
        ctx.set_materialize_grads(True)
        return recall.sigma.index_select(0, ctx.index), recall.features.index_select(0, ctx.index)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001  # pyright: ignore[reportIncompatibleMethodOverride]
        recall, network = ctx.recall, ctx.recall.network
        group, sums = sums_of(len(ctx.index), network)
        push = recall.seen.new_empty(len(ctx.index), recall.seen.shape[1])
        given = (ctx.index, recall.seen, recall.features, grads[0].contiguous()[:, None], grads[1].contiguous())
        share(kernels.thickness_grad, *(g.numpy() for g in given), *ctx.arrays, group, sums, push.numpy())
        tables = network.functions.table_grads(network.operands, recall.x.index_select(0, ctx.index), push)
        return None, *tables, *network.gradients(sums)


class TiledColor(torch.autograd.Function):
    """Colours of features, and the gradients of these and of the head's parameters."""

    @staticmethod
    def forward(ctx, features: Tensor, d: Tensor, ray: Tensor, head: TiledForm, *parameters: Tensor) -> Tensor:  # noqa: ANN001
        ctx.head, ctx.arrays = head, head.arrays()
        ctx.save_for_backward(features, d, ray)
        rgb = features.new_empty(len(features), 3)
        given = (features.detach().numpy(), d.numpy(), ray.numpy())
        share(kernels.shade, *given, ctx.arrays, GROUP, rgb.numpy())
        return rgb

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001  # pyright: ignore[reportIncompatibleMethodOverride]
        features, d, ray = ctx.saved_tensors
        group, sums = sums_of(len(features), ctx.head)
        pull = torch.empty_like(features)
        given = (features.detach().numpy(), d.numpy(), ray.numpy(), grads[0].contiguous().numpy())
        share(kernels.shade_grad, *given, ctx.arrays, group, sums, pull.numpy())
        return pull, None, None, None, *ctx.head.gradients(sums)


def most_groups(room: int) -> int:
    """Groups at most that have sums of their own, of so many numbers each."""
    return min(GROUPS, max(FEWEST, ROOM // max(room, 1)))


def sums_of(count: int, learning: TiledForm) -> tuple[int, np.ndarray]:
    """Points of a group whose gradients of matrices have sums of their own, and room for these, (groups, S)."""
    groups = most_groups(learning.room)
    group = -(-count // (groups * TILE)) * TILE or TILE
    return group, np.empty((-(-count // group), learning.room), np.float32)
