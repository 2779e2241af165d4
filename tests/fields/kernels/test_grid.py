"""Grid encode against the float64 reference: values, gradients, layout."""

import pytest
import torch

from fields.kernels import grid_cpu
from fields.kernels.grid import PRIMES, grid_encode, layout, reference

SHAPES = [(2, 2), (3, 1), (3, 2), (3, 4), (4, 2)]  # coordinates, channels; each compiles three kernels


def problem(dims, channels, points, generator, dtype=torch.float64, strided=False):
    plan = layout(dims, levels=5, table_bits=9, coarsest=3, finest=40)
    table = torch.randn(int(plan.offsets[-1]), channels, generator=generator, dtype=dtype).requires_grad_()
    x = torch.rand(points, dims * (2 if strided else 1), generator=generator, dtype=dtype)
    x = (x[:, ::2] if strided else x).detach().requires_grad_()
    return x, table, (plan.scales, plan.vertices, plan.offsets)


@pytest.mark.parametrize(("dims", "channels"), SHAPES)
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001])
def test_values_and_gradients_match_the_reference(dims, channels, points, generator):
    x, table, plan = problem(dims, channels, points, generator)
    got, want = grid_encode(x, table, *plan), reference(x, table, *plan)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    mine, theirs = torch.autograd.grad(got, (x, table), push), torch.autograd.grad(want, (x, table), push)
    torch.testing.assert_close(mine, theirs)


def test_float32_stays_within_rounding_of_float64(generator):
    x, table, plan = problem(3, 2, 500, generator, torch.float32)
    want = reference(x.double(), table.double(), *plan)
    torch.testing.assert_close(grid_encode(x, table, *plan).double(), want, atol=2e-5, rtol=0)  # 40 cells * 2^-23


def test_gradcheck(generator):
    x, table, plan = problem(3, 2, 6, generator)
    assert torch.autograd.gradcheck(lambda a, b: grid_encode(a, b, *plan), (x, table))


def test_opcheck(generator):
    x, table, plan = problem(3, 2, 10, generator)
    torch.library.opcheck(grid_encode, (x, table, *plan))


def test_strided_points(generator):
    x, table, plan = problem(3, 2, 70, generator, strided=True)
    assert not x.is_contiguous()
    torch.testing.assert_close(grid_encode(x, table, *plan), reference(x, table, *plan))


def test_points_outside_are_clamped_and_get_no_gradient(generator):
    x, table, plan = problem(3, 2, 3, generator)
    outside = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], dtype=x.dtype, requires_grad=True)
    got = grid_encode(outside, table, *plan)
    torch.testing.assert_close(got, grid_encode(outside.clamp(0, 1), table, *plan))
    (slope,) = torch.autograd.grad(got.sum(), outside)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


def test_nan_points_do_not_leave_the_table(generator):
    x, table, plan = problem(3, 2, 3, generator)
    assert torch.isfinite(grid_encode(torch.full_like(x, torch.nan), table, *plan)).all()


def test_layout_is_dense_first_and_bounded_after():
    plan = layout(3, levels=16, table_bits=19, coarsest=16, finest=2048)
    sizes = plan.offsets.diff()
    dense = plan.vertices > 0
    assert dense[0]
    assert not dense[-1]
    assert bool((sizes[dense] >= plan.vertices[dense] ** 3).all())
    assert bool((sizes[~dense] == 2**19).all())
    assert plan.scales[0] == 15
    torch.testing.assert_close(plan.scales[-1], torch.tensor(2047.0))


def test_dense_level_is_linear_interpolation_and_hashed_level_follows_the_published_hash():
    plan = layout(3, levels=1, table_bits=12, coarsest=4, finest=4)
    count = int(plan.vertices[0])
    table = torch.zeros(int(plan.offsets[-1]), 1, dtype=torch.float64)
    for i in range(count):
        table[i::count, 0][: count * count] = i  # the feature is the vertex's first coordinate
    x = torch.tensor([[0.37, 0.9, 0.1]], dtype=torch.float64)
    got = grid_encode(x, table, plan.scales, plan.vertices, plan.offsets)
    torch.testing.assert_close(got, x[:, :1] * plan.scales.double() + 0.5)

    plan = layout(3, levels=1, table_bits=8, coarsest=100, finest=100)
    x = (torch.tensor([[17.0, 70.0, 33.0]], dtype=torch.float64) - 0.5) / plan.scales.double()  # on a vertex
    entry = (17 * PRIMES[0] ^ 70 * PRIMES[1] ^ 33 * PRIMES[2]) % 2**32 % 256
    table = torch.zeros(256, 1, dtype=torch.float64)
    table[entry] = 1
    got = grid_encode(x, table, plan.scales, plan.vertices, plan.offsets)
    torch.testing.assert_close(got, torch.ones(1, 1, dtype=torch.float64), atol=1e-5, rtol=0)  # scales are float32


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("encode", "scatter", "slope"):
        real = getattr(grid_cpu, name)
        monkeypatch.setattr(grid_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    x, table, plan = problem(3, 2, 5, generator)
    grid_encode(x, table, *plan).sum().backward()
    assert set(called) == {"encode", "scatter", "slope"}  # each by one or more threads
