"""Moving through a scene: what each movement keeps, and what it changes by how much."""

import math
from dataclasses import replace

import pytest
import torch

from render import paths
from render.camera import Camera, Intrinsics, look_at, project
from viewer.front import navigation
from viewer.front.controls import SPEED
from viewer.front.navigation import Eye
from viewer.front.session import fit_camera

BOX = (0.0, 0.1, 0.2, 1.0, 0.9, 0.8)
SIZE = (320, 240)


def album(count: int = 5) -> list[Camera]:
    lens = Intrinsics(300.0, 310.0, 160.0, 120.0)
    up = torch.tensor([0.0, 0.0, 1.0])
    eyes = [(2 * math.cos(k), 2 * math.sin(k), 0.6 + 0.2 * k) for k in range(count)]
    return [Camera(look_at(torch.tensor(e), torch.tensor([0.5, 0.5, 0.5]), up), lens, SIZE) for e in eyes]


def some_eyes() -> list[Eye]:
    """Level, rolled, another up, straight down, upside down."""
    first = navigation.start(BOX, album())
    return [
        first,
        navigation.roll(first, 0.4),
        replace(first, up=(0.6, 0.0, 0.8)),
        navigation.orbit(first, 40, 5000),
        navigation.roll(first, math.pi),
        Eye((0.5, 0.5, 3.0), (1.0, 0.0, 0.0, 0.0), 2.5),
    ]


EYES = pytest.mark.parametrize("eye", some_eyes(), ids=["level", "rolled", "tilted up", "pole", "head down", "above"])
MOVES = {
    "orbit": lambda e: navigation.orbit(e, 3, 4),
    "look": lambda e: navigation.look(e, 3, 4),
    "pan": lambda e: navigation.pan(e, 3, 4, 240),
    "zoom": lambda e: navigation.zoom(e, 1),
    "widen": lambda e: navigation.widen(e, 1),
    "roll": lambda e: navigation.roll(e, 0.1),
    "fly": lambda e: navigation.fly(e, (1.0, 0.0, 0.0), 0.1),
}
STILL = {
    "orbit": lambda e: navigation.orbit(e, 0, 0),
    "look": lambda e: navigation.look(e, 0, 0),
    "pan": lambda e: navigation.pan(e, 0, 0, 240),
    "zoom": lambda e: navigation.zoom(e, 0),
    "fly": lambda e: navigation.fly(e, (0.0, 0.0, 0.0), 0.1),
    "refocus": lambda e: navigation.refocus(e, 0.3),
    "hasten": lambda e: navigation.hasten(e, 1),
    "upright": navigation.set_up,
}


def pixel(eye: Eye, point: navigation.Point3) -> list[float]:
    pixels, _ = project(navigation.make_camera(eye, SIZE), torch.tensor([point], dtype=torch.float32))
    return pixels[0].tolist()


def below_up(eye: Eye) -> float:
    """Angle from up to the direction in which the eye stands."""
    return math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(eye.up, navigation.find_axes(eye)[2], strict=True)))))


def test_starts_where_an_orbit_does():
    [first] = paths.orbit(album(), torch.tensor(BOX).view(2, 3), 1, SIZE)
    eye = navigation.start(BOX, album())
    got = navigation.make_camera(eye, SIZE)
    assert torch.allclose(got.pose, first.pose, atol=1e-6)  # float32 poses
    assert got.intrinsics.fy == pytest.approx(first.intrinsics.fy, rel=1e-6)
    assert navigation.find_pivot(eye) == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)


def test_starts_with_the_whole_box_in_sight_where_there_are_no_cameras():
    eye = navigation.start(BOX, [])
    corners = torch.cartesian_prod(*torch.tensor(BOX).view(2, 3).T)
    pixels, depth = project(navigation.make_camera(eye, (240, 240)), corners)
    assert bool((depth > 0).all())
    assert bool(((pixels > 0) & (pixels < 240)).all())
    assert float((pixels - 120).abs().max()) > 60  # and not a dot far away
    assert navigation.find_tilt(eye) == pytest.approx(0, abs=1e-12)
    assert eye.position[1] < 0 and eye.position[2] > 0.8
    assert navigation.find_pivot(eye) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize("view", range(5))
