"""Modulate in Triton against the float64 reference."""

import pytest
import torch

from fields.kernels.modulate import reference
from fields.kernels.modulate_cuda import forward, gradient

CASES = [(1, 0), (5, 1), (5, 127), (5, 128), (5, 129), (1, 40), (64, 63), (64, 65), (240, 17)]  # channels, points


def problem(channels, points, generator, device, dtype=torch.float32):
    z = (torch.randn(points, channels, generator=generator) * 3 + 1).to(device, dtype)
    gamma, beta = 1 + 0.5 * torch.randn(points, generator=generator), torch.randn(points, generator=generator)
    return z, gamma.to(device), beta.to(device)


def wanted(push, inputs):
    """Values and gradients of the reference in float64."""
    wide = tuple(v.double().requires_grad_() for v in inputs)
    out = reference(*wide)
    return out, torch.autograd.grad(out, wide, push.double())


# one rounding of results to 11 or 8 bits (the interpreter cuts bfloat16 off); else of float32, in values up to 10 and
# sums of up to 240 terms
@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 0), (torch.float16, 2**-11), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize(("channels", "points"), CASES)
def test_values_and_gradients_match_the_reference(channels, points, dtype, far, generator, device):
    inputs = problem(channels, points, generator, device, dtype)
    push = torch.randn(points, channels, generator=generator).to(device, dtype)
    want, theirs = wanted(push, inputs)
    got = forward(*inputs)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, atol=1e-5, rtol=far)
    mine = gradient(push, *inputs)
    assert [v.dtype for v in mine] == [dtype, torch.float32, torch.float32]
    torch.testing.assert_close(mine[0].double(), theirs[0], atol=1e-4, rtol=far)
    torch.testing.assert_close(mine[1].double(), theirs[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(mine[2].double(), theirs[2], atol=1e-4, rtol=0)


def test_strided_inputs(generator, device):
    z, gamma, beta = problem(8, 70, generator, device)
    push = torch.randn(8, 70, generator=generator).to(device).T
    strided = z.T.contiguous().T, gamma.repeat_interleave(2)[::2], beta.repeat_interleave(2)[::2]
    assert torch.equal(forward(*strided), forward(z, gamma, beta))
    for mine, same in zip(gradient(push, *strided), gradient(push.contiguous(), z, gamma, beta), strict=True):
        assert torch.equal(mine, same)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_equal_channels_give_beta_and_finite_gradients(dtype, device):
    z, gamma = torch.full((3, 8), 5.0, dtype=dtype, device=device), torch.ones(3, device=device)
    beta = torch.tensor([0.5, -0.5, 0.25], device=device)
    assert torch.equal(forward(z, gamma, beta).float(), beta.clamp(min=0)[:, None].expand(3, 8))
    assert all(bool(torch.isfinite(g).all()) for g in gradient(torch.ones_like(z), z, gamma, beta))


def test_a_row_that_is_not_a_number_stays_alone(generator, device):
    z, gamma, beta = problem(8, 3, generator, device)
    want = forward(z, gamma, beta)
    z[1, 4] = torch.nan
    got = forward(z, gamma, beta)
    assert bool(torch.isnan(got[1]).all())
    assert torch.equal(got[[0, 2]], want[[0, 2]])


def test_float64_takes_the_reference(generator, device):
    inputs = [v.double() for v in problem(8, 3, generator, device)]
    want, theirs = wanted(torch.ones_like(inputs[0]), inputs)
    torch.testing.assert_close(forward(*inputs), want)
    torch.testing.assert_close(gradient(torch.ones_like(want), *inputs), theirs)


def launches():
    """For tests/compiled.py."""
    for channels, dtype in ((240, torch.float32), (128, torch.bfloat16), (96, torch.float16)):
        z, gamma = torch.zeros(500, channels, dtype=dtype), torch.zeros(500)
        forward(z, gamma, gamma)
        gradient(z, z, gamma, gamma)
