from pathlib import Path

import drawn
import pytest
import torch

from scenes.assemble import load
from scenes.formats import transforms
from scenes.options import ReadOptions, SceneError

OPTIONS = ReadOptions()


def names(views):
    return [Path(view.name).stem for view in views]


def test_a_folder_and_its_file_read_alike(tmp_path):
    drawn.transforms(tmp_path)
    assert transforms.matches(str(tmp_path))
    folder, file = load(str(tmp_path), OPTIONS), load(str(tmp_path / "transforms.json"), OPTIONS)
    assert folder.name == file.name == tmp_path.name
    torch.testing.assert_close(folder.transform, file.transform)


def test_every_eighth_by_name_is_for_test(tmp_path):
    content = drawn.transforms(tmp_path)
    drawn.write(tmp_path / "transforms.json", content | {"frames": content["frames"][::-1]})
    scene = load(str(tmp_path), OPTIONS)
    assert names(scene.test) == ["000", "008"]
    assert names(scene.train) == ["001", "002", "003", "004", "005", "006", "007", "009"]
    assert any("every 8th picture" in fact.text for fact in scene.facts)


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"train_filenames": ["images/001.png", "./images/002.png"], "test_filenames": ["images\\003"]}, [1, 2], [3]),
        ({"train_filenames": ["images/001.png"], "val_filenames": ["images/004.png"]}, [1], [4]),
        ({"test_filenames": ["images/000.png"], "val_filenames": ["images/009.png"]}, list(range(1, 9)), [0]),
        ({"train_filenames": ["images/005.png"]}, [5], []),
    ],
)
def test_given_file_names_split(tmp_path, lists, train, test):
    drawn.transforms(tmp_path, **lists)
    scene = load(str(tmp_path), OPTIONS)
    assert names(scene.train) == [f"{i:03}" for i in train]
    assert names(scene.test) == [f"{i:03}" for i in test]


def test_an_unknown_file_name_is_refused(tmp_path):
    drawn.transforms(tmp_path, test_filenames=["images/77.png"])
    with pytest.raises(SceneError, match=r"'test_filenames' names 'images/77.png', which is the file_path of no frame"):
        load(str(tmp_path), OPTIONS)


@pytest.mark.parametrize("written", ["images\\000.png", "./images/000.png", "images/000", ".\\images\\000"])
def test_file_paths_as_people_write_them(tmp_path, written):
    content = drawn.transforms(tmp_path)
    content["frames"][0]["file_path"] = written
    drawn.write(tmp_path / "transforms.json", content)
    assert load(str(tmp_path), OPTIONS).test[0].name == "images/000.png"


def test_a_lone_picture_is_trained_on(tmp_path):
    drawn.transforms(tmp_path, drawn.ring(1))
    scene = load(str(tmp_path), OPTIONS)
    assert [len(scene.train), len(scene.test)] == [1, 0]


def test_intrinsics_scale_by_the_loaded_size(tmp_path):
    drawn.transforms(tmp_path, size=(50, 35), cx=20, cy=10, k1=0.03, p1=0.001)
    scene = load(str(tmp_path), ReadOptions(downscale=4))
    lens = scene.train[0].camera.intrinsics
    assert scene.train[0].camera.size == (12, 9)
    assert (lens.fx, lens.fy) == (pytest.approx(60 * 12 / 50), pytest.approx(60 * 9 / 35))
    assert (lens.cx, lens.cy) == (pytest.approx(20 * 12 / 50), pytest.approx(10 * 9 / 35))
    assert (lens.radial[0], lens.tangential[0]) == (0.03, 0.001)


def test_smaller_files_than_stated_scale_too(tmp_path):
    content = drawn.transforms(tmp_path)
    drawn.write(tmp_path / "transforms.json", content | {"w": 480, "h": 320, "fl_x": 600, "fl_y": 600})
    assert load(str(tmp_path), OPTIONS).train[0].camera.intrinsics.fx == pytest.approx(60)


def test_masks_reach_the_views(tmp_path):
    content = drawn.transforms(tmp_path)
    pixels = torch.full((32, 48), 255, dtype=torch.uint8)
    pixels[:4] = 0
    for frame in content["frames"]:
        frame["mask_path"] = frame["file_path"].replace("images", "masks")
        drawn.save(tmp_path / frame["mask_path"], pixels)
    drawn.write(tmp_path / "transforms.json", content)
    scene = load(str(tmp_path), OPTIONS)
    assert not scene.train[0].valid[:4].any()
    assert scene.test[0].valid[4:].all()
    assert any("black is ignored: 12.5% of the pixels of 10 pictures" in fact.text for fact in scene.facts)


def test_what_is_not_applied_is_told(tmp_path):
    drawn.transforms(tmp_path, scale=0.5, offset=[0, 0, 1])
    facts = load(str(tmp_path), OPTIONS).facts
    assert any(fact.text.startswith("scale: 0.5 is not needed") for fact in facts)
    assert any(fact.text.startswith("offset: [0, 0, 1]") for fact in facts)


@pytest.mark.parametrize(
    ("value", "side", "told"),
    [(8, 8, "aabb_scale"), (5, 8, "aabb_scale 5 (wanted a power"), (64, 64, "aabb_scale"), (100, 128, "aabb_scale 100 (wanted a power"), (None, 4, "all cameras")],
)
def test_aabb_scale_sets_the_box(tmp_path, value, side, told):
    drawn.transforms(tmp_path, **({} if value is None else {"aabb_scale": value}))
    scene = load(str(tmp_path), OPTIONS)
    assert not scene.transparent
    torch.testing.assert_close(scene.box, torch.tensor([[0.5 - side / 2] * 3, [0.5 + side / 2] * 3]))
    assert any(told in fact.text for fact in scene.facts)


def test_an_impossible_aabb_scale_is_refused(tmp_path):
    drawn.transforms(tmp_path, aabb_scale=0)
    with pytest.raises(SceneError, match="aabb_scale must be 1 to 128, found 0"):
        load(str(tmp_path), OPTIONS)


def test_the_fox_lacks_seventeen_pictures(capture):
    fox = str(capture("fox"))
    with pytest.raises(SceneError, match=r"fox/transforms\.json: 17 of 67 pictures are missing: images/0005\.jpg"):
        load(fox, OPTIONS)
    scene = load(fox, ReadOptions(downscale=4, skip_missing=True))
    assert [len(scene.train), len(scene.test)] == [43, 7]
    assert scene.train[0].camera.size == (270, 480)
    assert scene.train[0].camera.intrinsics.radial[0] == 0.0578421
    torch.testing.assert_close(scene.box, torch.tensor([[-1.5] * 3, [2.5] * 3]))
    assert scene.unit == pytest.approx(1 / 0.33, rel=0.2)  # instant-ngp's own scale suits this set
