"""Wendland kernels in Triton against the float64 reference."""

import pytest
import torch

from fields.kernels import wendland_cuda
from fields.kernels.wendland import cell_lists, reference
from fields.kernels.wendland_cuda import BLOCK, for_coefficients, for_points, forward

CHANNELS = 5
FAR = 4e-4  # as the CPU's, see test_wendland.py


def problem(kernels, points, generator, device, scale=6.0):
    centres = torch.rand(kernels, 3, generator=generator)
    shapes = torch.randn(kernels, 6, generator=generator) * scale * 0.3
    shapes[:, [0, 3, 5]] = scale * (0.5 + torch.rand(kernels, 3, generator=generator))
    coefficients = torch.randn(kernels, CHANNELS, generator=generator)
    x = torch.rand(points, 3, generator=generator)
    cells = cell_lists(centres, shapes)
    rest = centres, shapes, torch.logspace(0, 3, CHANNELS, 2), cells.starts, cells.members
    return x.to(device), coefficients.to(device), tuple(v.to(device) for v in rest)


def wanted(x, coefficients, rest, push):
    """Values and gradients of the reference in float64."""
    a, b = x.double().requires_grad_(), coefficients.double().requires_grad_()
    f = reference(a, b, *(v.double() if v.is_floating_point() else v for v in rest))
    return f, torch.autograd.grad(f, (a, b), push.double(), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("kernels", [1, 40])
@pytest.mark.parametrize("points", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_values_and_gradients_match_the_reference(kernels, points, generator, device):
    x, coefficients, rest = problem(kernels, points, generator, device)
    push = torch.randn(points, CHANNELS, generator=generator).to(device)
    push[: points // 3] = 0
    f, (for_x, for_a) = wanted(x, coefficients, rest, push)
    torch.testing.assert_close(forward(x, coefficients, *rest).double(), f, atol=FAR, rtol=0)
    # the slope's own slope is below 20 |U|^2 with |U| to 15, and it lies 2^-24 to a coordinate away
    torch.testing.assert_close(for_points(push, x, coefficients, *rest).double(), for_x, atol=2e-2, rtol=1e-4)
    for exact in (False, True):
        got = for_coefficients(push, x, *rest, exact=exact)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), for_a, atol=FAR, rtol=0)


def test_exact_sums_do_not_depend_on_the_order_of_points(generator, device):
    x, _, rest = problem(20, 60, generator, device, scale=1.0)  # every kernel holds nearly every point
    push = torch.randn(60, CHANNELS, generator=generator) * 10 ** (3 * torch.randn(60, 1, generator=generator))
    mixed, push = torch.randperm(60, generator=generator).to(device), push.to(device)
    once = for_coefficients(push, x, *rest, exact=True)
    assert torch.equal(once, for_coefficients(push[mixed], x[mixed], *rest, exact=True))
    _, (_, want) = wanted(x, torch.zeros(20, CHANNELS, device=device), rest, push)
    torch.testing.assert_close(once.double(), want, atol=1e-5 * push.abs().max().item(), rtol=1e-4)


def test_exact_sums_keep_gradients_far_below_the_largest(generator, device):
    x, _, rest = problem(20, 40, generator, device, scale=1.0)
    push = torch.rand(40, CHANNELS, generator=generator).to(device) * torch.tensor([1, 1e-6, 1e-9, 1, 1], device=device)
    want, got = (for_coefficients(push, x, *rest, exact=exact) for exact in (False, True))
    torch.testing.assert_close(got, want, atol=0, rtol=2e-4)  # what is left of a sum after terms of both signs


def test_exact_sums_of_no_gradients_and_of_no_numbers(generator, device):
    x, _, rest = problem(20, 9, generator, device)
    push = torch.zeros(9, CHANNELS, device=device)
    assert bool((for_coefficients(push, x, *rest, exact=True) == 0).all())
    push[3, 1] = torch.inf
    assert not bool(torch.isfinite(for_coefficients(push, x, *rest, exact=True)).all())


def test_half_coefficients_and_strided_points(generator, device):
    x, coefficients, rest = problem(40, 50, generator, device)
    half, strided = coefficients.half(), x.repeat_interleave(2, 1)[:, ::2]
    assert torch.equal(forward(strided, half, *rest), forward(x, half.float(), *rest))


def test_points_outside_are_clamped_and_get_no_gradient(generator, device):
    _, coefficients, rest = problem(40, 1, generator, device, scale=1.0)
    outside = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], device=device)
    assert torch.equal(forward(outside, coefficients, *rest), forward(outside.clamp(0, 1), coefficients, *rest))
    slope = for_points(torch.ones(3, CHANNELS, device=device), outside, coefficients, *rest)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


def test_nan_points_do_not_leave_the_lists(generator, device):
    x, coefficients, rest = problem(40, 3, generator, device)
    got = forward(torch.full_like(x, torch.nan), coefficients, *rest)
    assert torch.equal(got, forward(torch.zeros_like(x), coefficients, *rest))


def test_float64_takes_the_reference(generator, device):
    x, coefficients, rest = problem(7, 4, generator, device)
    rest = tuple(v.double() if v.is_floating_point() else v for v in rest)
    push = torch.ones(4, CHANNELS, device=device).double()
    f, (for_x, for_a) = wanted(x, coefficients, rest, push)
    torch.testing.assert_close(forward(x.double(), coefficients.double(), *rest), f)
    torch.testing.assert_close(for_points(push, x.double(), coefficients.double(), *rest), for_x)
    torch.testing.assert_close(for_coefficients(push, x.double(), *rest), for_a)


def launches():
    """For tests/compiled.py."""
    assert wendland_cuda.BLOCK == BLOCK
    for channels in (8, 16, 32):
        x, coefficients, push = torch.zeros(64, 3), torch.zeros(9, channels), torch.zeros(64, channels)
        rest = torch.zeros(9, 3), torch.ones(9, 6), torch.ones(channels), torch.zeros(9).long(), torch.zeros(9).long()
        forward(x, coefficients, *rest)
        for_points(push, x, coefficients, *rest)
        for exact in (False, True):
            for_coefficients(push, x, *rest, exact=exact)
