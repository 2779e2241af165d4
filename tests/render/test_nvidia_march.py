"""nerfacc's marching and compositing behind our contracts, on a stand-in with its signatures that walks as its source
does, ray by ray. Only a GPU can show that the real one does."""

import sys

import peers
import pytest
import torch

from render import nvidia
from render.kernels.composite import composite
from render.occupancy import OccupancyGrid, pack
from render.rays import RayBatch

G = 16


@pytest.fixture
def stand_in(monkeypatch):
    peers.stand_in(monkeypatch)


@pytest.fixture
def grid(generator):
    bits = pack(torch.rand(1, G**3, generator=generator) < 0.4)
    return OccupancyGrid(bits, torch.tensor([[0.1, 0.0, 0.2], [0.9, 1.0, 0.8]]), G)


@pytest.fixture
def rays(generator):
    origins = torch.nn.functional.normalize(torch.randn(12, 3, generator=generator), dim=-1) + 0.5
    origins[-1] = 0.5  # inside
    target = torch.rand(12, 3, generator=generator) * 0.8 + 0.1
    return RayBatch(origins, torch.nn.functional.normalize(target - origins, dim=-1))


@pytest.mark.parametrize("options", [{}, {"jitter": 0.7}, {"near": 0.9}, {"limit": 3}, {"jitter": 0.3, "near": 0.6}])
def test_it_finds_our_samples(stand_in, grid, rays, options):
    given = {k: v if k == "limit" else torch.full((12,), v) for k, v in options.items()}
    want = grid.march(rays, 0.05, 0.0, **given)
    got = nvidia.Walked.through(grid).march(rays, 0.05, 0.0, **given)
    assert len(want)
    torch.testing.assert_close(got.offsets, want.offsets)
    torch.testing.assert_close(got.ray, want.ray)
    torch.testing.assert_close(got.t, want.t)
    torch.testing.assert_close(got.dt, want.dt, rtol=1e-4, atol=1e-6)


def test_growing_steps_are_refused(stand_in, grid, rays):
    with pytest.raises(ValueError, match="another law"):
        nvidia.Walked.through(grid).march(rays, 0.05, 1 / 256)


def test_it_composites_as_we_do(stand_in, generator):
    offsets = torch.tensor([0, 3, 3, 10])
    sigma, rgb = torch.rand(10, generator=generator) * 30, torch.rand(10, 3, generator=generator)
    t, dt = torch.rand(10, generator=generator), torch.full((10,), 0.05)
    for got, want in zip(
        nvidia.composite(sigma, rgb, t, dt, offsets), composite(sigma, rgb, t, dt, offsets), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_a_missing_library_names_its_command(grid, rays, monkeypatch):
    monkeypatch.setitem(sys.modules, "nerfacc", None)
    with pytest.raises(ValueError, match=r"pip install 'polyfield\[nvidia\]'"):
        nvidia.Walked.through(grid).march(rays, 0.05, 0.0)