def test_looking_through_a_view_has_its_pose_and_lens(view):
    camera = album()[view]
    eye = navigation.look_through(navigation.start(BOX, []), camera, view)
    got = navigation.make_camera(eye, SIZE)
    assert torch.allclose(got.pose, camera.pose, atol=1e-6)  # float32 rounding of the rotation
    assert got.intrinsics.fy == pytest.approx(camera.intrinsics.fy)
    assert eye.view == view
    assert navigation.find_pivot(eye) == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)


def test_the_pivot_of_a_view_is_the_point_of_its_axis_nearest_to_the_centre():
    camera = album()[0]
    eye = navigation.look_through(navigation.start(BOX, []), camera, 0, center=(0.9, 0.1, 0.3))
    _, depth = project(camera, torch.tensor([[0.9, 0.1, 0.3]]))
    assert eye.distance == pytest.approx(float(depth[0]), rel=1e-6)


def test_from_a_view_that_looks_away_one_can_fly_on():
    camera = album()[0]
    behind = navigation.look_through(navigation.start(BOX, []), camera, 0, center=(20.0, 0.0, 1.0))
    away = math.dist(behind.position, (20.0, 0.0, 1.0))
    assert behind.distance == pytest.approx(away / 4)
    x, y, z = camera.pose[:3, 3].tolist()
    inside = navigation.look_through(behind, camera, 0, center=(x, y, z))
    assert inside.distance == navigation.ROOM
    near = replace(inside, distance=navigation.NEAREST)
    assert navigation.fly(near, (0.0, 0.0, 1.0), 1.0).position == pytest.approx(
        navigation.fly(inside, (0.0, 0.0, 1.0), 1.0).position
    )


def test_a_wide_view_keeps_a_lens_that_can_be_drawn():
    fish = replace(album()[0], intrinsics=Intrinsics(1.0, 1.0, 160.0, 120.0, "fisheye"))
    assert navigation.look_through(navigation.start(BOX, []), fish, 0).fov <= navigation.WIDEST


@EYES
def test_orbits_keep_pivot_and_distance(eye):
    for dx, dy in ((10, 0), (0, 10), (-333, 77), (5, -4000)):
        turned = navigation.orbit(eye, dx, dy)
        assert math.dist(turned.position, navigation.find_pivot(turned)) == pytest.approx(eye.distance)
        assert navigation.find_pivot(turned) == pytest.approx(navigation.find_pivot(eye), abs=1e-9)


@EYES
def test_orbits_and_looks_keep_the_roll(eye):
    before = navigation.find_tilt(eye)
    for move in (navigation.orbit, navigation.look):
        for dx, dy in ((10, 3), (-333, 77), (900, -5000), (900, 5000)):
            change = navigation.find_tilt(move(eye, dx, dy)) - before
            assert math.remainder(change, 2 * math.pi) == pytest.approx(0, abs=1e-6)


def test_a_drag_takes_the_scene_along():
    eye = navigation.start(BOX, album())
    front = tuple(p + 0.3 * b for p, b in zip(navigation.find_pivot(eye), navigation.find_axes(eye)[2], strict=True))
    x, y = pixel(navigation.orbit(eye, 10, 0), front)
    assert x > 162 and y == pytest.approx(120, abs=1)
    x, y = pixel(navigation.orbit(eye, 0, 10), front)
    assert y > 122 and x == pytest.approx(160, abs=1e-3)
    assert navigation.orbit(eye, 0, 10).position[2] > eye.position[2]


def test_a_drag_follows_the_picture_of_a_rolled_eye():
    eye = navigation.roll(navigation.start(BOX, album()), math.pi / 2)
    front = tuple(p + 0.3 * b for p, b in zip(navigation.find_pivot(eye), navigation.find_axes(eye)[2], strict=True))
    x, y = pixel(navigation.orbit(eye, 10, 0), front)
    assert x > 162 and y == pytest.approx(120, abs=1)
    x, y = pixel(navigation.orbit(eye, 0, -10), front)
    assert y < 118 and x == pytest.approx(160, abs=1)


def test_looking_turns_in_place_towards_the_drag():
    eye = navigation.start(BOX, album())
    ahead = navigation.find_pivot(eye)
    turned = navigation.look(eye, 10, 6)
    assert turned.position == eye.position
    x, y = pixel(turned, ahead)
    assert x < 155 and y < 117  # looking to the right and down moves what is seen to the left and up
    narrow = replace(eye, fov=0.1)
    assert math.dist(navigation.find_axes(navigation.look(narrow, 10, 0))[2], navigation.find_axes(narrow)[2]) < 0.01


