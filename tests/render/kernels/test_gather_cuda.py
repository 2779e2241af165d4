"""Looks of a frame in Triton against the float64 reference.

Float32 sums round: a sample may pass a threshold that the reference passes one sample later. What is compared is
therefore what does not depend on which of two neighbours is looked at, and most looks.
"""

import pytest
import torch

from render.kernels.gather import FAINT, SHARE, reference
from render.kernels.gather_cuda import LANES, forward

CASES = [[], [0], [1], [3, 0, 2], [63, 64, 65], [130], [0, 0, 5, 0], [4] * LANES, [4] * (LANES + 1)]  # samples per ray


def problem(counts, generator, strength=20.0):
    offsets = torch.tensor([0, *counts]).cumsum(0)
    sigma, t, dt = torch.rand(3, int(offsets[-1]), generator=generator)
    opacity = torch.rand(len(counts), generator=generator)
    looked = opacity * torch.rand(len(counts), generator=generator)
    return sigma * strength, t * 4, dt * 0.1, offsets, opacity, looked


def wide(values):
    return tuple(v.double() if v.is_floating_point() else v for v in values)


@pytest.mark.parametrize("strength", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("counts", CASES)
def test_values_match_the_reference(counts, strength, generator, device):
    inputs = problem(counts, generator, strength)
    got = tuple(v.cpu().double() for v in forward(*(v.to(device) for v in inputs)))
    want = reference(*wide(inputs))
    torch.testing.assert_close(got[1:3], want[1:3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got[3], want[3], atol=1e-5, rtol=1e-5)
    other = (got[0] - want[0]).abs() > 1e-5
    assert int(other.sum()) <= len(other) // 50


def test_no_sample_is_looked_at_for_less_than_its_share(generator, device):
    zero = torch.zeros(1, device=device)
    inputs = (v.to(device) for v in problem([200], generator, strength=0.5)[:4])
    weights, opacity, _, looked = forward(*inputs, zero, zero)
    looks = weights[weights > 0]
    assert len(looks) > 10
    assert float(looks[0]) >= FAINT
    assert float((looks[1:] + looks[:-1]).min()) >= SHARE
    torch.testing.assert_close(weights.sum(), looked[0])
    assert 0 <= float(opacity - looked) <= SHARE + FAINT


def test_waves_look_at_what_one_pass_looks_at(generator, device):
    sigma, t, dt, _, *_ = (v.to(device) for v in problem([60], generator, strength=2.0))
    zero, ends = torch.zeros(1, device=device), torch.tensor([0, 25, 60, 35], device=device)
    whole = forward(sigma, t, dt, ends[[0, 2]], zero, zero)
    one = forward(sigma[:25], t[:25], dt[:25], ends[[0, 1]], zero, zero)
    two = forward(sigma[25:], t[25:], dt[25:], ends[[0, 3]], one[1], one[3])
    torch.testing.assert_close(torch.cat([one[0], two[0]]), whole[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close((two[1], one[2] + two[2], two[3]), whole[1:])


def test_opaque_and_infinite_density(device):
    offsets, one = torch.tensor([0, 3], device=device), torch.ones(3, device=device)
    zero = torch.zeros(1, device=device)
    for dense in (1e9, torch.inf):
        sigma = torch.tensor([0.0, dense, 5.0], device=device)
        weights, opacity, _, looked = forward(sigma, one, one * 0.1, offsets, zero, zero)
        assert weights.tolist() == [0, 1, 0]
        assert (float(opacity), float(looked)) == (1, 1)


def test_strided_input_and_float64(generator, device):
    sigma, *rest = (v.to(device) for v in problem([4, 5], generator))
    strided = torch.stack([sigma, sigma], 1)[:, 0]
    torch.testing.assert_close(forward(strided, *rest), forward(sigma, *rest))
    inputs = wide(problem([3], generator))
    torch.testing.assert_close(forward(*inputs), reference(*inputs), rtol=1e-12, atol=0)


def launches():
    """For tests/compiled.py."""
    n, rays = torch.zeros(1 << 12), torch.zeros(1000)
    forward(n, n, n, torch.zeros(1001, dtype=torch.int64), rays, rays)
