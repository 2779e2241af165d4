import json
import re
from pathlib import Path

import drawn
import pytest
import torch

from scenes import frames
from scenes.scene import ReadOptions, SceneError, load

POSE = drawn.ring(1)[0].tolist()
OPTIONS = ReadOptions()


def refuse(data, message, options=OPTIONS):
    """Loading must fail on one line that begins with the path and says `message`."""
    with pytest.raises(SceneError) as caught:
        load(str(data), options)
    text = str(caught.value)
    assert text.startswith(str(data))
    assert "\n" not in text
    assert re.search(message, text), text


def changed(folder, **frame):
    """A set of opaque pictures whose third frame is altered; None removes a key."""
    content = drawn.transforms(folder)
    entry = content["frames"][2] | frame
    content["frames"][2] = {key: value for key, value in entry.items() if value is not None}
    drawn.write(folder / "transforms.json", content)
    return folder


def test_a_missing_path(tmp_path):
    refuse(tmp_path / "gone", "no such file or folder; wanted")


def test_an_empty_folder(tmp_path):
    refuse(tmp_path, "folder is empty; wanted transforms.json")


def test_photos_without_poses(tmp_path):
    drawn.save(tmp_path / "a.png", torch.zeros(4, 4, dtype=torch.uint8))
    refuse(tmp_path, "1 pictures but no camera poses; wanted transforms.json")


def test_json_cut_in_half(tmp_path):
    drawn.transforms(tmp_path)
    path = tmp_path / "transforms.json"
    path.write_text(path.read_text()[:500])
    refuse(tmp_path, r"transforms\.json: not whole JSON, it may be cut off or damaged: .* line 1 column")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a JSON object with 'frames', found a list"),
        ("{}", "expected a list 'frames' with at least one entry, found none"),
        ('{"frames": []}', "at least one entry, found none"),
        ('{"frames": 3}', "at least one entry, found a int"),
        ('{"frames": [3]}', "frame 0: expected an object, found a int"),
        ('{"frames": [{"transform_matrix": 1}]}', "frame 0: expected a 'file_path', found None"),
    ],
)
def test_json_without_frames(tmp_path, text, message):
    (tmp_path / "transforms.json").write_text(text)
    refuse(tmp_path, message)


def test_json_that_is_not_utf8(tmp_path):
    (tmp_path / "transforms.json").write_bytes(b'{"frames": "\xff"}')
    refuse(tmp_path, "expected JSON in UTF-8, found byte 0xff")


SHEARED = torch.tensor(POSE)
SHEARED[0, 0] += 0.3
MIRRORED = torch.tensor(POSE)
MIRRORED[:, 0] *= -1
FLAT = torch.tensor(POSE)
FLAT[:3, 2] = 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"transform_matrix": None}, r"frame 2 \(images/002.png\) has no 'transform_matrix'; wanted a 4 x 4 list"),
        ({"transform_matrix": [row[:3] for row in POSE[:3]]}, "must be 4 x 4, found 3 x 3"),
        ({"transform_matrix": [[1, 2], [3]]}, "must be a 4 x 4 list of numbers"),
        ({"transform_matrix": "identity"}, "must be a 4 x 4 list of numbers"),
        ({"transform_matrix": [[float("nan")] * 4, *POSE[1:]]}, "must hold finite numbers, found NaN"),
        ({"transform_matrix": [*POSE[:3], [0, 0, 1, 1]]}, r"last row .* must be 0 0 0 1, found \[0.0, 0.0, 1.0, 1.0\]"),
        ({"transform_matrix": FLAT.tolist()}, "is singular"),
        ({"transform_matrix": [[0] * 4, [0] * 4, [0] * 4, [0, 0, 0, 1]]}, "is singular"),
        ({"transform_matrix": SHEARED.tolist()}, "is not rigid: after a uniform scale of .* is removed"),
        ({"transform_matrix": MIRRORED.tolist()}, "mirrors; wanted a right-handed rotation"),
        ({"fl_x": 0}, "fl_x must be > 0 pixels, found 0"),
        ({"fl_y": -60}, "fl_y must be > 0 pixels, found -60"),
        ({"mask_path": 3}, "'mask_path' must be a file name, found 3"),
        ({"camera_model": "THIN_PRISM"}, "unknown camera_model 'THIN_PRISM'; wanted one of"),
    ],
)
def test_a_frame_that_cannot_be_used(tmp_path, frame, message):
    refuse(changed(tmp_path, **frame), message)


