"""Light, colours, holes and alpha of drawn surfaces."""

import math
from dataclasses import replace

import numpy as np
import pytest
import solids
import torch

from render.camera import Camera, Intrinsics, look_at
from scenes.drawn import surface
from scenes.drawn.surface import Texture

CORNERS = np.array([[0.2, 0.2, 0.5], [0.8, 0.2, 0.5], [0.8, 0.8, 0.5], [0.2, 0.8, 0.5]])
QUAD = CORNERS[[[0, 1, 2], [0, 2, 3]]]
UV = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
STAMP = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)


def made(corners, colors=None, texture=None, uv=None):
    """A surface, white where no colours are given."""
    count = len(corners)
    return surface.assembled(
        corners,
        np.ones((count, 3, 3), np.float32) if colors is None else np.asarray(colors, np.float32),
        np.zeros((count, 3, 2), np.float32) if uv is None else uv,
        np.full(count, -1 if texture is None else 0, np.int32),
        () if texture is None else (texture,),
    )


def camera(eye, size=(64, 64), fov=0.6, target=(0.5, 0.5, 0.5)):
    focal = size[0] / 2 / math.tan(fov / 2)
    pose = look_at(torch.tensor(eye), torch.tensor(target), torch.tensor([0.0, 1.0, 0.1]))
    return Camera(pose, Intrinsics(focal, focal, size[0] / 2, size[1] / 2), size)


def down(points):
    """Rays from above z = 1 straight down at points (R, 2)."""
    points = np.asarray(points, dtype=float)
    origins = np.concatenate([points, np.full((len(points), 1), 2.0)], 1)
    return origins, np.tile([0.0, 0, -1], (len(points), 1))


def light(n, *, mild=False):
    value = min(float(surface.light_on(np.array([n], dtype=float))[0]), 1)
    return 1 - surface.MILD * (1 - value) if mild else value


def test_colours_of_corners_are_interpolated():
    colors = np.array([np.eye(3), [[1, 0, 0], [0, 0, 1], [1, 1, 1]]])
    rgb, covered = surface.seen(made(QUAD, colors), *down([[0.6, 0.4], [0.2 + 1e-9, 0.2], [0.1, 0.5]]))
    assert covered.tolist() == [True, True, False]
    # (0.6, 0.4) is a third of the way up and two thirds to the right: weights 1/3 1/3 1/3
    assert np.allclose(rgb[0], np.full(3, 1 / 3) * light([0, 0, 1]), atol=1e-6)
    assert np.allclose(rgb[1], np.array([1, 0, 0]) * light([0, 0, 1]), atol=1e-6)
    assert not rgb[2].any()


def test_every_triangle_keeps_its_own_colours_and_normals():
    """Colour that is the place, on 2048 triangles that the tree reorders."""
    corners = solids.sphere(4)[np.random.default_rng(2).permutation(2048)]
    one = made(corners * 0.4 + 0.5, (corners + 1) / 2)
    origins, directions = down(np.random.default_rng(1).uniform(0.25, 0.75, (500, 2)))
    rgb, covered = surface.seen(one, origins, directions)
    assert covered.all()
    point = (origins - 0.5)[:, :2] / 0.4
    height = np.sqrt(1 - (point**2).sum(1))
    n = np.concatenate([point, height[:, None]], 1)
    want = (n + 1) / 2 * np.minimum(surface.light_on(n), 1)[:, None]
    assert np.abs(rgb - want).max() < 0.02  # the mesh lies 0.005 below the sphere, its normals are 0.03 off


def test_a_texture_stands_upright_and_is_bilinear():
    one = made(QUAD, texture=Texture(STAMP, 0.0), uv=UV)
    places = [[0.35, 0.65], [0.65, 0.65], [0.35, 0.35], [0.65, 0.35], [0.5, 0.65], [0.5, 0.5]]  # texel centres first
    rgb, _ = surface.seen(one, *down(places))
    want = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.25]]
    assert np.allclose(rgb, np.array(want) * light([0, 0, 1], mild=True), atol=1e-5)


