"""Random cameras: they cover where the training cameras were, with their lenses, and look at what there is."""

import math

import pytest
import torch
from analytic import MIDDLE, UNIT_BOX, camera

from distill.conversion.poses import ALONE, BEYOND, NEIGHBOURS, SHIFT, Poses, neighbours, surrounding
from render.camera import Camera, Intrinsics, look_at, project
from render.rays import RayBatch

UP = torch.tensor([0.0, 0.0, 1.0])
COUNT = 4000


def ring(count=24, size=(32, 24)):
    """Cameras on a wavy ring around the middle."""
    return tuple(
        camera(size, azimuth=2 * math.pi * i / count, elevation=0.5 + 0.2 * math.sin(3 * i)) for i in range(count)
    )


def crosses(rays, box):
    """(R,) bool: rays that meet the box."""
    one, two = (box[0] - rays.origins) / rays.directions, (box[1] - rays.origins) / rays.directions
    enter, leave = torch.minimum(one, two).amax(-1), torch.maximum(one, two).amin(-1)
    return leave > enter.clamp(min=0)


def test_every_training_camera_has_random_ones_near_and_none_is_far_from_all(generator):
    cameras = ring()
    places = torch.stack([c.pose[:3, 3] for c in cameras])
    bank = Poses(cameras, UNIT_BOX, COUNT, generator)
    apart = torch.cdist(places, places).fill_diagonal_(math.inf).amin(1).max()
    away = torch.cdist(bank.poses[:, :3, 3], places)
    assert away.amin(0).max() < 0.5 * apart  # each training camera: nearest random one
    reach = bank.reach.max()
    furthest = torch.cdist(places, places).topk(NEIGHBOURS + 1, largest=False).values.max()
    assert (
        away.amin(1).max() < (0.5 + BEYOND) * furthest + 5 * SHIFT * reach
    )  # each random camera: nearest training one
    shares = torch.bincount(away.argmin(1), minlength=len(cameras)) / COUNT
    assert shares.min() > 0.3 / len(cameras)


def test_random_cameras_are_no_copies_of_training_ones(generator):
    cameras = ring()
    bank = Poses(cameras, UNIT_BOX, 500, generator)
    places = torch.stack([c.pose[:3, 3] for c in cameras])
    assert torch.cdist(bank.poses[:, :3, 3], places).amin(1).median() > 0.01
    assert len(torch.unique(bank.poses[:, :3, 3], dim=0)) == 500


def test_poses_are_rotations(generator):
    turns = Poses(ring(), UNIT_BOX, 500, generator).poses[:, :3, :3].double()
    eye = torch.eye(3, dtype=torch.float64).expand(500, 3, 3)
    torch.testing.assert_close(turns @ turns.mT, eye, atol=1e-5, rtol=0)  # float32
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(500).double(), atol=1e-5, rtol=0)
    bank = Poses(ring(), UNIT_BOX, 500, generator)
    assert torch.equal(bank.poses[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(500, 4))


def test_rays_belong_to_a_pixel_of_their_camera_with_its_parents_lens_and_size(generator):
    small = Camera(look_at(MIDDLE + 1.6 * UP.roll(1), MIDDLE, UP), Intrinsics(20.0, 22.0, 4.0, 6.0), (8, 12))
    wide = Camera(
        look_at(MIDDLE - 1.6 * UP.roll(1), MIDDLE, UP),
        Intrinsics(60.0, 60.0, 30.0, 10.0, "opencv", (0.1, 0, 0, 0)),
        (64, 20),
    )
    both = (small, wide)
    bank = Poses(both, UNIT_BOX, 30, generator)
    rays, index = bank.draw(600, generator)
    seen = [set(), set()]
    for i in range(len(rays)):
        parent = int(bank.parent[index[i]])
        whole = Camera(bank.poses[index[i]], both[parent].intrinsics, both[parent].size)
        pixel, depth = project(whole, (rays.origins[i] + rays.directions[i])[None])
        column, row = (float(v) for v in pixel[0])
        assert float(depth) > 0
        torch.testing.assert_close(rays.origins[i], bank.poses[index[i], :3, 3])
        assert abs(column % 1 - 0.5) < 1e-2  # pixel centres, in float32
        assert abs(row % 1 - 0.5) < 1e-2
        assert 0 <= column < whole.size[0]
        assert 0 <= row < whole.size[1]
        seen[parent].add((int(column), int(row)))
    assert max(column for column, _ in seen[1]) > 8  # the wide one is used as wide as it is
    assert len(seen[0]) > 80  # about 300 draws from 96 pixels: 92 on average


def test_rays_of_random_cameras_meet_the_box_about_as_often_as_those_of_training_ones(generator):
    cameras = ring()
    rays, _ = Poses(cameras, UNIT_BOX, 500, generator).draw(4000, generator)
    training = torch.cat([crosses(c.rays(), UNIT_BOX) for c in cameras]).float().mean()
    assert crosses(rays, UNIT_BOX).float().mean() > training - 0.05
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(4000))


