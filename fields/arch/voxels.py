"""Voxels: a sparse grid of log-density and harmonic colour, without a network (Fridovich-Keil et al. 2022)."""

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.base import Architecture, Opacity
from fields.kernels.voxels import voxels
from fields.operands import Operands
from fields.ranges import check

LAST_GROWTH = 0.3  # share of a run, as published (step 38 400 of 128 000); each earlier growth at a third of the next
FAINT = 0.02  # opacity of one sampling step; the last growth prunes vertices below it, but for neighbours of others
FAINTEST = 5e-4  # so do earlier ones: a tenth of what a network begins with, since thin parts may not have formed yet
CHUNK = 1 << 18  # points asked at once while growing
SMOOTHED = 0.01  # share of the vertices whose differences each step's penalty takes, as published
SMALL = 257**3  # vertices, up to which any number of rows may be kept
SPARSE = 4096  # vertices to a row, at most, of a larger grid
RUN = 32  # rows that follow each other in memory, taken together
DENSITY_TV = 1e-3  # of log-density; the published 1e-5 is of density, whose surfaces are hundreds high
COLOR_TV = 1e-3  # as published; ten times both cost 0.4 dB after 600 steps on the chair, none changed nothing


def fewest(resolution: int) -> int:
    """Rows that a grid is worth its index of all vertices for, in memory: 4 bytes each. Any number up to 256 cells."""
    vertices = (resolution + 1) ** 3
    return 1 if vertices <= SMALL else vertices // SPARSE


@dataclass(frozen=True)
class Config:
    """Size of the grid, now and at the end."""

    resolution: int = 128  # cells along the box's longest side as it stands, 4 to 1024; published: 256, then 512
    finest: int = 512  # cells at the end: `resolution` times 1, 2, 4, 8 or 16
    degree: int = 2  # of the spherical harmonics, 0 to 3
    rows: int = 0  # vertices that are kept as it stands, up to (resolution + 1)^3; 0 for all
    most: int = 8_000_000  # vertices that growth may keep, 100 to 10^9

    def __post_init__(self) -> None:
        check("voxels", self, resolution=(4, 1024), degree=(0, 3), most=(100, 10**9))
        check("voxels", self, rows=(0, (self.resolution + 1) ** 3))
        if 0 < self.rows < fewest(self.resolution):
            wanted = f"0 or at least {fewest(self.resolution)} where resolution is {self.resolution}"
            raise ValueError(f"voxels: rows must be {wanted}, found {self.rows}")
        if self.finest not in (self.resolution << n for n in range(5)):
            raise ValueError(f"voxels: finest must be resolution times 1, 2, 4, 8 or 16, found {self.finest!r}")


WHEN = "no network at all, log-density and colours in a table; the largest files"
PRESETS = {
    "tiny": Config(resolution=8, finest=16, degree=1, most=2000),
    "small": Config(resolution=40, finest=160, most=1_000_000),
    "base": Config(),
    "large": Config(resolution=160, finest=640, degree=3, most=16_000_000),
}


