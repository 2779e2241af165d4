"""Grid encode in Triton against the float64 reference."""

import pytest
import torch

from fields.kernels import grid_cuda, grid_scatter_cuda
from fields.kernels.grid import PRIMES, corners, layout, point_slopes, reference, table_sums

SHAPES = [(2, 2), (3, 1), (3, 4), (4, 2)]  # coordinates, channels


def problem(dims, channels, points, generator, device, dtype=torch.float32):
    plan = layout(dims, levels=5, table_bits=9, coarsest=3, finest=40)
    table = torch.randn(int(plan.offsets[-1]), channels, generator=generator).to(dtype)
    x, push = torch.rand(points, dims, generator=generator), torch.randn(points, 5 * channels, generator=generator)
    return [v.to(device) for v in (x, table, push.to(dtype), plan.scales, plan.vertices, plan.offsets)]


def agree(got, want, far):
    assert got.shape == want.shape
    scale = want.abs().max().item() if want.numel() else 1.0
    torch.testing.assert_close(got.double(), want, atol=far * scale, rtol=0)


def check(problem, far=2e-5):  # 40 cells * 2^-23, which a slope multiplies by the features' differences
    x, table, push, *plan = problem
    channels = table.shape[1]
    exact = x.double(), table.double(), push.double()
    agree(grid_cuda.forward(x, table, *plan), reference(exact[0], exact[1], *plan), far)
    got = grid_scatter_cuda.in_any_order(push, x, *plan, len(table), channels)
    assert got.dtype == torch.float32
    agree(got, table_sums(exact[2], exact[0], *plan, len(table), channels), 2e-5)
    agree(grid_cuda.point_grad(push, x, table, *plan), point_slopes(exact[2], exact[0], exact[1], *plan), 1e-4)


@pytest.mark.parametrize(("dims", "channels"), SHAPES)
def test_values_and_gradients_match_the_reference(dims, channels, generator, device):
    check(problem(dims, channels, 40, generator, device))


@pytest.mark.parametrize(("dims", "channels"), [(3, 6), (2, 12), (3, 3)])
def test_other_numbers_of_channels_go_in_parts(dims, channels, generator, device):
    x, table, push, *plan = problem(dims, channels, 20, generator, device)
    exact = x.double(), table.double(), push.double()
    agree(grid_cuda.forward(x, table, *plan), reference(exact[0], exact[1], *plan), 2e-5)
    want = table_sums(exact[2], exact[0], *plan, len(table), channels)
    agree(grid_scatter_cuda.table_grad(push, x, *plan, len(table), channels), want, 2e-5)
    agree(grid_cuda.point_grad(push, x, table, *plan), point_slopes(exact[2], exact[0], exact[1], *plan), 1e-4)


@pytest.mark.parametrize("points", [0, 1, 31, 32, 33, 65])
def test_any_number_of_points(points, generator, device):
    check(problem(3, 2, points, generator, device))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 2, 4, 8])
def test_half_types_are_read_as_words(channels, dtype, generator, device):
    x, table, _, *plan = problem(3, channels, 20, generator, device, dtype)
    want = reference(x.double(), table.double(), *plan)
    far = 2**-11 if dtype == torch.float16 else 2**-7  # of the result, which the interpreter cuts off in bfloat16
    agree(grid_cuda.forward(x, table, *plan), want, far)


def test_gradients_of_half_types_are_float32(generator, device):
    check(problem(3, 8, 20, generator, device, torch.float16), far=2**-11)


def test_strided_points_and_gradients(generator, device):
    x, table, push, *plan = problem(3, 2, 40, generator, device)
    x, push = torch.stack([x, x], 1).flatten(1)[:, :3], push.T.contiguous().T
    assert not x.is_contiguous()
    assert not push.is_contiguous()
    check([x, table, push, *plan])


