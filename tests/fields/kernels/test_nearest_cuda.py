"""Nearest centre in Triton against all distances in float64."""

import pytest
import torch

from fields.kernels.nearest import reference
from fields.kernels.nearest_cuda import BLOCK, TILE, forward


def away(x, centres, number):
    return (x.double() - centres.double()[number]).norm(dim=-1)


@pytest.mark.parametrize("centres", [1, 2, TILE - 1, TILE, TILE + 1, 300])
@pytest.mark.parametrize("points", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_no_centre_is_nearer(centres, points, generator, device):
    x = torch.rand(points, 3, generator=generator).to(device)
    middles = torch.rand(centres, 3, generator=generator).to(device)
    got, want = forward(x, middles), reference(x.double(), middles.double())
    assert got.dtype == torch.int64
    # squares of up to 3 in 24 bits
    torch.testing.assert_close(away(x, middles, got), away(x, middles, want), rtol=1e-6, atol=1e-7)


def test_of_equal_ones_the_first(generator, device):
    middles = torch.full((70, 3), 0.25, device=device)
    middles[:5] = 0.9
    x = torch.rand(10, 3, generator=generator).to(device) * 0.3
    assert forward(x, middles).tolist() == [5] * 10


def test_strided_points_and_doubles(generator, device):
    x, middles = torch.rand(70, 6, generator=generator)[:, ::2].to(device), torch.rand(3, 90, generator=generator).T
    middles = middles.to(device)
    want = reference(x, middles)
    assert torch.equal(forward(x, middles), want)
    assert torch.equal(forward(x.double(), middles.double()), want)


def test_points_that_are_no_numbers_get_some_centre(generator, device):
    x = torch.tensor([[torch.nan, 0.1, 0.2], [torch.inf, -torch.inf, 0.0]], device=device)
    got = forward(x, torch.rand(40, 3, generator=generator).to(device))
    assert bool(((got >= 0) & (got < 40)).all())


def launches():
    """For tests/compiled.py."""
    forward(torch.zeros(500, 3), torch.zeros(40, 3))