def test_a_texture_repeats_and_is_multiplied_by_the_colour():
    half = np.full((2, 3, 3), 0.5)
    one, same = (made(QUAD, half, Texture(STAMP, 0.0), UV + shift) for shift in (0, np.float32([3, -2])))
    points = np.random.default_rng(0).uniform(0.2, 0.8, (200, 2))
    a, b = surface.seen(one, *down(points))[0], surface.seen(same, *down(points))[0]
    assert np.allclose(a, b, atol=1e-5)
    assert a.max() <= 0.5
    # left and right of the seam the picture goes on with its other side: half red, half green
    assert np.allclose(surface.bilinear(STAMP, np.array([[0.0, 0.75], [1.0, 0.75]])), [[0.5, 0.5, 0]] * 2)


def test_holes_of_a_texture_show_what_is_behind():
    pixels = np.concatenate([STAMP, np.full((2, 2, 1), 255, np.uint8)], -1)
    pixels[0, :, 3] = 0  # the upper half is empty
    both, white = np.concatenate([QUAD, QUAD - [0, 0, 0.2]]), np.ones((4, 3, 3), np.float32)
    for cutoff, sees in ((0.5, True), (0.0, False)):
        stamp = Texture(pixels, cutoff)
        one = surface.assembled(both, white, np.concatenate([UV, UV]), np.array([0, 0, -1, -1], np.int32), (stamp,))
        rgb, covered = surface.seen(one, *down([[0.35, 0.7], [0.35, 0.3]]))
        assert covered.all()
        assert np.allclose(rgb[0], light([0, 0, 1])) == sees  # the white one behind
        assert rgb[1, 2] > 0.5 > rgb[1, 0]
    alone = made(QUAD, texture=Texture(pixels, 0.5), uv=UV)
    assert surface.seen(alone, *down([[0.35, 0.7], [0.35, 0.3]]))[1].tolist() == [False, True]


@pytest.mark.parametrize("winding", [1, -1])
def test_both_sides_are_lit_as_seen(winding):
    one = made(QUAD[:, ::winding].copy())
    origins, directions = down([[0.5, 0.4]])
    above, _ = surface.seen(one, origins, directions)
    below, _ = surface.seen(one, origins * [1, 1, -1], -directions)
    assert np.allclose(above, light([0, 0, 1]), atol=1e-6)
    assert np.allclose(below, light([0, 0, -1]), atol=1e-6)
    assert light([0, 0, 1]) > light([0, 0, -1]) + 0.2


def test_light_belongs_to_the_world():
    """One point of a sphere looks the same from two sides."""
    one = made(solids.sphere(5) * 0.3 + 0.5)
    point = 0.5 + 0.3 * np.array([0.48, -0.6, 0.64])
    eyes = np.array([[1.5, -2, 1.7], [0.2, -2, 2.5]])
    rgb, covered = surface.seen(one, eyes, (point - eyes) / np.linalg.norm(point - eyes, axis=1, keepdims=True))
    assert covered.all()
    assert np.allclose(rgb[0], rgb[1], atol=1e-4)
    assert np.allclose(rgb[0], light([0.48, -0.6, 0.64]), atol=0.01)  # normals of a mesh


