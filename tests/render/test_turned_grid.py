"""A grid within a box across its axes: its samples are those of the grid that lie in the box, also in waves."""

import math

import pytest
import torch
from analytic import Ball, camera, full_grid

from render.kernels.march import cross_box
from render.rays import RayBatch
from render.renderer import Renderer, blank
from render.turned_grid import TurnedGrid

STEP = 1 / 256
CUT = torch.tensor([[0.3, 0.2, 0.35], [0.8, 0.6, 0.75]])


def to_cut(angle, scale=1.0):
    """Turned by an angle about +Z through the middle of the cut, then scaled."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    result, middle = torch.eye(4), CUT.mean(0)
    result[:3, :3], result[:3, 3] = scale * turn, scale * (middle - turn @ middle)
    return result


def rays_of(count=200):
    generator = torch.Generator().manual_seed(3)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    aims = CUT.mean(0) + 0.4 * torch.randn(count, 3, generator=generator)
    return RayBatch(aims - 2 * directions, directions)


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.7, 1.0), (-2.1, 3.0)])
def test_samples_are_those_of_the_grid_that_lie_in_the_box(angle, scale):
    rays, grid = rays_of(), full_grid()
    cut = TurnedGrid(grid, CUT * scale, to_cut(angle, scale))
    every, some = grid.march(rays, STEP, 0.0), cut.march(rays, STEP, 0.0)
    points = every.positions(rays) @ cut.to_cut[:3, :3].T + cut.to_cut[:3, 3]
    off = torch.minimum(points - cut.cut[0], cut.cut[1] - points).amin(-1)
    clear = off.abs() > 1e-4 * scale  # others lie on a face, within rounding
    want = {(int(r), round(float(t), 5)) for r, t in zip(every.ray[off > 0], every.t[off > 0], strict=True)}
    sure = {(int(r), round(float(t), 5)) for r, t in zip(every.ray[clear], every.t[clear], strict=True)}
    got = {(int(r), round(float(t), 5)) for r, t in zip(some.ray, some.t, strict=True)}
    assert len(got) > 1000
    assert got & sure == want & sure
    assert some.offsets[-1] == len(some)
    assert torch.equal(torch.repeat_interleave(some.offsets.diff()), some.ray)


def test_none_lies_before_the_near_distance_and_no_ray_has_more_than_its_limit():
    rays, cut = rays_of(), TurnedGrid(full_grid(), CUT, to_cut(0.7))
    every = cut.march(rays, STEP, 0.0)
    near = torch.full((len(rays),), 2.0)
    assert torch.equal(cut.march(rays, STEP, 0.0, near=near).t, every.t[every.t >= 2.0])
    few = cut.march(rays, STEP, 0.0, limit=5)
    assert torch.equal(few.offsets.diff(), every.offsets.diff().clamp(max=5))


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_ray_sees_what_lies_in_the_box_and_nothing_else(angle):
    """A ray through fog of one density is as opaque as its way in the box is long: to a step at either end."""
    sigma, view = 4.0, camera((48, 36))
    field, cut = Ball(sigma, radius=9.0), TurnedGrid(full_grid(), CUT, to_cut(angle))
    rays = view.rays()
    frame = Renderer(STEP).bunch(field, cut, rays, blank)
    turn, shift = cut.to_cut[:3, :3], cut.to_cut[:3, 3]
    enter, leave = cross_box(rays.origins @ turn.T + shift, rays.directions @ turn.T, CUT)
    low, high = cross_box(rays.origins, rays.directions, full_grid().box)
    length = (torch.minimum(leave, high) - torch.maximum(enter, low)).clamp(min=0)
    want = 1 - (-sigma * length).exp()
    assert float(want.max()) > 0.5
    torch.testing.assert_close(frame.pixels.opacity, want, atol=2 * sigma * STEP, rtol=0)
