"""A hash grid and a radiance head on tinycudann's encodings and networks: a cross-check of values, and the peer that
`bench-scene --against nvidia` measures. Never needed otherwise, and imported only when asked for.

Weights are converted from ours, so that both sides answer the same where they read the same vertices. Layouts: a module
with encoding holds its networks' matrices first, (OUT, IN) row by row, IN and OUT rounded up to 16, then the tables,
level by level, a vertex's features side by side. A dense level has ceil(scale) + 1 vertices per axis, ours one more:
points in the last half cell of such a level read a wrapped vertex there (`same_up_to`).
"""

import importlib
import math
from typing import Any, final

import torch
from torch import Tensor

from fields.arch import hashgrid
from fields.base import FEATURES, Architecture, Volume
from fields.field import Field
from fields.heads import radiance
from fields.kernels.grid import PRIMES

MISSING = (
    "tinycudann is not installed; on a machine with CUDA's compiler: "
    "pip install 'git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch'"
)
ALIGN = 16  # rows and columns of matrices are rounded up to it
FUSED_WIDTHS = (16, 32, 64, 128)  # hidden widths of the fully fused network


def library() -> Any:
    """tinycudann. ValueError, with what installs it, where it is missing."""
    try:
        return importlib.import_module("tinycudann")
    except ImportError:
        raise ValueError(MISSING) from None


def peer(field: Field) -> Field:
    """The same field on tinycudann, with weights of its own that begin as ours. ValueError where it is no hash grid
    under a radiance head."""
    own, head = field.architecture, field.head
    if not isinstance(own, hashgrid.Network) or not isinstance(head, radiance.Readout):
        raise ValueError("the NVIDIA peer is a hash grid under a radiance head: take --arch hashgrid")
    device = field.space.box.device
    return Field(PeerGrid(own), ColorHead(head), field.space.to("cpu")).to(device)


@final
class PeerGrid(Architecture):
    """Hash grid and density network in one module."""

    rate = hashgrid.Network.rate

    def __init__(self, source: hashgrid.Network) -> None:
        super().__init__()
        self.config = source.config
        self.inner = library().NetworkWithInputEncoding(
            3, FEATURES, encoding(self.config), layers(self.config.width, 1)
        )
        fill(self.inner.params, [*map(padded, source.decoder.layers), table(source)])

    def features(self, x: Tensor) -> Tensor:
        """See Architecture. Half precision, as tinycudann answers."""
        return self.inner(x.clamp(0, 1))


@final
class ColorHead(Volume):
    """Spherical harmonics and the colour network."""

    def __init__(self, source: radiance.Readout) -> None:
        super().__init__()
        weights = list(source.network.layers)
        self.harmonics = library().Encoding(3, {"otype": "SphericalHarmonics", "degree": 4})
        shape = layers(len(weights[0]), len(weights) - 1)
        self.network = library().Network(weights[0].shape[1], 3, shape | {"output_activation": "Sigmoid"})
        fill(self.network.params, [padded(weight) for weight in weights])

    def log_density(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 0].float()

    def appearance(self, features: Tensor) -> Tensor:
        """See Volume."""
        return features[:, 1:]

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Volume. tinycudann wants directions in [0, 1]."""
        harmonics = self.harmonics((d + 1) / 2).to(features.dtype)
        return self.network(torch.cat([features[:, 1:], harmonics], -1)).float()


def encoding(config: hashgrid.Config) -> dict[str, Any]:
    """Our grid in tinycudann's words."""
    return {
        "otype": "HashGrid",
        "n_levels": config.levels,
        "n_features_per_level": config.channels,
        "log2_hashmap_size": config.table_bits,
        "base_resolution": config.coarsest,
        "per_level_scale": math.exp(math.log(config.finest / config.coarsest) / max(config.levels - 1, 1)),
    }


def layers(width: int, hidden: int) -> dict[str, Any]:
    """Our networks in tinycudann's words."""
    return {
        "otype": "FullyFusedMLP" if width in FUSED_WIDTHS else "CutlassMLP",
        "activation": "ReLU",
        "output_activation": "None",
        "n_neurons": width,
        "n_hidden_layers": hidden,
    }


def padded(weight: Tensor) -> Tensor:
    """(OUT, IN) with rows and columns of zeros up to multiples of ALIGN."""
    rows, columns = (-n % ALIGN for n in weight.shape)
    return torch.nn.functional.pad(weight.detach(), (0, columns, 0, rows))


def table(source: hashgrid.Network) -> Tensor:
    """Our table's entries in the order of tinycudann's."""
    offsets, parts = source.offsets.tolist(), []
    for level, vertices in enumerate(source.vertices.tolist()):
        rows = source.table.detach()[offsets[level] : offsets[level + 1]]
        side = axis_vertices(float(source.scales[level]))
        if side**3 > 2**source.config.table_bits:
            parts.append(rows)
            continue
        index = entries(side, vertices, len(rows)).to(rows.device)
        parts.append(torch.nn.functional.pad(rows[index], (0, 0, 0, -len(index) % 8)))
    return torch.cat(parts)


def axis_vertices(scale: float) -> int:
    """Per axis of a dense level of tinycudann's."""
    return math.ceil(scale - 1e-6) + 1


def entries(side: int, vertices: int, size: int) -> Tensor:
    """(side^3,) int64: where our level keeps the vertices of a grid that counts x fastest. `vertices` per axis of our
    dense level, 0 where it is hashed into `size` entries."""
    axis = torch.arange(side)
    place = [axis, axis[:, None], axis[:, None, None]]  # x, y, z of (z, y, x)
    if vertices:
        return (place[0] + vertices * (place[1] + vertices * place[2])).flatten()
    hashed = torch.zeros(side, side, side, dtype=torch.int64)
    for values, prime in zip(place, PRIMES, strict=False):
        hashed = hashed ^ (values * prime & 0xFFFFFFFF)
    return hashed.flatten() % size


def same_up_to(source: hashgrid.Network) -> float:
    """Coordinate up to which both sides read the same vertices of all levels."""
    scales = [float(s) for s in source.scales if axis_vertices(float(s)) ** 3 <= 2**source.config.table_bits]
    return min([1.0, *((math.ceil(s - 1e-6) - 0.5) / s for s in scales if s > 0)])


def fill(params: Tensor, parts: list[Tensor]) -> None:
    """Write the parts into a module's one vector. ValueError where it has another length: another version's layout."""
    flat = torch.cat([part.flatten() for part in parts])
    if flat.shape != params.shape:
        raise ValueError(f"tinycudann holds {len(params)} numbers where {len(flat)} were expected: another layout")
    with torch.no_grad():
        params.copy_(flat)
