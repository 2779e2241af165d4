"""Modulate: values and gradients against the float64 reference, bf16, opcheck, edge cases."""

import pytest
import torch

from fields.kernels import modulate_cpu
from fields.kernels.modulate import modulate, reference

POINTS = [0, 1, 63, 64, 65, 2001]


def problem(channels, points, generator, dtype=torch.float64, strided=False):
    z = torch.randn(points, channels * (2 if strided else 1), generator=generator) * 3 + 1
    z = z.to(dtype)[:, :: 2 if strided else 1]
    scalar = torch.float64 if dtype == torch.float64 else torch.float32
    gamma = (1 + 0.5 * torch.randn(points, generator=generator)).to(scalar)
    beta = torch.randn(points, generator=generator).to(scalar)
    return z.requires_grad_(), gamma.requires_grad_(), beta.requires_grad_()


@pytest.mark.parametrize("channels", [1, 5, 64])
@pytest.mark.parametrize("points", POINTS)
def test_values_and_gradients_match_the_reference(channels, points, generator):
    inputs = problem(channels, points, generator)
    got, want = modulate(*inputs), reference(*inputs)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    torch.testing.assert_close(torch.autograd.grad(got, inputs, push), torch.autograd.grad(want, inputs, push))


def test_reference_is_layer_normalisation(generator):
    z, gamma, beta = problem(17, 30, generator)
    norm = torch.nn.functional.layer_norm(z, (17,), eps=1e-5)
    torch.testing.assert_close(reference(z, gamma, beta), (gamma[:, None] * norm + beta[:, None]).clamp(min=0))


def test_float32_stays_within_rounding_of_float64(generator):
    inputs = problem(128, 500, generator, torch.float32)
    wide = tuple(v.detach().double().requires_grad_() for v in inputs)
    got, want = modulate(*inputs), reference(*wide)
    torch.testing.assert_close(got.double(), want, atol=1e-5, rtol=0)  # values up to 10, some roundings of 2^-23
    mine, theirs = torch.autograd.grad(got.sum(), inputs), torch.autograd.grad(want.sum(), wide)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-4, rtol=0)  # sums of 128 terms


@pytest.mark.parametrize("points", POINTS)
def test_bfloat16_is_the_reference_rounded_once(points, generator):
    inputs = problem(96, points, generator, torch.bfloat16)
    got = modulate(*inputs)
    assert got.dtype == torch.bfloat16
    want = reference(inputs[0].double(), inputs[1].double(), inputs[2].double())
    torch.testing.assert_close(got.double(), want, atol=1e-5, rtol=2**-8)  # half a unit in the last of 8 bits
    push = torch.randn(got.shape, generator=generator).bfloat16()
    mine = torch.autograd.grad(got, inputs, push)
    wide = tuple(v.detach().double().requires_grad_() for v in inputs)
    theirs = torch.autograd.grad(reference(*wide), wide, push.double())
    assert mine[0].dtype == torch.bfloat16
    torch.testing.assert_close(mine[0].double(), theirs[0], atol=1e-4, rtol=2**-8)
    torch.testing.assert_close(mine[1].double(), theirs[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(mine[2].double(), theirs[2], atol=1e-4, rtol=0)


def test_gradcheck(generator):
    assert torch.autograd.gradcheck(modulate, problem(7, 5, generator))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck(dtype, generator):
    torch.library.opcheck(modulate, problem(7, 5, generator, dtype))


def test_strided_rows_and_gradients(generator):
    z, gamma, beta = problem(8, 70, generator, strided=True)
    assert not z.is_contiguous()
    got = modulate(z, gamma, beta)
    torch.testing.assert_close(got, reference(z, gamma, beta))
    push = torch.randn(8, 70, generator=generator, dtype=torch.float64).T
    mine = torch.autograd.grad(got, (gamma, beta), push)
    torch.testing.assert_close(mine, torch.autograd.grad(reference(z, gamma, beta), (gamma, beta), push))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equal_channels_give_beta_and_finite_gradients(dtype):
    z = torch.full((3, 8), 5.0, dtype=dtype, requires_grad=True)
    scalar = torch.float64 if dtype == torch.float64 else torch.float32
    gamma = torch.ones(3, dtype=scalar, requires_grad=True)
    beta = torch.tensor([0.5, -0.5, 0.25], dtype=scalar, requires_grad=True)
    out = modulate(z, gamma, beta)
    assert torch.equal(out.detach().to(scalar), beta.detach().clamp(min=0)[:, None].expand(3, 8))
    assert all(bool(torch.isfinite(g).all()) for g in torch.autograd.grad(out.sum(), (z, gamma, beta)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_that_is_not_a_number_stays_alone(dtype, generator):
    z, gamma, beta = problem(8, 3, generator, dtype)
    bad = z.detach().clone()
    bad[1, 4] = torch.nan
    got = modulate(bad, gamma, beta)
    want = modulate(z, gamma, beta)
    assert bool(torch.isnan(got[1]).all())
    assert torch.equal(got[[0, 2]], want[[0, 2]])


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("forward", "gradient"):
        real = getattr(modulate_cpu, name)
        monkeypatch.setattr(modulate_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    modulate(*problem(4, 5, generator)).sum().backward()
    assert sorted(called) == ["forward", "gradient"]
