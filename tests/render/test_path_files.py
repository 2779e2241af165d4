"""Camera path files: ours, nerfstudio's, and broken ones."""

import json
import math

import pytest
import torch

from render.camera import look_at, moved
from render.path_files import load
from render.paths import vertical_fov

TURN = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
TRANSFORM = torch.eye(4, dtype=torch.float64)
TRANSFORM[:3, :3] = 0.25 * TURN
TRANSFORM[:3, 3] = torch.tensor([0.5, 0.4, 0.3])
UP = torch.tensor([0.0, 0.0, 1.0])
POSES = [
    look_at(torch.tensor(eye), torch.tensor([0.1, 0.0, 0.2]), UP) for eye in ([4.0, 0, 1], [1.0, 4, 2], [-3.0, 2, 2])
]


def path_record():
    frames = [
        {"time": t, "pose": p.tolist(), "fov": f} for t, p, f in zip((0, 1, 2.5), POSES, (40, 50, 30), strict=True)
    ]
    return {"fps": 8, "size": [64, 48], "keyframes": frames}


def nerfstudio_record():
    frames = [{"camera_to_world": p.flatten().tolist(), "fov": 45, "aspect": 1.5} for p in POSES]
    head = {"camera_type": "perspective", "render_height": 48, "render_width": 72, "fps": 24, "seconds": 3}
    return {**head, "keyframes": [], "camera_path": frames}


def write(folder, record):
    path = folder / "path.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def test_keyframes_are_met_at_their_times_in_scene_units(tmp_path):
    path = load(write(tmp_path, path_record()), TRANSFORM)
    assert (path.fps, len(path.cameras)) == (8, 21)
    for index, pose, fov in zip((0, 8, 20), POSES, (40, 50, 30), strict=True):
        camera = path.cameras[index]
        assert camera.size == (64, 48)
        assert torch.allclose(camera.pose, moved(pose, TRANSFORM), atol=1e-5)
        assert math.degrees(vertical_fov(camera)) == pytest.approx(fov, abs=1e-4)
    first = path.cameras[0].pose
    assert torch.allclose(first[:3, 3], torch.tensor([0.5, 1.4, 0.55]), atol=1e-6)  # (4, 0, 1) turned, scaled, shifted
    assert torch.allclose(first[:3, :3], TURN @ POSES[0][:3, :3], atol=1e-6)


def test_position_and_quaternion_say_the_same_as_a_pose(tmp_path):
    record = path_record()
    half = math.sqrt(0.5)
    record["keyframes"] = [{"time": 3, "position": [1, 2, 3], "quaternion": [half, half, 0, 0], "fov": 40}]
    (camera,) = load(write(tmp_path, record), torch.eye(4, dtype=torch.float64)).cameras
    want = torch.tensor([[1.0, 0, 0, 1], [0, 0, -1, 2], [0, 1, 0, 3], [0, 0, 0, 1]])
    assert torch.allclose(camera.pose, want, atol=1e-6)


def test_a_closed_path_comes_back(tmp_path):
    record = path_record()
    record["closed"] = True
    record["keyframes"].append({"time": 4, "pose": POSES[0].tolist(), "fov": 40})
    cameras = load(write(tmp_path, record), TRANSFORM).cameras
    assert torch.allclose(cameras[-1].pose, cameras[0].pose, atol=1e-5)


def test_nerfstudio_path(tmp_path):
    path = load(write(tmp_path, nerfstudio_record()), TRANSFORM)
    assert (path.fps, len(path.cameras)) == (24, 3)
    for camera, pose in zip(path.cameras, POSES, strict=True):
        assert torch.allclose(camera.pose, moved(pose, TRANSFORM), atol=1e-6)
        assert camera.size == (72, 48)
        assert camera.intrinsics.fy == pytest.approx(24 / math.tan(math.radians(22.5)))


def scaled(record, scale):
    """The same path with a uniform scale in its rotations."""
    frames = [f | {"camera_to_world": list(f["camera_to_world"])} for f in record["camera_path"]]
    for frame in frames:
        for place in (0, 1, 2, 4, 5, 6, 8, 9, 10):
            frame["camera_to_world"][place] *= scale
    return record | {"camera_path": frames}


def test_sizes_may_have_points_and_rotations_a_scale_which_is_told(tmp_path):
    record = nerfstudio_record()
    want = load(write(tmp_path, record), TRANSFORM)
    got = load(write(tmp_path, scaled(record, 0.5) | {"render_width": 72.0, "render_height": 48.0}), TRANSFORM)
    for one, other in zip(got.cameras, want.cameras, strict=True):
        assert torch.allclose(one.pose, other.pose, atol=1e-6)
        assert one.size == other.size == (72, 48)
    assert got.notes[:-1] == want.notes
    assert got.notes[-1].endswith("a uniform scale of 0.5 to 0.5 was taken out of the rotations")


def test_a_scale_in_our_own_format_is_taken_out_too(tmp_path):
    record = path_record()
    want = load(write(tmp_path, record), TRANSFORM)
    for row in record["keyframes"][1]["pose"][:3]:
        row[:3] = [3 * value for value in row[:3]]
    got = load(write(tmp_path, record), TRANSFORM)
    assert torch.allclose(got.cameras[9].pose, want.cameras[9].pose, atol=1e-5)
    assert want.notes == ()
    assert "a uniform scale of 1 to 3 was taken out" in got.notes[0]


