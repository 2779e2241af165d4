import json
import re
from pathlib import Path
from types import SimpleNamespace

import drawn
import psutil
import pytest
import torch

from render.camera import Intrinsics
from scenes.assemble import assemble_memory, load
from scenes.formats.json_frames.document import parse
from scenes.options import ReadOptions, SceneError

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
    refuse(tmp_path, "folder is empty; wanted a data set .*transforms.json")


def test_photos_without_poses(tmp_path):
    drawn.save(tmp_path / "a.png", torch.zeros(4, 4, dtype=torch.uint8))
    refuse(tmp_path, r"1 pictures but no camera poses \(COLMAP .* make a transforms.json\)$")


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
        ('{"frames": [{"transform_matrix": 1}]}', "frame 0: expected a 'file_path', found null"),
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
        ({"transform_matrix": [row[:3] for row in POSE[:3]]}, "must be 3 x 4 numbers, found"),
        ({"transform_matrix": [[1, 2], [3]]}, "must be 4 x 4 numbers, found"),
        ({"transform_matrix": "identity"}, "must be 4 x 4 numbers, found 'identity'"),
        ({"transform_matrix": [[float("nan")] * 4, *POSE[1:]]}, "must be a number from -1e.12 to 1e.12, found NaN"),
        ({"transform_matrix": [[10**400] * 4, *POSE[1:]]}, "must be a number from -1e.12 to 1e.12, found 1000"),
        ({"transform_matrix": [[1, 0, 0, True], *POSE[1:]]}, "must be a number .* found true"),
        ({"transform_matrix": [*POSE[:3], [0, 0, 1, 1]]}, r"last row .* must be 0 0 0 1, found \[0.0, 0.0, 1.0, 1.0\]"),
        ({"transform_matrix": FLAT.tolist()}, "is singular"),
        ({"transform_matrix": [[0] * 4, [0] * 4, [0] * 4, [0, 0, 0, 1]]}, "is singular"),
        ({"transform_matrix": SHEARED.tolist()}, "is not rigid: after a uniform scale of .* is removed"),
        ({"transform_matrix": MIRRORED.tolist()}, "mirrors; wanted a right-handed rotation"),
        ({"fl_x": 0}, "'fl_x' must be a number from 0.001"),
        ({"fl_y": -60}, "'fl_y' must be a number from 0.001"),
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
    assert any("7 of 10 pictures are missing" in fact.text for fact in scene.facts)


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
    refuse(tmp_path, r"003\.png: expected 48 x 32 pixels like images/000.png, .* share one fl_x, found 96 x 64")


def test_two_sizes_with_a_lens_each_are_fine(tmp_path):
    folder = changed(tmp_path, fl_x=120, fl_y=120, w=96, h=64)
    drawn.save(tmp_path / "images" / "002.png", torch.zeros(64, 96, 3, dtype=torch.uint8))
    scene = load(str(folder), OPTIONS)
    assert {view.camera.size for view in scene.train} == {(48, 32), (96, 64)}
    assert {round(view.camera.intrinsics.fx) for view in scene.train} == {60, 120}


def test_a_picture_of_another_shape_than_its_lens_is_stated_for(tmp_path):
    drawn.transforms(tmp_path, w=32, h=48)
    refuse(tmp_path, r"images/000\.png: expected a picture shaped 32 x 48, found 48 x 32")


def test_a_lens_stated_for_another_size_scales_to_the_file(tmp_path):
    drawn.transforms(tmp_path, w=96, h=64, fl_x=1000, fl_y=1100, cx=40, cy=30, k1=0.1)
    lens = load(str(tmp_path), OPTIONS).train[0].camera.intrinsics
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == (500, 550, 20, 15)
    assert lens.radial == (0.1, 0, 0, 0)


def test_a_uniform_scale_is_taken_out_and_told(tmp_path):
    poses = drawn.ring()
    plain = load(str(drawn.transforms(tmp_path / "a", poses) and tmp_path / "a"), OPTIONS)
    for pose in poses:
        pose[:3, :3] *= 2.5
    drawn.write(tmp_path / "a" / "transforms.json", scaled(tmp_path / "a", poses))
    scene = load(str(tmp_path / "a"), OPTIONS)
    torch.testing.assert_close(scene.train[0].camera.pose, plain.train[0].camera.pose)
    assert any("a uniform scale of 2.5 to 2.5" in fact.text for fact in scene.facts)


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
    assert parse(tmp_path / "t.json") == {"a": "http://x/*y*/#z,]", "b": [1, 2], "c": {"d": 1}}


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "t.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert parse(tmp_path / "t.json") == {"a": 1}


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


def memory(**changed):
    """Ten pictures of the block, as arrays, with poses and a lens; `changed` replaces some of that."""
    lens, poses = Intrinsics(90, 90, 30, 30), drawn.ring(10)
    pictures = torch.stack([drawn.picture(pose, lens, (60, 60)) for pose in poses])
    given = {"images": pictures, "poses": torch.stack(poses), "intrinsics": lens, "name": "mine"} | changed
    return assemble_memory(**given)


def test_a_scene_from_memory_is_that_from_files(tmp_path):
    lens, poses = Intrinsics(90, 90, 30, 30), drawn.ring(10)
    frames = []
    for i, pose in enumerate(poses):
        drawn.save(tmp_path / f"{i:05d}.png", drawn.picture(pose, lens, (60, 60)))
        frames.append({"file_path": f"{i:05d}.png", "transform_matrix": pose.tolist()})
    drawn.write(tmp_path / "transforms.json", {"fl_x": 90, "frames": frames})
    filed, held = load(str(tmp_path), OPTIONS), memory()
    assert held.name == "mine"
    assert [v.name + ".png" for v in (*held.train, *held.test)] == [v.name for v in (*filed.train, *filed.test)]
    assert (held.transparent, held.background) == (filed.transparent, filed.background)
    torch.testing.assert_close(held.box, filed.box)
    torch.testing.assert_close(held.transform, filed.transform)
    for a, b in zip((*held.train, *held.test), (*filed.train, *filed.test), strict=True):
        assert torch.equal(a.image, b.image)
        torch.testing.assert_close(a.camera.pose, b.camera.pose)
        assert a.camera.intrinsics == b.camera.intrinsics


