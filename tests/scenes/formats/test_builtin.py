"""The built-in scene: geometry, light, cameras and the cache of drawn pictures."""

import math
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from numba import njit

from render.camera import Camera, Intrinsics, look_at
from scenes.assemble import load
from scenes.drawn import still_life
from scenes.drawn.shapes import KIND, nearest, row
from scenes.formats import builtin
from scenes.options import ReadOptions, SceneError

SIZE = 32


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache" / "polyfield"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return load(f"builtin:{SIZE}", ReadOptions())


def images(scene):
    return torch.stack([view.image for view in (*scene.train, *scene.test)])


def draw(camera, samples=builtin.SAMPLES):
    """What a camera (scene units) sees (H, W, 4)."""
    return builtin.draw_all([camera], samples)[0]


@njit(error_model="numpy")
def distances(g, origins, directions, out):
    """Distance (R,) to the first surface, inf where there is none."""
    for r in range(len(origins)):
        t, i = nearest(g.shapes, g.nodes, row(origins, r, 0), row(directions, r, 0))
        out[r] = t if i >= 0 else math.inf


def depth(camera):
    """Distance (H, W) along the rays through the pixel centres to the first surface, scene units; inf where none is."""
    rays, (transform, _) = camera.rays(), builtin.placement()
    scale = float(transform[0, 0])
    origins = ((rays.origins.double() - transform[:3, 3]) / scale).numpy()
    out = np.zeros(len(rays))
    distances(still_life.build()[0], origins, rays.directions.double().numpy(), out)
    return (out * scale).astype(np.float32).reshape(camera.size[::-1])


def points(camera):
    """First hits (N, 3) in scene units."""
    far, rays = torch.from_numpy(depth(camera)).reshape(-1), camera.rays()
    hit = torch.isfinite(far)
    return rays.origins[hit] + far[hit, None] * rays.directions[hit]


def from_input(eye, target, focal, size):
    """A camera (scene units) that stands and looks as told in input units."""
    transform, _ = builtin.placement()
    eye, target = (transform[:3, :3].float() @ torch.tensor(p) + transform[:3, 3].float() for p in (eye, target))
    pose = look_at(eye, target, torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(focal, focal, size / 2, size / 2), (size, size))


def test_what_the_reader_returns(scene):
    assert (len(scene.train), len(scene.test)) == (builtin.TRAIN, builtin.TEST)
    view = scene.train[0]
    assert view.image.shape == (SIZE, SIZE, 4)
    assert view.image.dtype == torch.uint8
    assert view.valid.shape == (SIZE, SIZE)
    assert view.valid.all()
    assert view.camera.size == (SIZE, SIZE)
    assert scene.transparent
    assert scene.background == (1.0, 1.0, 1.0)
    names = [view.name for view in (*scene.train, *scene.test)]
    assert len(set(names)) == len(names)


def test_the_box_is_tight_and_its_longest_side_is_one(scene):
    low, high = scene.box
    assert float((high - low).max()) == pytest.approx(1, abs=1e-6)
    assert torch.allclose((low + high) / 2, torch.full((3,), 0.5))
    assert scene.unit == pytest.approx(2.63, abs=0.01)
    found = torch.cat([points(view.camera.resized(96, 96)) for view in scene.train[::4]])
    assert (found >= low).all()
    assert (found <= high).all()
    assert torch.allclose(found.amin(0), low, atol=0.03)
    assert torch.allclose(found.amax(0), high, atol=0.03)


def test_nothing_is_cut_off_and_the_object_fills_the_picture(scene):
    for view in (*scene.train[::5], *scene.test[::3]):
        seen = torch.isfinite(torch.from_numpy(depth(view.camera.resized(128, 128))))
        assert not (seen[[0, -1]].any() or seen[:, [0, -1]].any())
        assert max(int(seen.any(0).sum()), int(seen.any(1).sum())) > 0.75 * 128


def test_alpha_is_coverage(scene):
    alpha = images(scene)[..., 3]
    assert (alpha == 0).any()
    assert (alpha == 255).any()
    assert ((alpha > 0) & (alpha < 255)).float().mean() > 0.02
    assert not images(scene)[alpha == 0].any()


def test_cameras_look_at_the_middle_from_all_around(scene):
    eyes = torch.stack([view.camera.pose[:3, 3] for view in scene.train]) - 0.5
    back = torch.stack([view.camera.pose[:3, 2] for view in scene.train])
    assert torch.allclose(torch.nn.functional.normalize(eyes, dim=-1), back, atol=1e-5)
    assert (eyes[:, 2] < 0).any()
    octant = torch.atan2(eyes[:, 1], eyes[:, 0]).mul(4 / math.pi).floor()
    assert len(octant.unique()) == 8
    fields = {round(2 * math.atan(SIZE / 2 / view.camera.intrinsics.fx), 6) for view in scene.train}
    assert fields == {round(math.radians(40), 6)}


def test_test_views_are_none_of_the_training_views(scene):
    train, test = (torch.stack([v.camera.pose[:3, 3] for v in views]) for views in (scene.train, scene.test))
    assert float(torch.cdist(test, train).min()) > 0.02


def test_the_seed_decides_the_training_views():
    poses = [torch.stack(builtin.stand(builtin.scatter(5, seed))) for seed in (1, 1, 2)]
    assert torch.equal(poses[0], poses[1])
    assert not torch.equal(poses[0], poses[2])


