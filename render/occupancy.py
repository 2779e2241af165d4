"""Occupancy grid: which cells of the scene box a ray may skip (Mueller et al. 2022, appendix E)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.field import Field
from render.kernels.march import march_count, march_fill
from render.precision import precision
from render.rays import RayBatch, Samples

RESOLUTION = 128  # cells per axis of every cascade
THICKEST = 1e4  # stands for an infinite value
NEVER = -1.0  # value of a cell that stays empty whatever the field says
EVERYWHERE_UPDATES = 16  # updates that ask all cells, before updates ask a sample of them


def cascades_for(box: Tensor) -> int:
    """Cascades that reach all of a box (2, 3): cascade c covers the cube of side 2^c around (1/2, 1/2, 1/2)."""
    reach = float((box - 0.5).abs().max())
    count = 1
    while reach > 2.0 ** (count - 1) / 2 + 1e-6:
        count += 1
    return count


@dataclass(frozen=True)
class OccupancyGrid:
    """Bits, and the box that holds everything."""

    bits: Tensor  # (K, G^3 / 8) uint8, see render/kernels/march.py
    box: Tensor  # (2, 3) float32, scene units; nothing is sampled outside
    resolution: int = RESOLUTION  # G

    def march(
        self,
        rays: RayBatch,
        step: float,
        cone: float,
        *,
        jitter: Tensor | None = None,
        near: Tensor | None = None,
        limit: int = 1 << 30,
    ) -> Samples:
        """Samples in occupied cells: at most `limit` per ray, none before `near` (R,), scene units.

        `jitter` (R,) in [0, 1) shifts each ray's lattice; without it, rays start at their origins.
        """
        zeros = torch.zeros_like(rays.origins[:, 0])
        jitter = zeros if jitter is None else jitter
        near = zeros if near is None else near
        common = (jitter, self.bits, self.box, self.resolution, step, cone)
        counts, first = march_count(rays.origins, rays.directions, near, *common, limit)
        offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        ray, t, dt = march_fill(rays.origins, rays.directions, first, *common, offsets, int(offsets[-1]))
        return Samples(ray, t, dt, offsets)

    def contains(self, points: Tensor) -> Tensor:
        """(N, 3) scene units -> (N,) bool: inside the box, and in an occupied cell of the finest cascade that holds
        the point."""
        place, g = points - 0.5, self.resolution
        reach = place.abs().amax(-1).clamp(min=0.25)
        cascade = torch.ceil(torch.log2(reach * 2)).long().clamp(0, len(self.bits) - 1)
        cell = ((place / torch.exp2(cascade.float())[:, None] + 0.5) * g).long().clamp(0, g - 1)
        index = (cell[:, 0] + g * (cell[:, 1] + g * cell[:, 2])).clamp(0, g**3 - 1)
        occupied = self.bits[cascade, index // 8] >> (index % 8).to(torch.uint8) & 1
        inside = ((points >= self.box[0]) & (points <= self.box[1])).all(-1)
        return occupied.bool() & inside

    def share(self) -> float:
        """Share of cells that are occupied, over all cascades."""
        bit = torch.arange(8, device=self.bits.device, dtype=torch.uint8)
        return float((self.bits[..., None] >> bit & 1).float().mean())

    def to(self, device: torch.device) -> "OccupancyGrid":
        """The same grid on another device."""
        return OccupancyGrid(self.bits.to(device), self.box.to(device), self.resolution)


def pack(occupied: Tensor) -> Tensor:
    """Booleans (K, G^3) -> bits (K, G^3 / 8)."""
    weights = 2 ** torch.arange(8, device=occupied.device, dtype=torch.int32)
    return (occupied.view(len(occupied), -1, 8) * weights).sum(-1).to(torch.uint8)


def unpack(bits: Tensor) -> Tensor:
    """Inverse of `pack`."""
    return (bits[..., None] >> torch.arange(8, device=bits.device, dtype=torch.uint8) & 1).bool().flatten(1)


def coarsen(occupied: Tensor, resolution: int) -> Tensor:
    """A coarse cell is occupied where any finer cell inside it is: (K, G^3) -> (K, G^3)."""
    levels = list(occupied.view(-1, resolution, resolution, resolution))
    half, start = resolution // 2, resolution // 4
    for fine in range(len(levels) - 1):
        blocks = levels[fine].view(half, 2, half, 2, half, 2).any(5).any(3).any(1)
        merged = levels[fine + 1].clone()
        inner = slice(start, start + half)
        merged[inner, inner, inner] |= blocks
        levels[fine + 1] = merged
    return torch.stack(levels).flatten(1)


class OccupancyEstimate:
    """What training has seen of every cell: the largest recent optical thickness of one step, sigma * step."""

    def __init__(self, box: Tensor, step: float, allowed: Tensor, resolution: int = RESOLUTION) -> None:
        """`allowed` (K, G^3) bool: cells that may ever be occupied (seen by a camera, inside the silhouettes)."""
        self.box, self.step, self.resolution = box, step, resolution
        self.values = torch.where(allowed, 0.0, NEVER)  # (K, G^3) float32
        self.occupied = allowed.clone()  # (K, G^3) bool; all that is allowed, until the first update
        self.allowed = allowed.flatten().nonzero()[:, 0]  # (A,) int64 into the flattened values
        self.updates = 0

    @property
    def grid(self) -> OccupancyGrid:
        """The bits as they stand."""
        return OccupancyGrid(pack(coarsen(self.occupied, self.resolution)), self.box, self.resolution)

    def centers(self, cascade: Tensor, cell: Tensor, jitter: Tensor) -> Tensor:
        """Points (M, 3) in scene units: cell `cell` (M,) of cascade `cascade` (M,), jitter (M, 3) in [0, 1)."""
        g = self.resolution
        place = torch.stack([cell % g, cell // g % g, cell // (g * g)], -1) + jitter
        return (place / g - 0.5) * torch.exp2(cascade.float())[:, None] + 0.5

    @torch.no_grad()
    def update(self, field: Field, generator: torch.Generator, decay: float = 0.95, chunk: int = 1 << 17) -> None:
        """All values decay; the cells that are asked rise to what the field says at a random point inside.

        The first updates ask every allowed cell; later ones a quarter drawn at random, and as many of the occupied.
        A cell is then occupied where its value exceeds min(0.01, mean value).
        """
        cells = self.chosen(generator)
        self.values = torch.where(self.values >= 0, self.values * decay, self.values)
        count = self.values.shape[1]
        flat = self.values.view(-1)
        for part in cells.split(chunk):
            jitter = torch.rand(len(part), 3, generator=generator, device=part.device)
            with precision(part.device):
                sigma, _ = field.density(self.centers(part // count, part % count, jitter))
            thickness = (sigma * self.step).nan_to_num(nan=0.0, posinf=THICKEST)  # a bad step must not outlive itself
            flat[part] = torch.maximum(flat[part], thickness)
        live = self.values >= 0
        mean = self.values[live].mean() if bool(live.any()) else torch.tensor(0.0)
        self.occupied = live & (self.values > mean.clamp(max=0.01))
        self.updates += 1

    @torch.no_grad()
    def update_in_place(
        self, field: Field, generator: torch.Generator, cells: Tensor, decay: float = 0.95, chunk: int = 1 << 17
    ) -> None:
        """As `update`, of given cells, in the memory where values and occupied lie, and without waiting for a device:
        a CUDA graph may hold it. `updates` is left to the caller."""
        live, count, flat = self.values >= 0, self.values.shape[1], self.values.view(-1)
        self.values.copy_(torch.where(live, self.values * decay, self.values))
        for part in cells.split(chunk):
            jitter = torch.rand(len(part), 3, generator=generator, device=part.device)
            with precision(part.device):
                sigma = field.thickness(self.centers(part // count, part % count, jitter))
            thickness = (sigma * self.step).nan_to_num(nan=0.0, posinf=THICKEST)
            flat.scatter_reduce_(0, part, thickness, "amax")  # a cell that was drawn twice takes the larger
        mean = torch.where(live, self.values, 0.0).sum(dtype=torch.float64) / max(len(self.allowed), 1)
        self.occupied.copy_(live & (self.values > mean.clamp(max=0.01)))

    def drawn(self, generator: torch.Generator) -> Tensor:
        """Cells for an update, of a fixed number, and without waiting: a quarter of the allowed ones, and as many of
        the occupied, both drawn with replacement."""
        some, device = len(self.allowed) // 4 + 1, self.values.device
        if not len(self.allowed):
            return self.allowed
        uniform = self.allowed[torch.randint(len(self.allowed), (some,), generator=generator, device=device)]
        ends = self.occupied.view(-1).cumsum(0)  # (K G^3,)
        place = torch.rand(some, generator=generator, device=device, dtype=torch.float64) * ends[-1]
        again = torch.searchsorted(ends, place.long(), right=True).clamp(max=len(ends) - 1)
        return torch.cat([uniform, torch.where(ends[-1] > 0, again, uniform)])

    def chosen(self, generator: torch.Generator) -> Tensor:
        """Which cells the next update asks: indices into the flattened values."""
        allowed = (self.values.view(-1) >= 0).nonzero()[:, 0]
        if self.updates < EVERYWHERE_UPDATES or not len(allowed):
            return allowed
        some = len(allowed) // 4 + 1
        device = self.values.device
        uniform = allowed[torch.randint(len(allowed), (some,), generator=generator, device=device)]
        full = self.occupied.view(-1).nonzero()[:, 0]
        if not len(full):
            return uniform
        again = full[torch.randint(len(full), (min(some, len(full)),), generator=generator, device=device)]
        return torch.cat([uniform, again]).unique()
