"""Rays and the samples along them: the packed form that every op and every field works on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from render.kernels.positions_cpu import positions


@dataclass(frozen=True)
class RayBatch:
    """Half-lines."""

    origins: Tensor  # (R, 3) float32, scene units
    directions: Tensor  # (R, 3) float32, unit length

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, index: slice | Tensor) -> "RayBatch":
        if isinstance(index, Tensor) and index.dtype == torch.int64:
            return RayBatch(rows(self.origins, index), rows(self.directions, index))
        return RayBatch(self.origins[index], self.directions[index])

    def to(self, device: torch.device) -> "RayBatch":
        """The same rays on another device."""
        return RayBatch(self.origins.to(device), self.directions.to(device))


@dataclass(frozen=True)
class Samples:
    """Samples of R rays, packed: ray r owns the entries offsets[r] to offsets[r + 1]."""

    ray: Tensor  # (N,) int64, index of the ray each sample lies on, ascending
    t: Tensor  # (N,) float32, interval midpoint, distance from the ray origin in scene units
    dt: Tensor  # (N,) float32, interval length in scene units
    offsets: Tensor  # (R + 1,) int64; always there, also for rays without samples

    def __len__(self) -> int:
        return len(self.t)

    def positions(self, rays: RayBatch) -> Tensor:
        """Points (N, 3) in scene units. Gradients reach origins and directions; the distances are constants."""
        learnt = torch.is_grad_enabled() and (rays.origins.requires_grad or rays.directions.requires_grad)
        if self.t.device.type == "cpu" and not learnt:
            return positions(rays.origins, rays.directions, self.ray, self.t)
        return torch.addcmul(rows(rays.origins, self.ray), rows(rays.directions, self.ray), self.t[:, None])


def rows(values: Tensor, index: Tensor) -> Tensor:
    """values[index] for index (N,) int64 into the first dimension, in a third of the time on the CPU."""
    return values.index_select(0, index)
