"""The fused field on the CPU: which fields can be asked tile by tile, and how. Same answers as op by op, but
for rounding.

Beside an architecture or a head NAME.py whose shape has operands, NAME_cpu.py holds the device functions that
fields/kernels/fused_cpu.py lists; `arrays(operands)`, the named tuple of arrays that these read; LEAD, inputs in the
tile that the first matrix does not read; and, of an architecture, `columns(operands)`, E, and
`table_grads(operands, x, push)`: gradients of its tables, where points x (N, 3) in the unit box sent back push (N, E).
Everything is float32, and results repeat bit for bit.
"""

import importlib
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.base import Architecture, Head
from fields.fused import Asked
from fields.kernels import fused_cpu as kernels
from fields.kernels.queue_cpu import share
from fields.kernels.tiles_cpu import TILE, unpacked, wide
from fields.operands import Operands

GROUP = 8 * TILE  # points whose density one thread asks together
GROUPS = 64  # at most, of tiles whose gradients of matrices have sums of their own
FEWEST = 16  # groups at least, where there are as many tiles
ROOM = 1 << 22  # numbers that all sums together should not exceed


@dataclass(frozen=True)
class TiledForm:
    """A network or a head: what it learns from, and the file with its device functions."""

    operands: Operands
    functions: ModuleType

    def arrays(self) -> Any:
        """What the device functions read."""
        return self.functions.arrays(self.operands)

    @property
    def room(self) -> int:
        """Numbers that the gradients of its matrices take in a group's sums."""
        return sum(int(np.prod(self.packed_shape(n))) for n in range(len(self.operands.weights)))

    def packed_shape(self, number: int) -> tuple[int, ...]:
        """Shape in which a matrix or a bias lies."""
        *inputs, outputs = self.operands.weights[number].shape[::-1]
        lead = 0 if number else self.functions.LEAD
        return (*(wide(lead + size) for size in inputs), wide(outputs))

    def gradients(self, sums: np.ndarray) -> list[Tensor]:
        """Those of its matrices, in their shapes, from their sum over all groups (S,)."""
        result, first = [], 0
        for number, weight in enumerate(self.operands.weights):
            shape = self.packed_shape(number)
            room = sums[first : first + int(np.prod(shape))].reshape(shape)
            result.append(torch.from_numpy(unpacked(room, tuple(weight.shape), 0 if number else self.functions.LEAD)))
            first += room.size
        return result


@dataclass(frozen=True)
class Recall:
    """What was read and worked out at M points, to be taken again for N of them while no parameter changes."""

    network: TiledForm
    head: TiledForm
    x: Tensor  # (M, 3) in the unit box
    seen: Tensor  # (M or more, E), what tables said
    features: Tensor  # (M or more, F rounded up)
    index: Tensor  # (N,) int64, which of the points

    def at(self, index: Tensor) -> "Recall":
        """The same for some of the N."""
        return replace(self, index=self.index.index_select(0, index))

    def radiance(self, d: Tensor) -> tuple[Tensor, Tensor]:
        """Field.radiance along unit directions d (N, 3): sigma (N,), RGB (N, 3), with the gradients of all
        parameters."""
        network, head = self.network.operands, self.head.operands
        parameters = (*network.tables, *network.weights, *head.weights)
        return TiledRadiance.apply(d.detach().contiguous(), self, *parameters)  # type: ignore[return-value]


@cache
def functions(kind: type) -> ModuleType | None:
    """The file with the device functions of a network or a head, beside its own; None where there is none."""
    name = f"{kind.__module__}_cpu"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def form(owner: Architecture | Head) -> TiledForm | None:
    """A network or a head as the kernels take it; None where its shape has no such form."""
    device_functions = functions(type(owner))
    operands = owner.operands() if device_functions else None
    return TiledForm(operands, device_functions) if device_functions and operands else None


def suits(field: Asked, *points: Tensor) -> bool:
    """Whether these kernels answer for this field at these points: on the CPU, in float32, where nobody wants the
    gradient of a point."""
    if not all(p.device.type == "cpu" and p.dtype == torch.float32 for p in points):
        return False
    if torch.is_grad_enabled() and any(p.requires_grad for p in points):
        return False
    if not all(p.dtype == torch.float32 for p in field.parameters()) or field.space.dims != 3:
        return False
    return form(field.architecture) is not None and form(field.head) is not None


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
    room = x.new_empty(1, wide(network.operands.width))
    return asked(
        network,
        head,
        field.space.unit(x).contiguous(),
        x.new_empty(1, network.functions.columns(network.operands)),
        room,
    )


@torch.no_grad()
def glance(field: Asked, x: Tensor) -> tuple[Tensor, Recall]:
    """Density alone at x (N, 3) scene units, sigma (N,), and what `radiance` need not work out again."""
    network, head = both(field)
    rows, unit = -(-len(x) // GROUP) * GROUP + 1, field.space.unit(x).contiguous()
    seen = x.new_empty(rows, network.functions.columns(network.operands))
    features = x.new_empty(rows, wide(network.operands.width))
    sigma = asked(network, head, unit, seen, features)
    return sigma, Recall(network, head, unit, seen, features, torch.arange(len(x)))


def asked(network: TiledForm, head: TiledForm, unit: Tensor, seen: Tensor, features: Tensor) -> Tensor:
    """Sigma (N,) of points in the unit box; see the kernel."""
    sigma = unit.new_empty(len(unit))
    kept = (seen.numpy(), features.numpy())
    share(kernels.thickness, unit.numpy(), network.arrays(), head.arrays(), GROUP, sigma.numpy(), *kept)
    return sigma


def radiance(field: Asked, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Field.radiance: x (N, 3) scene units, unit d (N, 3) -> sigma (N,), RGB (N, 3), with the gradients of all
    parameters."""
    return glance(field, x)[1].radiance(d)


class TiledRadiance(torch.autograd.Function):
    """The kernels forward and backward."""

    @staticmethod
    def forward(ctx, d: Tensor, recall: Recall, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        sigma, rgb = d.new_empty(len(d)), d.new_empty(len(d), 3)
        ctx.d, ctx.recall = d, recall
        ctx.arrays = (recall.network.arrays(), recall.head.arrays())
        given = (recall.index.numpy(), recall.features.numpy(), d.numpy(), ctx.arrays[1])
        share(kernels.radiance, *given, GROUP, sigma.numpy(), rgb.numpy())
        return sigma, rgb

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        d, recall, network, head = ctx.d, ctx.recall, ctx.recall.network, ctx.recall.head
        for_sigma, for_rgb = grads[0].contiguous()[:, None], grads[1].contiguous()
        room = network.room + head.room
        group = group_of(len(d), room)
        sums = np.empty((max(-(-len(d) // group), 1), room), np.float32)
        sums[0] = 0
        push = d.new_empty(len(d), recall.seen.shape[1])
        given = (recall.index, recall.seen, recall.features, d, for_sigma, for_rgb)
        arrays = (*(tensor.numpy() for tensor in given), *ctx.arrays)
        share(kernels.radiance_grad, *arrays, group, sums, network.room, push.numpy())
        total = sums.sum(0)
        tables = network.functions.table_grads(network.operands, recall.x.index_select(0, recall.index), push)
        weights = (*network.gradients(total[: network.room]), *head.gradients(total[network.room :]))
        return None, None, *tables, *weights


def group_of(count: int, room: int) -> int:
    """Points of a group whose gradients have sums of their own, of `room` numbers."""
    groups = min(GROUPS, max(FEWEST, ROOM // room))
    return -(-count // (groups * TILE)) * TILE or TILE
