"""The NVIDIA peer's layouts, on a stand-in with tinycudann's signatures that reads them as its documentation says. Only
a GPU can show that the real one does."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fields import nvidia
from fields.arch import hashgrid
from fields.base import Field
from fields.encodings import spherical_harmonics
from fields.heads import RadianceHead
from fields.kernels.grid import PRIMES

CONFIG = hashgrid.Config(levels=4, channels=4, table_bits=12, coarsest=6, finest=40, width=32)
BOX = torch.tensor([[0.0] * 3, [1.0] * 3])


def up(n, multiple):
    return -(-n // multiple) * multiple


def through(x, params, inputs, outputs, config):
    """A network of matrices (OUT, IN), row by row, both rounded up to 16; inputs are padded with ones."""
    width, sizes = config["n_neurons"], [up(inputs, 16)]
    sizes += [width] * config["n_hidden_layers"] + [up(outputs, 16)]
    x = nn.functional.pad(x, (0, sizes[0] - inputs), value=1.0)
    at = 0
    for number, (a, b) in enumerate(pairwise(sizes)):
        x = x @ params[at : at + a * b].view(b, a).T
        at += a * b
        if number < len(sizes) - 2:
            x = x.relu()
    return {"None": x, "Sigmoid": x.sigmoid()}[config["output_activation"]][:, :outputs], at


def numbers(inputs, outputs, config):
    width = config["n_neurons"]
    hidden = width * width * (config["n_hidden_layers"] - 1)
    return width * up(inputs, 16) + hidden + width * up(outputs, 16)


def levels(config):
    """Scale, vertices per axis and entries of each level, as tinycudann lays them out."""
    for level in range(config["n_levels"]):
        scale = config["base_resolution"] * config["per_level_scale"] ** level - 1
        side = nvidia.axis_vertices(scale)
        yield scale, side, min(up(side**3, 8), 2 ** config["log2_hashmap_size"])


def grid(x, params, config):
    channels, at, found = config["n_features_per_level"], 0, []
    for scale, side, size in levels(config):
        table = params[at : at + size * channels].view(size, channels)
        at += size * channels
        place = x * scale + 0.5
        low = place.floor()
        total = torch.zeros(len(x), channels)
        for corner in range(8):
            pick = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
            cell = (low + pick).long()
            weight = torch.where(pick.bool(), place - low, 1 - (place - low)).prod(-1)
            if side**3 <= size:
                index = cell[:, 0] + cell[:, 1] * side + cell[:, 2] * side**2
            else:
                hashed = [cell[:, a] * PRIMES[a] & 0xFFFFFFFF for a in range(3)]
                index = hashed[0] ^ hashed[1] ^ hashed[2]
            total = total + weight[:, None] * table[index % size]
        found.append(total)
    return torch.cat(found, -1)


class NetworkWithInputEncoding(nn.Module):
    def __init__(self, n_input_dims, n_output_dims, encoding_config, network_config, seed=1337):
        super().__init__()
        self.encoding, self.shape, self.outputs = encoding_config, network_config, n_output_dims
        self.width = encoding_config["n_levels"] * encoding_config["n_features_per_level"]
        entries = sum(size for _, _, size in levels(encoding_config)) * encoding_config["n_features_per_level"]
        self.params = nn.Parameter(torch.zeros(numbers(self.width, n_output_dims, network_config) + entries))

    def forward(self, x):
        first = numbers(self.width, self.outputs, self.shape)
        encoded = grid(x, self.params[first:], self.encoding)
        return through(encoded, self.params, self.width, self.outputs, self.shape)[0]


class Network(nn.Module):
    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        super().__init__()
        self.sizes, self.shape = (n_input_dims, n_output_dims), network_config
        self.params = nn.Parameter(torch.zeros(numbers(*self.sizes, network_config)))

    def forward(self, x):
        return through(x, self.params, *self.sizes, self.shape)[0]


class Encoding(nn.Module):
    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        assert encoding_config == {"otype": "SphericalHarmonics", "degree": 4}
        self.params = nn.Parameter(torch.zeros(0))

    def forward(self, d):
        return spherical_harmonics(d * 2 - 1)


@pytest.fixture
def stand_in(monkeypatch):
    library = SimpleNamespace(NetworkWithInputEncoding=NetworkWithInputEncoding, Network=Network, Encoding=Encoding)
    monkeypatch.setitem(sys.modules, "tinycudann", library)


@pytest.fixture
def ours(generator):
    network = hashgrid.Network(CONFIG, 3, generator)
    with torch.no_grad():
        network.table.copy_(torch.randn(network.table.shape, generator=generator))
    return Field(network, RadianceHead(generator), BOX)


def test_weights_arrive_where_the_peer_reads_them(stand_in, ours, generator):
    vertices = ours.architecture.vertices
    assert bool((vertices == 0).any()) and bool((vertices > 0).any())  # hashed and dense levels
    theirs = nvidia.peer(ours)
    x = torch.rand(500, 3, generator=generator) * nvidia.same_up_to(ours.architecture)
    d = nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=-1)
    for got, want in zip(theirs.radiance(x, d), ours.radiance(x, d), strict=True):
        torch.testing.assert_close(got, want, rtol=2e-4, atol=2e-4)  # scales are rounded otherwise


def test_a_level_that_only_we_hash_is_unrolled(stand_in, generator):
    config = hashgrid.Config(levels=1, channels=4, table_bits=9, coarsest=8, finest=8, width=16)
    network = hashgrid.Network(config, 3, generator)
    assert network.vertices.tolist() == [0]  # 9^3 > 2^9 = 8^3
    theirs = nvidia.Network(network)
    x = torch.rand(200, 3, generator=generator) * nvidia.same_up_to(network)
    torch.testing.assert_close(theirs.features(x), network.features(x), rtol=1e-4, atol=1e-6)


def test_another_layout_is_told(stand_in, ours, monkeypatch):
    monkeypatch.setattr(nvidia, "ALIGN", 64)
    with pytest.raises(ValueError, match="another layout"):
        nvidia.peer(ours)


def test_a_missing_library_names_its_command(ours, monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    with pytest.raises(ValueError, match="pip install"):
        nvidia.peer(ours)


def test_other_fields_have_no_peer(stand_in, generator):
    from fields.arch import mlp

    network = mlp.Network(mlp.PRESETS["tiny"], 3, generator)
    with pytest.raises(ValueError, match="take --arch hashgrid"):
        nvidia.peer(Field(network, RadianceHead(generator), BOX))