def test_light_shows_form_from_everywhere():
    n = np.random.default_rng(0).normal(size=(5000, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    values = surface.light_on(n)
    assert values.min() > 0.3
    assert values.max() < 1.05
    for axis in range(3):
        for side in (-1, 1):
            assert np.ptp(values[n[:, axis] * side > 0.5]) > 0.1


def test_alpha_is_coverage_and_colour_that_of_the_covered_part():
    """A red square on nothing: no pixel of its border is darkened, and alpha sums up to its area."""
    one = made(QUAD, np.tile([1.0, 0, 0], (2, 3, 1)))
    eye = camera((0.5, 0.5, 3.5), (61, 61))
    (picture,) = surface.draw(one, [eye])
    alpha = picture[..., 3].astype(float) / 255
    assert ((alpha > 0) & (alpha < 1)).sum() > 50
    red = round(light([0, 0, 1]) * 255)
    assert (picture[alpha > 0][:, :3] == [red, 0, 0]).all()
    assert not picture[alpha == 0].any()
    area = (0.6 * eye.intrinsics.fx / 3.0) ** 2
    assert alpha.sum() == pytest.approx(area, rel=0.005)  # 16 places in a border pixel


def test_a_border_pixel_has_the_share_that_is_covered():
    """The square's edge crosses pixel (2, 2) of 5 x 5 at a known place."""
    share = 0.625
    corners = QUAD.copy()
    corners[..., 0] = np.where(corners[..., 0] < 0.5, 0.5 - 0.1 * (share - 0.5), 2.0)
    corners[..., 1] = np.where(corners[..., 1] < 0.5, -9, 9)
    pose = look_at(torch.tensor([0.5, 0.5, 1.5]), torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.0, 1.0, 0.0]))
    (picture,) = surface.draw(made(corners), [Camera(pose, Intrinsics(10, 10, 2.5, 2.5), (5, 5))])
    assert picture[2, :, 3].tolist() == [0, 0, round(share * 255), 255, 255]


def test_a_closed_mesh_has_no_pinholes():
    one = made(solids.sphere(5) * 0.4 + 0.5)
    for eye in ((0.5, 0.5, 3.0), (2.0, 1.0, -1.0), (-1.5, 2.0, 0.5)):
        view = camera(eye, (80, 80))
        (picture,) = surface.draw(one, [view])
        y, x = np.mgrid[:80, :80] + 0.5
        distance = float((view.pose[:3, 3] - 0.5).norm())
        radius = view.intrinsics.fx * math.tan(math.asin(0.4 / distance))
        apart = np.hypot(x - 40, y - 40) - radius
        assert (picture[apart < -1.5, 3] == 255).all()
        assert (picture[apart > 1.5, 3] == 0).all()


def test_rays_are_those_of_the_camera():
    view = camera((2.0, -1.0, 1.5), (7, 5))
    y, x = np.divmod(np.arange(35), 7)
    origins, directions = surface.rays(view, np.stack([x + 0.5, y + 0.5], -1))
    want = view.rays()
    assert np.allclose(origins, want.origins.numpy())
    assert np.allclose(directions, want.directions.numpy(), atol=1e-6)


def test_places_in_a_pixel_are_spread_along_rows_and_columns():
    places = surface.multi_jittered(surface.SIDE)
    assert np.allclose(np.sort(places, 0), ((np.arange(16) + 0.5) / 16)[:, None])
    quarter = (places[list(surface.DRAFT)] * 2).astype(int)
    assert len({tuple(q) for q in quarter.tolist()}) == 4


def test_pictures_do_not_depend_on_company():
    """Strips and threads draw the same bytes alone and together."""
    one = made(solids.sphere(3) * 0.4 + 0.5)
    views = [camera((0.5, 0.5, 3.0), (40, 50)), camera((2.5, 0.5, 1.0), (40, 50))]
    together = surface.draw(one, views)
    assert together.shape == (2, 50, 40, 4)
    for picture, view in zip(together, views, strict=True):
        assert np.array_equal(picture, surface.draw(one, [view])[0])


def test_bent_lenses_are_refused():
    view = camera((0.5, 0.5, 3.0))
    bent = Camera(view.pose, replace(view.intrinsics, radial=(0.1, 0.0, 0.0, 0.0)), view.size)
    with pytest.raises(ValueError, match="pinhole"):
        surface.draw(made(QUAD), [bent])
