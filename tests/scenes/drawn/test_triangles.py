"""The ray caster against closed forms and against a search over all triangles."""

import numpy as np
import pytest
import solids

from scenes.drawn import triangles


def toward(points, distance=3.0, seed=0):
    """Rays (R, 3), (R, 3) from random places at `distance` from the origin to points (R, 3)."""
    origins = np.random.default_rng(seed).normal(size=points.shape)
    origins *= distance / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = points - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def brute(corners, origins, directions):
    """Distances (R,) by Moeller and Trumbore's test of every triangle, in float64."""
    a, e, f = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    best = np.full(len(origins), np.inf)
    for r, (o, d) in enumerate(zip(origins, directions, strict=True)):
        p = np.cross(d, f)
        det = (e * p).sum(1)
        q = np.cross(o - a, e)
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v, t = ((o - a) * p).sum(1) / det, q @ d / det, (q * f).sum(1) / det
        t = t[(u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)]
        best[r] = t.min(initial=np.inf)
    return best


def soup(count, size, seed=1):
    """Random triangles (count, 3, 3) of about `size` in a cube of side 2."""
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (count, 1, 3)) + size * generator.normal(size=(count, 3, 3))


def test_one_triangle_by_hand():
    tree = triangles.build(np.array([[[0.0, 0, 0], [4, 0, 0], [0, 2, 0]]]))
    origins = np.array([[1.0, 0.5, 3], [1, 0.5, -3], [1, 0.5, 3], [3, 1.5, 3], [1, 0.5, 0]])
    down = np.array([0, 0, -1.0])
    hits = triangles.cast(tree, origins, np.stack([down, -down, -down, down, down]))
    assert hits.t.tolist() == [3, 3, np.inf, np.inf, np.inf]  # front, back, away, beside, and from on it
    assert hits.face.tolist() == [0, 0, -1, -1, -1]
    assert np.allclose(hits.weights[:2], [0.5, 0.25, 0.25])
    assert not hits.weights[2:].any()


def test_a_direction_need_not_have_unit_length():
    tree = triangles.build(np.array([[[0.0, 0, 0], [4, 0, 0], [0, 2, 0]]]))
    assert triangles.cast(tree, np.array([[1.0, 0.5, 3]]), np.array([[0, 0, -2.0]])).t.tolist() == [1.5]


def test_depth_of_a_cube():
    tree = triangles.build(solids.CUBE[solids.CUBE_FACES])
    origins, directions = toward(np.random.default_rng(3).uniform(0, 1, (2000, 3)), 4.0)
    with np.errstate(divide="ignore"):
        near, far = np.sort([-origins / directions, (1 - origins) / directions], 0)
    hits = triangles.cast(tree, origins, directions)
    assert np.allclose(hits.t, near.max(1), atol=1e-12)  # all aim into the cube
    point = (hits.weights[..., None] * solids.CUBE[solids.CUBE_FACES][hits.face]).sum(1)
    assert np.allclose(point, origins + hits.t[:, None] * directions, atol=1e-6)  # weights are float32
    assert (near.max(1) < far.min(1)).all()


def test_depth_of_a_sphere():
    corners = solids.sphere(6)
    origins, directions = toward(np.random.default_rng(4).normal(size=(2000, 3)) * 0.3)
    b = (origins * directions).sum(1)
    h = b * b - (origins**2).sum(1) + 1
    inside = h > 0.05  # not at the silhouette, where a flat triangle and the sphere differ most
    t = triangles.cast(triangles.build(corners), origins, directions).t
    sag = 1 - np.linalg.norm(corners.mean(1), axis=1).min()  # of the flat triangles below the sphere
    assert inside.sum() > 1000
    assert np.abs(t - (-b - np.sqrt(np.maximum(h, 0))))[inside].max() < sag / np.sqrt(0.05)


@pytest.mark.parametrize(("count", "size"), [(1, 1.0), (2, 0.5), (3, 0.5), (9, 0.4), (500, 0.1), (3000, 0.02)])
def test_the_tree_leaves_out_nothing(count, size):
    corners = soup(count, size)
    origins, directions = toward(np.random.default_rng(5).uniform(-1, 1, (400, 3)))
    hits = triangles.cast(triangles.build(corners), origins, directions)
    want = brute(corners, origins, directions)
    assert np.array_equal(np.isfinite(hits.t), np.isfinite(want))
    assert np.allclose(hits.t, want, rtol=1e-9)
    met = hits.face >= 0
    assert np.array_equal(met, np.isfinite(hits.t))
    assert met.any()
    point = (hits.weights[met, :, None] * corners[hits.face[met]]).sum(1)
    assert np.allclose(point, (origins + hits.t[:, None] * directions)[met], atol=1e-5)  # weights are float32


