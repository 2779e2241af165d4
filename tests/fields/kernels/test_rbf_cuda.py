"""Gaussian layer in Triton against the float64 reference."""

import pytest
import torch

from fields.kernels import rbf_cuda
from fields.kernels.rbf import LARGEST, reference
from fields.kernels.rbf_cuda import forward, gradient

BLOCK = rbf_cuda.NUMBERS // 32  # points of a program for 32 neurons
SHAPES = [(3, 5, 0), (3, 5, 1), (1, 1, 7), (32, 32, BLOCK - 1), (4, 32, BLOCK), (4, 30, BLOCK + 1), (6, 64, 200)]


def problem(dims, neurons, points, generator, device):
    features = torch.randn(points, dims, generator=generator).to(device)
    centres = torch.randn(neurons, dims, generator=generator).to(device)
    return features, centres, (torch.randn(neurons, dims, generator=generator) - 2).to(device)


def wanted(push, inputs):
    """Answers and gradients of the reference in float64."""
    wide = [v.double().requires_grad_() for v in inputs]
    out = reference(*wide)
    return out, torch.autograd.grad(out, wide, push.double())


@pytest.mark.parametrize(("dims", "neurons", "points"), SHAPES)
def test_values_and_gradients_match_the_reference(dims, neurons, points, generator, device):
    inputs = problem(dims, neurons, points, generator, device)
    push = torch.randn(points, neurons, generator=generator).to(device)
    want, theirs = wanted(push, inputs)
    got = forward(*inputs)
    torch.testing.assert_close(got.double(), want, atol=8e-7, rtol=0)  # as the CPU's, see test_rbf.py
    for mine, their in zip(gradient(push, got, *inputs), theirs, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), their, atol=2e-5, rtol=2e-5)  # sums of up to 200 terms of order 1


@pytest.mark.parametrize("parts", [1, 3])
def test_programs_that_take_several_blocks(parts, generator, device, monkeypatch):
    monkeypatch.setattr(rbf_cuda, "NUMBERS", 32)
    monkeypatch.setattr(rbf_cuda, "PARTS", parts)
    inputs = problem(3, 4, 70, generator, device)
    push = torch.randn(70, 4, generator=generator).to(device)
    push[16:40] = 0  # some of the blocks have nothing to add
    _, theirs = wanted(push, inputs)
    got = gradient(push, forward(*inputs), *inputs)
    for mine, their in zip(got, theirs, strict=True):
        torch.testing.assert_close(mine.double(), their, atol=2e-5, rtol=2e-5)
    assert bool((got[0][16:40] == 0).all())


def test_strided_inputs(generator, device):
    features, centres, log_precision = problem(3, 4, 40, generator, device)
    push = torch.randn(4, 40, generator=generator).to(device).T
    strided = features.repeat_interleave(2, 1)[:, ::2], centres.T.contiguous().T, log_precision
    assert not any(v.is_contiguous() for v in (push, *strided[:2]))
    got = forward(*strided)
    assert torch.equal(got, forward(features, centres, log_precision))
    for mine, same in zip(
        gradient(push, got, *strided), gradient(push.contiguous(), got, features, centres, log_precision), strict=True
    ):
        assert torch.equal(mine, same)


def test_precisions_are_held_and_get_no_gradient_beyond(generator, device):
    features, centres, log_precision = problem(2, 3, 10, generator, device)
    log_precision[0, 0], log_precision[1, 1] = 800.0, -800.0
    features, centres = features * 1e-5, centres * 1e-5
    got = forward(features, centres, log_precision)
    assert torch.equal(got, forward(features, centres, log_precision.clamp(-LARGEST, LARGEST)))
    for_log = gradient(torch.ones_like(got), got, features, centres, log_precision)[2]
    assert (for_log == 0).tolist() == [[True, False], [False, True], [False, False]]


def test_a_far_narrow_neuron_is_not_lost_to_cancellation(device):
    features = torch.tensor([[3000.0, -5000.0]], device=device)
    centres = torch.tensor([[3000.0, -5000.0 - 2**-10]], device=device)
    want = torch.exp(-0.5 * torch.tensor(12.0, device=device).exp() * 2.0**-20)
    got = forward(features, centres, torch.full((1, 2), 12.0, device=device))
    torch.testing.assert_close(got, want.view(1, 1), atol=1e-6, rtol=0)


def test_a_nan_feature_stays_in_its_row(generator, device):
    features, centres, log_precision = problem(3, 5, 4, generator, device)
    features[1, 2] = torch.nan
    bad = ~torch.isfinite(forward(features, centres, log_precision))
    assert bad.all(1).tolist() == bad.any(1).tolist() == [False, True, False, False]


def test_float64_takes_the_reference(generator, device):
    inputs = [v.double() for v in problem(3, 5, 4, generator, device)]
    want, theirs = wanted(torch.ones(4, 5, device=device), inputs)
    torch.testing.assert_close(forward(*inputs), want)
    torch.testing.assert_close(gradient(torch.ones_like(want), want, *inputs), theirs)


def launches():
    """For tests/compiled.py."""
    for dims, neurons in ((16, 16), (32, 32), (64, 64)):
        features, centres = torch.zeros(500, dims), torch.zeros(neurons, dims)
        phi = forward(features, centres, centres)
        gradient(phi, phi, features, centres, centres)
