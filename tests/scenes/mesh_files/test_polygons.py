"""Polygons made triangles: their area, holes, corners on straight edges, polygons that cross themselves, bounds."""

import numpy as np
import pytest

from scenes.mesh_files.polygons import cut

U = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]  # area 7
TURN = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]


def flat(xy):
    """A polygon in the plane z = 0."""
    return np.concatenate([np.asarray(xy, dtype=float), np.zeros((len(xy), 1))], 1)


def alone(points):
    """The triangles of one polygon, and whether it crosses itself."""
    return cut(points, np.array([0, len(points)]))


def area(points, triangles):
    """The sum over triangles, whichever way they go round."""
    corners = points[triangles]
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2


def shoelace(xy):
    """The area of a polygon that does not cross itself."""
    x, y = np.asarray(xy, dtype=float).T
    return abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


@pytest.mark.parametrize("begin", range(8))
@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize("turn", [np.eye(3), TURN, TURN * 1e-30, TURN * 1e11])
def test_a_concave_polygon_in_any_place(begin, way, turn):
    points = (flat(np.roll(U, begin, 0)[::way]) + 5) @ turn.T
    triangles, crossing = alone(points)
    assert triangles.shape == (6, 3)
    assert area(points, triangles) == pytest.approx(7 * np.linalg.norm(turn[0]) ** 2)
    assert crossing == 0


def test_a_convex_polygon_is_the_fan_around_its_first_corner():
    triangles, _ = cut(
        flat([(0, 0), (1, 0), (1, 1), (0, 1), (5, 5), (6, 5), (6, 6), (5.5, 7), (5, 6)]), np.array([0, 4, 9])
    )
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [4, 7, 8]]


def test_polygons_of_all_sizes_side_by_side():
    every = [U, U[:3], U[:2], [], [(0, 0)], U[::-1], U[:4]]
    points = flat(np.concatenate([np.reshape(one, (-1, 2)) for one in every]))
    starts = np.concatenate([[0], np.cumsum([len(one) for one in every])])
    triangles, crossing = cut(points, starts)
    owner = np.searchsorted(starts, triangles[:, 0], "right") - 1
    assert np.bincount(owner, minlength=7).tolist() == [6, 1, 0, 0, 0, 6, 2]
    assert (np.searchsorted(starts, triangles, "right") - 1 == owner[:, None]).all()
    assert area(points, triangles) == pytest.approx(7 + 4.5 + 7 + shoelace(U[:4]))
    assert crossing == 0


def test_a_hole_that_a_bridge_joins():
    points = flat([(0, 0), (3, 0), (3, 3), (0, 3), (0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)])
    triangles, crossing = alone(points)
    assert area(points, triangles) == pytest.approx(8)
    assert crossing == 0
    middles = points[triangles].mean(1)[:, :2]
    assert not ((middles > 1) & (middles < 2)).all(1).any()


def test_corners_on_a_straight_edge_stay_corners():
    """Else a neighbour that shares them would look torn off."""
    points = flat([(0, 0), (1, 0), (2, 0), (3, 0), (3, 3), (0, 3)])
    triangles, _ = alone(points)
    assert area(points, triangles) == pytest.approx(9)
    edges = {frozenset((a, b)) for t in triangles.tolist() for a, b in zip(t, t[1:] + t[:1], strict=True)}
    assert {frozenset((i, (i + 1) % 6)) for i in range(6)} <= edges


def test_a_polygon_that_is_not_plane_is_cut_along_its_newell_normal():
    rng = np.random.default_rng(3)
    points = flat(U) + np.stack([np.zeros(8), np.zeros(8), 0.2 * rng.normal(size=8)], 1)
    triangles, crossing = alone(points @ TURN.T)
    assert area(flat(U), triangles) == pytest.approx(7, abs=0.05)
    assert crossing == 0


@pytest.mark.parametrize("seed", range(20))
def test_stars_of_random_corners(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 200))
    turn, radius = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.2, 1, count)
    xy = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
    triangles, crossing = alone(flat(xy) @ TURN.T)
    if np.diff(turn, append=turn[0] + 2 * np.pi).max() < np.pi:
        assert area(flat(xy), triangles) == pytest.approx(shoelace(xy))
        assert crossing == 0


def test_polygons_that_cross_themselves_or_have_no_area_still_end():
    bow, line = flat([(0, 0), (1, 1), (1, 0), (0, 1), (0.5, 3)]), flat([(k, 0) for k in range(6)])
    noise = flat(np.random.default_rng(0).uniform(size=(300, 2)))
    assert alone(bow)[0].shape == (3, 3)
    assert area(line, alone(line)[0]) == 0
    triangles, crossing = alone(noise)
    assert triangles.shape == (298, 3)
    assert crossing == 1
    assert alone(np.zeros((5, 3)))[0].shape == (3, 3)


def comb(teeth):
    """A polygon of `teeth` corners in a zigzag, and two below."""
    x = np.arange(teeth)
    return flat(np.concatenate([np.stack([x, np.where(x % 2, 10.0, 0)], 1), [[teeth, -1], [-1, -1]]]))


def test_many_corners():
    turn = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    disc = flat(np.stack([np.cos(turn), np.sin(turn)], 1))
    assert area(disc, alone(disc)[0]) == pytest.approx(np.pi)
    assert area(comb(5000), alone(comb(5000))[0]) == pytest.approx(shoelace(comb(5000)[:, :2]))
    with pytest.raises(ValueError, match="100002 corners, 50000 of them inward"):
        alone(comb(100_000))
