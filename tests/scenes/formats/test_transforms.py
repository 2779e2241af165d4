from pathlib import Path

import drawn
import numpy as np
import pytest
import torch
from PIL import Image

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
    told = "masks: black, as nerfstudio's mask_path has it, is ignored: 12.5% of the pixels of 10 pictures"
    assert told in [fact.text for fact in scene.facts]


def test_what_is_not_applied_is_told(tmp_path):
    drawn.transforms(tmp_path, scale=0.5, offset=[0, 0, 1])
    facts = load(str(tmp_path), OPTIONS).facts
    assert any(fact.text.startswith("scale: 0.5 is not needed") for fact in facts)
    assert any(fact.text.startswith("offset: [0, 0, 1]") for fact in facts)


@pytest.mark.parametrize(
    ("value", "side", "told"),
    [
        (8, 8, "aabb_scale"),
        (5, 8, "aabb_scale 5 (wanted a power"),
        (64, 64, "aabb_scale"),
        (100, 128, "aabb_scale 100 (wanted a power"),
        (None, 4, "all cameras"),
    ],
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


def texts(folder):
    return [fact.text for fact in load(str(folder), OPTIONS).facts]


def test_what_is_not_read_is_told(tmp_path):
    content = drawn.transforms(tmp_path, ply_file_path="sparse_pc.ply", n_frames=3, orientation_override=None)
    for frame in content["frames"]:
        frame |= {"sharpness": 3.0, "motion": [1, 2]}
    drawn.write(tmp_path / "transforms.json", content)
    told = texts(tmp_path)
    assert "not used: ply_file_path (sparse_pc.ply), n_frames" in told
    assert "not used, of frames: motion" in told


def twins(folder, **lists):
    """A set whose second picture has the stem of the first."""
    content = drawn.transforms(folder)
    (folder / "images" / "001.png").rename(folder / "images" / "000.webp")
    content["frames"][1]["file_path"] = "images/000.webp"
    drawn.write(folder / "transforms.json", content | lists)
    return folder


def test_pictures_of_one_stem_are_two(tmp_path):
    scene = load(str(twins(tmp_path, test_filenames=["./images/000.png", "images\\000.webp"])), OPTIONS)
    assert [view.name for view in scene.test] == ["images/000.png", "images/000.webp"]
    assert len(scene.train) == 8
    assert "split: by file names, tested on test_filenames (2 pictures)" in [fact.text for fact in scene.facts]


def test_a_stem_that_several_share_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"'test_filenames' names 'images/000', which fits 2 frames; wanted it with"):
        load(str(twins(tmp_path, test_filenames=["images/000"])), OPTIONS)


def test_only_extensions_of_pictures_are_left_out_of_a_name(tmp_path):
    content = drawn.transforms(tmp_path, drawn.ring(3))
    for i, frame in enumerate(content["frames"]):
        frame["file_path"] = f"images/take.{i}.png"
        (tmp_path / f"images/00{i}.png").rename(tmp_path / frame["file_path"])
    drawn.write(tmp_path / "transforms.json", content | {"test_filenames": ["images/take.1"]})
    assert [view.name for view in load(str(tmp_path), OPTIONS).test] == ["images/take.1.png"]


@pytest.mark.parametrize(
    ("stored", "written"), [("PNG", "png"), ("png", "PNG"), ("Png", ""), ("tiff", ""), ("TIF", "tif")]
)
def test_extensions_of_any_case(tmp_path, stored, written):
    content = drawn.transforms(tmp_path)
    with Image.open(tmp_path / "images/000.png") as image:
        image.save(tmp_path / f"images/first.{stored}", "TIFF" if stored[0] in "tT" else "PNG")
    content["frames"][0]["file_path"] = "images/first" + (f".{written}" if written else "")
    drawn.write(tmp_path / "transforms.json", content)
    scene = load(str(tmp_path), OPTIONS)
    assert f"images/first.{stored}" in [view.name for view in (*scene.train, *scene.test)]


