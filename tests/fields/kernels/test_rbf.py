"""Gaussian layer against the float64 reference: values, gradients, far and narrow neurons."""

import pytest
import torch

from fields.kernels import rbf_cpu
from fields.kernels.rbf import LARGEST, rbf, reference

SHAPES = [(1, 1), (3, 5), (16, 32), (32, 64)]  # features, neurons


def problem(dims, neurons, points, generator, dtype=torch.float64, strided=False):
    features = torch.randn(points, dims * (2 if strided else 1), generator=generator, dtype=dtype)
    features = (features[:, ::2] if strided else features).detach().requires_grad_()
    centres = torch.randn(neurons, dims, generator=generator, dtype=dtype).requires_grad_()
    log_precision = (torch.randn(neurons, dims, generator=generator, dtype=dtype) - 2).requires_grad_()
    return features, centres, log_precision


@pytest.mark.parametrize(("dims", "neurons"), SHAPES)
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001, 4099])
def test_values_and_gradients_match_the_reference(dims, neurons, points, generator):
    inputs = problem(dims, neurons, points, generator)
    got, want = rbf(*inputs), reference(*inputs)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    mine, theirs = torch.autograd.grad(got, inputs, push), torch.autograd.grad(want, inputs, push)
    torch.testing.assert_close(mine, theirs)


def test_float32_stays_within_rounding_of_float64(generator):
    inputs = problem(32, 64, 500, generator, torch.float32)
    want = reference(*(v.double() for v in inputs))
    # phi = e^-s errs by s e^-s (32 + 3) 2^-24 at most, and s e^-s < 0.37
    torch.testing.assert_close(rbf(*inputs).double(), want, atol=8e-7, rtol=0)


def test_a_far_narrow_neuron_is_not_lost_to_cancellation():
    features = torch.tensor([[3000.0, -5000.0]])
    centres = torch.tensor([[3000.0, -5000.0 - 2**-10]])  # the difference is exact in float32
    got = rbf(features, centres, torch.full((1, 2), 12.0))
    want = torch.exp(-0.5 * torch.tensor(12.0).exp() * 2.0**-20)
    torch.testing.assert_close(got, want.view(1, 1), atol=1e-6, rtol=0)  # a handful of roundings of values below 1


def test_precisions_are_held_and_get_no_gradient_beyond(generator):
    features, centres, log_precision = problem(2, 3, 10, generator)
    with torch.no_grad():
        features.mul_(1e-5)
        centres.mul_(1e-5)
        log_precision[0, 0] = 800.0
        log_precision[1, 1] = -800.0
    got = rbf(features, centres, log_precision)
    held = log_precision.detach().clamp(-LARGEST, LARGEST)
    torch.testing.assert_close(got, rbf(features, centres, held))
    grads = torch.autograd.grad(got.sum(), (features, centres, log_precision))
    assert all(bool(torch.isfinite(g).all()) for g in grads)
    assert (grads[2] == 0).tolist() == [[True, False], [False, True], [False, False]]


def test_a_nan_feature_stays_in_its_row(generator):
    features, centres, log_precision = problem(3, 5, 4, generator)
    with torch.no_grad():
        features[1, 2] = torch.nan
    bad = ~torch.isfinite(rbf(features, centres, log_precision))
    assert bad.all(1).tolist() == bad.any(1).tolist() == [False, True, False, False]


def test_gradcheck(generator):
    assert torch.autograd.gradcheck(rbf, problem(3, 4, 6, generator))


def test_opcheck(generator):
    torch.library.opcheck(rbf, problem(3, 4, 10, generator))


def test_strided_features(generator):
    inputs = problem(3, 4, 70, generator, strided=True)
    assert not inputs[0].is_contiguous()
    torch.testing.assert_close(rbf(*inputs), reference(*inputs))


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("squares", "pulls"):
        real = getattr(rbf_cpu, name)
        monkeypatch.setattr(rbf_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    rbf(*problem(3, 4, 5, generator)).sum().backward()
    assert called == ["squares", "pulls"]