@final
class Network(Architecture):
    """Trilinear lookup, nothing else. A step of Adam moves all rows, also those that no sample was near, so that its
    time grows with the rows: pruning is what makes fine grids affordable."""

    head = "harmonics"
    rate = 0.05  # chair, 600 steps: 28.8 dB with 0.02, 30.7 with 0.05, 28.6 with 0.1; published ones are for RMSProp
    rates = MappingProxyType({"density": 0.5})  # 27.8 dB with 0.1, 30.7 with 0.3, 30.8 with 0.5

    mask: Tensor  # (V^3 / 8,) uint8, V = resolution + 1, which vertices are kept
    index: Tensor  # (V, V, V) int32, their rows, -1 where pruned
    vertices: Tensor  # (K,) int32, the vertex of each row
    side: Tensor  # () int32, V, for kernels that need not be compiled again as it grows

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        if dims != 3:
            raise ValueError(f"voxels: wants points of space, with 3 coordinates, found {dims}")
        self.config, self.dims = config, dims
        total = (config.resolution + 1) ** 3
        rows = config.rows or total
        harmonics = (config.degree + 1) ** 2
        self.width = 1 + 3 * harmonics
        doublings = (config.finest // config.resolution).bit_length() - 1
        self.growth = tuple(LAST_GROWTH / 3**n for n in reversed(range(doublings)))
        self.density = nn.Parameter((torch.rand(rows, generator=generator) * 2 - 1) * 1e-2)
        self.coefficients = nn.Parameter(torch.zeros(rows, 3 * harmonics))
        kept = torch.zeros(total, dtype=torch.bool)
        kept[:rows] = True  # until a mask is loaded
        self.register_buffer("mask", packed(kept))
        self.register_buffer("index", numbered(self.mask, config.resolution + 1), persistent=False)
        self.register_buffer("vertices", torch.arange(rows, dtype=torch.int32), persistent=False)
        self.register_buffer("side", torch.tensor(config.resolution + 1, dtype=torch.int32), persistent=False)
        self.register_load_state_dict_post_hook(renumber)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        return voxels(x, self.density, self.coefficients, self.index)

    def operands(self) -> Operands:
        """See Architecture. The shape is (harmonics,)."""
        tables, fixed = (self.density, self.coefficients), (self.index, self.side)
        return Operands(tables, (), fixed, ((self.config.degree + 1) ** 2,), self.width)

    def penalty(self, generator: torch.Generator) -> Tensor:
        """Total variation (eq. 3) of log-density and coefficients over random runs of vertices; none on the last
        grid."""
        if self.config.resolution == self.config.finest:
            return self.density.new_zeros(())
        rows = self.neighbours(generator)
        density = functional.embedding(rows, self.density[:, None])
        coefficients = functional.embedding(rows, self.coefficients)
        return DENSITY_TV * variation(density) + COLOR_TV * variation(coefficients)

    @torch.no_grad()
    def neighbours(self, generator: torch.Generator) -> Tensor:
        """Rows (M, 4) of some vertices and of the next ones along each axis, themselves where those were pruned."""
        count, device = len(self.density), self.density.device
        runs = max(1, round(SMOOTHED * count / RUN))
        start = torch.randint(count, (runs, 1), generator=generator, device=device)
        rows = (start + torch.arange(RUN, device=device)).clamp(max=count - 1).flatten()
        last = self.config.resolution
        i, j, k = places(self.vertices[rows], last + 1)
        ahead = [self.index[(i + 1).clamp(max=last), j, k], self.index[i, (j + 1).clamp(max=last), k]]
        ahead.append(self.index[i, j, (k + 1).clamp(max=last)])
        return torch.stack([rows, *(torch.where(a >= 0, a.long(), rows) for a in ahead)], -1)

    @torch.no_grad()
    def grown(self, opacity: Opacity, generator: torch.Generator) -> "Network":
        """Twice as fine, without the vertices that neither are opaque nor have an opaque neighbour. Between kept
        vertices nothing changes, since blending the blended is blending. Where next to nothing is opaque it stays as it
        is."""
        config, vertices = self.config, 2 * self.config.resolution + 1
        candidates = spread(self.index >= 0).flatten().nonzero()[:, 0]
        chunks = candidates.split(CHUNK)
        seen = torch.cat([opacity(points(part, vertices)) for part in chunks]).nan_to_num(0)
        faint = FAINT if 2 * config.resolution == config.finest else FAINTEST
        opaque = seen > min(faint, float(seen.mean()))
        order = candidates[seen.argsort(descending=True, stable=True)][: int(opaque.sum())]
        kept = around(candidates, order, vertices, config.most)
        del seen, opaque, order
        if int(kept.sum()) < fewest(2 * config.resolution):
            return self
        rows = kept.flatten().nonzero()[:, 0]
        with torch.device("meta"):
            finer = dataclasses.replace(config, resolution=2 * config.resolution, rows=len(rows))
            empty = Network(finer, self.dims, None)
        result = empty.to(self.density.dtype).to_empty(device=self.density.device)
        for first in range(0, len(rows), CHUNK):
            values = self.features(points(rows[first : first + CHUNK], vertices).to(self.density.dtype))
            result.density[first : first + CHUNK] = values[:, 0]
            result.coefficients[first : first + CHUNK] = values[:, 1:]
        result.mask.copy_(packed(kept.flatten()))
        renumber(result)
        return result

    @staticmethod
    def final(config: Config) -> Config:
        """See Architecture."""
        rows = min(config.most, (config.finest + 1) ** 3)
        return dataclasses.replace(config, resolution=config.finest, rows=rows)


def variation(values: Tensor) -> Tensor:
    """Mean over vertices and channels of the length of the differences along the axes: (M, 4, C) -> ()."""
    steps = values[:, 1:] - values[:, :1]
    return (steps.square().sum(1) + 1e-9).sqrt().mean()


def places(numbers: Tensor, vertices: int) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates of vertices (M,), each (M,) int64."""
    numbers = numbers.long()
    return numbers // (vertices * vertices), numbers // vertices % vertices, numbers % vertices


def points(numbers: Tensor, vertices: int) -> Tensor:
    """Where vertices (M,) lie in the unit box, (M, 3) float32."""
    return torch.stack(places(numbers, vertices), -1).float() / (vertices - 1)


def spread(kept: Tensor) -> Tensor:
    """(V, V, V) bool -> (2 V - 1) cubed: the vertices of a grid twice as fine that kept ones have a share in."""
    for axis in range(3):
        lower, upper = kept.narrow(axis, 0, kept.shape[axis] - 1), kept.narrow(axis, 1, kept.shape[axis] - 1)
        between = torch.stack([lower, lower | upper], axis + 1).flatten(axis, axis + 1)
        kept = torch.cat([between, kept.narrow(axis, kept.shape[axis] - 1, 1)], axis)
    return kept


def around(candidates: Tensor, opaque: Tensor, vertices: int, most: int) -> Tensor:
    """Which vertices to keep, (V, V, V) bool: of the candidates (M,), the opaque ones (P,), most opaque first,
    and those beside one of these. Around fewer where that would be more than `most`."""
    inside = torch.zeros(vertices**3, dtype=torch.bool, device=candidates.device)
    inside[candidates] = True
    inside = inside.view(vertices, vertices, vertices)
    while True:
        kept = torch.zeros_like(inside)
        kept.view(-1)[opaque] = True
        for axis in range(3):
            before = kept.clone()
            size = vertices - 1
            kept.narrow(axis, 1, size).logical_or_(before.narrow(axis, 0, size))
            kept.narrow(axis, 0, size).logical_or_(before.narrow(axis, 1, size))
        kept &= inside
        if int(kept.sum()) <= most:
            return kept
        opaque = opaque[: len(opaque) * 3 // 4]


def packed(kept: Tensor) -> Tensor:
    """Booleans (M,) -> bits (M / 8 rounded up,) uint8, vertex n in bit n % 8 of byte n // 8."""
    parts = functional.pad(kept.to(torch.uint8), (0, -len(kept) % 8)).view(-1, 8)
    return sum((parts[:, bit] << bit for bit in range(1, 8)), parts[:, 0])  # type: ignore[return-value]


def numbered(mask: Tensor, vertices: int) -> Tensor:
    """Index (V, V, V) int32 of the op: rows are given to kept vertices in the order of their bits."""
    bits = torch.arange(8, device=mask.device, dtype=torch.uint8)
    kept = (mask[:, None] >> bits).bitwise_and_(1).flatten()[: vertices**3]
    index = kept.cumsum(0, dtype=torch.int32).sub_(1)
    return index.masked_fill_(kept == 0, -1).view(vertices, vertices, vertices)


def renumber(network: nn.Module, *_: Any) -> None:
    """Row numbers from the mask, after weights and mask were loaded. ValueError where they do not belong together."""
    assert isinstance(network, Network)
    index = numbered(network.mask, network.config.resolution + 1)
    kept = int(index.max()) + 1
    if kept != len(network.density):
        raise ValueError(f"voxels: mask keeps {kept} vertices; wanted {len(network.density)}, one for each row")
    network.index = index
    network.side = torch.full_like(network.side, len(index), device=index.device)
    network.vertices = (index.flatten() >= 0).nonzero()[:, 0].int()
