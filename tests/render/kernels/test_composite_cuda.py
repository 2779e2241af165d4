"""Compositing in Triton against the float64 reference."""

import pytest
import torch

from render.kernels.composite import grad_reference, reference, transmittance
from render.kernels.composite_cuda import CHUNK, RAYS, backward, forward, reach

CASES = [[], [0], [1], [3, 0, 2], [CHUNK - 1, CHUNK, CHUNK + 1], [5] * RAYS, [2] * (RAYS + 1), [1000], [0, 0, 5, 0]]
SPARE = 7  # entries behind the last sample, in a buffer that is larger


def problem(counts, generator, strength=20.0):
    """Float32: sigma, rgb, t, dt, each with SPARE entries too many that hold anything, and offsets."""
    offsets = torch.tensor([0, *counts]).cumsum(0)
    n = int(offsets[-1]) + SPARE
    sigma, rgb, t, dt = (torch.rand(n, *tail, generator=generator) for tail in ((), (3,), (), ()))
    sigma[-SPARE:] = torch.nan
    return sigma * strength, rgb, t * 4, dt * 0.1, offsets


def wide(*values):
    """The samples alone, in float64."""
    return tuple(v[:-SPARE].double() for v in values)


def check(sigma, rgb, t, dt, offsets, generator, device):
    """All results and gradients. Sums of up to 1000 float32, of which none is above 4."""
    inputs = tuple(v.to(device) for v in (sigma, rgb, t, dt, offsets))
    want = reference(*wide(sigma, rgb, t, dt), offsets)
    got = tuple(v.cpu() for v in forward(*inputs))
    assert not got[3][-SPARE:].any()
    for mine, theirs in zip((*got[:3], got[3][:-SPARE]), want, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=2e-6, rtol=2e-6)
    pushes = tuple(torch.randn(v.shape, generator=generator) for v in got)
    mine = backward(*(p.to(device) for p in pushes), *inputs[:4], got[3].to(device), inputs[4])
    exact = tuple(p.double() for p in pushes[:3]), *wide(pushes[3]), *wide(sigma, rgb, t, dt, got[3])
    theirs = grad_reference(*exact[0], *exact[1:], offsets)
    for one, two in zip(mine, theirs, strict=True):
        assert not one[-SPARE:].any()
        torch.testing.assert_close(one[:-SPARE].cpu().double(), two, atol=1e-5, rtol=1e-5)
    light = reach(inputs[0], inputs[3], inputs[4]).cpu()
    assert not light[-SPARE:].any()
    torch.testing.assert_close(light[:-SPARE].double(), transmittance(*wide(sigma * dt), offsets), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("counts", CASES)
def test_values_and_gradients_match_the_reference(counts, generator, device):
    check(*problem(counts, generator), generator, device)


@pytest.mark.parametrize("strength", [1e-4, 2e3])
def test_fog_and_opaque_matter(strength, generator, device):
    check(*problem([50, 3], generator, strength), generator, device)


def test_weights_of_thin_fog_keep_their_digits(generator, device):
    sigma, rgb, t, dt, offsets = problem([40], generator, 1e-5)
    got = forward(*(v.to(device) for v in (sigma, rgb, t, dt, offsets)))[3].cpu()
    want = reference(*wide(sigma, rgb, t, dt), offsets)[3]
    torch.testing.assert_close(got[:-SPARE].double(), want, atol=0, rtol=1e-5)


def test_gradients_behind_an_opaque_sample_vanish(generator, device):
    sigma, rgb, t, dt, offsets = (v.to(device) for v in problem([50], generator))
    sigma[10] = 1e6
    color, opacity, distance, weights = forward(sigma, rgb, t, dt, offsets)
    zeros = torch.zeros_like(weights)
    for_tau, _ = backward(torch.ones_like(color), opacity * 0, distance * 0, zeros, sigma, rgb, t, dt, weights, offsets)
    assert not for_tau[11:].any()
    assert for_tau[:10].all()


def test_infinite_density_takes_all_light(device):
    sigma, one = torch.tensor([0.0, torch.inf, 1.0], device=device), torch.ones(3, device=device)
    inputs = (sigma, torch.ones(3, 3, device=device), one, one * 0.1, torch.tensor([0, 3], device=device))
    color, opacity, _, weights = forward(*inputs)
    assert weights.tolist() == [0, 1, 0]
    assert color.tolist() == [[1, 1, 1]]
    assert opacity.tolist() == [1]


def test_strided_input(generator, device):
    sigma, rgb, t, dt, offsets = (v.to(device) for v in problem([4, 5], generator))
    strided = (torch.stack([sigma, sigma], 1)[:, 0], rgb.T.contiguous().T, t, dt, offsets)
    torch.testing.assert_close(forward(*strided), forward(sigma, rgb, t, dt, offsets))


def test_float64_takes_the_reference(generator):
    *inputs, offsets = problem([3], generator)
    inputs = wide(*inputs)
    torch.testing.assert_close(forward(*inputs, offsets), reference(*inputs, offsets), rtol=1e-12, atol=0)


def launches():
    """For tests/compiled.py."""
    n, offsets = torch.zeros(1 << 12), torch.zeros(1001, dtype=torch.int64)
    rgb, rays, colors = torch.zeros(1 << 12, 3), torch.zeros(1000), torch.zeros(1000, 3)
    forward(n, rgb, n, n, offsets)
    backward(colors, rays, rays, n, n, rgb, n, n, n, offsets)
    reach(n, n, offsets)