def test_no_field_of_view(tmp_path):
    content = drawn.transforms(tmp_path)
    drawn.write(tmp_path / "transforms.json", {"frames": content["frames"]})
    refuse(tmp_path, "no field of view")


def test_a_missing_mask(tmp_path):
    with pytest.raises(SceneError, match=r"none\.png: no such picture"):
        load(str(changed(tmp_path, mask_path="none.png")), OPTIONS)


def test_missing_pictures_are_listed_and_refused(tmp_path):
    drawn.transforms(tmp_path)
    for i in range(1, 8):
        (tmp_path / "images" / f"{i:03}.png").unlink()
    listed = ", ".join(f"images/00{i}.png" for i in range(1, 6))
    refuse(tmp_path, rf"7 of 10 pictures are missing: {listed} \.\.\.; --skip-missing goes on")
    scene = load(str(tmp_path), ReadOptions(skip_missing=True))
    assert len(scene.train) + len(scene.test) == 3
    assert any("7 of 10 pictures are missing" in fact for fact in scene.facts)


def test_all_pictures_missing_is_refused_even_when_skipping(tmp_path):
    content = drawn.transforms(tmp_path / "a")
    drawn.write(tmp_path / "b" / "transforms.json", content)
    refuse(tmp_path / "b", "expected pictures beside it, found none; 10 of 10", ReadOptions(skip_missing=True))


def test_a_truncated_picture(tmp_path):
    drawn.transforms(tmp_path)
    path = tmp_path / "images" / "004.png"
    path.write_bytes(path.read_bytes()[:-60])
    refuse(tmp_path, r"004\.png: damaged picture: expected 48 x 32 pixels of PNG, found \d+ bytes")


def test_two_sizes_under_one_focal_length(tmp_path):
    drawn.transforms(tmp_path)
    drawn.save(tmp_path / "images" / "003.png", torch.zeros(64, 96, 3, dtype=torch.uint8))
    refuse(tmp_path, r"003\.png: expected 48 x 32 pixels like images/001.png, .* share one fl_x, found 96 x 64")


def test_two_sizes_with_a_lens_each_are_fine(tmp_path):
    folder = changed(tmp_path, fl_x=120, fl_y=120, w=96, h=64)
    drawn.save(tmp_path / "images" / "002.png", torch.zeros(64, 96, 3, dtype=torch.uint8))
    scene = load(str(folder), OPTIONS)
    assert {view.camera.size for view in scene.train} == {(48, 32), (96, 64)}
    assert {round(view.camera.intrinsics.fx) for view in scene.train} == {60, 120}


def test_a_uniform_scale_is_taken_out_and_told(tmp_path):
    poses = drawn.ring()
    plain = load(str(drawn.transforms(tmp_path / "a", poses) and tmp_path / "a"), OPTIONS)
    for pose in poses:
        pose[:3, :3] *= 2.5
    drawn.write(tmp_path / "a" / "transforms.json", scaled(tmp_path / "a", poses))
    scene = load(str(tmp_path / "a"), OPTIONS)
    torch.testing.assert_close(scene.train[0].camera.pose, plain.train[0].camera.pose)
    assert any("a uniform scale of 2.5 to 2.5" in fact for fact in scene.facts)


def scaled(folder: Path, poses):
    content = json.loads((folder / "transforms.json").read_text())
    for frame, pose in zip(content["frames"], poses, strict=True):
        frame["transform_matrix"] = pose.tolist()
    return content


def test_comments_and_trailing_commas(tmp_path):
    (tmp_path / "t.json").write_text(
        '{ // a comment, with "quotes"\n "a": "http://x/*y*/#z,]", # another\n'
        ' "b": [1, 2, /* in\nside */ ],\n "c": {"d": 1,}, // last,\n}'
    )
    assert frames.document(tmp_path / "t.json") == {"a": "http://x/*y*/#z,]", "b": [1, 2], "c": {"d": 1}}


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "t.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert frames.document(tmp_path / "t.json") == {"a": 1}


@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_in_few_pictures_is_a_mask(tmp_path, alpha):
    drawn.transforms(tmp_path)
    pixels = torch.full((32, 48, 4), 255, dtype=torch.uint8)
    pixels[:, :8, 3] = alpha
    drawn.save(tmp_path / "images" / "001.png", pixels)
    scene = load(str(tmp_path), OPTIONS)
    view = next(v for v in scene.train if v.name == "images/001.png")
    assert not scene.transparent
    assert (view.image[..., 3] == 255).all()
    assert int((~view.valid).sum()) == (8 * 32 if alpha == 0 else 0)