def test_a_single_camera_is_looked_around_from(generator):
    one = camera()
    bank = Poses((one,), UNIT_BOX, 500, generator)
    away = (bank.poses[:, :3, 3] - one.pose[:3, 3]).norm(dim=-1)
    assert away.min() > 0
    assert away.max() < 6 * SHIFT * ALONE  # five standard deviations on an axis and some on the others
    own = crosses(one.rays(), UNIT_BOX).float().mean()
    assert crosses(bank.draw(1000, generator)[0], UNIT_BOX).float().mean() > own - 0.05


def test_without_cameras_the_box_is_seen_from_all_sides(generator):
    box = torch.tensor([[0.2, -1.0, 0.0], [0.8, 1.0, 0.5]])
    bank = Poses((), box, COUNT, generator)
    views = torch.nn.functional.normalize(bank.poses[:, :3, 3] - box.mean(0), dim=-1)
    axes = torch.cat([torch.eye(3), -torch.eye(3)])
    assert (views @ axes.T).amax(0).min() > 0.95  # some camera near every axis
    assert views.mean(0).abs().max() < 0.05  # evenly: 4000 directions have a mean of 0.01 on each axis
    rays, _ = bank.draw(2000, generator)
    outside = ((bank.poses[:, :3, 3] < box[0]) | (bank.poses[:, :3, 3] > box[1])).any(-1)
    assert outside.all()
    assert crosses(rays, box).float().mean() > 0.1
    ahead = [RayBatch(c.pose[None, :3, 3], -c.pose[None, :3, 2]) for c in surrounding(box)]
    assert all(bool(crosses(ray, box)) for ray in ahead)


def test_neighbours_are_the_nearest_others():
    poses = torch.stack([c.pose for c in ring(12)])
    near = neighbours(poses)
    assert near.shape == (12, NEIGHBOURS)
    for i, row in enumerate(near.tolist()):
        assert i not in row
        assert len(set(row)) == NEIGHBOURS
        assert (i + 1) % 12 in row or (i - 1) % 12 in row
    assert neighbours(poses[:1]).tolist() == [[0]]
    assert neighbours(poses[:2]).tolist() == [[1], [0]]


@pytest.mark.parametrize("count", [2, 3])
def test_cameras_at_one_place_still_give_others(count, generator):
    bank = Poses((camera(),) * count, UNIT_BOX, 100, generator)
    assert torch.isfinite(bank.poses).all()
    assert (bank.poses[:, :3, 3] - camera().pose[:3, 3]).norm(dim=-1).min() > 0


def test_the_generator_alone_decides():
    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        bank = Poses(ring(), UNIT_BOX, 20, generator)
        bank.renew(generator)
        return bank.draw(50, generator)[0].directions

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