@EYES
@pytest.mark.parametrize("move", [navigation.orbit, navigation.look])
def test_no_drag_passes_a_pole(eye, move):
    for dy in (1, 7, 100, 1e6, -1, -100, -1e6):
        assert navigation.POLE - 1e-9 <= below_up(move(eye, 0, dy)) <= math.pi - navigation.POLE + 1e-9


@EYES
@pytest.mark.parametrize("move", [navigation.orbit, navigation.look])
def test_dragging_a_level_eye_over_the_poles_and_back_never_turns_its_heading(eye, move):
    eye = navigation.level(eye)
    right = navigation.find_axes(eye)[0]
    for dy in (100, 300, 5000, 5000, -300, -9000, -200, 10):
        eye = move(eye, 0, dy)
        assert math.dist(navigation.find_axes(eye)[0], right) < 1e-9


@EYES
@pytest.mark.parametrize(("dx", "dy"), [(40, 0), (0, -25), (-13.5, 31.25)])
def test_panning_moves_the_pivot_by_as_many_pixels(eye, dx, dy):
    before, moved = pixel(eye, navigation.find_pivot(eye)), navigation.pan(eye, dx, dy, SIZE[1])
    after = pixel(moved, navigation.find_pivot(eye))
    assert before == pytest.approx([160, 120], abs=1e-2)  # float32 projection
    assert after == pytest.approx([160 + dx, 120 + dy], abs=1e-2)
    assert (moved.turn, moved.distance) == (eye.turn, eye.distance)


@EYES
def test_zooming_in_and_out_are_inverse_and_keep_the_pivot(eye):
    nearer = navigation.zoom(eye, 3)
    assert nearer.distance == pytest.approx(eye.distance / navigation.NOTCH**3)
    assert navigation.find_pivot(nearer) == pytest.approx(navigation.find_pivot(eye))
    assert navigation.zoom(nearer, -3).position == pytest.approx(eye.position)


def test_zooming_never_goes_through_the_pivot():
    eye = navigation.start(BOX, album())
    nearest = navigation.zoom(eye, 1e9)
    assert nearest.distance == navigation.NEAREST
    assert navigation.find_axes(nearest) == navigation.find_axes(eye)
    assert navigation.find_pivot(nearest) == pytest.approx(navigation.find_pivot(eye))
    assert navigation.zoom(eye, -1e9).distance == navigation.FARTHEST


def test_widening_and_narrowing_are_inverse_and_bounded():
    eye = navigation.start(BOX, album())
    wide = navigation.widen(eye, 2)
    assert wide.fov > eye.fov and wide.position == eye.position
    assert navigation.widen(wide, -2).fov == pytest.approx(eye.fov)
    assert navigation.widen(eye, 1e9).fov == navigation.WIDEST
    assert navigation.widen(eye, -1e9).fov == navigation.NARROWEST


def test_hastening_is_bounded():
    eye = navigation.start(BOX, [])
    assert navigation.hasten(navigation.hasten(eye, 3), -3).speed == pytest.approx(1)
    assert navigation.hasten(eye, 1e9).speed == SPEED.high
    assert navigation.hasten(eye, -1e9).speed == SPEED.low


@EYES
@pytest.mark.parametrize("along", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (0.5, -0.5, 2.0)])
def test_flying_twice_as_long_goes_twice_as_far(eye, along):
    once, twice = navigation.fly(eye, along, 0.1), navigation.fly(eye, along, 0.2)
    assert twice.position == pytest.approx(navigation.fly(once, along, 0.1).position)
    assert math.dist(twice.position, eye.position) == pytest.approx(2 * math.dist(once.position, eye.position))
    assert (twice.turn, twice.distance) == (eye.turn, eye.distance)


