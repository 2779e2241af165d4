"""Lines over a picture: their ends are where `project` puts them, handles follow the pointer."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from render.camera import Camera, Intrinsics, look_at, project
from scenes import frusta
from viewer.front import keyframes, navigation
from viewer.messages import ViewCamera
from viewer.window import crop_box, overlay
from viewer.window.crop_box import CropBox
from viewer.window.overlay import Overlay

SIZE = (640, 480)
SCENE = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
CROP = (0.2, 0.3, 0.1, 0.8, 0.7, 0.9)
BENT = Intrinsics(520.0, 520.0, 320.0, 240.0, radial=(-0.15, 0.02, 0.0, 0.0), tangential=(0.004, -0.003))
FISHEYE = Intrinsics(300.0, 300.0, 320.0, 240.0, "fisheye", (0.02, 0.0, 0.0, 0.0))


def standing(x: float, y: float, z: float, lens: Intrinsics | None = None) -> Camera:
    pose = look_at(torch.tensor([x, y, z]), torch.tensor([0.5, 0.5, 0.45]), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, lens or Intrinsics(600.0, 580.0, 330.0, 235.0), SIZE)


OUTSIDE = standing(2.6, -1.4, 1.7)


def ring(count: int) -> list[ViewCamera]:
    turns = [2 * math.pi * k / count for k in range(count)]
    cameras = [standing(0.5 + 1.6 * math.cos(t), 0.5 + 1.6 * math.sin(t), 1.2) for t in turns]
    return [ViewCamera(f"{k}", "test" if k % 4 == 3 else "train", c, True) for k, c in enumerate(cameras)]


def seen(camera: Camera, points) -> np.ndarray:
    return project(camera, torch.as_tensor(points, dtype=torch.float64))[0].numpy()


def length(line: overlay.Line) -> float:
    return math.dist(line.start, line.end)


def test_box_edges_end_where_its_corners_are_seen():
    drawn = [line for line in overlay.list_lines(OUTSIDE, Overlay(box=SCENE)) if line.rgb == overlay.GREY]
    corners = seen(OUTSIDE, [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    assert len(drawn) == 12
    for line in drawn:
        for end in (line.start, line.end):
            assert np.linalg.norm(corners - end, axis=-1).min() < 1e-3  # float32 pose
    assert len({frozenset((line.start, line.end)) for line in drawn}) == 12


def test_axes_start_at_the_low_corner_in_their_colours():
    drawn = [line for line in overlay.list_lines(OUTSIDE, Overlay(box=SCENE)) if line.rgb in overlay.AXES]
    assert [line.rgb for line in drawn] == overlay.AXES
    tips = seen(OUTSIDE, [(0.25, 0, 0), (0, 0.25, 0), (0, 0, 0.25)])
    for line, tip in zip(drawn, tips, strict=True):
        assert line.start == pytest.approx(seen(OUTSIDE, [(0, 0, 0)])[0], abs=1e-3)
        assert line.end == pytest.approx(tip, abs=1e-3)


def test_nothing_shown_is_nothing_drawn():
    assert overlay.list_lines(OUTSIDE, Overlay()) == []
    behind = standing(2.6, -1.4, 1.7)
    behind.pose[:3, :3] @= torch.diag(torch.tensor([-1.0, 1.0, -1.0]))  # turned around
    assert (
        overlay.list_lines(behind, Overlay(box=SCENE, crop=CropBox(CROP), cameras=overlay.make_frusta(ring(4)[:1])))
        == []
    )


@pytest.mark.parametrize("lens", [None, BENT, FISHEYE], ids=["pinhole", "bent", "fisheye"])
def test_lines_stay_in_the_picture_and_on_their_edges_from_inside_the_box(lens):
    camera = standing(0.31, 0.42, 0.53, lens)
    drawn = [line for line in overlay.list_lines(camera, Overlay(box=SCENE)) if line.rgb == overlay.GREY]
    ends = frusta.edges(torch.tensor(SCENE).view(2, 3)).double()
    share = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    dense = np.concatenate([seen(camera, e[0] * (1 - share) + e[1] * share) for e in ends])
    dense = dense[np.isfinite(dense).all(-1)]
    assert drawn
    for line in drawn:
        middle = (np.array(line.start) + line.end) / 2
        for x, y in (line.start, line.end):
            assert -overlay.MARGIN - 1e-6 <= x <= SIZE[0] + overlay.MARGIN + 1e-6
            assert -overlay.MARGIN - 1e-6 <= y <= SIZE[1] + overlay.MARGIN + 1e-6
            assert np.linalg.norm(dense - (x, y), axis=-1).min() < 2  # pixels between the dense points
        assert np.linalg.norm(dense - middle, axis=-1).min() < 2


def test_a_bent_line_follows_the_lens():
    camera = replace(OUTSIDE, intrinsics=BENT)
    drawn = [line for line in overlay.list_lines(camera, Overlay(box=SCENE)) if line.rgb == overlay.GREY]
    assert len(drawn) > 12 and max(map(length, drawn)) < 60
    corner = seen(camera, [(1, 1, 1)])[0]
    assert min(np.linalg.norm(np.array(line.end) - corner) for line in drawn) < 1e-3
    assert (
        np.linalg.norm(corner - seen(replace(OUTSIDE, intrinsics=replace(BENT, radial=(0,) * 4)), [(1, 1, 1)])[0]) > 1
    )


def test_cameras_are_drawn_in_the_colour_of_their_split_and_the_selected_one_last():
    cameras = overlay.make_frusta(ring(8))
    drawn = overlay.list_lines(OUTSIDE, Overlay(cameras=cameras, selected=3))
    colours = [line.rgb for line in drawn]
    assert set(colours) == {overlay.TRAIN, overlay.TEST, overlay.SELECTED}
    assert colours[-1] == overlay.SELECTED and colours.count(overlay.SELECTED) <= len(frusta.PYRAMID)
    far = standing(6, 4, 5, Intrinsics(400.0, 400.0, 320.0, 240.0))  # sees all of them whole
    colours = [line.rgb for line in overlay.list_lines(far, Overlay(cameras=cameras))]
    assert colours.count(overlay.TRAIN) == 6 * len(frusta.PYRAMID)
    assert colours.count(overlay.TEST) == 2 * len(frusta.PYRAMID)
    apex = seen(far, ring(8)[5].camera.pose[None, :3, 3])[0]
    assert min(math.dist(line.start, apex) for line in overlay.list_lines(far, Overlay(cameras=cameras))) < 1e-3


def test_the_camera_that_is_looked_through_is_not_in_the_way():
    views = ring(8)
    through = replace(views[2].camera, size=SIZE)
    drawn = overlay.list_lines(through, Overlay(cameras=overlay.make_frusta(views), selected=2))
    assert overlay.SELECTED not in {line.rgb for line in drawn}


def test_of_many_cameras_some_are_drawn_and_the_selected_one_always():
    views = ring(8) * 200
    far = standing(6, 4, 5, Intrinsics(400.0, 400.0, 320.0, 240.0))
    cameras = overlay.make_frusta(views)
    drawn = overlay.list_lines(far, Overlay(cameras=cameras))
    assert 0.5 * overlay.MOST < len(drawn) / len(frusta.PYRAMID) <= overlay.MOST
    for selected in (0, 1, 1599):
        chosen = overlay.list_lines(far, Overlay(cameras=cameras, selected=selected))
        assert [line.rgb for line in chosen].count(overlay.SELECTED) == len(frusta.PYRAMID)
        assert len(chosen) / len(frusta.PYRAMID) <= overlay.MOST
    assert overlay.list_lines(far, Overlay(cameras=overlay.make_frusta([]), selected=0)) == []


def test_a_click_takes_the_camera_under_it():
    views = ring(12)
    cameras = overlay.make_frusta(views)
    far = standing(6, 4, 5, Intrinsics(400.0, 400.0, 320.0, 240.0))
    for view in range(12):
        points = seen(far, frusta.pyramid(views[view].camera, cameras.depth))
        assert overlay.find_frustum(far, cameras, tuple(points[0])) == view
        assert overlay.find_frustum(far, cameras, tuple((points[3] + points[4]) / 2)) == view
    assert overlay.find_frustum(far, cameras, (1.0, 1.0)) is None
    thinned = ring(900)  # every other one is drawn
    apex = seen(far, thinned[402].camera.pose[None, :3, 3])[0]
    assert overlay.find_frustum(far, overlay.make_frusta(thinned), tuple(apex)) == 402
    assert overlay.find_frustum(far, overlay.make_frusta([]), (1.0, 1.0)) is None


def test_handles_are_the_middles_of_the_faces():
    found = crop_box.list_handles(OUTSIDE, CROP)
    assert [h.face for h in found] == list(range(6))
    assert found[4].at == pytest.approx(seen(OUTSIDE, [(0.5, 0.7, 0.5)])[0], abs=1e-3)
    for handle in found:
        assert crop_box.find_handle(OUTSIDE, CROP, (handle.at[0] + 5, handle.at[1] - 5)) == handle.face
    assert crop_box.find_handle(OUTSIDE, CROP, (2.0, 2.0)) is None
    inside = standing(0.21, 0.5, 0.45)  # just behind the face of low x, which it does not see
    assert 0 not in [h.face for h in crop_box.list_handles(inside, CROP)]


def test_of_handles_over_each_other_the_nearer_one_is_taken():
    camera = standing(-2.0, 0.5, 0.45)
    low, high = (h for h in crop_box.list_handles(camera, (0.2, 0.3, 0.05, 0.8, 0.7, 0.85)) if h.face % 3 == 0)
    assert math.dist(low.at, high.at) < 5
    assert crop_box.find_handle(camera, (0.2, 0.3, 0.05, 0.8, 0.7, 0.85), high.at) == 0


@pytest.mark.parametrize("lens", [None, BENT, FISHEYE], ids=["pinhole", "bent", "fisheye"])
@pytest.mark.parametrize("face", range(6))
@pytest.mark.parametrize("shift", [-0.07, 0.06])
def test_a_dragged_face_follows_the_pointer(face, shift, lens):
    """To 1e-3 scene units: rays are float32."""
    camera = replace(OUTSIDE, intrinsics=lens or OUTSIDE.intrinsics)
    [handle] = [h for h in crop_box.list_handles(camera, CROP) if h.face == face]
    wanted = list(CROP)
    wanted[face] += shift
    middle = (np.array(CROP[:3]) + CROP[3:]) / 2
    middle[face % 3] = wanted[face]
    got = crop_box.drag_face(CROP, face, camera, (handle.at, tuple(seen(camera, middle[None])[0])), SCENE)
    assert got == pytest.approx(tuple(wanted), abs=1e-3)


@pytest.mark.parametrize("face", [3, 4, 5])
def test_a_drag_beside_the_axis_moves_to_the_nearest_point_of_it(face):
    """From near by, where the axes converge most; pixels are square. To 1e-4: rays are float32."""
    camera = standing(1.5, -0.4, 1.1, Intrinsics(400.0, 400.0, 320.0, 240.0))
    [handle] = [h for h in crop_box.list_handles(camera, CROP) if h.face == face]
    middle = (np.array(CROP[:3]) + CROP[3:]) / 2
    middle[face % 3] = CROP[face] - 0.15
    there = seen(camera, middle[None])[0]
    across = np.array([there[1] - handle.at[1], handle.at[0] - there[0]])
    got = crop_box.drag_face(CROP, face, camera, (handle.at, tuple(there + 0.7 * across)), SCENE)
    assert got[face] == pytest.approx(CROP[face] - 0.15, abs=1e-4)
    assert [n for k, n in enumerate(got) if k != face] == [n for k, n in enumerate(CROP) if k != face]


def test_a_face_never_leaves_the_scene_nor_passes_the_opposite_one():
    for handle in crop_box.list_handles(OUTSIDE, CROP):
        for to in np.random.default_rng(3).uniform(-5000, 5000, (200, 2)).tolist():
            box = crop_box.drag_face(CROP, handle.face, OUTSIDE, (handle.at, (to[0], to[1])), SCENE)
            for axis in range(3):
                assert SCENE[axis] <= box[axis] <= box[axis + 3] - crop_box.THINNEST + 1e-9
                assert box[axis + 3] <= SCENE[axis + 3]
            assert [a for k, a in enumerate(box) if k != handle.face] == [
                a for k, a in enumerate(CROP) if k != handle.face
            ]


def test_an_axis_straight_away_from_the_eye_is_not_dragged():
    pose = look_at(torch.tensor([0.5, -2.0, 0.5]), torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.0, 0.0, 1.0]))
    camera = replace(OUTSIDE, pose=pose)
    [handle] = [h for h in crop_box.list_handles(camera, CROP) if h.face == 1]
    assert crop_box.drag_face(CROP, 1, camera, (handle.at, (handle.at[0] + 40, handle.at[1])), SCENE) == CROP


def test_a_drag_in_small_steps_ends_where_one_drag_does():
    [handle] = [h for h in crop_box.list_handles(OUTSIDE, CROP) if h.face == 3]
    path = [tuple(p) for p in seen(OUTSIDE, [(0.8 + 0.005 * k, 0.5, 0.5) for k in range(20)])]
    box = CROP
    for begin, end in pairwise(path):
        box = crop_box.drag_face(box, 3, OUTSIDE, (begin, end), SCENE)
    assert box == pytest.approx(crop_box.drag_face(CROP, 3, OUTSIDE, (handle.at, path[-1]), SCENE), abs=1e-3)


def test_random_eyes_never_break_it():
    cameras = overlay.make_frusta(ring(20))
    eye = navigation.start(SCENE, [])
    for k in range(300):
        eye = navigation.fly(navigation.look(eye, 37.0 * k, 21.0 * k * k % 500), (0.2, 0.0, -1.0), 0.3 * (k % 5))
        camera = navigation.make_camera(eye, SIZE)
        for line in overlay.list_lines(camera, Overlay(SCENE, CropBox(CROP), None, cameras, k % 25)):
            assert all(math.isfinite(n) and abs(n) < 1e4 for n in (*line.start, *line.end))
        overlay.find_frustum(camera, cameras, (320.0, 240.0))


def flat_depth(distance, size=(16, 12)):
    """A wall that fills the picture."""
    return np.full(size[::-1], distance, np.float16)


def test_lines_behind_what_is_seen_are_hidden_and_those_before_it_are_not():
    away = float(np.linalg.norm(OUTSIDE.pose[:3, 3].numpy() - 0.5))
    for depth, want in ((flat_depth(0.2), {True}), (flat_depth(9.0), {False}), (flat_depth(np.inf), {False})):
        lines = overlay.list_lines(OUTSIDE, Overlay(box=SCENE, depth=depth))
        assert {line.hidden for line in lines} == want
    lines = overlay.list_lines(OUTSIDE, Overlay(box=SCENE, depth=flat_depth(away)))
    middles = {line.hidden for line in lines}
    assert middles == {True, False}  # the box's near side, and its far side
    assert len(lines) > len(overlay.list_lines(OUTSIDE, Overlay(box=SCENE))) * 10  # in parts


def test_points_that_the_picture_does_not_show_are_not_hidden():
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 60.0]])
    assert overlay.is_hidden(OUTSIDE, points, flat_depth(0.1)).tolist() == [True, False]
    assert overlay.is_hidden(OUTSIDE, points, None).tolist() == [False, False]


def test_only_where_something_stands_in_the_way_a_point_is_hidden():
    """A wall in the left half of the picture."""
    depth = flat_depth(np.inf, (64, 48))
    depth[:, :32] = 1.0
    rays = OUTSIDE.rays()
    for column, hidden in ((100, True), (540, False)):
        index = 240 * SIZE[0] + column
        point = (rays.origins[index] + 2 * rays.directions[index]).double().numpy()
        assert overlay.is_hidden(OUTSIDE, point[None], depth).tolist() == [hidden]
        nearer = (rays.origins[index] + 0.9 * rays.directions[index]).double().numpy()
        assert overlay.is_hidden(OUTSIDE, nearer[None], depth).tolist() == [False]


def test_photographs_lie_in_the_far_plane_of_their_pyramids_the_farthest_first():
    views = ring(8)
    cameras = overlay.make_frusta(views)
    far = standing(6, 4, 5, Intrinsics(400.0, 400.0, 320.0, 240.0))
    found = overlay.list_pictures(far, Overlay(cameras=cameras))
    assert sorted(view for view, _, _ in found) == [*range(8)]
    for view, corners, hidden in found:
        points = frusta.pyramid(views[view].camera, cameras.depth)[1:5]
        assert np.abs(seen(far, points) - np.array(corners)).max() < 1e-2
        assert not hidden
    away = [float((views[view].camera.pose[:3, 3] - far.pose[:3, 3]).norm()) for view, _, _ in found]
    assert np.all(np.diff(away) < 0.3)  # planes, not eyes, are sorted
    assert overlay.list_pictures(far, Overlay()) == []
    dark = overlay.list_pictures(far, Overlay(cameras=cameras, depth=flat_depth(0.5)))
    assert {hidden for *_, hidden in dark} == {True}


def test_a_camera_path_passes_its_keyframes_which_bear_their_numbers():
    eye = navigation.start(SCENE, [])
    path = keyframes.CameraKeys()
    for k in range(3):
        path = keyframes.add(path, navigation.orbit(eye, 60.0 * k, 20.0 * k))
    points, cameras, depth = keyframes.sketch(path, (160, 90))
    track = overlay.make_track(points, cameras, depth)
    for key in path.keys:
        assert np.linalg.norm(points - np.array(key.position), axis=-1).min() < 1e-5
    far = standing(9, -8, 6, Intrinsics(300.0, 300.0, 320.0, 240.0))
    marks = overlay.list_marks(far, track)
    assert [text for _, text in marks] == ["1", "2", "3"]
    for key, (pixel, _) in zip(path.keys, marks, strict=True):
        assert pixel == pytest.approx(tuple(seen(far, [key.position])[0]), abs=1e-2)
    drawn = overlay.list_lines(far, Overlay(track=track))
    assert len(drawn) == len(points) - 1 + 3 * len(frusta.PYRAMID)
    assert {line.rgb for line in drawn} == {overlay.TAKEN}
    [alone] = [keyframes.sketch(keyframes.add(keyframes.CameraKeys(), eye), (90, 160))]
    assert len(overlay.make_track(*alone).keys) == 1
