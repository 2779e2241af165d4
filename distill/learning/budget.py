"""How many rays the next batch takes, so that its samples meet a budget."""

import torch
from torch import Tensor

FEWEST_RAYS = 64
MOST_RAYS = 1 << 17  # what a step of fixed size draws; with fewer, a GPU's 2^18 samples need more than four a ray
FIRST_RAYS = 1024


def most_rays(budget: int) -> int:
    """No more rays than samples."""
    return min(budget, MOST_RAYS)


def bounded_rays(rays: Tensor, wanted: Tensor, budget: int) -> Tensor:
    """() int64: rays for the next batch, about `wanted` () to give `budget` samples; at most twice or half as many as
    the last `rays` ()."""
    wanted = torch.minimum(torch.maximum(wanted, rays / 2), rays * 2.0)
    return wanted.clamp(FEWEST_RAYS, most_rays(budget)).long()


def restored_rays(rays: Tensor, budget: int) -> Tensor:
    """() Rays that a checkpoint says come next. ValueError for a number that no step leaves."""
    if rays.numel() != 1 or not 1 <= int(rays) <= max(most_rays(budget), FIRST_RAYS):
        raise ValueError(f"rays must be one number from 1 to {most_rays(budget)}")
    return rays.reshape(())