def test_drawing_twice_gives_the_same_bytes(scene):
    camera = scene.train[3].camera
    assert np.array_equal(draw(camera), draw(camera))
    assert np.array_equal(draw(camera), scene.train[3].image.numpy())
    assert not np.array_equal(draw(camera, 1), draw(camera, 2))


def test_any_size_and_shape_can_be_drawn(scene):
    camera = scene.test[0].camera.resized(37, 19)
    assert draw(camera, 2).shape == (19, 37, 4)
    assert depth(camera).shape == (19, 37)


def test_depth_is_finite_where_the_picture_is_covered(scene):
    camera = scene.train[5].camera.resized(64, 64)
    alpha, finite = draw(camera)[..., 3], np.isfinite(depth(camera))
    assert finite[alpha == 255].all()
    assert not finite[alpha == 0].any()


def test_depth_of_known_places():
    """Straight onto the checkered block from above, and onto the table beside it, in input units."""
    unit = 1 / float(builtin.placement()[0][0, 0])
    for place, height in (((0.5, -0.95), 0.0), ((-0.42, 0.02), 0.52)):
        camera = from_input([*place, 3.0], [place[0] + 1e-4, place[1], 0.0], 5000.0, 9)
        assert depth(camera)[4, 4] * unit == pytest.approx(3 - height, abs=2e-3)


def test_reflections_move_with_the_eye_and_wood_does_not():
    """The same patch from two sides: the chrome ball shows two pictures, the wood one."""
    patches = []
    for target in ([0.38, -0.75, 0.26], [-0.05, -0.45, 0.0]):
        eyes = ([0.0, -3.0, 1.6], [0.3, -2.0, 3.0])
        pair = [draw(from_input(eye, target, 2500.0, 5))[2, 2] for eye in eyes]
        assert all(pixel[3] == 255 for pixel in pair)
        patches.append(np.abs(pair[0][:3].astype(int) - pair[1][:3]).max())
    assert patches[0] > 40
    assert patches[1] < 12


def test_distorted_lenses_are_refused(scene):
    camera = scene.train[0].camera
    bent = Camera(camera.pose, replace(camera.intrinsics, radial=(0.1, 0.0, 0.0, 0.0)), camera.size)
    with pytest.raises(ValueError, match="pinhole"):
        draw(bent)


def test_rays_agree_with_a_search_without_the_tree():
    """The box tree leaves out nothing: each ray against each shape alone."""
    geometry, _ = still_life.build()
    generator = np.random.default_rng(0)
    origins = generator.normal(size=(300, 3)) * 2 + [0, 0, 1]
    toward = generator.uniform(-1, 1, (300, 3)) - origins
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    found, alone, best = np.zeros(300), np.zeros(300), np.full(300, np.inf)
    distances(geometry, origins, toward, found)
    whole = np.array([[-9.0, -9, -9, 9, 9, 9, 1, 0, 1]])
    for solid in geometry.shapes:
        distances(geometry._replace(shapes=solid[None].copy(), nodes=whole), origins, toward, alone)
        best = np.minimum(best, alone)
    assert np.array_equal(found, best)
    assert np.isfinite(best).sum() > 50
    assert set(geometry.shapes[:, KIND]) == {0, 1, 2, 3, 4}


def test_a_cached_scene_equals_a_drawn_one(scene, cache, monkeypatch):
    drawn = load(f"builtin:{SIZE}", ReadOptions())
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(builtin, "draw_all", lambda *_: pytest.fail("drawn twice"))
    kept = load(f"builtin:{SIZE}", ReadOptions())
    assert torch.equal(images(drawn), images(kept))
    assert torch.equal(images(drawn), images(scene))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_cache_is_drawn_anew(scene, cache, damage):
    load(f"builtin:{SIZE}", ReadOptions())
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    if damage == "other":
        with path.open("wb") as file:
            np.savez(file, pictures=np.zeros((2, 3), np.uint8))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"cut": whole[:middle], "flipped": flipped, "empty": b""}[damage])
    assert torch.equal(images(load(f"builtin:{SIZE}", ReadOptions())), images(scene))
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_error(scene, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert torch.equal(images(load(f"builtin:{SIZE}", ReadOptions())), images(scene))
    assert [path.suffix for path in (tmp_path / "temporary").rglob("*.*")] == [".npz"]  # drawn once all the same
    monkeypatch.setattr(builtin, "draw_all", lambda *_: pytest.fail("drawn twice"))
    assert torch.equal(images(load(f"builtin:{SIZE}", ReadOptions())), images(scene))


def test_sizes(cache):
    size = builtin.picture_size
    assert size("builtin", ReadOptions()) == builtin.SIZE
    assert size("builtin:64", ReadOptions(downscale=2)) == 32
    assert size("builtin:400", ReadOptions(max_resolution=48)) == 48
    assert load("builtin:64", ReadOptions(downscale=4)).train[0].image.shape == (16, 16, 4)
    with pytest.raises(SceneError, match="downscale 64 leaves 1 pixels"):
        size("builtin:64", ReadOptions(downscale=64))


@pytest.mark.parametrize("text", ["", "31", "2049", "-64", "64.0", "a", "64:64", " 64", "٦٤", "9" * 5000])
def test_malformed_sizes_are_told_in_one_line(text):
    data = f"builtin:{text}"
    assert builtin.matches(data)
    with pytest.raises(SceneError, match="wanted builtin or builtin:SIZE with 32 to 2048 pixels") as error:
        load(data, ReadOptions())
    assert "\n" not in str(error.value)


def test_other_names_are_not_ours():
    assert builtin.matches("builtin")
    assert not builtin.matches("builtins")
    assert not builtin.matches("data/builtin")
