"""Encodings of points."""

import pytest
import torch

from fields.encodings import frequencies, octaves


def test_octaves_run_from_half_a_cycle_to_the_highest_in_equal_ratios():
    got = octaves(10, 256.0)
    torch.testing.assert_close(got, 0.5 * 2.0 ** torch.arange(10))
    ratios = octaves(7, 20.0).double().diff().div(octaves(7, 20.0)[:-1].double())
    torch.testing.assert_close(ratios, ratios[:1].expand(6), atol=1e-5, rtol=0)  # ratios of float32 numbers


def test_frequencies_are_their_formula(generator):
    x = torch.rand(50, 3, generator=generator).double()
    cycles = octaves(6, 40.0).double()
    got = frequencies(x, cycles)
    assert got.shape == (50, 3 + 2 * 3 * 6)
    phase = 2 * torch.pi * torch.einsum("na,k->nak", x, cycles).flatten(1)
    torch.testing.assert_close(got, torch.cat([2 * x - 1, phase.sin(), phase.cos()], -1))


def test_float32_waves_are_exact_to_the_rounding_of_the_phase(generator):
    x = torch.rand(2000, 3, generator=generator)
    cycles = octaves(10, 1024.0)
    want = frequencies(x.double(), cycles.double())
    # rounding of 2 pi f, of its product with x, and of the sum of the two: half a unit in the last place each
    torch.testing.assert_close(frequencies(x, cycles).double(), want, atol=2 * torch.pi * 1024 * 2**-24 * 3, rtol=0)


@pytest.mark.parametrize("points", [0, 1, 65])
def test_gradient_of_the_point(points, generator):
    x = torch.rand(points, 2, generator=generator).double().requires_grad_()
    cycles = octaves(4, 8.0).double()
    push = torch.randn(points, 2 + 2 * 2 * 4, generator=generator).double()
    (got,) = torch.autograd.grad((frequencies(x, cycles) * push).sum(), x)
    phase = 2 * torch.pi * x.detach()[:, :, None] * cycles
    sines, cosines = push[:, 2:10].view(-1, 2, 4), push[:, 10:].view(-1, 2, 4)
    along = (sines * phase.cos() - cosines * phase.sin()) * 2 * torch.pi * cycles
    torch.testing.assert_close(got, along.sum(-1) + 2 * push[:, :2])


def test_waves_repeat_after_their_period():
    cycles = torch.tensor([4.0])
    x = torch.tensor([[0.1, 0.3, 0.6]])
    torch.testing.assert_close(frequencies(x, cycles)[:, 3:], frequencies(x + 0.25, cycles)[:, 3:], atol=1e-5, rtol=0)
