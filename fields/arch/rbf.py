"""RBF: radial basis functions on a feature grid, in feature space (GNF) or in space (NeuRBF).

- `features` (Bouzidi et al. 2025): one layer of Gaussian neurons reads the grid's features, and a linear map their
  answers. There is no other network before the head.
- `space` (Chen et al. 2023): kernels lie where the scene is, with shapes that follow it, and give features of their own
  beside the grid's. They are placed after a tenth of a run, from what the grid alone has learnt, and stay there.
"""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.base import FEATURES, Architecture, Opacity
from fields.kernels.grid import grid_encode, layout
from fields.kernels.rbf import rbf
from fields.kernels.wendland import cell_lists, wendland
from fields.kmeans import kmeans
from fields.layers import Perceptron
from fields.operands import Operands
from fields.ranges import check, check_choice

PLACED_AT = 0.1  # share of a run
LATTICE = 128  # cells along the box's side in which the scene is looked for
SEEN = 0.01  # opacity of a sampling step from which a cell holds something
EACH = 16  # points drawn per kernel
NARROW, SPREAD = 0.3, (1 / 600, 1 / 10)  # covariances are divided by it; limits of standard deviations, box sides
SUPPORT = 2.5  # standard deviations at which a kernel ends
LARGE, SMALL = 0.1, 1e5  # diagonals of shapes, one over half the extents of kernels in box sides
ASIDE = 2.0  # box sides
CROWD = 4096  # kernels that may overlap; those that are placed are about 20
WAVES = 8.0  # highest factor of the kernels' answers; the lowest is 1
GAIN = 30.0  # of the read-out at the start, see GaussianReadout
ASKED = 1 << 17  # points at once


@dataclass(frozen=True)
class Config:
    """Size of the grid and of what goes with it."""

    placement: str = "features"  # where the radial functions are: features or space
    levels: int = 16  # resolutions, coarse to fine, 1 to 32
    channels: int = 2  # features per level: 1, 2, 4 or 8
    table_bits: int = 19  # log2 of the entries of a hashed level, 8 to 24
    coarsest: int = 16  # cells along the box's longest side at the first level, 2 to 512
    bandwidth: float = 256.0  # cycles per box side at the last level, two cells each; coarsest / 2 to 32768
    neurons: int = 32  # Gaussians in feature space, 4 to 256; features only
    kernels: int = 1 << 17  # in space, 8 to 2^20; space only
    coefficients: int = 32  # features of a kernel, 1 to 64; space only
    width: int = 64  # of the decoder's hidden layer, 16 to 256; space only
    placed: bool = False  # whether the kernels have their places; space only

    def __post_init__(self) -> None:
        check("rbf", self, levels=(1, 32), table_bits=(8, 24), coarsest=(2, 512), neurons=(4, 256))
        check("rbf", self, bandwidth=(self.coarsest / 2, 32768))
        check("rbf", self, kernels=(8, 1 << 20), coefficients=(1, 64), width=(16, 256))
        check_choice("rbf", self, channels=(1, 2, 4, 8), placement=("features", "space"), placed=(False, True))
        if self.placed and self.placement != "space":
            raise ValueError("rbf: placed must be False where placement is features, found True")


WHEN = "as hashgrid, a little sharper for the same size, with slower frames"
PRESETS = {
    "tiny": Config(levels=8, table_bits=12, bandwidth=64.0, neurons=16),
    "small": Config(levels=8, channels=4, table_bits=17),
    "base": Config(bandwidth=1024.0),
    "large": Config(channels=4, table_bits=21, bandwidth=2048.0, neurons=64),
    "space-tiny": Config("space", 8, 2, 12, bandwidth=64.0, kernels=64, coefficients=8, width=16),
    "space-small": Config("space", 8, 4, 17, kernels=1 << 13, coefficients=16),
    "space-base": Config("space", bandwidth=1024.0),
}


