import drawn
import pytest
import torch

from render.rays import RayBatch
from scenes.assemble import load
from scenes.formats import blender
from scenes.options import ReadOptions, SceneError
from scenes.placing.box import crosses, probes

OPTIONS = ReadOptions()


def test_train_and_test_come_from_their_files(tmp_path):
    assert blender.matches(str(drawn.blender(tmp_path)))
    scene = load(str(tmp_path), OPTIONS)
    assert [len(scene.train), len(scene.test)] == [10, 3]
    assert scene.train[0].name == "train/r_0.png"
    assert scene.test[2].name == "test/r_2.png"
    assert scene.transparent
    assert scene.background == (1.0, 1.0, 1.0)
    assert any("transforms_train.json alone, tested on transforms_test.json (3" in fact.text for fact in scene.facts)


def test_views_hold_the_pictures_and_their_cameras(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), OPTIONS)
    view = scene.train[4]
    assert view.image.dtype == torch.uint8
    assert view.image.shape == (48, 48, 4)
    assert view.valid.all()
    assert view.camera.intrinsics.fx == pytest.approx(24 / 0.3093362)  # tan 0.3
    back = torch.linalg.inv(scene.transform) @ torch.cat([view.camera.pose[:3, 3].double(), torch.ones(1)])
    torch.testing.assert_close(back[:3].float(), drawn.ring()[4][:3, 3])
    torch.testing.assert_close(view.camera.pose[:3, :3], drawn.ring()[4][:3, :3])


def test_val_stands_in_for_test(tmp_path):
    drawn.blender(tmp_path)
    (tmp_path / "transforms_test.json").rename(tmp_path / "transforms_val.json")
    scene = load(str(tmp_path), OPTIONS)
    assert len(scene.test) == 3
    assert any("tested on transforms_val.json" in fact.text for fact in scene.facts)


def test_without_test_or_val_every_eighth_is_for_test(tmp_path):
    scene = load(str(drawn.blender(tmp_path, test=0)), OPTIONS)
    assert [view.name for view in scene.test] == ["train/r_0.png", "train/r_8.png"]
    assert len(scene.train) == 8
    assert any("there is no test or val file" in fact.text for fact in scene.facts)


def without_test_pictures(folder):
    drawn.blender(folder)
    for path in (folder / "test").iterdir():
        path.unlink()


def without_test_frames(folder):
    drawn.blender(folder)
    drawn.write(folder / "transforms_test.json", {"camera_angle_x": 0.6, "frames": []})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(without_test_pictures, "of its 3 pictures none is there"), (without_test_frames, "it has no frames")],
)
def test_a_test_file_without_pictures_is_left_out(tmp_path, spoil, reason):
    spoil(tmp_path)
    scene = load(str(tmp_path), OPTIONS)
    assert [view.name for view in scene.test] == ["train/r_0.png", "train/r_8.png"]
    told = [fact.text for fact in scene.facts if fact.text.startswith("split: ")]
    eighth = "split: every 8th picture by file name is for test (2 of 10)"
    assert told == [f"split: transforms_test.json is left out: {reason}", eighth]


def test_then_val_is_tried(tmp_path):
    drawn.blender(tmp_path)
    (tmp_path / "transforms_test.json").rename(tmp_path / "transforms_val.json")
    drawn.write(tmp_path / "transforms_test.json", {"frames": []})
    scene = load(str(tmp_path), OPTIONS)
    assert len(scene.test) == 3
    assert any("tested on transforms_val.json (3 pictures)" in fact.text for fact in scene.facts)


def test_some_test_pictures_are_missing(tmp_path):
    drawn.blender(tmp_path)
    (tmp_path / "test/r_1.png").unlink()
    with pytest.raises(SceneError, match="1 of 13 pictures are missing: test/r_1"):
        load(str(tmp_path), OPTIONS)
    scene = load(str(tmp_path), ReadOptions(skip_missing=True))
    assert any("tested on transforms_test.json (2 pictures)" in fact.text for fact in scene.facts)


def test_downscaling_scales_the_lens(tmp_path):
    drawn.blender(tmp_path, size=(50, 50))
    scene = load(str(tmp_path), ReadOptions(downscale=3))
    view = scene.train[0]
    assert view.camera.size == (17, 17)
    assert view.camera.intrinsics.fx == pytest.approx(25 / 0.3093362 * 17 / 50)
    assert any("50 x 50 in the files, loaded at 17 x 17" in fact.text for fact in scene.facts)


def test_a_broken_test_file_is_named(tmp_path):
    drawn.blender(tmp_path)
    (tmp_path / "transforms_test.json").write_text("{")
    with pytest.raises(SceneError, match=r"transforms_test\.json: not whole JSON"):
        load(str(tmp_path), OPTIONS)


def test_the_chair_has_a_tight_box(capture):
    scene = load(str(capture("nerf_synthetic_chair")), ReadOptions(downscale=4))
    assert [len(scene.train), len(scene.test)] == [100, 25]
    assert scene.transparent
    extent = scene.box[1] - scene.box[0]
    assert float(extent.max()) == pytest.approx(1)
    rays = solid(scene)
    assert crosses(rays, scene.box).all()
    for side in range(2):  # no face can move in by a twelfth without cutting something off
        for axis in range(3):
            smaller = scene.box.clone()
            smaller[side, axis] += (1 - 2 * side) * extent[axis] / 12
            assert not crosses(rays, smaller).all()


def solid(scene):
    """Rays that show something, a raster of 100 x 100 in each picture."""
    found = []
    for view in scene.train:
        rays, pixels = probes(view.camera, 100)
        found.append(rays[view.image[pixels[:, 1], pixels[:, 0], 3] >= 128])
    return RayBatch(torch.cat([r.origins for r in found]), torch.cat([r.directions for r in found]))
