"""Voxel lookup in Triton against the float64 reference: values and gradients, of a fixed order as well."""

import pytest
import torch

from fields.kernels import segments_cuda, voxels_cuda
from fields.kernels.segments_cuda import sums
from fields.kernels.voxels import EMPTY, reference
from fields.kernels.voxels_cuda import forward, point_grad, table_grad


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(voxels_cuda, "TILE", 256)  # several programs of few points
    monkeypatch.setattr(voxels_cuda, "sums", added)


def added(rows, values, entries):
    """Stands for the sums of segments, which have their own test, and take long where they are interpreted."""
    inside = (rows >= 0) & (rows < entries)
    return values.new_zeros(entries, values.shape[1]).index_add(0, rows[inside], values[inside])


def problem(points, generator, device, *, channels=12, pruned=0.4, dtype=torch.float32):
    """x, density, coefficients, index and grad."""
    kept = torch.rand(7, 7, 7, generator=generator) >= pruned
    index = torch.where(kept, kept.flatten().cumsum(0).view(kept.shape) - 1, -1).int()
    density = torch.randn(int(kept.sum()), generator=generator).to(dtype)
    coefficients = torch.randn(len(density), channels, generator=generator).to(dtype)
    x, grad = torch.rand(points, 3, generator=generator), torch.randn(points, 1 + channels, generator=generator)
    return [t.to(device) for t in (x, density, coefficients, index, grad)]


def wanted(x, density, coefficients, index, grad):
    """Of the reference in float64: values, gradients of both tables and of points."""
    inputs = [t.double().requires_grad_() for t in (density, coefficients, x)]
    out = reference(inputs[2], inputs[0], inputs[1], index)
    return out.detach(), *torch.autograd.grad(out, inputs, grad.double())


def given(x, density, coefficients, index, grad, exact=False):
    """Of the launchers, in the same order."""
    out = forward(x, density, coefficients, index)
    tables = table_grad(grad, x, index, len(density), exact=exact)
    return out, *tables, point_grad(grad, x, density, coefficients, index)


def close(got, want, far=1e-5):
    """Within `far` of the largest number: values up to 10, moved by 6 cells * 2^-24, summed."""
    for one, other in zip(got, want, strict=True):
        reach = far * float(other.abs().max()) if other.numel() else 0
        torch.testing.assert_close(one.double(), other, atol=reach, rtol=0)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("channels", [3, 12, 27, 48])
def test_values_and_gradients_match_the_reference(channels, exact, generator, device):
    made = problem(37, generator, device, channels=channels)
    close(given(*made, exact=exact), wanted(*made))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("points", [0, 1, 15, 16, 17])
def test_few_points(points, exact, generator, device):
    made = problem(points, generator, device)
    close(given(*made, exact=exact), wanted(*made))


@pytest.mark.parametrize("pruned", [0.0, 0.95])
def test_dense_and_nearly_empty_grids(pruned, generator, device):
    made = problem(60, generator, device, pruned=pruned)
    made[4][:, 1::2] = 0  # one of two that are added together
    close(given(*made), wanted(*made))


def test_strided_points_and_gradient(generator, device):
    x, density, coefficients, index, grad = problem(20, generator, device)
    want = wanted(x, density, coefficients, index, grad)
    x, grad = torch.cat([x, x], 1)[:, :3], grad.T.contiguous().T
    assert not x.is_contiguous()
    close(given(x, density, coefficients, index, grad), want)


def test_tables_of_halves_are_summed_in_float32(generator, device):
    made = problem(20, generator, device, dtype=torch.float16)
    assert forward(*made[:4]).dtype == torch.float16
    close(given(*made), wanted(*made), 2**-11)  # the answer is rounded once


def test_points_outside_are_clamped_and_get_no_gradient(generator, device):
    _, *tables, grad = problem(3, generator, device, pruned=0.0)
    x = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], device=device)
    torch.testing.assert_close(forward(x, *tables), forward(x.clamp(0, 1), *tables))
    slope = point_grad(grad, x, *tables)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_points_that_are_no_numbers_do_not_leave_the_tables(value, generator, device):
    x, *rest = problem(3, generator, device)
    assert all(torch.isfinite(t).all() for t in given(torch.full_like(x, value), *rest))


def test_pruned_vertices_are_empty_space_and_get_no_gradient(generator, device):
    x, density, coefficients, index, grad = problem(20, generator, device)
    got = given(x, density, coefficients, torch.full_like(index, -1), grad)
    assert bool((got[0][:, 0] - EMPTY).abs().max() < 1e-5)
    assert not any(t.any() for t in (got[0][:, 1:], *got[1:3]))


def test_gradients_that_are_zero_touch_nothing_and_bad_ones_are_seen(generator, device):
    x, density, _, index, grad = problem(20, generator, device, pruned=0.0)
    got = table_grad(grad * 0, x, index, len(density), exact=False)
    assert not any(t.any() for t in got)
    grad[3] = torch.nan
    assert all(t.isnan().any() for t in table_grad(grad, x, index, len(density), exact=False))


def test_a_fixed_order_repeats_bit_for_bit_and_is_what_deterministic_asks_for(generator, device, monkeypatch):
    x, density, _, index, grad = problem(20, generator, device, channels=3)
    monkeypatch.setattr(voxels_cuda, "sums", sums)
    monkeypatch.setattr(segments_cuda, "TILE", 128)
    one, two = (table_grad(grad, x, index, len(density), exact=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    monkeypatch.setattr(voxels_cuda, "repeats", lambda: True)
    monkeypatch.setattr(voxels_cuda, "scatter", None)
    assert torch.equal(table_grad(grad, x, index, len(density))[1], one[1])


def test_float64_goes_to_the_reference(generator, device):
    made = [t.double() if t.is_floating_point() else t for t in problem(9, generator, device)]
    torch.testing.assert_close(given(*made), wanted(*made))


def launches():
    """For tests/compiled.py: degree 2, as in base."""
    x, density, coefficients, index, grad = problem(64, torch.Generator(), torch.device("cpu"), channels=27)
    given(x, density, coefficients, index, grad)
    table_grad(grad, x, index, len(density), exact=True)