class GaussianReadout(nn.Module):
    """Features (N, D) -> (N, outputs): y = W phi + b over Gaussian neurons, in float32 under autocast too.

    Centres begin spread with unit mean square length, weights GAIN times as large as usual, and b such that features of
    zero give zero. The published start, centres within 1e-4 of the origin and usual weights, trains too: neurons part
    by the signs of their weights. But it gives slopes of 1e-4 and an output that is constant to rounding before
    training. On the chair (200 x 200, 400 steps of 2^14 samples): published start 25.8 dB, spread centres 26.6, with
    GAIN = 8 29.5 (64 neurons), 30 30.3, 100 30.0 (64 neurons); the hash grid with its decoder 29.8.
    """

    def __init__(self, dims: int, neurons: int, outputs: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.centres = nn.Parameter((torch.rand(neurons, dims, generator=generator) * 2 - 1) * (3 / dims) ** 0.5)
        self.log_precision = nn.Parameter(torch.zeros(neurons, dims))
        weight = (torch.rand(outputs, neurons, generator=generator) * 2 - 1) * GAIN * neurons**-0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(-weight @ torch.exp(-0.5 * self.centres.detach().square().sum(-1)))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        phi = rbf(features, self.centres, self.log_precision)
        with torch.autocast(phi.device.type, enabled=False):
            return functional.linear(phi, self.weight, self.bias)


class SpaceKernels(nn.Module):
    """Points (N, 3) -> features (N, F) of kernels with bounded support. Places and shapes are no parameters."""

    centres: Tensor  # (M, 3)
    shapes: Tensor  # (M, 6), see wendland
    waves: Tensor  # (F,)
    starts: Tensor
    members: Tensor

    def __init__(self, count: int, coefficients: int, generator: torch.Generator | None) -> None:
        super().__init__()
        rows = torch.rand(count, coefficients, generator=generator)
        self.coefficients = nn.Parameter((rows * 2 - 1) * 1e-4)
        self.register_buffer("centres", torch.rand(count, 3, generator=generator))
        side = count ** (1 / 3) / SUPPORT
        self.register_buffer("shapes", torch.tensor([side, 0, 0, side, 0, side]).repeat(count, 1))
        self.register_buffer("waves", torch.logspace(0, math.log2(WAVES), coefficients, 2), persistent=False)
        self.register_buffer("starts", torch.zeros(2, dtype=torch.int64), persistent=False)
        self.register_buffer("members", torch.zeros(0, dtype=torch.int64), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module.listed())
        if generator is not None:
            self.listed()

    def place(self, centres: Tensor, shapes: Tensor) -> None:
        """Move all kernels."""
        self.centres.copy_(centres)
        self.shapes.copy_(shapes)
        self.listed()

    def listed(self) -> None:
        """Make the lists that follow from places and shapes. ValueError where a shape has no extent, or so many kernels
        overlap that every point would take long."""
        if not bool((self.shapes[:, [0, 3, 5]] >= LARGE).all() & (self.shapes.abs() <= SMALL).all()):
            raise ValueError(
                f"rbf: shapes of kernels must have a diagonal of {LARGE} to {SMALL:g}, and no larger numbers"
            )
        if not bool((self.centres.abs() <= ASIDE).all()):
            raise ValueError(f"rbf: centres of kernels must lie within {ASIDE} of the box's corner")
        cells = cell_lists(self.centres, self.shapes)
        crowd = len(cells.members) / (len(cells.starts) - 1)
        if crowd > CROWD:
            raise ValueError(f"rbf: {crowd:.0f} kernels overlap at a point, on average; at most {CROWD} may")
        self.starts, self.members = cells.starts, cells.members

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return wendland(x, self.coefficients, self.centres, self.shapes, self.waves, self.starts, self.members)


def frames(covariances: Tensor) -> Tensor:
    """Covariances (M, 3, 3) of what kernels stand for -> their shapes (M, 6): U^T U = covariance^-1 / SUPPORT^2."""
    variances, axes = torch.linalg.eigh(covariances.double() / NARROW)
    spread = variances.clamp(min=0).sqrt().clamp(*SPREAD) * SUPPORT
    inverse = axes @ torch.diag_embed(spread**-2) @ axes.mT
    upper = torch.linalg.cholesky(inverse).mT
    return torch.stack([upper[:, i, j] for i in range(3) for j in range(i, 3)], -1).float()


@final
class Network(Architecture):
    """Grid encode, with the kernels' features beside it where there are any, then what reads them."""

    rate = 2e-2  # as published
    matrix_rate = 2e-2  # against `rate`, of `small` on the chair: +0.3 and +0.4 dB after 250 steps, two seeds
    bandwidths = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

    scales: Tensor
    vertices: Tensor
    offsets: Tensor

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        space = config.placement == "space"
        if space and dims != 3:
            raise ValueError(f"rbf: placement space wants 3 coordinates, found {dims}")
        self.growth = (PLACED_AT,) if space and not config.placed else ()
        plan = layout(dims, config.levels, config.table_bits, config.coarsest, round(2 * config.bandwidth))
        for name in ("scales", "vertices", "offsets"):
            self.register_buffer(name, getattr(plan, name), persistent=False)
        entries, inputs = int(plan.offsets[-1]), config.levels * config.channels
        self.table = nn.Parameter((torch.rand(entries, config.channels, generator=generator) * 2 - 1) * 1e-4)
        self.beside = nn.ModuleList()
        if config.placed:
            self.beside.append(SpaceKernels(config.kernels, config.coefficients, generator))
            inputs += config.coefficients
        if space:
            self.decoder = Perceptron((inputs, config.width, FEATURES), generator)
        else:
            self.decoder = GaussianReadout(inputs, config.neurons, FEATURES, generator)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        grid = grid_encode(x, self.table, self.scales, self.vertices, self.offsets)
        both = [grid, *(kernels(x) for kernels in self.beside)]
        return self.decoder(torch.cat(both, -1) if len(both) > 1 else grid)

    def operands(self) -> Operands | None:
        """See Architecture. Three coordinates. Small: up to 64 numbers of the grid and of a kernel, and 128 of
        the hidden layer, what a tile of points may take of a GPU's registers."""
        config, kernels = self.config, next(self.beside.children(), None)
        grid, coefficients = config.levels * config.channels, config.coefficients if config.placed else 0
        if self.dims != 3:
            return None
        small = max(grid, coefficients) <= 64 and config.width <= 128
        fixed = (self.scales, self.vertices, self.offsets)
        if isinstance(self.decoder, GaussianReadout):
            weights = (self.decoder.centres, self.decoder.log_precision, self.decoder.weight, self.decoder.bias)
            shape = (config.levels, config.channels, config.neurons, 0, 0, 0)
            return Operands((self.table,), weights, fixed, shape, FEATURES, exact=True, small=small)
        tables, cells, weights = (self.table,), 0, tuple(self.decoder.layers)
        if isinstance(kernels, SpaceKernels):
            tables, cells = (self.table, kernels.coefficients), round((len(kernels.starts) - 1) ** (1 / 3))
            fixed = (*fixed, kernels.centres, kernels.shapes, kernels.waves, kernels.starts, kernels.members)
        shape = (config.levels, config.channels, 0, coefficients, config.width, cells)
        return Operands(tables, weights, fixed, shape, FEATURES, small=small)

    @staticmethod
    def final(config: Config) -> Config:
        """See Architecture."""
        return replace(config, placed=config.placement == "space")

    @torch.no_grad()
    def grown(self, opacity: Opacity, generator: torch.Generator) -> Architecture:
        """Kernels where the scene is and changes fastest; the grid and what reads it stay as they are."""
        if not self.growth:
            return self
        result = Network(replace(self.config, placed=True), self.dims, generator).to(self.table.device)
        result.table.copy_(self.table)
        for new, old in zip(result.decoder.parameters(), self.decoder.parameters(), strict=True):
            new[:, : old.shape[1]] = old
        points, weights = self.evidence(opacity, generator)
        clusters = kmeans(points, weights, self.config.kernels, generator)
        for kernels in result.beside.children():
            assert isinstance(kernels, SpaceKernels)
            kernels.place(clusters.centres, frames(clusters.covariances))
        return result

    def evidence(self, opacity: Opacity, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points (P, 3) of the cells that hold something, and how much a kernel would help there (P,): opacity times
        the slope of the features (Chen et al. 2023). On the CPU; equal weights where there is nothing."""
        device = self.table.device
        cell = torch.cartesian_prod(*[torch.arange(LATTICE)] * 3)
        probe = (cell + torch.rand(cell.shape, generator=generator)) / LATTICE
        seen = opacity(probe.to(device)).cpu() > SEEN
        cell = cell[seen] if bool(seen.any()) else cell
        pick = torch.randint(len(cell), (EACH * self.config.kernels,), generator=generator)
        x = (cell[pick] + torch.rand(len(pick), 3, generator=generator)) / LATTICE
        weights = opacity(x.to(device)).cpu()
        lit = (weights > 0).nonzero()[:, 0]
        for part in lit.split(ASKED):
            weights[part] *= self.steepness(x[part].to(device)).cpu()
        weights = weights.nan_to_num(0, 0, 0)
        return x, weights if bool((weights > 0).any()) else torch.ones(len(x))

    def steepness(self, x: Tensor) -> Tensor:
        """|dF/dx| (N,) by differences over half of the finest cell."""
        step = 0.25 / self.config.bandwidth
        here, pushes = self.features(x).float(), torch.eye(3, device=x.device) * step
        rises = [(self.features(x + push).float() - here).square().sum(-1) for push in pushes]
        return torch.stack(rises).sum(0).sqrt() / step
