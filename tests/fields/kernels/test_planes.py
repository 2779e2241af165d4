"""Planes against the float64 reference: values, gradients, projections, lines."""

from itertools import pairwise

import pytest
import torch

from fields.kernels import planes_cpu
from fields.kernels.planes import LINES, SPACE, SPACE_TIME, layout, planes, reference, table_grad

SIZES = (5, 9)  # vertices per side of the two scales
LAYOUTS = {
    "product": (3, [[(a, b, size, size + 1) for a, b in SPACE] for size in SIZES]),
    "sum": (3, [[(a, b, size, size)] for size in SIZES for a, b in SPACE]),
    "space-time": (4, [[(a, b, size, 4 if b == 3 else size) for a, b in SPACE_TIME] for size in SIZES]),
    "plane and line": (3, [[(a, b, 7, 6), (c, c, 8, 1)] for (a, b), c in zip(SPACE, LINES, strict=True)]),
    "image": (2, [[(0, 1, 6, 4)], [(0, 0, 5, 1), (1, 1, 3, 1)]]),
}


def problem(kind, channels, points, generator, dtype=torch.float64, strided=False):
    dims, groups = LAYOUTS[kind]
    plan = layout(groups)
    table = torch.randn(plan.rows, channels, generator=generator, dtype=dtype).requires_grad_()
    x = torch.rand(points, dims * (2 if strided else 1), generator=generator, dtype=dtype)
    x = (x[:, ::2] if strided else x).detach().requires_grad_()
    return x, table, (plan.factors, plan.groups)


def sampled(x, table, plan):
    """The same through another library's bilinear lookup."""
    values = []
    for a, b, size_a, size_b, start in plan[0].tolist():
        lattice = table[start : start + size_a * size_b].T.reshape(1, -1, size_b, size_a)  # the last side is axis a
        place = x[:, [a, b]] * 2 - 1
        got = torch.nn.functional.grid_sample(
            lattice, place[None, None], mode="bilinear", padding_mode="border", align_corners=True
        )
        values.append(got[0, :, 0].T)
    edges = plan[1].tolist()
    return torch.cat([torch.stack(values[i:j]).prod(0) for i, j in pairwise(edges)], -1)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 16, 20])
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001])
def test_values_and_gradients_match_the_reference(kind, channels, points, generator):
    x, table, plan = problem(kind, channels, points, generator)
    got, want = planes(x, table, *plan), reference(x, table, *plan)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    mine, theirs = torch.autograd.grad(got, (x, table), push), torch.autograd.grad(want, (x, table), push)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_reference_agrees_with_grid_sample(kind, generator):
    x, table, plan = problem(kind, 2, 100, generator)
    torch.testing.assert_close(reference(x, table, *plan), sampled(x, table, plan))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_ops_without_a_device_file_give_the_same_gradients(kind, generator):
    x, table, plan = problem(kind, 3, 40, generator)
    push = torch.randn(40, (len(plan[1]) - 1) * 3, generator=generator, dtype=x.dtype)
    want = torch.autograd.grad(reference(x, table, *plan), (table, x), push)
    with torch.no_grad():
        torch.testing.assert_close(table_grad._init_fn(push, x, table, *plan), want[0])
        torch.testing.assert_close(planes_cpu.point_grad._init_fn(push, x, table, *plan), want[1])


def test_float32_stays_within_rounding_of_float64(generator):
    x, table, plan = problem("product", 16, 500, generator, torch.float32)
    want = reference(x.double(), table.double(), *plan)
    # each factor is off by 10 vertices * 2^-23 times its slope, and is multiplied by two others of up to 4
    torch.testing.assert_close(planes(x, table, *plan).double(), want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["space-time", "plane and line"])
def test_gradcheck(kind, generator):
    x, table, plan = problem(kind, 2, 4, generator)
    assert torch.autograd.gradcheck(lambda a, b: planes(a, b, *plan), (x, table))


@pytest.mark.parametrize("channels", [3, 8])
def test_opcheck(channels, generator):
    x, table, plan = problem("plane and line", channels, 10, generator)
    torch.library.opcheck(planes, (x, table, *plan))