def test_memory_may_hold_floats_opaque_colours_and_a_lens_each():
    lens = Intrinsics(90, 90, 30, 30)
    floats = torch.stack([drawn.picture(pose, lens, (60, 60)) for pose in drawn.ring(10)]).float() / 255
    for one, other in zip(memory(images=floats).train, memory().train, strict=True):
        assert torch.equal(one.image, other.image)
    lenses = [Intrinsics(90 + i, 90, 30, 30) for i in range(10)]
    scene = memory(images=floats[..., :3], intrinsics=lenses)
    assert not scene.transparent
    assert [view.camera.intrinsics.fx for view in scene.test] == [90, 98]
    assert (scene.train[0].image[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": torch.zeros(10, 60, 60)}, r"wanted pictures \(N, H, W, 3 or 4\), N > 0, found \(10, 60, 60\)"),
        ({"images": torch.zeros(0, 6, 6, 3)}, "N > 0"),
        ({"poses": torch.eye(4).expand(9, 4, 4)}, "10 pictures, 9 poses and 10 lenses"),
        ({"intrinsics": []}, "10 pictures, 10 poses and 0 lenses"),
        ({"poses": torch.zeros(10, 4, 4)}, "mine: pose 0: the last row of a pose must be 0 0 0 1"),
    ],
)
def test_memory_that_does_not_fit_together(changed, message):
    with pytest.raises(ValueError, match=message):
        memory(**changed)


def test_what_nobody_uses_yet_is_told(tmp_path):
    content = drawn.transforms(tmp_path)
    for i, frame in enumerate(content["frames"]):
        frame["time"] = i / 10
    content["frames"][0]["depth_file_path"] = "depth.png"
    drawn.write(tmp_path / "transforms.json", content)
    told = [fact.text for fact in load(str(tmp_path), OPTIONS).facts if fact.kind == "ignored"]
    assert told[0].startswith("time: 10 pictures say when")
    assert told[1].startswith("depth: 1 pictures")


def test_pixels_that_a_folded_lens_shows_nothing_in_are_ignored_and_counted(tmp_path):
    drawn.transforms(tmp_path, fl_x=24, fl_y=24, k1=-0.15)
    scene = load(str(tmp_path), ReadOptions())
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    radius = torch.hypot((columns - 24) / 24, (rows - 16) / 24)
    turn = (1 / (3 * 0.15)) ** 0.5  # where r (1 - 0.15 r^2) is largest
    want = radius < turn * (1 - 0.15 * turn**2)
    for view in (*scene.train, *scene.test):
        assert int((view.valid != want).sum()) <= 4  # a pixel on the rim may fall either way
    share = 1 - float(scene.train[0].valid.float().mean())
    assert f"{share:.1%} of the pixels, in 10 of 10 pictures, show nothing and are ignored" in str(scene.facts)


def test_a_lens_that_shows_all_of_the_picture_ignores_nothing(tmp_path):
    drawn.transforms(tmp_path, k1=-0.15)
    scene = load(str(tmp_path), ReadOptions())
    assert all(bool(view.valid.all()) for view in (*scene.train, *scene.test))
    assert "ignored" not in [fact.kind for fact in scene.facts]


def test_more_frames_than_anybody_takes_are_refused_before_any_is_looked_at(tmp_path):
    drawn.write(tmp_path / "transforms.json", {"fl_x": 60, "frames": [{}] * 100_001})
    refuse(tmp_path, "expected at most 100000 frames, found 100001")


@pytest.mark.parametrize(("place", "message"), [(1e11, "stands too far away"), (1e200, "must be a number from")])
def test_a_camera_that_float32_cannot_place_is_refused(tmp_path, place, message):
    pose = [[*row[:3], place if i == 0 else row[3]] for i, row in enumerate(POSE)]
    refuse(changed(tmp_path, transform_matrix=pose), message)


def test_cameras_within_nothing_are_refused(tmp_path):
    content = drawn.transforms(tmp_path)
    for frame in content["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] *= 1e-300
    drawn.write(tmp_path / "transforms.json", content)
    with pytest.raises(SceneError, match=r"transforms\.json: "):
        load(str(tmp_path), OPTIONS)


def test_pictures_that_would_not_fit_into_memory_are_refused_by_their_sizes(tmp_path, monkeypatch):
    drawn.transforms(tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=10 * 48 * 32 * 5 - 1))
    refuse(tmp_path, "10 pictures take 0.0 GiB, this machine has 0.0; --downscale or --max-resolution")


def test_names_and_values_of_a_file_reach_no_terminal_as_they_are(tmp_path):
    drawn.transforms(tmp_path, scale="\x1b[31mred", **{"odd\x1b[2J": "\u202e"})
    facts = [fact.text for fact in load(str(tmp_path), OPTIONS).facts]
    assert any("red" in text for text in facts)
    assert all(text.isprintable() for text in facts)


def test_poses_that_a_format_draws_itself_are_written_in_no_convention():
    with pytest.raises(SceneError, match="builtin:32: has no poses of its own"):
        load("builtin:32", ReadOptions(poses="opencv"))


def test_photographs_have_no_axis_that_is_up(tmp_path):
    refuse(changed(tmp_path), "--up y is for meshes", ReadOptions(up="y"))
