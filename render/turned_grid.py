"""An occupancy grid within a box that lies across its axes: nothing outside of the box is sampled.

No kernel draws through one: rays go in waves (render/renderer.py), slower, with the same samples inside of the box.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from render.kernels.march import cross_box
from render.occupancy import OccupancyGrid
from render.rays import RayBatch, Samples, rows


@final
@dataclass(frozen=True)
class TurnedGrid:
    """A grid, and the box."""

    grid: OccupancyGrid
    cut: Tensor  # (2, 3) float32, in coordinates of its own
    to_cut: Tensor  # (4, 4) float32 similarity, scene units to those coordinates

    @property
    def bits(self) -> Tensor:
        """See OccupancyGrid."""
        return self.grid.bits

    @property
    def box(self) -> Tensor:
        """See OccupancyGrid."""
        return self.grid.box

    @property
    def resolution(self) -> int:
        """See OccupancyGrid."""
        return self.grid.resolution

    def march(
        self, rays: RayBatch, step: float, cone: float, *, jitter: Tensor | None = None, near: Tensor | None = None,
        limit: int = 1 << 30,
    ) -> Samples:  # fmt: skip
        """Those of the grid's samples whose midpoints lie in the box; at most `limit` per ray, fewer only where a ray
        has no more."""
        turn, shift = self.to_cut[:3, :3].to(rays.origins), self.to_cut[:3, 3].to(rays.origins)
        enter, leave = cross_box(rays.origins @ turn.T + shift, rays.directions @ turn.T, self.cut.to(rays.origins))
        begin = enter if near is None else torch.maximum(enter, near)
        found = self.grid.march(rays, step, cone, jitter=jitter, near=begin, limit=limit)
        kept = found.t < rows(leave, found.ray)
        counts = torch.zeros_like(found.offsets[1:]).index_add_(0, found.ray, kept.long())
        offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        return Samples(found.ray[kept], found.t[kept], found.dt[kept], offsets)
