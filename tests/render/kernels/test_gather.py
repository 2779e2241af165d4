"""Looks of a frame against the float64 reference, and against compositing all samples."""

import pytest
import torch

from render.kernels import gather_cpu
from render.kernels.composite import composite
from render.kernels.gather import FAINT, SHARE, gather, reference

CASES = [[], [0], [1], [3, 0, 2], [63, 64, 65], [1000], [0, 0, 5, 0]]  # samples per ray


def problem(counts, generator, dtype=torch.float64, strength=20.0):
    offsets = torch.tensor([0, *counts]).cumsum(0)
    sigma, t, dt = torch.rand(3, int(offsets[-1]), generator=generator, dtype=dtype)
    opacity = torch.rand(len(counts), generator=generator, dtype=dtype)
    looked = opacity * torch.rand(len(counts), generator=generator, dtype=dtype)
    return sigma * strength, t * 4, dt * 0.1, offsets, opacity, looked


@pytest.mark.parametrize("strength", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("counts", CASES)
def test_values_match_the_reference(counts, strength, generator):
    inputs = problem(counts, generator, strength=strength)
    torch.testing.assert_close(gather(*inputs), reference(*inputs))


def test_opacity_and_distance_are_those_of_compositing(generator):
    sigma, t, dt, offsets, *_ = problem([40, 0, 7], generator)
    zeros = torch.zeros(3).double()
    weights, opacity, distance, looked = gather(sigma, t, dt, offsets, zeros, zeros)
    _, solid, far, every = composite(sigma, torch.zeros(len(t), 3).double(), t, dt, offsets)
    torch.testing.assert_close((opacity, distance), (solid, far))
    assert int((weights > 0).sum()) < int((every > 0).sum())
    torch.testing.assert_close(torch.stack([w.sum() for w in weights.split([40, 0, 7])]), looked)
    assert bool((looked <= opacity).all())
    assert float((opacity - looked).max()) <= SHARE + FAINT


def test_waves_look_at_what_one_pass_looks_at(generator):
    sigma, t, dt, _, *_ = problem([60], generator, strength=2.0)
    zero = torch.zeros(1).double()
    whole = gather(sigma, t, dt, torch.tensor([0, 60]), zero, zero)
    one = gather(sigma[:25], t[:25], dt[:25], torch.tensor([0, 25]), zero, zero)
    two = gather(sigma[25:], t[25:], dt[25:], torch.tensor([0, 35]), one[1], one[3])
    torch.testing.assert_close(torch.cat([one[0], two[0]]), whole[0])
    torch.testing.assert_close((two[1], one[2] + two[2], two[3]), whole[1:])


def test_no_sample_is_looked_at_for_less_than_its_share(generator):
    weights, *_ = gather(*problem([400], generator, strength=0.5)[:4], torch.zeros(1).double(), torch.zeros(1).double())
    looks = weights[weights > 0]
    assert len(looks) > 10
    assert float(looks[0]) >= FAINT
    assert float((looks[1:] + looks[:-1]).min()) >= SHARE  # one may come just before a threshold, and one behind it


def test_opaque_and_infinite_density(generator):
    offsets, one = torch.tensor([0, 3]), torch.ones(3)
    for sigma in (torch.tensor([0.0, 1e9, 5.0]), torch.tensor([0.0, torch.inf, 1.0])):
        weights, opacity, _, looked = gather(sigma, one, one * 0.1, offsets, torch.zeros(1), torch.zeros(1))
        assert weights.tolist() == [0, 1, 0]
        assert (float(opacity), float(looked)) == (1, 1)


def test_opcheck(generator):
    torch.library.opcheck(gather, problem([3, 0, 2], generator))


def test_the_dispatcher_takes_the_cpu_kernel(generator, monkeypatch):
    called, real = [], gather_cpu.forward
    monkeypatch.setattr(gather_cpu, "forward", lambda *a: called.append(1) or real(*a))
    gather(*problem([2, 1], generator))
    assert called
