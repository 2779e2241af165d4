"""Nearest centre against all distances in float64."""

import pytest
import torch

from fields.kernels import nearest_cpu
from fields.kernels.nearest import nearest, reference


def away(x, centres, number):
    return (x - centres[number]).norm(dim=-1)


@pytest.mark.parametrize("centres", [1, 2, 50, 3000])
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001])
@pytest.mark.parametrize("spread", [0.01, 0.3, 3.0])
def test_no_centre_is_nearer(centres, points, spread, generator):
    x = torch.rand(points, 3, generator=generator, dtype=torch.float64)
    middles = torch.rand(centres, 3, generator=generator, dtype=torch.float64) * torch.tensor([1, spread, spread**2])
    got, want = nearest(x, middles), reference(x, middles)
    assert got.dtype == torch.int64
    torch.testing.assert_close(away(x, middles, got), away(x, middles, want), rtol=0, atol=0)


def test_float32_errs_by_rounding_only(generator):
    x, middles = torch.rand(2000, 3, generator=generator), torch.rand(500, 3, generator=generator)
    want = away(x.double(), middles.double(), reference(x.double(), middles.double()))
    got = away(x.double(), middles.double(), nearest(x, middles))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)  # squares of up to 3 in 24 bits


def test_centres_in_one_place(generator):
    middles = torch.full((300, 3), 0.25)
    assert int(nearest(torch.rand(10, 3, generator=generator), middles).max()) < 300


def test_strided_points(generator):
    x = torch.rand(70, 6, generator=generator)[:, ::2]
    middles = torch.rand(90, 3, generator=generator)
    torch.testing.assert_close(nearest(x, middles), reference(x, middles))


def test_points_that_are_no_numbers_get_some_centre():
    x = torch.tensor([[torch.nan, 0.1, 0.2], [torch.inf, -torch.inf, 0.0]])
    got = nearest(x, torch.rand(40, 3, generator=torch.Generator().manual_seed(0)))
    assert bool(((got >= 0) & (got < 40)).all())


def test_opcheck(generator):
    torch.library.opcheck(nearest, (torch.rand(9, 3, generator=generator), torch.rand(4, 3, generator=generator)))


def test_the_dispatcher_takes_the_cpu_kernel(generator, monkeypatch):
    called = []
    real = nearest_cpu.search
    monkeypatch.setattr(nearest_cpu, "search", lambda *a: called.append(1) or real(*a))
    nearest(torch.rand(9, 3, generator=generator), torch.rand(4, 3, generator=generator))
    assert called == [1]
