"""The NVIDIA peer's layouts, on a stand-in with tinycudann's signatures that reads them as its documentation says. Only
a GPU can show that the real one does."""

import sys

import peers
import pytest
import torch
from torch import nn

from fields import nvidia
from fields.arch import hashgrid
from fields.base import FEATURES
from fields.field import Field
from fields.heads import radiance
from fields.space import Space

CONFIG = hashgrid.Config(levels=4, channels=4, table_bits=12, coarsest=6, finest=40, width=32)
BOX = torch.tensor([[0.0] * 3, [1.0] * 3])


@pytest.fixture
def stand_in(monkeypatch):
    peers.stand_in(monkeypatch)


@pytest.fixture
def ours(generator):
    network = hashgrid.Network(CONFIG, 3, generator)
    with torch.no_grad():
        network.table.copy_(torch.randn(network.table.shape, generator=generator))
    return Field(network, radiance.Readout(FEATURES, None, generator), Space(BOX))


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
    theirs = nvidia.PeerGrid(network)
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
        nvidia.peer(Field(network, radiance.Readout(FEATURES, None, generator), Space(BOX)))
