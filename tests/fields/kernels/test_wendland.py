"""Wendland kernels in space against the float64 reference: values, gradients, lists of cells, continuity."""

import pytest
import torch

from fields.kernels import wendland_cpu
from fields.kernels.wendland import (
    CHUNK,
    ENTRIES,
    FINEST,
    LISTED,
    cell_lists,
    pairs,
    reach,
    reference,
    together,
    unpacked,
    wendland,
)

CHANNELS = 5


def problem(kernels, points, generator, dtype=torch.float64, strided=False, scale=6.0):
    centres = torch.rand(kernels, 3, generator=generator, dtype=dtype)
    shapes = torch.randn(kernels, 6, generator=generator, dtype=dtype) * scale * 0.3
    shapes[:, [0, 3, 5]] = scale * (0.5 + torch.rand(kernels, 3, generator=generator, dtype=dtype))
    coefficients = torch.randn(kernels, CHANNELS, generator=generator, dtype=dtype).requires_grad_()
    x = torch.rand(points, 3 * (2 if strided else 1), generator=generator, dtype=dtype)
    x = (x[:, ::2] if strided else x).detach().requires_grad_()
    cells = cell_lists(centres, shapes)
    waves = torch.logspace(0, 3, CHANNELS, 2, dtype=dtype)
    return x, coefficients, (centres, shapes, waves, cells.starts, cells.members)


def dense(x, coefficients, centres, shapes, waves):
    """Every point with every kernel, without lists."""
    y = torch.einsum("mij,nmj->nmi", unpacked(shapes), x[:, None] - centres)
    r = y.square().sum(-1).clamp(min=1e-30).sqrt()
    phi = (1 - r).clamp(min=0) ** 4 * (4 * r + 1)
    return (coefficients * torch.sin(phi[..., None] * waves)).sum(1)


@pytest.mark.parametrize("kernels", [1, 40, 700])
@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 2001])
def test_values_and_gradients_match_the_reference(kernels, points, generator):
    x, coefficients, rest = problem(kernels, points, generator)
    got, want = wendland(x, coefficients, *rest), reference(x, coefficients, *rest)
    torch.testing.assert_close(got, want)
    push = torch.randn(want.shape, generator=generator, dtype=want.dtype)
    mine, theirs = (
        torch.autograd.grad(v, (x, coefficients), push, allow_unused=True, materialize_grads=True) for v in (got, want)
    )  # the reference uses nothing where there are no points
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("kernels", "scale"), [(1, 0.5), (40, 3.0), (300, 20.0)])
def test_lists_miss_no_kernel(kernels, scale, generator):
    x, coefficients, rest = problem(kernels, 3000, generator, scale=scale)
    torch.testing.assert_close(wendland(x, coefficients, *rest), dense(x, coefficients, *rest[:3]))
    assert bool((wendland(x, coefficients, *rest) != 0).any())


def test_float32_stays_within_rounding_of_float64(generator):
    x, coefficients, rest = problem(40, 500, generator, torch.float32)
    doubles = [v.double() if v.is_floating_point() else v for v in rest]
    want = reference(x.double(), coefficients.double(), *doubles)
    # phi's slope is below 2.1 times |U| of about 15, its waves are up to 8: 2.1 * 15 * 8 * 2^-23 for a coordinate, with
    # coefficients up to 4 and a handful of kernels
    torch.testing.assert_close(wendland(x, coefficients, *rest).double(), want, atol=4e-4, rtol=0)


def test_gradcheck(generator):
    x, coefficients, rest = problem(12, 6, generator, scale=2.0)
    assert torch.autograd.gradcheck(lambda a, b: wendland(a, b, *rest), (x, coefficients))


def test_opcheck(generator):
    x, coefficients, rest = problem(12, 10, generator)
    torch.library.opcheck(wendland, (x, coefficients, *rest))


def test_strided_points(generator):
    x, coefficients, rest = problem(40, 70, generator, strided=True)
    assert not x.is_contiguous()
    torch.testing.assert_close(wendland(x, coefficients, *rest), reference(x, coefficients, *rest))