def test_what_a_path_of_nerfstudio_may_mean_is_told(tmp_path):
    plain = load(write(tmp_path, nerfstudio_record()), TRANSFORM).notes
    assert len(plain) == 1
    assert "poses are taken to be in the coordinates of the pictures' poses" in plain[0]
    crop = {"crop": {"crop_center": [0, 0, 0], "crop_scale": [1, 1, 1]}}
    notes = load(write(tmp_path, nerfstudio_record() | crop), TRANSFORM).notes
    assert notes[0] == plain[0]
    assert "crop is not applied" in notes[1]


def test_comments_and_trailing_commas_are_read(tmp_path):
    text = json.dumps(path_record(), indent=1).replace('"fps": 8,', '"fps": 8, // per second').replace("\n}", ",\n}")
    assert load(write(tmp_path, "\ufeff" + text), TRANSFORM).fps == 8


def test_files_that_are_no_paths(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.json: expected a file of JSON, found none"):
        load(tmp_path / "missing.json", TRANSFORM)
    for text in ("{", "\x00\xff", "[" * 100_000):
        with pytest.raises(ValueError, match=r"path\.json: not whole JSON"):
            load(write(tmp_path, text), TRANSFORM)
    for text in ("[]", "{}", "3"):
        with pytest.raises(ValueError, match=r"path\.json: wanted an object with 'keyframes'"):
            load(write(tmp_path, text), TRANSFORM)


BROKEN = [
    ({"fps": 0}, "'fps' must be a number from 0.01 to 1000, found 0"),
    ({"fps": True}, "'fps'"),
    ({"fps": "8"}, "'fps'"),
    ({"size": [64]}, "'size'"),
    ({"size": [64, 0]}, "height must be a whole number from 1 to 16384, found 0"),
    ({"size": [64.5, 48]}, "width must be a whole number from 1 to 16384, found 64.5"),
    ({"size": [16384, 16384]}, "must have at most 134217728 pixels, found 16384 x 16384"),
    ({"size": 10**400}, "'size' must be .width, height. in pixels, found 1000"),
    ({"fps": 10**400}, "'fps' must be a number from 0.01 to 1000, found 1000"),
    ({"keyframes": []}, "list of 1 to 100000 objects, found \\[\\]"),
    ({"keyframes": [3]}, "keyframes 0: wanted an object, found 3"),
    ({"closed": 1}, "'closed' to be true or false, found 1"),
    ({"fps": 1000, "keyframes": [{"time": 0}, {"time": 1e6}]}, "keyframe 0: 'fov' must be"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_broken_entries_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=r"path\.json: .*" + message) as error:
        load(write(tmp_path, path_record() | change), TRANSFORM)
    assert "\n" not in str(error.value)


BROKEN_KEYFRAMES = [
    ({"time": 5.0}, "keyframe 2: wanted a 'time' later than 5, found 2.5"),
    ({"time": None}, "keyframe 1: 'time' must be a number from"),
    ({"fov": 180}, "keyframe 1: 'fov' must be a number from 0.1 to 179, found 180"),
    ({"pose": [[1, 0], [0, 1]]}, "keyframe 1: 'pose' must be 4 x 4 numbers, found"),
    ({"pose": "unit"}, "'pose' must be 4 x 4 numbers, found 'unit'"),
    ({"pose": [[1, 0, 0, 1e11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "more than 1e\\+06 scene units away"),
    ({"pose": [[1, 0, 0, True], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "'pose' must be a number .* found true"),
    (
        {"pose": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, float("inf")], [0, 0, 0, 1]]},
        "'pose' must be a number .* found Infinity",
    ),
    ({"pose": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]}, "wanted a rotation"),
    ({"pose": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]}, "wanted a rotation"),
    ({"pose": [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "wanted a rotation"),
    ({"position": [0, 0, 0]}, "wanted either 'pose' or 'position'"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN_KEYFRAMES)
def test_broken_keyframes_are_named(tmp_path, change, message):
    record = path_record()
    record["keyframes"][1] |= change
    with pytest.raises(ValueError, match=r"path\.json: .*" + message):
        load(write(tmp_path, record), TRANSFORM)


def test_too_many_frames_and_a_zero_quaternion(tmp_path):
    record = path_record() | {"fps": 1000}
    record["keyframes"][2]["time"] = 1e5
    with pytest.raises(ValueError, match="at most 100000 frames"):
        load(write(tmp_path, record), TRANSFORM)
    record["keyframes"] = [{"time": 3, "position": [1, 2, 3], "quaternion": [0, 0, 0, 0], "fov": 40}]
    with pytest.raises(ValueError, match="found zeros"):
        load(write(tmp_path, record), TRANSFORM)


def test_broken_nerfstudio_paths(tmp_path):
    for change, message in (
        ({"camera_type": "equirectangular"}, "perspective, found 'equirectangular'"),
        ({"render_width": None}, "width must be a whole number from 1 to 16384, found null"),
        ({"camera_path": [{"camera_to_world": [1] * 15, "fov": 40}]}, "'camera_to_world' must be 16 numbers"),
        ({"camera_path": {}}, "wanted 'camera_path' to be a list"),
    ):
        with pytest.raises(ValueError, match=r"path\.json: .*" + message):
            load(write(tmp_path, nerfstudio_record() | change), TRANSFORM)
