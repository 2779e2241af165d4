"""Compositing against the float64 reference and the closed form of a constant density."""

import pytest
import torch

from render.kernels import composite_cpu
from render.kernels.composite import composite, composite_grad, reach, reference, transmittance

CASES = [[], [0], [1], [3, 0, 2], [63, 64, 65], [1000], [0, 0, 5, 0]]  # samples per ray


def problem(counts, generator, dtype=torch.float64):
    offsets = torch.tensor([0, *counts]).cumsum(0)
    n = int(offsets[-1])
    values = [torch.rand(n, *tail, generator=generator, dtype=dtype) for tail in ((), (3,), (), ())]
    sigma, rgb, t, dt = values
    return *(v.requires_grad_() for v in (sigma * 20, rgb, t * 4, dt * 0.1)), offsets


@pytest.mark.parametrize("counts", CASES)
def test_values_and_gradients_match_the_reference(counts, generator):
    *inputs, offsets = problem(counts, generator)
    got, want = composite(*inputs, offsets), reference(*inputs, offsets)
    torch.testing.assert_close(got, want)
    pushes = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in want]
    mine = torch.autograd.grad(got, inputs, pushes)
    theirs = torch.autograd.grad(want, inputs, pushes)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("counts", CASES)
def test_light_that_reaches_samples(counts, generator):
    sigma, _, _, dt, offsets = (value.detach() for value in problem(counts, generator))
    torch.testing.assert_close(reach(sigma, dt, offsets), transmittance(sigma * dt, offsets))
    if len(sigma) > 2:
        sigma[1] = torch.nan
        light = reach(sigma, dt, offsets)
        assert bool(light[:2].isfinite().all())
        assert int(light.isnan().sum()) == next(e for e in offsets.tolist() if e > 1) - 2


@pytest.mark.parametrize("output", range(4))
def test_each_output_alone_has_the_right_gradient(output, generator):
    *inputs, offsets = problem([4, 0, 7], generator)
    assert torch.autograd.gradcheck(lambda *v: composite(*v, offsets)[output], inputs)


def test_float32_backward_holds_behind_an_opaque_sample(generator):
    *inputs, offsets = problem([50], generator, torch.float32)
    inputs[0] = (inputs[0].detach() * 1000).requires_grad_()
    grads = torch.autograd.grad(composite(*inputs, offsets)[0].sum(), inputs[:2])
    wide = [i.detach().double().requires_grad_() for i in inputs]
    want = torch.autograd.grad(reference(*wide, offsets)[0].sum(), wide[:2])
    for mine, theirs in zip(grads, want, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=1e-6, rtol=1e-4)


def test_constant_density_has_the_closed_form():
    sigma, length, n = 3.0, 1.5, 3000
    dt = torch.full((n,), length / n, dtype=torch.float64)
    t = (torch.arange(n) + 0.5) * length / n
    rgb = torch.ones(n, 3, dtype=torch.float64) * 0.25
    color, opacity, distance, weights = composite(torch.full_like(dt, sigma), rgb, t, dt, torch.tensor([0, n]))
    alpha = 1 - torch.exp(torch.tensor(-sigma * length, dtype=torch.float64))
    torch.testing.assert_close(opacity[0], alpha)
    torch.testing.assert_close(color[0], 0.25 * alpha.expand(3))
    mean = 1 / sigma - (length + 1 / sigma) * (1 - alpha)  # integral of t sigma exp(-sigma t) from 0 to length
    torch.testing.assert_close(distance[0], mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(weights.sum(), alpha)


def test_first_sample_gets_all_light_in_every_ray(generator):
    tau = torch.rand(9, generator=generator) * 5
    light = transmittance(tau, torch.tensor([0, 4, 4, 9]))
    assert light[0] == light[4] == 1
    torch.testing.assert_close(light[3], torch.exp(-tau[:3].sum()))


def test_opcheck(generator):
    *inputs, offsets = problem([3, 0, 2], generator)
    torch.library.opcheck(composite, (*inputs, offsets))
    weights = composite(*inputs, offsets)[3].detach()
    pushes = (torch.rand(3, 3).double(), torch.rand(3).double(), torch.rand(3).double(), torch.rand(5).double())
    torch.library.opcheck(composite_grad, (*pushes, *(i.detach() for i in inputs), weights, offsets))


def test_the_dispatcher_takes_the_cpu_kernel(generator, monkeypatch):
    called = []
    real = composite_cpu.forward
    monkeypatch.setattr(composite_cpu, "forward", lambda *a: called.append(1) or real(*a))
    *inputs, offsets = problem([2, 1], generator)
    composite(*inputs, offsets)
    assert called
