"""Occupancy: bits, cascades, and what updates ask and remember."""

import pytest
import torch
from analytic import UNIT_BOX, Ball

from render import occupancy
from render.occupancy import (
    EVERYWHERE_UPDATES,
    NEVER,
    UNASKED,
    OccupancyEstimate,
    OccupancyGrid,
    cascades_for,
    coarsen,
    pack,
    unpack,
)
from render.rays import RayBatch

G = 16
STEP = 0.01


def estimate(cascades=1, allowed=None, box=UNIT_BOX):
    everything = torch.ones(cascades, G**3, dtype=torch.bool)
    return OccupancyEstimate(box, STEP, everything if allowed is None else allowed, G)


def update(guess, field, generator, **how):
    """As training does where the host may wait."""
    cells = guess.begin()
    guess.update(field, generator, guess.chosen(generator) if cells is None else cells, **how)


def cell(i, j, k):
    return i + G * (j + G * k)


class Recorder:
    """A field of given density that remembers the points it was asked."""

    def __init__(self, density):
        self.rule, self.points = density, []

    def thickness(self, x):
        self.points.append(x)
        return self.rule(x)


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [(0.0, 1.0, 1), (0.2, 0.9, 1), (-0.01, 1.0, 2), (0.0, 1.5, 2), (0.0, 1.51, 3), (-7.5, 1.0, 5)],
)
def test_cascades_reach_the_box(low, high, want):
    box = torch.tensor([[0.0, low, 0.0], [1.0, high, 1.0]])
    assert cascades_for(box) == want