def test_strided_points_and_table(generator):
    x, table, plan = problem("product", 16, 70, generator, strided=True)
    table = table[:, ::2]
    assert not x.is_contiguous()
    assert not table.is_contiguous()
    torch.testing.assert_close(planes(x, table, *plan), reference(x, table, *plan))


def test_a_factor_that_is_zero_gets_its_gradient(generator):
    x, table, plan = problem("product", 8, 50, generator)
    first = int(plan[0][0, 2] * plan[0][0, 3])
    with torch.no_grad():
        table[:first] = 0  # the whole first plane: the product vanishes, and its slope is the others' product
    got = planes(x, table, *plan)
    assert bool((got[:, :8] == 0).all())
    (mine,) = torch.autograd.grad(got.sum(), table)
    assert bool((mine[:first].abs().sum(1) > 0).any())
    torch.testing.assert_close(mine, *torch.autograd.grad(reference(x, table, *plan).sum(), table))
    assert not bool(mine[first : int(plan[0][3, 4])].any())  # the other two of the group are multiplied by zero


def test_the_planes_span_xy_xz_and_yz(generator):
    plan = layout([[(a, b, 4, 4)] for a, b in SPACE])
    table = torch.randn(plan.rows, 1, generator=generator)
    x = torch.rand(20, 3, generator=generator)
    for moved, still in ((0, 2), (1, 1), (2, 0)):  # yz does not see x, xz not y, xy not z
        other = x.clone()
        other[:, moved] = torch.rand(20, generator=generator)
        change = (planes(x, table, plan.factors, plan.groups) - planes(other, table, plan.factors, plan.groups)).abs()
        assert (change.sum(0) > 0).tolist() == [plane != still for plane in range(3)]


def test_space_time_is_six_planes_and_lines_cross_their_plane():
    assert SPACE_TIME == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [sorted((*plane, line)) for plane, line in zip(SPACE, LINES, strict=True)] == [[0, 1, 2]] * 3


def test_the_first_side_runs_fastest():
    plan = layout([[(0, 1, 3, 2)], [(2, 2, 4, 1)]])
    assert plan.rows == 10
    table = torch.arange(10.0)[:, None]
    x = torch.tensor([[0.5, 1.0, 1 / 3]])  # vertex (1, 1) of the plane is row 4, vertex 1 of the line row 7
    torch.testing.assert_close(planes(x, table, plan.factors, plan.groups), torch.tensor([[4.0, 7.0]]))


def test_points_outside_are_clamped_and_get_no_gradient(generator):
    _, table, plan = problem("product", 8, 3, generator)
    outside = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], dtype=table.dtype, requires_grad=True)
    got = planes(outside, table, *plan)
    torch.testing.assert_close(got, planes(outside.clamp(0, 1), table, *plan))
    (slope,) = torch.autograd.grad(got.sum(), outside)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_bad_points_do_not_leave_the_table(bad, generator):
    x, table, plan = problem("plane and line", 8, 3, generator)
    points = torch.full_like(x, bad)
    assert torch.isfinite(planes(points, table, *plan)).all()
    push = torch.ones(3, 24, dtype=x.dtype)
    assert torch.isfinite(table_grad(push, points, table, *plan)).all()


def test_a_factor_of_one_vertex_is_refused():
    with pytest.raises(ValueError, match="at least 2 x 1 vertices, found 1 x 4"):
        layout([[(0, 1, 1, 4)]])


def test_the_backward_pass_repeats_bit_for_bit(generator):
    x, table, plan = problem("product", 16, 3000, generator, torch.float32)
    push = torch.randn(3000, 32, generator=generator)
    one, two = (table_grad(push, x, table, *plan) for _ in range(2))
    assert torch.equal(one, two)


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("blend", "scatter", "slope"):
        real = getattr(planes_cpu, name)
        monkeypatch.setattr(planes_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    x, table, plan = problem("product", 8, 5, generator)
    planes(x, table, *plan).sum().backward()
    assert sorted(set(called)) == ["blend", "scatter", "slope"]  # `scatter` by each thread
