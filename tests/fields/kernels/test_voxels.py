"""Voxel lookup against the float64 reference: values, gradients, pruned vertices."""

import numba
import pytest
import torch

from fields.kernels import voxels_cpu
from fields.kernels.voxels import EMPTY, point_grad, reference, table_grad, voxels


def problem(points, generator, *, channels=12, dtype=torch.float64, strided=False, pruned=0.4, vertices=7):
    kept = torch.rand(vertices, vertices, vertices, generator=generator) >= pruned
    index = torch.where(kept, kept.flatten().cumsum(0).view(kept.shape) - 1, -1).int()
    density = torch.randn(int(kept.sum()), generator=generator, dtype=dtype)
    coefficients = torch.randn(len(density), channels, generator=generator, dtype=dtype)
    x = torch.rand(points, 6 if strided else 3, generator=generator, dtype=dtype)
    x = x[:, ::2] if strided else x
    return x.detach().requires_grad_(), density.requires_grad_(), coefficients.requires_grad_(), index


@pytest.mark.parametrize("channels", [3, 12, 27, 48])
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001])
def test_values_and_gradients_match_the_reference(points, channels, generator):
    *inputs, index = problem(points, generator, channels=channels)
    got, want = voxels(*inputs, index), reference(*inputs, index)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    torch.testing.assert_close(torch.autograd.grad(got, inputs, push), torch.autograd.grad(want, inputs, push))


@pytest.mark.parametrize("pruned", [0.0, 0.95])
def test_dense_and_nearly_empty_grids(pruned, generator):
    *inputs, index = problem(300, generator, pruned=pruned)
    got, want = voxels(*inputs, index), reference(*inputs, index)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    torch.testing.assert_close(torch.autograd.grad(got, inputs, push), torch.autograd.grad(want, inputs, push))


def test_float32_stays_within_rounding_of_float64(generator):
    x, density, coefficients, index = problem(500, generator, dtype=torch.float32)
    want = reference(x.double(), density.double(), coefficients.double(), index)
    got = voxels(x, density, coefficients, index).double()
    torch.testing.assert_close(got, want, atol=5e-5, rtol=0)  # values to 10, moved by 6 cells * 2^-24, summed


def test_gradcheck(generator):
    *inputs, index = problem(6, generator, channels=3)
    assert torch.autograd.gradcheck(lambda *a: voxels(*a, index), inputs)


def test_opcheck(generator):
    torch.library.opcheck(voxels, problem(10, generator))
    x, density, coefficients, index = (value.detach() for value in problem(10, generator))
    grad = torch.randn(10, 13, generator=generator, dtype=x.dtype)
    torch.library.opcheck(table_grad, (grad, x, index, len(density)))
    torch.library.opcheck(point_grad, (grad, x, density, coefficients, index))


def test_strided_points(generator):
    x, *tables, index = problem(70, generator, strided=True)
    assert not x.is_contiguous()
    got, want = voxels(x, *tables, index), reference(x, *tables, index)
    torch.testing.assert_close(got, want)
    push = torch.randn(13, 70, generator=generator, dtype=x.dtype).T
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, *tables), push), torch.autograd.grad(want, (x, *tables), push)
    )


def test_points_outside_are_clamped_and_get_no_gradient(generator):
    _, *tables, index = problem(3, generator, pruned=0.0)
    x = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], dtype=torch.float64, requires_grad=True)
    got = voxels(x, *tables, index)
    torch.testing.assert_close(got, voxels(x.clamp(0, 1), *tables, index))
    (slope,) = torch.autograd.grad(got.sum(), x)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_points_that_are_no_numbers_do_not_leave_the_tables(value, generator):
    x, *tables, index = problem(3, generator)
    wild = torch.full_like(x, value).detach().requires_grad_()
    got = voxels(wild, *tables, index)
    assert torch.isfinite(got).all()
    assert torch.isfinite(reference(wild, *tables, index)).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(got.sum(), (wild, *tables)))


def test_all_eight_corners_of_the_box_hold_their_vertex(generator):
    _, density, coefficients, index = problem(1, generator, pruned=0.0)
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    rows = index[::6, ::6, ::6].flatten().long()
    got = voxels(x, density, coefficients, index)
    torch.testing.assert_close(got, torch.cat([density[rows, None], coefficients[rows]], -1))


def test_a_linear_function_is_kept_exactly(generator):
    axis = torch.linspace(0, 1, 5, dtype=torch.float64)
    place = torch.cartesian_prod(axis, axis, axis)
    index = torch.arange(125, dtype=torch.int32).view(5, 5, 5)
    slope = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    x = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(voxels(x, place @ slope, place, index), torch.cat([(x @ slope)[:, None], x], -1))


def test_pruned_vertices_are_empty_space(generator):
    x, density, coefficients, _ = problem(20, generator)
    got = voxels(x, density, coefficients, torch.full((7, 7, 7), -1, dtype=torch.int32))
    assert bool((got[:, 0] - EMPTY).abs().max() < 1e-12)
    assert bool((got[:, 1:] == 0).all())


def test_a_bad_row_only_spoils_its_own_cells(generator):
    x, density, coefficients, index = problem(500, generator, vertices=9)
    with torch.no_grad():
        coefficients[0] = torch.nan
    i, j, k = (index == 0).nonzero()[0].tolist()
    near = ((x * 8 - torch.tensor([i, j, k])).abs() < 1).all(-1)
    got = voxels(x, density, coefficients, index)
    assert bool(near.any())
    assert bool(torch.isfinite(got[~near]).all())


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_do_not_depend_on_threads(threads, generator):
    if threads > numba.config.NUMBA_NUM_THREADS:  # pyright: ignore[reportAttributeAccessIssue]
        pytest.skip("Numba was started with one thread")
    x, density, _, index = (value.detach() for value in problem(3000, generator, dtype=torch.float32))
    grad = torch.randn(3000, 13, generator=generator)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    want = table_grad(grad, x, index, len(density))
    numba.set_num_threads(threads)
    got = table_grad(grad, x, index, len(density))
    numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("tasks", [1, 2, 3, 20])
def test_every_layer_has_one_owner(tasks, generator, monkeypatch):
    monkeypatch.setattr(voxels_cpu, "get_num_threads", lambda: tasks)
    x, density, coefficients, index = problem(200, generator)
    bounds = voxels_cpu.shares(x.detach().numpy(), 6)
    assert bounds[0] == 0
    assert bounds[-1] == 7
    assert (bounds[1:] >= bounds[:-1]).all()
    push = torch.randn(200, 13, generator=generator, dtype=x.dtype)
    got = table_grad(push, x.detach(), index, len(density))
    want = torch.autograd.grad(reference(x, density, coefficients, index), (density, coefficients), push)
    torch.testing.assert_close(got, want)


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("lookup", "scatter", "slope"):
        real = getattr(voxels_cpu, name)
        monkeypatch.setattr(voxels_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    *inputs, index = problem(5, generator)
    voxels(*inputs, index).sum().backward()
    assert sorted(called) == ["lookup", "scatter", "slope"]
