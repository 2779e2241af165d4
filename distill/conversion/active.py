"""Active learning: what a student gets wrong comes again (PVD-AL, Fang et al. 2023, arXiv 2304.04012)."""

import torch
from torch import Tensor

HARD = 0.1  # share of cameras and of a batch's rays that are kept as hard, and share of the next ones that they become
HARD_POSES = 104  # hard cameras that are held: those of about four drawings
HARD_RAYS = 4096  # hard rays that are held: those of about thirty batches


def hardest(errors: Tensor, share: float) -> Tensor:
    """Errors (M,) -> indices of the largest, that share of them; at least one where there are any."""
    count = max(round(share * len(errors)), min(len(errors), 1))
    return errors.topk(count).indices


def newest(new: Tensor, old: Tensor, size: int) -> Tensor:
    """Rows of `new` and then of `old`, `size` at most: a pool that can be drawn from before it is full."""
    return torch.cat([new, old])[:size]
