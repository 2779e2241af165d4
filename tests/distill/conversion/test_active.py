"""Active learning: pools against brute force, usable before they are full; what is hard is kept with its own data."""

import pytest
import torch
from analytic import UNIT_BOX, camera

from distill.conversion.active import HARD, HARD_POSES, hardest, newest
from distill.conversion.poses import SHIFT, TILT, Poses
from render import quaternions

COUNT = 50  # random cameras


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (1, 1), (4, 1), (20, 2), (1000, 100)])
def test_the_hardest_tenth_is_taken_and_one_at_least(size, kept, generator):
    errors = torch.rand(size, generator=generator)
    taken = hardest(errors, 0.1)
    assert sorted(taken.tolist()) == sorted(sorted(range(size), key=lambda i: -errors[i])[:kept])


def test_a_pool_holds_the_newest_and_never_more_than_its_size():
    pool = torch.zeros(0)
    for start in range(0, 100, 3):
        pool = newest(torch.arange(start, start + 3.0), pool, 10)
        assert pool.tolist()[:3] == [start, start + 1, start + 2]
        assert len(pool) == min(start + 3, 10)
        assert len(set(pool.tolist())) == len(pool)


def poses(generator, count=COUNT):
    cameras = tuple(camera((16 + i, 24), azimuth=0.7 * i, elevation=0.1 * i) for i in range(8))
    return Poses(cameras, UNIT_BOX, count, generator)


def difficulty(bank, camera):
    """Some error that every camera has of its own: how far to one side it stands."""
    return bank.poses[camera, 0, 3] + 1


def noted(bank, generator, rounds=20):
    """Tell the errors of many rays, in the order in which they were drawn, with noise of mean 0."""
    for _ in range(rounds):
        _, camera = bank.draw(1000, generator)
        noise = torch.randn(len(camera), generator=generator) * 0.01
        bank.note(camera, difficulty(bank, camera) + noise)


def test_the_worst_cameras_are_remembered_with_their_own_poses_and_lenses(generator):
    bank = poses(generator)
    noted(bank, generator)
    worst = difficulty(bank, torch.arange(COUNT)).topk(round(HARD * COUNT)).indices
    want = {(tuple(bank.poses[i].flatten().tolist()), int(bank.parent[i])) for i in worst.tolist()}
    bank.renew(generator)
    got = {(tuple(p.flatten().tolist()), int(n)) for p, n in zip(*bank.hard, strict=True)}
    assert got == want


def test_a_score_is_a_mean_and_not_a_sum(generator):
    bank = poses(generator)
    errors = torch.full((COUNT,), 0.1)
    errors[7] = 0.5
    bank.note(torch.arange(COUNT), errors)
    bank.note(torch.full((100,), 3), torch.full((100,), 0.1))  # seen often, and well
    place = bank.poses[7].clone()
    bank.renew(generator)
    assert any(torch.equal(place, p) for p in bank.hard[0])
    near_three = bank.hard[0][0]  # the hardest comes first
    assert torch.equal(near_three, place)


def test_new_cameras_lie_around_hard_ones_as_soon_as_there_is_one(generator):
    bank = poses(generator)
    bank.note(torch.tensor([11]), torch.tensor([1.0]))  # the only one that anything is known of
    pose, parent = bank.poses[11].clone(), int(bank.parent[11])
    bank.renew(generator)
    assert len(bank.hard[0]) == 1
    count = round(HARD * COUNT)
    assert (bank.parent[:count] == parent).all()
    away = (bank.poses[:count, :3, 3] - pose[:3, 3]).norm(dim=-1)
    assert away.min() > 0
    assert away.max() < 5 * SHIFT * float(bank.reach[parent])  # chance of more is below 1e-4 for each
    turns = quaternions.from_matrices(bank.poses[:count, :3, :3])
    cosine = (turns @ quaternions.from_matrices(pose[None, :3, :3])[0]).abs().clamp(max=1)
    assert (2 * cosine.acos()).max() < 5 * TILT
    assert not torch.equal(bank.poses[count], bank.poses[0])


def test_cameras_of_which_nothing_is_known_are_drawn_as_ever(generator):
    one, two = poses(torch.Generator().manual_seed(3)), poses(torch.Generator().manual_seed(3))
    two.draw(5, torch.Generator().manual_seed(9))
    for bank in (one, two):
        bank.renew(torch.Generator().manual_seed(4))
        assert len(bank.hard[0]) == 0
    assert torch.equal(one.poses, two.poses)


def test_the_pool_of_cameras_is_bounded_and_scores_do_not_outlive_their_cameras(generator):
    bank = poses(generator, 200)
    for round_ in range(10):
        noted(bank, generator, 1)
        bank.renew(generator)
        assert len(bank.hard[0]) == len(bank.hard[1]) == min(20 * (round_ + 1), HARD_POSES)
    before = [t.clone() for t in bank.hard]
    bank.renew(generator)  # nothing was noted since
    assert all(torch.equal(a, b) for a, b in zip(before, bank.hard, strict=True))


def test_cameras_continue_from_their_state(generator):
    whole = poses(generator)
    noted(whole, generator, 2)
    whole.renew(generator)
    noted(whole, generator, 2)
    other = poses(torch.Generator().manual_seed(77))
    other.restore(whole.state())
    for bank in (whole, other):
        bank.renew(torch.Generator().manual_seed(5))
    assert all(torch.equal(v, other.state()[k]) for k, v in whole.state().items())
    assert len(other.hard[0]) == 2 * round(HARD * COUNT)
