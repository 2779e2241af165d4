"""Active learning: what a student gets wrong comes again (PVD-AL, Fang et al. 2023, arXiv 2304.04012)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from render.rays import Samples

HARD = 0.1  # share of cameras and of a batch's rays that are kept as hard, and share of the next ones that they become
HARD_POSES = 104  # hard cameras that are held: those of about four drawings
HARD_RAYS = 4096  # hard rays that are held: those of about thirty batches
HEAVY = 0.3  # share of a ray's samples that points are taken from, those that weigh most
SOLID = 0.5  # opacity below which a ray has no such points


@dataclass(frozen=True)
class Active:
    """Which levels of active learning are on."""

    poses: bool = False  # cameras near those that were seen worst
    rays: bool = False  # rays that were seen worst
    points: bool = True  # what samples say, only where a ray's weight is


def hardest(errors: Tensor, share: float) -> Tensor:
    """Errors (M,) -> indices of the largest, that share of them; at least one where there are any."""
    count = max(round(share * len(errors)), min(len(errors), 1))
    return errors.topk(count).indices


def newest(new: Tensor, old: Tensor, size: int) -> Tensor:
    """Rows of `new` and then of `old`, `size` at most: a pool that can be drawn from before it is full."""
    return torch.cat([new, old])[:size]


def heavy(weights: Tensor, samples: Samples) -> Tensor:
    """Compositing weights (N,) -> (N,) bool: the heaviest of each ray's samples, where the ray is solid."""
    counts = samples.offsets[1:] - samples.offsets[:-1]
    opacity = weights.new_zeros(len(counts)).index_add(0, samples.ray, weights)
    order = (2.0 * samples.ray.double() - weights.double()).argsort(stable=True)  # by ray, then by falling weight
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - samples.offsets[samples.ray]
    return (rank <= HEAVY * counts[samples.ray]) & (opacity >= SOLID)[samples.ray]
