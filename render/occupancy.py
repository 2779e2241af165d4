"""Occupancy grid: which cells of the scene box a ray may skip (Mueller et al. 2022, appendix E)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fields.field import Field
from render.kernels import occupancy_cpu
from render.kernels.march import march_count, march_fill
from render.precision import precision
from render.rays import RayBatch, Samples

RESOLUTION = 128  # cells per axis of every cascade
HIGHEST = 0.01  # threshold at most, optical thickness
NEVER = -1.0  # value of a cell that stays empty whatever the field says
UNASKED = -0.5  # value of a cell that nothing is known of yet: it counts as occupied
EVERYWHERE_UPDATES = 16  # updates, at least, that ask cells in turn, before updates ask a sample of them
MOST_ASKED = 1 << 19  # cells of an update that are asked in turn, and that are drawn: half a second of one processor


def cascades_for(box: Tensor) -> int:
    """Cascades that reach all of a box (2, 3): cascade c covers the cube of side 2^c around (1/2, 1/2, 1/2)."""
    reach = float((box - 0.5).abs().max())
    count = 1
    while reach > 2.0 ** (count - 1) / 2 + 1e-6:
        count += 1
    return count


@dataclass(frozen=True)
class Walk:
    """Rays through a grid, before there is memory for their samples."""

    counts: Tensor  # (R,) int64, samples of each ray
    fill: Callable[[Tensor, int], Samples]  # offsets (R + 1,) int64, none wider than its count, and room -> samples


class Marchable(Protocol):
    """What rays are followed through: an OccupancyGrid, or a part of one (render/turned_grid.py)."""

    @property
    def bits(self) -> Tensor:
        """See OccupancyGrid."""
        ...

    @property
    def box(self) -> Tensor:
        """See OccupancyGrid."""
        ...

    @property
    def resolution(self) -> int:
        """See OccupancyGrid."""
        ...

    def march(
        self, rays: RayBatch, step: float, cone: float, *, jitter: Tensor | None = None, near: Tensor | None = None,
        limit: int = 1 << 30,
    ) -> Samples:  # fmt: skip
        """See OccupancyGrid."""
        ...


@dataclass(frozen=True)
class OccupancyGrid:
    """Bits, and the box that holds everything."""

    bits: Tensor  # (K, G^3 / 8) uint8, see render/kernels/march.py
    box: Tensor  # (2, 3) float32, scene units; nothing is sampled outside
    resolution: int = RESOLUTION  # G

    @property
    def edges(self) -> tuple[float, ...]:
        """Length of a cell's edge in each cascade, scene units."""
        return tuple(2.0**cascade / self.resolution for cascade in range(len(self.bits)))

    def walk(
        self,
        rays: RayBatch,
        step: float,
        cone: float,
        *,
        jitter: Tensor | None = None,
        near: Tensor | None = None,
        limit: int = 1 << 30,
    ) -> Walk:
        """Find samples in occupied cells: at most `limit` per ray, none before `near` (R,), scene units.

        `jitter` (R,) in [0, 1) shifts each ray's lattice; without it, rays start at their origins.
        """
        zeros = torch.zeros_like(rays.origins[:, 0])
        jitter = zeros if jitter is None else jitter
        near = zeros if near is None else near
        common = (jitter, self.bits, self.box, self.resolution, step, cone)
        counts, first = march_count(rays.origins, rays.directions, near, *common, limit)

        def fill(offsets: Tensor, room: int) -> Samples:
            ray, t, dt = march_fill(rays.origins, rays.directions, first, *common, offsets, room)
            return Samples(ray, t, dt, offsets)

        return Walk(counts, fill)

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
        """The samples of `walk` in memory that fits."""
        walk = self.walk(rays, step, cone, jitter=jitter, near=near, limit=limit)
        offsets = torch.nn.functional.pad(walk.counts.cumsum(0), (1, 0))
        return walk.fill(offsets, int(offsets[-1]))

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
    """What training has seen of every cell: the largest recent optical thickness of one step, sigma * step. All of it
    stays where it is and changes, so that a CUDA graph may hold it."""

    def __init__(self, box: Tensor, step: float, allowed: Tensor, resolution: int = RESOLUTION) -> None:
        """`allowed` (K, G^3) bool: cells that may ever be occupied (seen by a camera, inside the silhouettes)."""
        self.step, self.resolution = step, resolution
        self.values = torch.where(allowed, UNASKED, NEVER)  # (K, G^3) float32
        self.occupied = allowed.clone()  # (K, G^3) bool; all that is allowed, until the first update
        self.allowed = allowed.flatten().nonzero()[:, 0]  # (A,) int64 into the flattened values
        self.updates = 0  # that have begun
        self.grid = OccupancyGrid(self.bits(), box, resolution)

    def bits(self) -> Tensor:
        """(K, G^3 / 8) uint8: a cell is occupied, or a finer one inside it is."""
        return pack(coarsen(self.occupied, self.resolution))

    def centers(self, cascade: Tensor, cell: Tensor, jitter: Tensor) -> Tensor:
        """Points (M, 3) in scene units: cell `cell` (M,) of cascade `cascade` (M,), jitter (M, 3) in [0, 1)."""
        g = self.resolution
        place = torch.stack([cell % g, cell // g % g, cell // (g * g)], -1) + jitter
        return (place / g - 0.5) * torch.exp2(cascade.float())[:, None] + 0.5

    def begin(self) -> Tensor | None:
        """Count an update. The cells that it is to ask: of the first ones all that are allowed, or where these are many
        the next `MOST_ASKED` of them, finest cascade first; None once all were asked, and samples are to be drawn."""
        parts = max(1, -(-len(self.allowed) // MOST_ASKED))
        part, self.updates = self.updates % parts, self.updates + 1
        if self.updates > max(EVERYWHERE_UPDATES, parts):
            return None
        return self.allowed[part * MOST_ASKED : (part + 1) * MOST_ASKED]

    @torch.no_grad()
    def update(
        self, field: Field, generator: torch.Generator, cells: Tensor, decay: float = 0.95, chunk: int = 1 << 17
    ) -> None:
        """All values decay; `cells` (M,), indices into the flattened values, rise to what the field says at a random
        point inside. A cell is then occupied where its value exceeds min(HIGHEST, mean). No device is waited for."""
        update = self.update_by_numba if cells.device.type == "cpu" else self.update_by_torch
        update(field, generator, cells.split(chunk), decay)

    def update_by_torch(
        self, field: Field, generator: torch.Generator, parts: tuple[Tensor, ...], decay: float
    ) -> None:
        """`update` with cells in parts, on any device."""
        live, count, flat = self.values >= 0, self.values.shape[1], self.values.view(-1)
        self.values.mul_(torch.where(live, decay, 1.0))
        for part in parts:
            jitter = torch.rand(len(part), 3, generator=generator, device=part.device)
            with precision(part.device):
                sigma = field.thickness(self.centers(part // count, part % count, jitter))
            highest = occupancy_cpu.THICKEST  # in place of infinity; NaN is nothing: a bad step must not outlive itself
            thickness = (sigma * self.step).nan_to_num(nan=0.0, posinf=highest).clamp(min=0)
            flat.scatter_reduce_(0, part, thickness, "amax")  # a cell that was drawn twice takes the larger
        known = self.values.clamp(min=0)
        mean = known.sum(dtype=torch.float64) / max(len(self.allowed), 1)
        self.occupied.copy_((known > mean.clamp(max=HIGHEST)) | (self.values == UNASKED))
        self.grid.bits.copy_(self.bits())

    def update_by_numba(
        self, field: Field, generator: torch.Generator, parts: tuple[Tensor, ...], decay: float
    ) -> None:
        """The same on the CPU, in few passes over the cells."""
        occupancy_cpu.fade(self.values, decay)
        for part in parts:
            jitter = torch.rand(len(part), 3, generator=generator)
            with precision(part.device):
                sigma = field.thickness(occupancy_cpu.points(part, jitter, self.resolution))
            occupancy_cpu.rise(self.values, part, sigma, self.step)
        allowed = len(self.allowed)
        occupancy_cpu.settle(self.values, self.resolution, allowed, HIGHEST, self.occupied, self.grid.bits)

    def uniform(self, generator: torch.Generator) -> Tensor:
        """A quarter of the allowed cells, `MOST_ASKED` at most, drawn with replacement."""
        count = len(self.allowed)
        some = min(count // 4 + 1, MOST_ASKED)
        if not count:
            return self.allowed
        return self.allowed[torch.randint(count, (some,), generator=generator, device=self.allowed.device)]

    def chosen(self, generator: torch.Generator) -> Tensor:
        """Cells for an update: those of `uniform`, and as many of the occupied, none twice."""
        host = self.values.device.type == "cpu"
        uniform = self.uniform(generator)
        full = occupancy_cpu.listed(self.occupied) if host else self.occupied.view(-1).nonzero()[:, 0]
        if not len(full):
            return uniform
        some = min(len(uniform), len(full))
        again = full[torch.randint(len(full), (some,), generator=generator, device=full.device)]
        cells = torch.cat([uniform, again])
        return occupancy_cpu.distinct(cells, self.values.numel()) if host else cells.unique()

    def drawn(self, generator: torch.Generator) -> Tensor:
        """As `chosen`, of a fixed number, for a device that must not wait; elsewhere that would be 1.6 times as many
        cells to ask, where a fifth of the allowed ones is occupied."""
        uniform = self.uniform(generator)
        if not len(uniform):
            return uniform
        ends = self.occupied.view(-1).cumsum(0)  # (K G^3,)
        place = torch.rand(len(uniform), generator=generator, device=ends.device, dtype=torch.float64) * ends[-1]
        again = torch.searchsorted(ends, place.long(), right=True).clamp(max=len(ends) - 1)
        return torch.cat([uniform, torch.where(ends[-1] > 0, again, uniform)])

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, as copies."""
        updates = torch.tensor(self.updates)
        return {"values": self.values.clone(), "occupied": self.occupied.clone(), "updates": updates}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.values.copy_(tensors["values"])
        self.occupied.copy_(tensors["occupied"].bool())
        self.updates = int(tensors["updates"])
        self.grid.bits.copy_(self.bits())
