"""Passes look through other points of pixels and lens; what lies at the focus stays where it is."""

import math
from dataclasses import replace

import torch
from analytic import camera

from render.camera import project
from viewer.worker.lens_samples import sample_lens, shift_camera

FOCUS, APERTURE = 1.4, 0.03


def at_depth(view, depth, count=40):
    """Points (N, 3) of which the camera sees pixels all over its picture, `depth` along its axis."""
    x, y = torch.meshgrid(torch.linspace(-0.3, 0.3, count), torch.linspace(-0.2, 0.2, 5), indexing="ij")
    local = torch.stack([x.flatten() * depth, y.flatten() * depth, torch.full((5 * count,), -depth)], -1)
    return local @ view.pose[:3, :3].T + view.pose[:3, 3]


def moves(view, points, number, aperture):
    """How far (N, 2) the lens moves the points' pixels in a pass, the shift within the pixel left out."""
    sharp, blurred = (shift_camera(view, number, a, FOCUS) for a in (0.0, aperture))
    return project(blurred, points)[0] - project(sharp, points)[0]


def test_pass_zero_is_the_camera_itself():
    view = camera()
    assert shift_camera(view, 0, APERTURE, FOCUS) is view


def test_pixels_are_filled_evenly():
    view = camera()
    shifts = [view.intrinsics.cx - shift_camera(view, n).intrinsics.cx for n in range(64)]
    rows = [view.intrinsics.cy - shift_camera(view, n).intrinsics.cy for n in range(64)]
    assert all(-0.5 <= s < 0.5 for s in [*shifts, *rows])
    for first in (0, 16, 48):  # any sixteen of them have about four in each quarter
        quarters = [2 * (x >= 0) + (y >= 0) for x, y in zip(shifts[first : first + 16], rows[first:], strict=False)]
        assert all(2 <= quarters.count(q) <= 6 for q in range(4))
    assert abs(sum(shifts)) / 64 < 0.02


def test_a_distorted_lens_and_a_fisheye_shift_the_pixel_too():
    for model, radial in (("opencv", (0.1, 0.0, 0.0, 0.0)), ("fisheye", (0.0, 0.0, 0.0, 0.0))):
        view = camera()
        view = replace(view, intrinsics=replace(view.intrinsics, model=model, radial=radial))
        one = shift_camera(view, 3)
        shift = torch.tensor([view.intrinsics.cx - one.intrinsics.cx, view.intrinsics.cy - one.intrinsics.cy])
        points = at_depth(view, 1.5)
        torch.testing.assert_close(project(view, points)[0] - project(one, points)[0], shift.expand(len(points), 2))


def test_what_lies_at_the_focus_stays_where_it_is():
    view = camera()
    for number in range(1, 40):
        still = moves(view, at_depth(view, FOCUS), number, APERTURE)
        assert float(still.abs().max()) < 1e-4  # pixels: rounding


def test_the_rest_fills_the_circle_of_confusion():
    view = camera()
    for depth in (0.9, 2.4):
        radius = APERTURE * view.intrinsics.fx * abs(1 / FOCUS - 1 / depth)
        spots = torch.stack([moves(view, at_depth(view, depth), n, APERTURE)[0] for n in range(1, 400)])
        length = spots.norm(dim=-1)
        assert float(length.max()) <= radius * 1.001
        assert float(length.max()) > radius * 0.97
        assert abs(float((length < radius / math.sqrt(2)).float().mean()) - 0.5) < 0.03  # half of the area, half of it
        assert float(spots.mean(0).norm()) < radius * 0.03


def test_points_are_in_the_unit_cube_and_differ():
    points = [sample_lens(n) for n in range(200)]
    assert points[0] == (0, 0, 0, 0)
    assert len(set(points)) == 200
    assert all(0 <= x < 1 for point in points for x in point)