def test_rays_along_axes_and_in_planes_of_boxes():
    """Directions with zeros, from the very planes in which triangles and boxes end."""
    corners = solids.CUBE[solids.CUBE_FACES]
    tree = triangles.build(corners)
    steps = np.linspace(0, 1, 9)
    x, y = (a.ravel() for a in np.meshgrid(steps, steps))
    for axis in range(3):
        origins = np.roll(np.stack([np.full_like(x, 5), x, y], 1), axis, 1)
        down = np.roll([-1.0, 0, 0], axis)
        assert (triangles.cast(tree, origins, np.tile(down, (len(x), 1))).t == 4).all()
        assert (triangles.cast(tree, 1 - origins, np.tile(-down, (len(x), 1))).t == 4).all()


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_slips_through_edges_and_corners(turned):
    """Of a closed mesh: rays at its corners, and at places on its edges."""
    corners = solids.sphere(4)
    if turned:
        axes = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))[0]
        unique, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
        corners = (unique @ axes.T)[index].reshape(corners.shape)  # equal corners stay equal bit for bit
    tree = triangles.build(corners)
    share = np.random.default_rng(7).uniform(0, 1, (len(corners), 3, 1))
    edges = corners + share * (np.roll(corners, -1, 1) - corners)
    for k, points in enumerate((corners, edges, (corners + np.roll(corners, -1, 1)) / 2)):
        points = points.reshape(-1, 3)
        origins, directions = toward(points, 5.0, k)
        facing = (origins * points).sum(1) > 1.5  # seen from outside, away from the silhouette
        assert facing.sum() > 1000
        t = triangles.cast(tree, origins[facing], directions[facing]).t
        assert np.abs(t - np.linalg.norm(points - origins, axis=1)[facing]).max() < 1e-6
        assert (triangles.cast(tree, np.zeros_like(points), points).face >= 0).all()  # from inside, each must meet it


def test_equal_and_overlapping_triangles_make_a_tree():
    """Middles that no plane can part, more of them than a leaf holds."""
    corners = np.repeat(soup(2, 0.5), 50, 0)
    tree = triangles.build(corners)
    assert sorted(tree.order.tolist()) == list(range(100))
    origins, directions = toward(corners.mean(1))
    assert np.allclose(triangles.cast(tree, origins, directions).t, brute(corners, origins, directions))


def test_triangles_of_all_sizes_keep_the_tree_shallow():
    """Each a seventeenth of the last one, along three axes in turn: sixteen bins part them one by one, and the walk's
    stack must hold. Without halving below level 48 this tree is 61 levels deep."""
    place = np.concatenate([17.0**-k * np.eye(3) for k in range(20)])
    corners = np.repeat(place[:, None] + 1e-3 * place.max(1)[:, None, None] * np.eye(3), 30, 0)
    tree = triangles.build(corners)
    depth = np.zeros(len(tree.links), int)
    for j, (second, count) in enumerate(tree.links):
        if not count:
            depth[[j + 1, second]] = depth[j] + 1
    assert triangles.DEEP < depth.max() < triangles.DEEP + 9
    assert depth.max() + 31 < triangles.STACK  # 2^31 triangles at most are halved that often
    origins, directions = toward(corners[::30][:9].mean(1), 4.0)
    assert np.isfinite(triangles.cast(tree, origins, directions).t).all()


def test_the_leaves_hold_every_triangle_once_within_their_boxes():
    corners = soup(4000, 0.05)
    tree = triangles.build(corners)
    assert sorted(tree.order.tolist()) == list(range(4000))
    assert np.array_equal(tree.corners, corners[tree.order])
    seen = np.zeros(4000, int)
    for box, (first, count) in zip(tree.boxes, tree.links, strict=True):
        inside = tree.corners[first : first + count].reshape(-1, 3)
        assert (inside >= box[:3]).all()
        assert (inside <= box[3:]).all()
        seen[first : first + count] += 1
    assert (seen == 1).all()


def test_no_triangles_are_refused():
    with pytest.raises(ValueError, match="at least 1 triangle"):
        triangles.build(np.zeros((0, 3, 3)))


def test_normals_of_a_sphere_are_its_radii():
    corners = solids.sphere(4)
    normals = triangles.corner_normals(corners, 0.8)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
    assert (normals * corners).sum(-1).min() > np.cos(0.03)  # triangles of unequal sizes, 0.1 radians wide


def test_edges_of_a_cube_stay_sharp_and_flat_faces_flat():
    corners = solids.CUBE[solids.CUBE_FACES]
    normals = triangles.corner_normals(corners, 0.8)
    assert np.allclose(np.abs(normals).max(-1), 1)
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.allclose(normals, flat[:, None], atol=1e-7)


def test_normals_do_not_depend_on_the_winding():
    corners = solids.sphere(3)
    turned = np.random.default_rng(8).random(len(corners)) < 0.5
    mixed = np.where(turned[:, None, None], corners[:, ::-1], corners)
    normals = triangles.corner_normals(mixed, 0.8)
    side = np.where(turned, -1, 1)[:, None]
    assert ((normals * mixed).sum(-1) * side).min() > np.cos(0.05)


def test_a_fan_of_thousands_is_not_quadratic():
    angle = np.linspace(0, 2 * np.pi, 20001)
    rim = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], 1)
    corners = np.stack([np.zeros((20000, 3)), rim[:-1], rim[1:]], 1)
    assert np.allclose(triangles.corner_normals(corners, 0.8), [0, 0, 1])


def test_places_are_told_apart_bit_for_bit():
    points = np.array([[0.0, 1, 2], [-0.0, 1, 2], [0, 2, 1], [0, 1, 2 + 1e-15], [0, 1, 2]])
    a, b, c, d, e = triangles.places(points)
    assert a == b == e
    assert len({a, c, d}) == 3
