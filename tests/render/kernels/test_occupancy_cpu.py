"""The CPU's update of an occupancy against the one in PyTorch, bit for bit."""

import pytest
import torch

from render.kernels.occupancy_cpu import distinct, listed, points
from render.occupancy import EVERYWHERE_UPDATES, OccupancyEstimate

STEP = 0.013
BOX = torch.tensor([[-1.5, -1.5, -1.5], [2.5, 2.5, 2.5]])


class Rule:
    """A field whose density is a rule."""

    def __init__(self, density):
        self.thickness = density


def wild(x):
    """Thin and thick places, and answers of a field that has gone bad."""
    sigma = (40 * (x[:, 0] - 0.4)).clamp(min=0) * (x[:, 1] > 0.3)
    sigma[::97], sigma[1::89], sigma[2::83] = torch.nan, torch.inf, -torch.inf
    return sigma


@pytest.mark.parametrize(
    ("resolution", "cascades", "share"), [(8, 3, 0.5), (16, 1, 0.4), (16, 4, 1.0), (24, 3, 0.2), (16, 2, 0.0)]
)
@pytest.mark.parametrize("density", [wild, lambda x: x[:, 2].abs() / 4], ids=["wild", "thin"])
def test_updates_are_those_of_the_reference(resolution, cascades, share, density, generator):
    allowed = torch.rand(cascades, resolution**3, generator=generator) < share
    fast, slow = (OccupancyEstimate(BOX, STEP, allowed, resolution) for _ in range(2))
    for number in range(EVERYWHERE_UPDATES + 3):
        cells = fast.allowed if number % 4 == 0 else fast.uniform(generator)  # with repeats
        seeds = [torch.Generator().manual_seed(number) for _ in range(2)]
        fast.update(Rule(density), seeds[0], cells, chunk=500)
        slow.update_by_torch(Rule(density), seeds[1], cells.split(500), 0.95)
        for name in ("values", "occupied"):
            assert torch.equal(getattr(fast, name), getattr(slow, name)), (number, name)
        assert torch.equal(fast.grid.bits, slow.grid.bits)
    assert bool(fast.occupied.any()) == (share > 0)
    assert bool(fast.occupied.all()) is False


@pytest.mark.parametrize("resolution", [8, 24, 100, 128])
def test_points_are_those_of_the_reference(resolution, generator):
    guess = OccupancyEstimate(BOX, STEP, torch.ones(5, 8**3, dtype=torch.bool), 8)
    guess.resolution, count = resolution, resolution**3
    edges = torch.tensor([0, resolution - 1, resolution, resolution**2 - 1, resolution**2, count - 1])
    some = torch.randint(count, (1000,), generator=generator)
    cells = torch.cat([torch.cat([edges, some]) + cascade * count for cascade in range(5)])
    jitter = torch.rand(len(cells), 3, generator=generator)
    want = guess.centers(cells // count, cells % count, jitter)
    assert torch.equal(points(cells, jitter.clone(), resolution), want)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_occupied_cells_are_listed_in_order(share, generator):
    occupied = torch.rand(2, 8**3, generator=generator) < share
    assert torch.equal(listed(occupied), occupied.view(-1).nonzero()[:, 0])


@pytest.mark.parametrize("count", [0, 1, 300, 5000])
def test_cells_that_were_drawn_twice_are_kept_once(count, generator):
    cells = torch.randint(1024, (count,), generator=generator)
    assert torch.equal(distinct(cells, 1024), cells.unique())
