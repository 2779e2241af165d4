"""Marching against the float64 reference, which tests every interval of the lattice."""

import pytest
import torch

from render.kernels import march_cpu
from render.kernels.march import (
    boundary,
    candidates,
    cross_box,
    largest_step,
    lattice_place,
    march_count,
    march_fill,
    occupied,
)
from render.occupancy import coarsen, pack

G = 16


def problem(cascades, cone, rays, generator, step=0.013):
    bits = torch.randint(0, 256, (3, cascades, G**3 // 8), generator=generator).to(torch.uint8)
    side = 2.0 ** (cascades - 1)
    origins = torch.randn(rays, 3, generator=generator, dtype=torch.float64) * side + 0.5
    toward = (torch.rand(rays, 3, generator=generator, dtype=torch.float64) - 0.5) * side + 0.5
    box = torch.tensor([[-0.5] * 3, [0.45] * 3], dtype=torch.float64) * side + 0.5
    return (
        origins,
        torch.nn.functional.normalize(toward - origins, dim=-1),
        torch.rand(rays, generator=generator, dtype=torch.float64) * 0.5,
        torch.rand(rays, generator=generator, dtype=torch.float64),
        bits[0] & bits[1] & bits[2],
        box,
        G,
        step,
        cone,
    )


def run(arguments, limit=10**6, spare=0):
    counts, first = march_count(*arguments, limit)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    result = march_fill(*arguments, offsets, int(offsets[-1]) + spare)
    again = march_fill(*arguments[:2], first, *arguments[3:], offsets, int(offsets[-1]) + spare)
    assert all(torch.equal(one, two) for one, two in zip(result, again, strict=True))  # the way to the first is saved
    return offsets, *result


@pytest.mark.parametrize(("cascades", "cone"), [(1, 0.0), (3, 0.0), (3, 1 / 64), (5, 1 / 256)])
@pytest.mark.parametrize("rays", [0, 1, 127, 128, 129])
def test_samples_match_the_reference(cascades, cone, rays, generator):
    arguments = problem(cascades, cone, rays, generator)
    offsets, ray, t, dt = run(arguments)
    want_t, want_dt, live = candidates(*arguments, 10**6)
    assert torch.equal(offsets.diff(), live.sum(1))
    assert torch.equal(ray, live.nonzero()[:, 0])
    torch.testing.assert_close(t, want_t[live])
    torch.testing.assert_close(dt, want_dt[live])


@pytest.mark.parametrize(("cascades", "cone"), [(1, 0.0), (3, 0.0), (3, 1 / 64), (5, 1 / 256), (2, 1 / 16)])
def test_empty_blocks_are_passed_without_losing_a_sample(cascades, cone, generator):
    """Few cells, so that most blocks are empty; a coarse cell is occupied where a finer one in it is, as in a grid."""
    g, many = 32, 300
    arguments = list(problem(cascades, cone, many, generator, step=0.004))
    cells = torch.rand(cascades, g**3, generator=generator) < 2e-3
    arguments[4], arguments[6] = pack(coarsen(cells, g)), g
    assert float((march_cpu.blocks_of(arguments[4].numpy(), g) > 0).mean()) > 0.2
    offsets, ray, t, _ = run(tuple(arguments))
    want_t, _, live = candidates(*arguments, 10**6)
    assert int(offsets[-1]) > 20
    assert torch.equal(offsets.diff(), live.sum(1))
    torch.testing.assert_close(t, want_t[live])
    assert torch.equal(ray, live.nonzero()[:, 0])


def test_float32_agrees_with_float64_but_for_rounding_at_cell_borders(generator):
    arguments = problem(3, 1 / 128, 400, generator)
    single = tuple(a.float() if torch.is_tensor(a) and a.is_floating_point() else a for a in arguments)
    wide, narrow = run(arguments)[0][-1], run(single)[0][-1]
    assert wide > 3000
    assert abs(int(wide) - int(narrow)) < 0.002 * wide


def test_limit_keeps_the_first_samples_and_near_resumes_behind_them(generator):
    arguments = problem(3, 1 / 64, 60, generator)
    whole, _, t, _ = run(arguments)
    first, _, t1, dt1 = run(arguments, limit=7)
    assert int(first.diff().max()) == 7
    last = (first[1:] - 1).clamp(min=0)
    near = torch.where(first.diff() > 0, t1[last] + dt1[last] / 2, arguments[2])
    second, _, t2, _ = run((*arguments[:2], near, *arguments[3:]))
    full = first.diff() == 7
    assert torch.equal((first.diff() + second.diff())[full], whole.diff()[full])
    for r in full.nonzero()[:, 0].tolist():
        joined = torch.cat([t1[first[r] : first[r + 1]], t2[second[r] : second[r + 1]]])
        torch.testing.assert_close(joined, t[whole[r] : whole[r + 1]])


def test_spare_room_is_zero(generator):
    offsets, ray, t, dt = run(problem(1, 0.0, 20, generator), spare=9)
    assert not ray[-9:].any()
    assert not t[-9:].any()
    assert not dt[-9:].any()
    assert len(t) == int(offsets[-1]) + 9


def test_rays_along_axes_and_from_inside(generator):
    *_, bits, box, resolution, step, cone = problem(1, 0.0, 1, generator)
    full = torch.full_like(bits, 255)
    directions = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    origins = torch.full((6, 3), 0.5).double()
    zeros = torch.zeros(6).double()
    offsets, _, t, dt = run((origins, directions, zeros, zeros, full, box, resolution, step, cone))
    lengths = torch.segment_reduce(dt, "sum", offsets=offsets)
    leave = cross_box(origins, directions, box)[1]
    torch.testing.assert_close(lengths, leave, atol=step, rtol=0)
    assert float(t.min()) == pytest.approx(step / 2)


def test_empty_grid_and_missed_box_give_nothing(generator):
    arguments = list(problem(2, 0.0, 50, generator))
    empty = [*arguments[:4], torch.zeros_like(arguments[4]), *arguments[5:]]
    assert int(run(tuple(empty))[0][-1]) == 0
    arguments[0] = arguments[0] + 100
    assert int(run(tuple(arguments))[0][-1]) == 0


@pytest.mark.parametrize("cone", [0.0, 1 / 256, 1 / 16])
def test_lattice_grows_as_stated_and_its_inverse_is_one(cone):
    step, longest = 0.01, 0.2
    u = torch.arange(0, 900, dtype=torch.float64)
    t = boundary(u, step, cone, longest)
    lengths = t.diff()
    assert bool((lengths > 0).all())
    assert float(lengths.min()) >= step * (1 - 1e-9)
    assert float(lengths.max()) <= (longest if cone else step) * (1 + 1e-9)
    if cone:
        middle = (lengths > step * 1.2) & (lengths < longest * 0.8)
        torch.testing.assert_close(lengths[middle], t[:-1][middle] * cone)  # growth (1 + cone) per interval
    back = [lattice_place(float(v), step, cone, longest) for v in t]
    torch.testing.assert_close(torch.tensor(back, dtype=torch.float64), u, atol=1e-8, rtol=1e-10)


def test_cascade_is_the_finest_that_holds_the_point_and_the_interval():
    bits = torch.zeros(3, G**3 // 8, dtype=torch.uint8)
    bits[1] = 255
    points = torch.tensor([[0.5, 0.5, 0.5], [1.2, 0.5, 0.5], [2.2, 0.5, 0.5]], dtype=torch.float64)
    short, long = torch.full((3,), 0.01).double(), torch.full((3,), 1.5 / G).double()
    assert occupied(points, short, bits, G).tolist() == [False, True, False]
    assert occupied(points, long, bits, G).tolist() == [True, True, False]


def test_largest_step_is_a_cell_of_the_coarsest_cascade():
    assert largest_step(torch.zeros(4, G**3 // 8), G, 0.01) == 8 / G
    assert largest_step(torch.zeros(1, G**3 // 8), G, 0.5) == 0.5


def test_opcheck(generator):
    arguments = problem(2, 0.0, 5, generator)
    torch.library.opcheck(march_count, (*arguments, 100))
    offsets = torch.nn.functional.pad(march_count(*arguments, 100)[0].cumsum(0), (1, 0))
    torch.library.opcheck(march_fill, (*arguments, offsets, int(offsets[-1])))


def test_the_dispatcher_takes_the_cpu_kernel(generator, monkeypatch):
    called = []
    real = march_cpu.count_rays
    monkeypatch.setattr(march_cpu, "count_rays", lambda *a: called.append(1) or real(*a))
    run(problem(1, 0.0, 3, generator))
    assert called


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rings_of_empty_blocks_are_counted(count, generator):
    """Of one cascade: chessboard distances to the nearest of a few occupied cells' blocks."""
    g, side = 64, 64 // march_cpu.BLOCK
    cells = torch.randint(0, g, (count, 3), generator=generator)
    occupied = torch.zeros(1, g**3, dtype=torch.bool)
    occupied[0, cells @ torch.tensor([1, g, g * g])] = True
    got = torch.from_numpy(march_cpu.blocks_of(pack(occupied).numpy(), g)).view(side, side, side)
    axis = torch.arange(side)
    place = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)  # z, y, x
    away = [(place - cell.flip(0) // march_cpu.BLOCK).abs().amax(-1) for cell in cells]
    want = torch.stack([torch.full((side,) * 3, side), *away]).amin(0)
    assert torch.equal(got.long(), want)


@pytest.mark.parametrize(
    ("origin", "direction", "step"),
    [
        ([0.5, 0.5, 0.5], [0.0, 0.0, 1.0], 1e-17),  # one more interval changes no number
        ([0.5, 0.5, -1e18], [0.0, 0.0, 1.0], 0.01),
        ([0.5, 0.5, 0.5], [0.0, 0.0, 0.0], 1e-9),  # never leaves
        ([0.5, 0.5, 0.5], [float("nan"), 0.0, 1.0], 0.01),
        ([float("inf"), 0.5, 0.5], [-1.0, 0.0, 0.0], 0.01),
        ([float("nan")] * 3, [0.0, 0.0, 1.0], 0.01),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_every_ray_ends_whatever_its_numbers(origin, direction, step, full):
    bits = torch.full((1, G**3 // 8), 255 if full else 0, dtype=torch.uint8)
    box, zero = torch.tensor([[0.0] * 3, [1.0] * 3]), torch.zeros(1)
    counts, _ = march_count(
        torch.tensor([origin]), torch.tensor([direction]), zero, zero, bits, box, G, step, 0.0, 1 << 30
    )
    assert 0 <= int(counts[0]) <= march_cpu.FURTHEST