def test_a_table_that_begins_anywhere(generator, device):
    x, table, push, *plan = problem(3, 4, 10, generator, device)
    check([x, torch.cat([table[:1, :1].flatten(), table.flatten()])[1:].view_as(table), push, *plan])


def test_points_in_a_row_are_merged_wherever_their_runs_begin(generator, device):
    x, table, push, *plan = problem(3, 2, 70, generator, device)
    x[:] = x[:1] + torch.linspace(0, 0.2, 70, device=device)[:, None]  # a ray: from 30 points a cell to 2
    x[40:43] = x[60:63]  # the same cells again, after others
    push[10:20] = 0
    push[30:50, ::2] = 0  # one channel of two
    check([x.clamp(max=1), table, push, *plan])


def test_in_order_gives_the_same_sums(generator, device):
    x, _, push, scales, vertices, offsets = problem(3, 2, 12, generator, device)
    given = push[:, :4].contiguous(), x, scales[:2], vertices[:2], offsets[:3], int(offsets[2]), 2
    got = grid_scatter_cuda.in_order(*given)
    agree(got, table_sums(given[0].double(), x.double(), *given[2:]), 2e-5)


def test_points_outside_are_clamped_and_nan_stays_in_the_table(generator, device):
    x, table, push, *plan = problem(3, 2, 4, generator, device)
    x[0, 0], x[1, 1], x[2, 2], x[3] = -0.5, 1.7, 9.0, torch.nan
    got = grid_cuda.forward(x, table, *plan)
    agree(got, reference(x.nan_to_num(0).clamp(0, 1).double(), table.double(), *plan), 2e-5)
    slope = grid_cuda.point_grad(push, x, table, *plan)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope[:3] != 0).sum() == 6
    assert (slope[3] == 0).all()
    assert grid_scatter_cuda.in_any_order(push, x, *plan, *table.shape).isfinite().all()


def test_entries_are_the_reference_s_bit_for_bit(device):
    """Coordinates so large that products wrap around 32 bits: a table of one-hot rows tells which entries were read."""
    plan = layout(4, levels=2, table_bits=8, coarsest=65000, finest=65536)
    x = (torch.tensor([[65000.0, 64999, 60001, 54321], [1, 2, 3, 4]], device=device) - 0.25) / 65536
    scales, vertices, offsets = plan.scales.to(device), plan.vertices.to(device), plan.offsets.to(device)
    got = grid_scatter_cuda.in_any_order(torch.ones(2, 2, device=device), x, scales, vertices, offsets, 512, 1)
    index, weights, _ = corners(x, scales, vertices, offsets)
    assert (max(x[0].tolist()) * 65536) * PRIMES[1] > 2**32
    assert set(got[:, 0].nonzero().flatten().tolist()) == set(index[weights > 0].flatten().tolist())


def test_nothing_is_touched_where_the_gradient_is_zero(generator, device):
    x, table, push, *plan = problem(3, 2, 100, generator, device)
    push[40:] = 0
    got = grid_scatter_cuda.in_any_order(push, x * 0 + 2, *plan, *table.shape)  # all points in the last corner
    want = table_sums(push[:40].double(), x[:40].double() * 0 + 1, *plan, *table.shape)
    agree(got, want, 2e-5)


def launches():
    """For tests/compiled.py: shapes of the presets, and the largest."""
    plan = torch.zeros(40), torch.zeros(40, dtype=torch.int64), torch.zeros(40, dtype=torch.int64)
    for levels, channels, dtype in ((16, 2, torch.float16), (8, 4, torch.float16), (16, 4, torch.float32)):
        x, table, push = torch.zeros(64, 3), torch.zeros(64, channels, dtype=dtype), torch.zeros(64, levels * channels)
        here = plan[0][:levels], plan[1][:levels], plan[2][: levels + 1]
        grid_cuda.forward(x, table, *here)
        grid_scatter_cuda.in_any_order(push, x, *here, *table.shape)
        grid_cuda.point_grad(push, x, table, *here)