def shrunken(folder, name, times, suffix=""):
    """A folder of copies that many times smaller, beside images."""
    (folder / name).mkdir()
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            small = image.resize((image.width // times, image.height // times))
        small.save(folder / name / (path.stem + (suffix or path.suffix)))


@pytest.mark.parametrize("stated", [True, False])
def test_a_folder_of_smaller_copies_stands_in(tmp_path, stated):
    content = drawn.transforms(tmp_path, size=(96, 64), cx=50, cy=30)
    if not stated:
        drawn.write(tmp_path / "transforms.json", {k: v for k, v in content.items() if k not in ("w", "h")})
    whole = load(str(tmp_path), OPTIONS).train[0].camera
    shrunken(tmp_path, "images_4", 4)
    shrunken(tmp_path, "images_2", 2, ".webp")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    scene = load(str(tmp_path), OPTIONS)
    assert scene.train[0].name == "images_2/001.webp"
    assert scene.train[0].camera.size == (48, 32)
    assert scene.train[0].camera.intrinsics == whole.intrinsics.resized(0.5, 0.5)
    assert "pictures: no folder images; images_2, 2 times smaller, stands in for it" in [f.text for f in scene.facts]


def test_names_that_split_mean_the_copies_too(tmp_path):
    drawn.transforms(tmp_path, test_filenames=["images/003.png"])
    shrunken(tmp_path, "images_2", 2)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert [view.name for view in load(str(tmp_path), OPTIONS).test] == ["images_2/003.png"]


def test_a_picture_missing_from_its_folder_stays_missing(tmp_path):
    drawn.transforms(tmp_path)
    shrunken(tmp_path, "images_2", 2)
    (tmp_path / "images/004.png").unlink()
    with pytest.raises(SceneError, match=r"1 of 10 pictures are missing: images/004\.png"):
        load(str(tmp_path), OPTIONS)


def turned_by_exif(folder, **keys):
    """Pictures stored on their side, 32 x 48, that EXIF turns to 48 x 32."""
    content = drawn.transforms(folder)
    for path in (folder / "images").iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    drawn.write(folder / "transforms.json", {k: v for k, v in (content | keys).items() if v is not None})
    return folder


def test_pictures_are_turned_where_only_that_fits_w_and_h(tmp_path):
    drawn.transforms(tmp_path / "upright")
    upright = load(str(tmp_path / "upright"), OPTIONS)
    scene = load(str(turned_by_exif(tmp_path / "turned")), OPTIONS)
    assert torch.equal(scene.train[0].image, upright.train[0].image)
    assert scene.train[0].camera.intrinsics == upright.train[0].camera.intrinsics
    assert any("10 of 10 pictures" in fact.text and "10 were turned" in fact.text for fact in scene.facts)


def test_pictures_stay_as_stored_where_that_fits_too(tmp_path):
    scene = load(str(turned_by_exif(tmp_path, w=None, h=None)), OPTIONS)
    assert scene.train[0].image.shape == (48, 32, 4)
    assert any("10 of 10 pictures" in fact.text and "it is not applied" in fact.text for fact in scene.facts)


def test_turned_and_upright_pictures_may_share_a_lens(tmp_path):
    content = drawn.transforms(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 8
    with Image.open(tmp_path / "images/003.png") as image:
        upright = np.array(image)
        image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "images/003.png", exif=exif)
    assert len(content["frames"]) == 10
    view = next(v for v in load(str(tmp_path), OPTIONS).train if v.name == "images/003.png")
    assert np.array_equal(view.image[..., :3].numpy(), upright)


def test_pictures_of_sixteen_bits_that_hold_eight(tmp_path):
    drawn.transforms(tmp_path)
    grey = {}
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image:
            grey[f"images/{path.name}"] = np.array(image.convert("L"))
        Image.fromarray(grey[f"images/{path.name}"].astype(np.uint16)).save(path)
    scene = load(str(tmp_path), OPTIONS)
    for view in scene.train:
        assert np.array_equal(view.image[..., 1].numpy(), grey[view.name])
    assert any(f.text.startswith("pictures: 10 files of 16 bits hold no value above") for f in scene.facts)


def without_size(folder, **keys):
    content = drawn.transforms(folder, **keys)
    drawn.write(folder / "transforms.json", {k: v for k, v in content.items() if k not in ("w", "h")})
    return folder


def test_a_principal_point_outside_the_picture_is_refused_without_w_and_h(tmp_path):
    with pytest.raises(SceneError, match=r"principal point \(128, 20\) lies outside the picture of 48 x 32; if"):
        load(str(without_size(tmp_path, cx=128, cy=20)), OPTIONS)


def test_a_principal_point_of_another_size_is_doubtful_without_w_and_h(tmp_path):
    (fact,) = [f for f in load(str(without_size(tmp_path, cx=36, cy=24)), OPTIONS).facts if f.kind == "doubtful"]
    assert fact.text.startswith("lens: the principal point (36, 24) is far from the middle of 48 x 32 pixels; if the")


@pytest.mark.parametrize(("cx", "cy"), [(24, 16), (29, 18), (36, 16)])  # the last is a shifted lens
def test_a_principal_point_near_the_middle_is_not(tmp_path, cx, cy):
    assert not [f for f in load(str(without_size(tmp_path, cx=cx, cy=cy)), OPTIONS).facts if f.kind == "doubtful"]


def test_a_principal_point_outside_of_w_and_h_is_doubtful(tmp_path):
    drawn.transforms(tmp_path, cx=50, cy=16)
    (fact,) = [f for f in load(str(tmp_path), OPTIONS).facts if f.kind == "doubtful"]
    assert "(50, 16) lies outside the 48 x 32 pixels it is for, in 10 of 10 pictures" in fact.text


@pytest.mark.parametrize("keys", [{"w": 96, "h": None}, {"w": None, "h": 64}])
def test_w_alone_or_h_alone_says_the_size(tmp_path, keys):
    content = drawn.transforms(tmp_path) | keys | {"fl_x": 120, "fl_y": 120}
    drawn.write(tmp_path / "transforms.json", {k: v for k, v in content.items() if v is not None})
    assert load(str(tmp_path), OPTIONS).train[0].camera.intrinsics.fx == pytest.approx(60)


@pytest.mark.parametrize("key", ["K", "intrinsic_matrix"])
@pytest.mark.parametrize("side", [3, 4])
def test_matrices_are_lenses(tmp_path, key, side):
    content = drawn.transforms(tmp_path)
    for i, frame in enumerate(content["frames"]):
        matrix = torch.eye(side)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = 60 + i, 62, 23, 17
        frame[key] = matrix.tolist()
    drawn.write(tmp_path / "transforms.json", content)
    lens = {view.name: view.camera.intrinsics for view in load(str(tmp_path), OPTIONS).train}["images/003.png"]
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == (63, 62, 23, 17)


def test_a_matrix_of_the_document_is_the_lens_of_all(tmp_path):
    content = drawn.transforms(tmp_path, K=[[50, 1e-4, 20], [0, 51, 15], [0, 0, 1]])
    drawn.write(tmp_path / "transforms.json", {k: v for k, v in content.items() if k not in ("fl_x", "fl_y")})
    lens = load(str(tmp_path), OPTIONS).train[0].camera.intrinsics
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == (50, 51, 20, 15)


@pytest.mark.parametrize(
    "rows", [[[50, 9, 20], [0, 50, 15], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 2]], [[1, 2]], "K", [[True] * 3] * 3]
)
def test_a_matrix_that_is_no_lens_is_refused(tmp_path, rows):
    drawn.transforms(tmp_path, K=rows)
    with pytest.raises(SceneError, match=r"frame 0 .*: 'K' must be "):
        load(str(tmp_path), OPTIONS)


def test_poses_from_na_have_the_axes_of_opencv(tmp_path):
    content = drawn.transforms(tmp_path)
    plain = load(str(tmp_path), OPTIONS)
    for frame in content["frames"]:
        frame["transform_matrix"] = (torch.tensor(frame["transform_matrix"]) * torch.tensor([1.0, -1, -1, 1])).tolist()
    drawn.write(tmp_path / "transforms.json", content | {"from_na": True})
    scene = load(str(tmp_path), OPTIONS)
    for one, other in zip(scene.train, plain.train, strict=True):
        torch.testing.assert_close(one.camera.pose, other.camera.pose)
    assert any(fact.text.startswith("axes: from_na") for fact in scene.facts)


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
