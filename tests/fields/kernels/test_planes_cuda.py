"""Planes in Triton against the float64 reference: values and gradients, of a fixed order as well."""

import pytest
import torch

from fields.kernels import planes_cuda, segments_cuda
from fields.kernels.planes import LINES, SPACE, SPACE_TIME, layout, reference
from fields.kernels.planes_cuda import forward, point_grad, table_grad
from fields.kernels.segments_cuda import sums

LAYOUTS = {
    "product": (3, [[(a, b, size, size + 1) for a, b in SPACE] for size in (5, 9)]),
    "sum": (3, [[(a, b, 6, 6)] for a, b in SPACE]),
    "space-time": (4, [[(a, b, 5, 4 if b == 3 else 5) for a, b in SPACE_TIME]]),
    "plane and line": (3, [[(a, b, 7, 6), (c, c, 8, 1)] for (a, b), c in zip(SPACE, LINES, strict=True)]),
    "image": (2, [[(0, 1, 6, 4)], [(0, 0, 5, 1), (1, 1, 3, 1)]]),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(planes_cuda, "TILE", 128)  # several programs of few points
    monkeypatch.setattr(planes_cuda, "sums", added)


def added(rows, values, entries):
    """Stands for the sums of segments, which have their own test, and take long where they are interpreted."""
    inside = (rows >= 0) & (rows < entries)
    return values.new_zeros(entries, values.shape[1]).index_add(0, rows[inside], values[inside])


def problem(kind, channels, points, generator, device, dtype=torch.float32):
    """x, table and grad; then factors and groups."""
    dims, groups = LAYOUTS[kind]
    plan = layout(groups)
    table = torch.randn(plan.rows, channels, generator=generator).to(dtype)
    x = torch.rand(points, dims, generator=generator)
    grad = torch.randn(points, len(groups) * channels, generator=generator)
    return [t.to(device) for t in (x, table, grad, plan.factors, plan.groups)]


def wanted(x, table, grad, *plan):
    """Of the reference in float64: features, dL/dtable, dL/dx."""
    x, table = x.double().requires_grad_(), table.double().requires_grad_()
    out = reference(x, table, *plan)
    return out.detach(), *torch.autograd.grad(out, (table, x), grad.double())


def close(got, want, far=1e-5):
    """Within `far` of the largest number: factors of up to 4 are off by 2^-23, and their slopes by a few cells."""
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, atol=far * float(want.abs().max()) if want.numel() else 0, rtol=0)


CASES = [(kind, 6, 21) for kind in LAYOUTS] + [("image", 1, 33), ("image", 16, 31), ("plane and line", 3, 17)]


@pytest.mark.parametrize(("kind", "channels", "points"), CASES)  # channels in pairs, padded or not, or one by one
def test_values_and_gradients_match_the_reference(kind, channels, points, generator, device):
    x, table, grad, *plan = problem(kind, channels, points, generator, device)
    out, for_table, for_x = wanted(x, table, grad, *plan)
    close(forward(x, table, *plan), out)
    close(table_grad(grad, x, table, *plan, exact=False), for_table)
    close(table_grad(grad, x, table, *plan, exact=True), for_table)
    close(point_grad(grad, x, table, *plan), for_x)


@pytest.mark.parametrize("points", [0, 1, 15, 16])
def test_few_points(points, generator, device):
    x, table, grad, *plan = problem("image", 8, points, generator, device)
    out, for_table, for_x = wanted(x, table, grad, *plan)
    close(forward(x, table, *plan), out)
    close(table_grad(grad, x, table, *plan, exact=False), for_table)
    close(table_grad(grad, x, table, *plan, exact=True), for_table)
    close(point_grad(grad, x, table, *plan), for_x)


def test_strided_points_table_and_gradient(generator, device):
    x, table, grad, *plan = problem("plane and line", 8, 20, generator, device)
    want = wanted(x[:, :3], table[:, ::2], grad[:, ::2], *plan)
    x, table, grad = torch.cat([x, x], 1)[:, :3], table[:, ::2], grad.T.contiguous().T[:, ::2]
    assert not x.is_contiguous()
    got = forward(x, table, *plan), table_grad(grad, x, table, *plan, False), point_grad(grad, x, table, *plan)
    for one, other in zip(got, want, strict=True):
        close(one, other)


