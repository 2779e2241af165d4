"""Grid encode on CUDA with any number of channels: the kernels take 1, 2, 4 or 8 of them, all others go in such parts,
with zeros behind the last. cam's lookup, of one small level, has two channels for each of its layers."""

from collections.abc import Callable

import torch
import triton
from torch import Tensor

WIDTHS = (1, 2, 4, 8)  # channels that a kernel takes


def parts(values: Tensor) -> list[Tensor]:
    """Values (..., C) -> tensors with 8 channels each, the last with as few of WIDTHS as hold the rest."""
    pieces = [piece.contiguous() for piece in values.split(WIDTHS[-1], -1)]
    rest = pieces[-1].shape[-1]
    pieces[-1] = torch.nn.functional.pad(pieces[-1], (0, triton.next_power_of_2(rest) - rest))
    return pieces


def encoded(encode: Callable[[Tensor], Tensor], table: Tensor, levels: int) -> Tensor:
    """Features (N, L * C) of a table (E, C), from `encode`, which gives those of a part of it."""
    found = [encode(piece).unflatten(1, (levels, -1)) for piece in parts(table)]  # (N, L, part)
    return torch.cat(found, -1)[..., : table.shape[1]].flatten(1)


def scattered(scatter: Callable[[Tensor, int], Tensor], grad: Tensor, levels: int, channels: int) -> Tensor:
    """Gradient of the table (E, C) from that of the features (N, L * C), by `scatter`, which takes that of a part and
    how many channels it has."""
    pushes = parts(grad.unflatten(1, (levels, channels)))
    return torch.cat([scatter(push.flatten(1), push.shape[-1]) for push in pushes], 1)[:, :channels].contiguous()


def sloped(slope: Callable[[Tensor, Tensor], Tensor], grad: Tensor, table: Tensor, levels: int) -> Tensor:
    """Gradient of the points (N, D), by `slope`, which takes that of a part's features and the part of the table."""
    pushes = parts(grad.unflatten(1, (levels, -1)))
    slopes = [slope(push.flatten(1), piece) for push, piece in zip(pushes, parts(table), strict=True)]
    return torch.stack(slopes).sum(0)
