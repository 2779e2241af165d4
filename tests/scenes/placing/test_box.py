import math

import drawn
import pytest
import torch

from render.camera import Intrinsics, look_at
from render.rays import RayBatch
from scenes.placing.box import Unplaced, attention, crosses, cube, place, similarity

SIZE = (60, 60)
LENS = Intrinsics(90, 90, 30, 30)


def shots(poses, *, opaque=False, lens=LENS):
    every = torch.ones((), dtype=torch.bool).expand(SIZE[1], SIZE[0])
    pictures = [drawn.picture(pose, lens, SIZE, opaque=opaque) for pose in poses]
    return [
        Unplaced(f"{i}", pose.double(), lens, image, every)
        for i, (pose, image) in enumerate(zip(poses, pictures, strict=True))
    ]


def inward(fit):
    """Corners of the box in input coordinates."""
    back = torch.linalg.inv(fit.transform)
    return fit.box.double() @ back[:3, :3].T + back[:3, 3]


def test_the_transform_is_a_similarity_without_rotation():
    transform = similarity(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 0.25)
    assert transform.dtype == torch.float64
    corner = transform @ torch.tensor([0.75, 1.75, 2.75, 1.0], dtype=torch.float64)
    torch.testing.assert_close(corner, torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(transform[:3, :3], 2 * torch.eye(3, dtype=torch.float64))


def test_attention_finds_the_common_point_despite_strays():
    target = torch.tensor([0.3, -0.2, 0.5])
    poses = torch.stack(drawn.ring(20, target=target.tolist())).double()
    for i in (3, 11):  # two cameras that look far aside
        poses[i] = look_at(poses[i, :3, 3].float(), target + torch.tensor([0.0, 3.0, 3.0]), drawn.UP).double()
    found = attention(poses[:, :3, 3], -poses[:, :3, 2])
    assert found is not None
    assert float((found - target).norm()) < 0.05


def test_parallel_axes_have_no_common_point():
    positions = torch.rand(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert attention(positions, torch.tensor([[0.0, 0.0, -1.0]]).double().expand(9, 3)) is None


def test_crosses():
    origins = torch.tensor([[0.5, 0.5, 3.0], [0.5, 0.5, 3.0], [2.0, 0.5, 3.0], [0.5, 0.5, 0.5]])
    directions = torch.tensor([[0.0, 0, -1], [0, 0, 1], [0, 0, -1], [1, 0, 0]])
    assert crosses(RayBatch(origins, directions), cube(1)).tolist() == [True, False, False, True]


def test_an_object_gets_a_tight_box_with_its_longest_side_one():
    fit = place(shots(drawn.ring(30, lowest=-2.0)), transparent=True, aabb_scale=None)
    low, high = inward(fit)
    want_low, want_high = torch.tensor([drawn.LOW, drawn.HIGH], dtype=torch.float64)
    assert (low <= want_low).all()
    assert (high >= want_high).all()
    assert float((want_low - low).max()) < 0.15  # about three pixels of these pictures
    assert float((high - want_high).max()) < 0.15
    extent = fit.box[1] - fit.box[0]
    assert float(extent.max()) == pytest.approx(1)
    torch.testing.assert_close(fit.box.mean(0), torch.full((3,), 0.5))


def test_units_and_origin_of_the_input_do_not_matter():
    plain = place(shots(drawn.ring(20)), transparent=True, aabb_scale=None)
    far = shots(drawn.ring(20))
    for shot in far:
        shot.pose[:3, 3] = shot.pose[:3, 3] * 1000 + torch.tensor([4e5, -3e6, 100.0], dtype=torch.float64)
    fit = place(far, transparent=True, aabb_scale=None)
    torch.testing.assert_close(fit.box, plain.box, atol=2e-2, rtol=0)  # a cell of the hull may fall either way
    torch.testing.assert_close(
        far[3].placed(fit.transform).pose, shots(drawn.ring(20))[3].placed(plain.transform).pose, atol=5e-2, rtol=0
    )


def test_masked_pixels_are_not_taken_for_empty():
    every = shots(drawn.ring(30))
    masked = [
        Unplaced(s.name, s.pose, s.intrinsics, torch.zeros_like(s.image), torch.zeros(60, 60).bool()) for s in every[:1]
    ]
    fit = place([*masked, *every[1:]], transparent=True, aabb_scale=None)
    assert (inward(fit)[0] <= torch.tensor(drawn.LOW, dtype=torch.float64)).all()


def test_silhouettes_that_contradict_fall_back_to_what_is_framed():
    every = shots(drawn.ring(12))
    wrong = [
        Unplaced(s.name, s.pose, s.intrinsics, s.image.roll(20 * (i % 3 - 1), 1), s.valid) for i, s in enumerate(every)
    ]
    fit = place(wrong, transparent=True, aabb_scale=None)
    torch.testing.assert_close(fit.box, cube(1))
    assert any("no solid place in common" in fact.text for fact in fit.facts)


def test_the_core_of_an_open_scene_is_what_the_cameras_frame():
    poses = drawn.ring(24, radius=4.0)
    fit = place(shots(poses, opaque=True), transparent=False, aabb_scale=None)
    torch.testing.assert_close(fit.box, cube(4))
    low, high = inward(fit)
    torch.testing.assert_close((low + high) / 2, torch.tensor([0.0, 0.0, 0.2]).double(), atol=1e-3, rtol=0)
    distances = sorted(float((pose[:3, 3] - torch.tensor([0.0, 0.0, 0.2])).norm()) for pose in poses)
    assert float((high - low)[0]) / 8 == pytest.approx(distances[11] * math.sin(math.atan(1 / 3)), rel=0.05)


def test_the_box_of_an_open_scene_grows_to_hold_the_cameras():
    tele = Intrinsics(400, 400, 30, 30)
    fit = place(shots(drawn.ring(24), opaque=True, lens=tele), transparent=False, aabb_scale=None)
    assert float(fit.box[1, 0] - fit.box[0, 0]) == 16
    fit = place(shots(drawn.ring(24), opaque=True), transparent=False, aabb_scale=1)
    torch.testing.assert_close(fit.box, cube(1))
    assert any("some cameras stand outside" in fact.text for fact in fit.facts)


@pytest.mark.parametrize("kind", ["outward", "forward", "single"])
def test_cameras_that_do_not_converge_get_the_widest_box(kind):
    poses = {
        "outward": [look_at(p[:3, 3] * 0.2, p[:3, 3], drawn.UP) for p in drawn.ring(16)],
        "forward": [
            look_at(torch.tensor([x / 5, 0.0, 0.1 * (x % 2)]), torch.tensor([x / 5, 9.0, 0.0]), drawn.UP)
            for x in range(8)
        ],
        "single": drawn.ring(1),
    }[kind]
    fit = place(shots(poses, opaque=True), transparent=False, aabb_scale=4)
    torch.testing.assert_close(fit.box, cube(16))
    assert any("no common point" in fact.text for fact in fit.facts)
    for shot in shots(poses, opaque=True):
        where = shot.placed(fit.transform).pose[:3, 3]
        assert bool(((where >= 0) & (where <= 1)).all())


def test_the_facts_tell_the_share_of_rays():
    fit = place(shots(drawn.ring(24), opaque=True), transparent=False, aabb_scale=None)
    assert any("% cross the core, 100.0% the box" in fact.text for fact in fit.facts)


@pytest.mark.parametrize("opaque", [False, True])
def test_one_camera_that_stands_far_away_says_nothing_of_the_box_and_is_named(opaque):
    poses = drawn.ring(24, lowest=-2.0)
    usual = place(shots(poses, opaque=opaque), transparent=not opaque, aabb_scale=None)
    poses[5] = poses[5].clone()
    poses[5][:3, 3] *= 200
    fit = place(shots(poses, opaque=opaque), transparent=not opaque, aabb_scale=None)
    assert float((inward(fit) - inward(usual)).abs().max()) < 0.1 * float(inward(usual)[1, 0] - inward(usual)[0, 0])
    told = [fact for fact in fit.facts if "as far away as the others" in fact.text]
    assert [fact.kind for fact in told] == ["assumed"]
    assert told[0].text.endswith(": 5")


def test_cameras_of_which_many_stand_apart_are_all_asked():
    poses = [*drawn.ring(12), *drawn.ring(4, radius=60.0)]
    fit = place(shots(poses), transparent=True, aabb_scale=None)
    assert not any("as far away as" in fact.text for fact in fit.facts)


def test_one_camera_that_looks_elsewhere_is_named_and_the_hull_found_without_it():
    poses = drawn.ring(24, lowest=-2.0)
    usual = place(shots(poses), transparent=True, aabb_scale=None)
    every = shots(poses)
    turned = every[7].pose.clone()
    turned[:3] = every[19].pose[:3]  # seen from the other side, as it says
    every[7] = Unplaced("7", turned, LENS, every[7].image.flip(1).roll(14, 0), every[7].valid)
    fit = place(every, transparent=True, aabb_scale=None)
    torch.testing.assert_close(inward(fit), inward(usual), atol=0.1, rtol=0)
    assert any(fact.text.endswith("contradict the others (wrong poses?): 7") for fact in fit.facts)


def test_what_few_cameras_can_carve_is_no_hull():
    lens = Intrinsics(140, 140, 30, 30)  # the block fills the picture, so that few frame what lies beside it
    poses = drawn.ring(48, radius=4.0, lowest=-2.0)
    fit = place(shots(poses, lens=lens), transparent=True, aabb_scale=None)
    low, high = inward(fit)
    volume = float((high - low).prod())
    block = float((torch.tensor(drawn.HIGH) - torch.tensor(drawn.LOW)).prod())
    assert block <= volume < 2.5 * block


@pytest.mark.parametrize(("asked", "side"), [(1, 1), (3, 4), (32, 32), (100, 128), (128, 128)])
def test_the_box_is_as_wide_as_aabb_scale_asks(asked, side):
    fit = place(shots(drawn.ring(24), opaque=True), transparent=False, aabb_scale=asked)
    torch.testing.assert_close(fit.box, cube(side))