def test_a_table_of_halves_is_summed_in_float32(generator, device):
    x, table, grad, *plan = problem("product", 8, 20, generator, device, torch.float16)
    out, for_table, for_x = wanted(x, table, grad, *plan)
    got = forward(x, table, *plan)
    assert got.dtype == torch.float16
    close(got.float(), out, 2**-11)  # rounded once
    close(table_grad(grad, x, table, *plan, exact=False), for_table)
    close(point_grad(grad, x, table, *plan), for_x)


def test_a_factor_that_is_zero_gets_its_gradient(generator, device):
    x, table, grad, *plan = problem("product", 4, 20, generator, device)
    table[:30] = 0  # the whole first plane
    grad[:, 1::2] = 0  # one of two that are added together
    for exact in (False, True):
        got = table_grad(grad, x, table, *plan, exact=exact)
        assert bool(got[:30].any())
        close(got, wanted(x, table, grad, *plan)[1])


def test_points_outside_are_clamped_and_get_no_gradient(generator, device):
    _, table, grad, *plan = problem("product", 8, 3, generator, device)
    x = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], device=device)
    close(forward(x, table, *plan), reference(x.double(), table.double(), *plan))
    slope = point_grad(grad, x, table, *plan)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6
    for bad in (torch.nan, torch.inf, -torch.inf):
        wild = torch.full_like(x, bad)
        assert torch.isfinite(forward(wild, table, *plan)).all()
        assert torch.isfinite(table_grad(grad, wild, table, *plan)).all()


def test_the_last_vertex_reads_nothing_behind_the_table(generator, device):
    _, table, _, *plan = problem("plane and line", 2, 1, generator, device)
    guarded = torch.cat([table, torch.full_like(table[:9], torch.nan)])[: len(table)]
    x = torch.ones(1, 3, device=device)
    close(forward(x, guarded, *plan), reference(x.double(), table.double(), *plan))


def test_gradients_that_are_zero_touch_nothing_and_bad_ones_are_seen(generator, device):
    x, table, grad, *plan = problem("product", 8, 20, generator, device)
    table[0] = torch.nan  # a gradient that was multiplied instead of left out would show it
    assert not bool(table_grad(grad * 0, x.clamp(min=0.3), table, *plan, exact=False).any())
    grad[3, 2] = torch.nan
    assert bool(table_grad(grad, x, table, *plan, exact=False).isnan().any())


def test_a_fixed_order_repeats_bit_for_bit_and_is_what_deterministic_asks_for(generator, device, monkeypatch):
    x, table, grad, *plan = problem("image", 2, 20, generator, device)
    monkeypatch.setattr(planes_cuda, "sums", sums)
    monkeypatch.setattr(segments_cuda, "TILE", 64)
    one, two = (table_grad(grad, x, table, *plan, exact=True) for _ in range(2))
    assert torch.equal(one, two)
    monkeypatch.setattr(planes_cuda, "repeats", lambda: True)
    monkeypatch.setattr(planes_cuda, "scatter", None)
    assert torch.equal(table_grad(grad, x, table, *plan), one)


def test_float64_goes_to_the_reference(generator, device):
    x, table, grad, *plan = problem("product", 2, 9, generator, device)
    given = (grad.double(), x.double(), table.double(), *plan)
    want = wanted(x, table, grad, *plan)
    got = forward(*given[1:]), table_grad(*given), point_grad(*given)
    torch.testing.assert_close(got, want)


def launches():
    """For tests/compiled.py: channels of the tri-plane's base."""
    x, table, grad, *plan = problem("product", 32, 64, torch.Generator(), torch.device("cpu"))
    forward(x, table, *plan)
    table_grad(grad, x, table, *plan, exact=False)
    table_grad(grad, x, table, *plan, exact=True)
    point_grad(grad, x, table, *plan)