def test_flying_goes_along_the_picture_and_the_scenes_up():
    eye = replace(navigation.roll(navigation.start(BOX, album()), 0.3), speed=3.0)
    right, _, back = navigation.find_axes(eye)
    length = navigation.PACE * 3 * eye.distance
    for along, axis in (((1.0, 0.0, 0.0), right), ((0.0, 1.0, 0.0), eye.up), ((0.0, 0.0, 1.0), back)):
        moved = [b - a for a, b in zip(eye.position, navigation.fly(eye, along, 1.0).position, strict=True)]
        assert moved == pytest.approx([length * n for n in axis])


@EYES
def test_rolling_keeps_the_axis_and_levelling_undoes_it(eye):
    rolled = navigation.roll(eye, 0.3)
    assert navigation.find_axes(rolled)[2] == pytest.approx(navigation.find_axes(eye)[2])
    change = math.remainder(navigation.find_tilt(rolled) - navigation.find_tilt(eye), 2 * math.pi)
    above = abs(below_up(eye)) < 1e-6  # from straight above every eye is level
    assert change == pytest.approx(0 if above else 0.3)
    level = navigation.level(rolled)
    assert navigation.find_tilt(level) == pytest.approx(0, abs=1e-9)
    assert level.position == eye.position
    assert navigation.find_axes(level)[2] == pytest.approx(navigation.find_axes(eye)[2])


def test_a_roll_to_the_left_tilts_the_picture_to_the_right():
    eye = navigation.start(BOX, album())
    above = tuple(p + 0.2 * a for p, a in zip(navigation.find_pivot(eye), navigation.find_axes(eye)[1], strict=True))
    assert pixel(eye, above)[0] == pytest.approx(160, abs=1e-3)
    assert pixel(navigation.roll(eye, 0.3), above)[0] > 165


def test_what_is_up_in_the_picture_becomes_up():
    eye = navigation.set_up(navigation.roll(navigation.start(BOX, album()), 0.7))
    assert navigation.find_tilt(eye) == pytest.approx(0, abs=1e-9)
    assert below_up(eye) == pytest.approx(math.pi / 2)
    assert navigation.find_tilt(navigation.orbit(eye, 50, 60)) == pytest.approx(0, abs=1e-9)


def test_the_focus_follows_the_pivot_until_it_is_set():
    eye = navigation.start(BOX, album())
    assert navigation.find_focus(eye) == eye.distance
    fixed = navigation.refocus(eye, 0.25)
    assert navigation.find_focus(navigation.zoom(fixed, 2)) == 0.25
    assert navigation.find_focus(navigation.refocus(fixed, 0)) == eye.distance


@pytest.mark.parametrize("name", MOVES)
def test_a_movement_leaves_the_view(name):
    eye = navigation.look_through(navigation.start(BOX, []), album()[3], 3)
    assert MOVES[name](eye).view is None


@pytest.mark.parametrize("name", STILL)
def test_what_moves_nothing_keeps_the_view(name):
    eye = navigation.look_through(navigation.start(BOX, []), album()[3], 3)
    assert STILL[name](eye).view == 3


def test_an_hour_of_dragging_stays_a_rotation():
    eye = navigation.start(BOX, album())
    pivot = navigation.find_pivot(eye)
    for k in range(100_000):
        dx, dy = 40 * math.sin(k), 70 * math.cos(k * k)
        eye = navigation.orbit(eye, dx, dy)
        eye = navigation.zoom(navigation.roll(eye, 0.01), 1 if k % 2 else -1)
    assert math.hypot(*eye.turn) == pytest.approx(1, abs=1e-12)
    assert navigation.find_pivot(eye) == pytest.approx(
        pivot, abs=1e-6
    )  # 10^5 roundings of 1e-16, magnified at the poles
    assert math.remainder(navigation.find_tilt(eye) - 1000.0, 2 * math.pi) == pytest.approx(0, abs=1e-6)


def test_a_rotation_that_rounding_has_stretched_is_mended_by_the_next_movement():
    eye = navigation.start(BOX, album())
    off = replace(eye, turn=tuple(1.0001 * n for n in eye.turn))
    for name in ("orbit", "look", "roll"):
        assert math.hypot(*MOVES[name](off).turn) == pytest.approx(1, abs=1e-12)


def test_an_album_view_is_shown_in_its_own_proportions():
    camera = album()[0]
    assert fit_camera(camera, (1000, 600)).size == (800, 600)
    assert fit_camera(camera, (640, 9000)).size == (640, 480)
    assert fit_camera(camera, (2, 1)).size == (1, 1)