def test_points_outside_are_clamped_and_get_no_gradient(generator):
    _, coefficients, rest = problem(40, 1, generator, scale=1.0)
    outside = torch.tensor([[-0.5, 0.3, 0.4], [0.2, 1.7, 0.4], [0.2, 0.3, 9.0]], dtype=torch.float64).requires_grad_()
    got = wendland(outside, coefficients, *rest)
    torch.testing.assert_close(got, wendland(outside.clamp(0, 1), coefficients, *rest))
    (slope,) = torch.autograd.grad(got.sum(), outside)
    assert slope[0, 0] == slope[1, 1] == slope[2, 2] == 0
    assert (slope != 0).sum() == 6


def test_nan_points_do_not_leave_the_lists(generator):
    x, coefficients, rest = problem(40, 3, generator)
    got = wendland(torch.full_like(x, torch.nan), coefficients, *rest)
    torch.testing.assert_close(got, wendland(torch.zeros_like(x), coefficients, *rest))


def test_value_and_gradient_are_continuous_while_kernels_come_and_go(generator):
    """Along a line in steps of h, a C2 function's value changes by at most max|f'| h and its slope by max|f''| h; a
    kernel that is cut off at a value of 0.01 would jump by that, whatever h."""
    _, coefficients, rest = problem(1000, 1, generator, scale=7.0)
    h = 8e-6
    start, steps = torch.rand(1, 3, generator=generator).double() * 0.2, 50_000
    way = torch.nn.functional.normalize(torch.rand(1, 3, generator=generator).double(), dim=-1)
    coarse = (start + way * torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None] * 0.8).requires_grad_()
    middle = start + way * 0.2 + way * h * torch.arange(steps)[:, None]
    jumps = []
    for x in (coarse.detach(), middle):
        x.requires_grad_()
        value = wendland(x, coefficients, *rest).sum(-1)
        (slope,) = torch.autograd.grad(value.sum(), x)
        jumps.append((value.diff().abs().max(), slope.diff(dim=0).abs().max()))
    held = torch.bincount(pairs(middle.detach(), rest[0], rest[1], *rest[3:]).point, minlength=steps)
    assert int((held.diff() != 0).sum()) > 10  # kernels come and go on the way
    ratio = 0.8 / 2000 / h
    assert jumps[1][0] < 3 * jumps[0][0] / ratio
    assert jumps[1][1] < 3 * jumps[0][1] / ratio


def test_lists_are_bounded_and_rising(generator):
    centres = torch.rand(500, 3, generator=generator)
    shapes = torch.zeros(500, 6)
    shapes[:, [0, 3, 5]] = 1e-3  # every support is far larger than the box
    cells = cell_lists(centres, shapes)
    assert len(cells.members) <= ENTRIES * 500 + FINEST
    assert all(
        cells.members[a:b].diff().min() > 0 for a, b in zip(cells.starts[:-1], cells.starts[1:], strict=True) if b > a
    )


def test_reach_is_the_bounding_box_of_the_support(generator):
    _, _, rest = problem(3, 1, generator)
    ball = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=generator).double(), dim=-1)
    for extent, frame in zip(reach(rest[1]), unpacked(rest[1]), strict=True):
        surface = torch.linalg.solve(frame, ball.T).T
        torch.testing.assert_close(surface.abs().amax(0), extent, rtol=1e-3, atol=0)  # the ball is sampled


def test_the_dispatcher_takes_the_cpu_kernels(generator, monkeypatch):
    called = []
    for name in ("gather", "scatter", "slope"):
        real = getattr(wendland_cpu, name)
        monkeypatch.setattr(wendland_cpu, name, lambda *a, name=name, real=real: called.append(name) or real(*a))
    x, coefficients, rest = problem(10, 5, generator)
    wendland(x, coefficients, *rest).sum().backward()
    assert sorted(called) == ["gather", "scatter", "slope"]


def test_lists_are_made_of_few_entries_at_once():
    counts = torch.tensor([10, LISTED, LISTED, 5, 5, 5])
    parts = together(counts)
    assert sum(parts) == len(counts)
    assert max(parts) <= 4
    assert together(torch.ones(3 * CHUNK + 5, dtype=torch.int64)) == [CHUNK, CHUNK, CHUNK, 5]