def test_pack_puts_cell_n_into_bit_n(generator):
    cells = torch.rand(3, G**3, generator=generator) < 0.3
    bits = pack(cells)
    assert bits.shape == (3, G**3 // 8)
    assert bits.dtype == torch.uint8
    assert torch.equal(unpack(bits), cells)
    for n in (0, 7, 8, 1234):
        assert bool(bits[1, n // 8] >> n % 8 & 1) == bool(cells[1, n])
    assert OccupancyGrid(bits, UNIT_BOX, G).share() == pytest.approx(float(cells.float().mean()))


def test_coarsen_ors_finer_cells_into_the_cell_around_them():
    cells = torch.zeros(3, G**3, dtype=torch.bool)
    cells[0, cell(5, 0, 15)] = True
    cells[1, cell(1, 2, 3)] = True
    got = coarsen(cells, G)
    # cell 5 of 16 in the unit cube is [5/16, 6/16]; a cube of side 2 around it has cells of 1/8 from -1/2 on: cell 6
    want = cells.clone()
    want[1, cell(4 + 5 // 2, 4 + 0, 4 + 15 // 2)] = True
    want[2, cell(4 + 6 // 2, 4 + 4 // 2, 4 + 11 // 2)] = True
    want[2, cell(4, 4 + 1, 4 + 1)] = True
    assert torch.equal(got, want)
    assert int(cells.sum()) == 2  # the argument stays as it was


def test_coarsen_covers_every_point_of_the_finer_cell(generator):
    guess = estimate(3)
    fine = torch.randint(G**3, (200,), generator=generator)
    cells = torch.zeros(3, G**3, dtype=torch.bool)
    cells[0, fine] = True
    coarse = coarsen(cells, G)
    points = guess.centers(torch.zeros(200), fine, torch.rand(200, 3, generator=generator))
    for cascade in (1, 2):
        place = (((points - 0.5) / 2**cascade + 0.5) * G).long()
        assert bool(coarse[cascade, cell(*place.unbind(-1))].all())


def test_jittered_points_lie_in_their_cells(generator):
    cascade = torch.randint(3, (500,), generator=generator)
    index = torch.randint(G**3, (500,), generator=generator)
    points = estimate(3).centers(cascade, index, torch.rand(500, 3, generator=generator) * 0.999)
    place = ((points - 0.5) * torch.exp2(-cascade.float())[:, None] + 0.5) * G
    torch.testing.assert_close(cell(*place.floor().long().unbind(-1)), index)


def test_updates_find_a_ball(generator):
    guess, ball = estimate(), Ball(sigma=50.0, radius=0.3)
    for _ in range(EVERYWHERE_UPDATES):
        update(guess, ball, generator)
    at = torch.arange(G**3)
    low, high = (guess.centers(torch.zeros(G**3), at, corner) for corner in (torch.zeros(1, 3), torch.ones(1, 3)))
    nearest = torch.maximum(low, torch.minimum(high, ball.middle)) - ball.middle
    farthest = torch.maximum((low - ball.middle).abs(), (high - ball.middle).abs())
    assert not bool(guess.occupied[0][nearest.norm(dim=-1) > 0.3].any())  # wholly outside
    assert bool(guess.occupied[0][farthest.norm(dim=-1) < 0.3].all())  # wholly inside
    assert torch.equal(unpack(guess.grid.bits), guess.occupied)


def test_values_are_a_decaying_maximum_of_thickness(generator):
    guess = estimate()
    update(guess, Recorder(lambda x: torch.full((len(x),), 8.0)), generator, decay=0.5)
    torch.testing.assert_close(guess.values, torch.full((1, G**3), 8.0 * STEP))
    update(guess, Recorder(lambda x: torch.full((len(x),), 1.0)), generator, decay=0.5)
    torch.testing.assert_close(guess.values, torch.full((1, G**3), 4.0 * STEP))  # the larger of 8 / 2 and 1
    update(guess, Recorder(lambda x: torch.full((len(x),), 3.0)), generator, decay=0.5)
    torch.testing.assert_close(guess.values, torch.full((1, G**3), 3.0 * STEP))
    assert guess.updates == 3


def test_cells_that_are_not_asked_decay_as_well(generator):
    guess = estimate()
    guess.values.fill_(0.5)
    guess.updates = EVERYWHERE_UPDATES
    empty = Recorder(lambda x: torch.zeros(len(x)))
    update(guess, empty, generator, decay=0.9)
    assert sum(map(len, empty.points)) < G**3
    torch.testing.assert_close(guess.values, torch.full((1, G**3), 0.45))


@pytest.mark.parametrize(("dense", "threshold"), [(100.0, 0.01), (0.4, 0.002)], ids=["capped", "mean"])
def test_threshold_is_a_hundredth_or_the_mean(dense, threshold, generator):
    """Half of the cells hold `dense`; in the thin case the mean thickness, 0.4 / 2 * STEP, is the threshold."""
    guess = estimate()

    def layered(x):  # a quarter a little below the threshold, a quarter a little above, half well above
        thickness = torch.full((len(x),), dense * STEP)
        rest = 2 * threshold - dense * STEP if threshold < 0.01 else threshold
        thickness[x[:, 0] < 0.5] = rest * 1.01
        thickness[x[:, 0] < 0.25] = rest * 0.99
        return thickness.clamp(min=0) / STEP

    update(guess, Recorder(layered), generator)
    mean = float(guess.values.mean())
    assert min(0.01, mean) == pytest.approx(threshold, rel=0.01)
    assert torch.equal(guess.occupied, guess.values > min(0.01, mean))
    assert 0 < int(guess.occupied.sum()) < G**3


def test_forbidden_cells_are_neither_asked_nor_occupied(generator):
    allowed = torch.rand(2, G**3, generator=generator) < 0.4
    guess = estimate(2, allowed)
    assert torch.equal(guess.occupied, allowed)  # all that is allowed, until the field is asked
    for updates in (0, EVERYWHERE_UPDATES):
        guess.updates = updates
        solid = Recorder(lambda x: 2 + 100 * x[:, 0].abs())
        update(guess, solid, generator)
        if updates == 0:
            assert sum(map(len, solid.points)) == int(allowed.sum())
        assert not bool(guess.occupied[~allowed].any())
        assert bool((guess.values[~allowed] == NEVER).all())
    assert torch.equal(unpack(guess.grid.bits)[0], guess.occupied[0])


def test_later_updates_ask_a_quarter_and_as_many_of_the_occupied(generator):
    guess = estimate()
    guess.occupied[:] = False
    guess.occupied[0, :100] = True
    for _ in range(EVERYWHERE_UPDATES):
        assert torch.equal(guess.begin(), torch.arange(G**3))
    assert guess.begin() is None
    chosen = guess.chosen(generator)
    assert len(chosen.unique()) == len(chosen)
    assert 0.15 * G**3 < len(chosen) < 0.25 * G**3 + 102  # drawn with repeats: 1 - exp(-1/4) of the cells and more
    lucky = int((chosen < 100).sum())
    assert 60 < lucky < 95  # 1 - exp(-1.25) of the occupied: 71 +- 5
    guess.occupied[:] = True
    assert len(guess.chosen(generator)) < 0.5 * G**3 + 2
    guess.occupied[:] = False
    assert len(guess.chosen(generator)) > 0.15 * G**3


@pytest.mark.parametrize("most", [1000, 200])
def test_many_cells_are_asked_in_turn_and_stay_occupied_until_then(most, generator, monkeypatch):
    monkeypatch.setattr(occupancy, "MOST_ASKED", most)
    allowed = torch.rand(2, G**3, generator=generator) < 0.4
    guess, asked, updates = estimate(2, allowed), [], 0
    empty = Recorder(lambda x: torch.zeros(len(x)))
    while (cells := guess.begin()) is not None:
        assert len(cells) <= most
        guess.update(empty, generator, cells)
        asked, updates = [*asked, *cells.tolist()], updates + 1
        flat = guess.occupied.view(-1)
        left = set(guess.allowed.tolist()) - set(asked)
        assert set(flat.nonzero()[:, 0].tolist()) == left
    assert updates == max(EVERYWHERE_UPDATES, -(-len(guess.allowed) // most))
    assert set(asked) == set(guess.allowed.tolist())
    assert len(guess.uniform(generator)) == min(most, len(guess.allowed) // 4 + 1)


def test_nothing_allowed_stays_nothing(generator):
    guess = estimate(1, torch.zeros(1, G**3, dtype=torch.bool))
    for _ in range(EVERYWHERE_UPDATES + 1):
        update(guess, Ball(), generator)
    assert guess.grid.share() == 0


def test_updates_repeat_with_their_generator():
    grids = []
    for _ in range(2):
        guess, generator = estimate(), torch.Generator().manual_seed(5)
        for _ in range(EVERYWHERE_UPDATES + 2):
            update(guess, Ball(sigma=50.0), generator)
        grids.append(guess.grid.bits)
    assert torch.equal(*grids)


def test_march_samples_only_occupied_cells_inside_the_box():
    cells = torch.zeros(1, G**3, dtype=torch.bool)
    cells[0, cell(4, 8, 8)] = cells[0, cell(12, 8, 8)] = True
    box = torch.tensor([[0.0, 0.0, 0.0], [0.78, 1.0, 1.0]])  # ends within the second cell, [0.75, 0.8125]
    grid = OccupancyGrid(pack(cells), box, G)
    rays = RayBatch(torch.tensor([[-1.0, 0.53, 0.53], [-1.0, 0.1, 0.53]]), torch.tensor([[1.0, 0.0, 0.0]] * 2))
    samples = grid.march(rays, 0.01, 0.0)
    assert samples.offsets.tolist() == [0, len(samples), len(samples)]
    x = samples.positions(rays)[:, 0]
    assert bool((((x > 0.25) & (x < 0.3125)) | ((x > 0.75) & (x < 0.78))).all())
    assert len(samples) == 9  # midpoints at odd multiples of 0.005: 0.255 to 0.305, and 0.755 to 0.775
    assert len(grid.march(rays, 0.01, 0.0, limit=4)) == 4
    late = grid.march(rays, 0.01, 0.0, near=torch.tensor([1.5, 0.0]))
    assert bool((late.t > 1.5).all())
    shifted = grid.march(rays, 0.01, 0.0, jitter=torch.tensor([0.3, 0.0]))
    torch.testing.assert_close(shifted.t[:6], samples.t[:6] + 0.003, atol=1e-6, rtol=0)
    moved = grid.to(torch.device("cpu"))
    assert torch.equal(moved.bits, grid.bits)


def test_contains_agrees_with_the_cells_that_rays_walk(generator):
    resolution = 8
    occupied = torch.rand(2, resolution**3, generator=generator) < 0.4
    box = torch.tensor([[-0.5, -0.3, -0.5], [1.4, 1.5, 1.5]])
    grid = OccupancyGrid(pack(occupied), box, resolution)
    points = torch.rand(3000, 3, generator=generator) * 2.4 - 0.7
    got = grid.contains(points)
    for point, answer in zip(points.tolist(), got.tolist(), strict=True):
        inside = all(low <= p <= high for p, low, high in zip(point, *box.tolist(), strict=True))
        cascade = 0 if all(0 <= p <= 1 for p in point) else 1
        cell = [int(((p - 0.5) / 2**cascade + 0.5) * resolution) for p in point]
        wanted = inside and bool(occupied[cascade, cell[0] + resolution * (cell[1] + resolution * cell[2])])
        assert answer == wanted, point
    assert 0.1 < float(got.float().mean()) < 0.9


def test_an_update_is_the_definition_and_stays_where_it_is(generator):
    """The largest of the decayed values and of what chunks of cells are asked, above the mean of allowed cells."""
    allowed = torch.rand(2, G**3, generator=generator) < 0.4
    guess, want = estimate(2, allowed), torch.where(allowed, UNASKED, NEVER)
    where = [t.data_ptr() for t in (guess.values, guess.occupied, guess.grid.bits)]
    first, second = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for rule in (lambda x: 100 * x[:, 0].abs(), lambda x: x[:, 1].abs() * 3):
        guess.update(Recorder(rule), first, guess.allowed, chunk=1000)
        jitter = torch.cat([torch.rand(len(part), 3, generator=second) for part in guess.allowed.split(1000)])
        said = rule(guess.centers(guess.allowed // G**3, guess.allowed % G**3, jitter)) * STEP
        want[allowed] = torch.maximum(want[allowed] * 0.95, said)
        assert torch.equal(guess.values, want)
        assert torch.equal(guess.occupied, allowed & (want > want[allowed].mean().clamp(max=0.01)))
    assert 0 < int(guess.occupied.sum()) < int(allowed.sum())
    assert where == [t.data_ptr() for t in (guess.values, guess.occupied, guess.grid.bits)]
    assert torch.equal(guess.grid.bits, pack(coarsen(guess.occupied, G)))


def test_a_restored_estimate_is_the_same(generator):
    one, two = estimate(2), estimate(2)
    one.begin()
    one.update(Recorder(lambda x: 100 * x[:, 0].abs()), generator, one.allowed)
    state = one.state()
    two.restore(state)
    one.update(Recorder(lambda x: x[:, 0].abs()), generator, one.allowed)
    assert not torch.equal(one.values, state["values"])  # what was kept was a copy
    assert torch.equal(two.values, state["values"])
    assert torch.equal(two.grid.bits, pack(coarsen(state["occupied"], G)))
    assert two.updates == 1


def test_an_update_survives_a_bad_field(generator):
    guess = estimate()
    guess.update(Recorder(lambda x: torch.full((len(x),), torch.nan)), generator, guess.allowed)
    assert not bool(guess.values.any())


def test_cells_drawn_in_fixed_number(generator):
    allowed = torch.rand(2, G**3, generator=generator) < 0.4
    guess = estimate(2, allowed)
    guess.occupied[:] = False
    lit = allowed.flatten().nonzero()[:, 0][5:105]
    guess.occupied.view(-1)[lit] = True
    some = int(allowed.sum()) // 4 + 1
    cells = guess.drawn(generator)
    assert cells.shape == (2 * some,)
    assert bool(allowed.flatten()[cells].all())
    counts = torch.bincount(torch.searchsorted(lit, cells[some:]), minlength=100)
    assert bool(torch.isin(cells[some:], lit).all())
    assert counts.shape == (100,)
    assert some / 100 * 0.3 < int(counts.min()) <= int(counts.max()) < some / 100 * 2.5  # 8 each
    guess.occupied[:] = False
    assert torch.equal(*guess.drawn(generator).view(2, some))
    guess.occupied[:] = True
    assert len(guess.drawn(generator)) == 2 * some
    assert not len(estimate(1, torch.zeros(1, G**3, dtype=torch.bool)).drawn(generator))


def test_a_cell_that_is_asked_twice_takes_the_larger_value(generator):
    guess = estimate()
    answers = torch.tensor([5.0, 1.0, 2.0])
    guess.update(Recorder(lambda x: answers), generator, torch.tensor([7, 7, 9]))
    torch.testing.assert_close(guess.values[0, [7, 9]], torch.tensor([5.0, 2.0]) * STEP)
    assert float(guess.values[0, 10]) == UNASKED
