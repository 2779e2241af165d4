"""Frame sizes and time shares, against simulated costs."""

import math
from itertools import pairwise

import pytest

from viewer.worker.pacing import (
    COARSE,
    LIVE,
    MOVING,
    SHARE,
    SMALLEST,
    Cost,
    FramePurpose,
    TimeShares,
    choose_size,
    fit_size,
    shrink,
)

FULL = (1280, 800)
MOVE = FramePurpose(moving=True, learning=False, shown=True)
STILL = FramePurpose(moving=False, learning=False, shown=False)


def costing(pixel, fixed=0.01):
    """What a machine takes for a frame: `pixel` seconds each, and something for the frame itself."""
    return lambda size: fixed + pixel * math.prod(size)


def known(machine, *sizes):
    cost = Cost()
    for size in sizes:
        cost = cost.after(math.prod(size), machine(size))
    return cost


def frames(machine, count, wish=MOVE, cost=None, before=None):
    """Sizes and seconds of frames while moving; `machine` may change with the frame's number."""
    cost, result = cost or Cost(), []
    for number in range(count):
        before = choose_size(FULL, cost, wish, before)
        seconds = machine(before, number)
        cost = cost.after(math.prod(before), seconds)
        result.append((before, seconds))
    return result, cost


def test_two_sizes_tell_the_fixed_part_and_the_pixels():
    cost = known(costing(6e-6, 0.012), (100, 100), (200, 100), (400, 300))
    assert cost.line == pytest.approx((0.012, 6e-6), rel=1e-6)
    assert cost.time((800, 800)) == pytest.approx(0.012 + 6e-6 * 640_000)
    assert Cost().time((1, 1)) == math.inf


def test_one_size_tells_a_rate_and_noise_never_makes_pixels_free():
    assert known(costing(6e-6, 0.0), (100, 100), (100, 100)).line == pytest.approx((0.0, 6e-6))
    odd = Cost().after(1000, 0.1).after(2000, 0.01)  # the larger frame was the quicker one
    fixed, pixel = odd.line
    assert fixed >= 0
    assert pixel > 0


def test_the_past_fades():
    cost = known(costing(6e-6), *[(100, 100), (200, 200)] * 20)
    slow = known(costing(2e-5), (100, 100))
    for size in [(100, 100), (200, 200)] * 6:
        cost = cost.after(math.prod(size), costing(2e-5)(size))
    assert cost.time((150, 150)) == pytest.approx(costing(2e-5)((150, 150)), rel=0.05)
    assert slow.weight == 1


@pytest.mark.parametrize("pixel", [2e-7, 2e-6, 6e-6])
def test_moving_frames_soon_take_a_twentieth_of_a_second(pixel):
    machine = costing(pixel)
    result, _ = frames(lambda size, _: machine(size), 20)
    for size, seconds in result[4:]:
        assert seconds <= 1 / 15
        assert seconds >= MOVING / 2 or size == FULL
        assert size[0] / size[1] == pytest.approx(FULL[0] / FULL[1], rel=0.02)
    assert len({size for size, _ in result[6:]}) == 1
    assert result[0][1] < MOVING  # also the first, of which nothing is known


def test_sizes_do_not_flicker_with_noisy_times():
    machine = costing(6e-6)
    noise = [1.15, 0.9, 1.0, 0.85, 1.1, 1.05, 0.95]
    result, _ = frames(lambda size, n: machine(size) * noise[n % 7], 120)
    changes = sum(a[0] != b[0] for a, b in pairwise(result[10:]))
    assert changes <= 2


def test_a_harder_view_gets_smaller_frames_and_an_easier_one_larger():
    machine = lambda size, n: costing(2e-6 if not 20 <= n < 40 else 8e-6)(size)  # noqa: E731
    result, _ = frames(machine, 60)
    easy, hard, again = result[19][0], result[39][0], result[59][0]
    assert hard[0] < 0.7 * easy[0]
    assert again[0] > 0.9 * easy[0]
    assert max(seconds for _, seconds in result[25:40]) <= 1 / 15


def test_panes_share_the_time():
    machine = costing(1e-6, 0.002)
    one, _ = frames(lambda size, _: machine(size), 12)
    four, _ = frames(lambda size, _: machine(size), 12, FramePurpose(True, False, True, panes=4))
    assert 4 * four[-1][1] <= 1 / 15
    assert math.prod(four[-1][0]) < math.prod(one[-1][0]) / 3


def test_sizes_stay_between_a_sixteenth_and_all():
    slow, quick = known(costing(1e-3), (80, 50), (40, 25)), known(costing(1e-9, 0), (80, 50), (640, 400))
    assert choose_size(FULL, slow, MOVE) == (80, 50)
    assert choose_size(FULL, quick, MOVE) == FULL
    assert shrink((5, 3), SMALLEST) == (1, 1)
    assert shrink(FULL, 0.0) == shrink(FULL, SMALLEST)


def test_a_rung_is_its_own_part():
    for rung in range(17):
        size = shrink(FULL, 2 ** (-rung / 4))
        assert shrink(FULL, size[0] / FULL[0]) == size
        assert fit_size(FULL, known(costing(6e-6), (100, 100), (300, 200)), costing(6e-6)(size), size) == size


def test_still_pictures_are_coarse_first_where_full_takes_long():
    machine = costing(6e-6)
    cost = known(machine, (100, 100), (400, 300))
    coarse = choose_size(FULL, cost, STILL)
    assert machine(coarse) <= COARSE / 2
    assert choose_size(FULL, cost, FramePurpose(False, False, shown=True)) == FULL
    assert choose_size((160, 100), cost, STILL) == (160, 100)  # quick enough at once


def simulated(wish, seconds_of_frame, seconds_of_step, count):
    """Share of the time that learning gets, and the longest stretch of frames in a row."""
    times, drawn, learnt, row, longest = TimeShares(), 0.0, 0.0, 0, 0
    for _ in range(count):
        if times.frame_next(wish):
            times, drawn, row = times.after_frame(seconds_of_frame), drawn + seconds_of_frame, row + 1
        else:
            times, learnt, row = times.after_learning(seconds_of_step), learnt + seconds_of_step, 0
        longest = max(longest, row)
    return learnt / (drawn + learnt), longest


@pytest.mark.parametrize("step", [0.01, 0.07, 0.4])
def test_learning_slows_by_less_than_a_third_while_nobody_moves(step):
    share, _ = simulated(FramePurpose(False, True, True), LIVE, step, 2000)
    assert 1 - SHARE - 0.02 < share < 1
    assert share > 1 / 1.3


def test_every_second_slice_is_learning_while_the_person_moves():
    for wish in (FramePurpose(True, True, True), FramePurpose(False, True, False)):
        _, longest = simulated(wish, 0.05, 0.07, 100)
        assert longest == 1


def test_frames_come_at_once_where_nothing_learns():
    busy = TimeShares().after_frame(9.0).after_frame(9.0)
    assert busy.frame_next(MOVE)
    assert busy.frame_next(STILL)
    assert not busy.frame_next(FramePurpose(False, True, True))


def test_live_frames_fit_into_their_time():
    machine = costing(6e-6)
    cost = known(machine, (100, 100), (400, 300))
    size = choose_size(FULL, cost, FramePurpose(False, True, True))
    assert LIVE / 2 < machine(size) <= LIVE
