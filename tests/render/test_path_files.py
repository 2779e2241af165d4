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


def test_files_that_are_no_paths(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.json: wanted a camera path in JSON"):
        load(tmp_path / "missing.json", TRANSFORM)
    for text in ("{", "\x00\xff", "[" * 100_000):
        with pytest.raises(ValueError, match=r"path\.json: wanted a camera path in JSON"):
            load(write(tmp_path, text), TRANSFORM)
    for text in ("[]", "{}", "3"):
        with pytest.raises(ValueError, match=r"path\.json: wanted an object with 'keyframes'"):
            load(write(tmp_path, text), TRANSFORM)


BROKEN = [
    ({"fps": 0}, "'fps' to be a number, 0.01 to 1000, found 0"),
    ({"fps": True}, "'fps'"),
    ({"fps": "8"}, "'fps'"),
    ({"size": [64]}, "'size'"),
    ({"size": [64, 0]}, "'size' to be 1 to 16384 pixels, found 0"),
    ({"size": [64.5, 48]}, "'size'"),
    ({"keyframes": []}, "list of 1 to 100000 objects, found \\[\\]"),
    ({"keyframes": [3]}, "keyframes 0: wanted an object, found 3"),
    ({"closed": 1}, "'closed' to be true or false, found 1"),
    ({"fps": 1000, "keyframes": [{"time": 0}, {"time": 1e6}]}, "keyframe 0: wanted 'fov'"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_broken_entries_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=r"path\.json: .*" + message) as error:
        load(write(tmp_path, path_record() | change), TRANSFORM)
    assert "\n" not in str(error.value)


BROKEN_KEYFRAMES = [
    ({"time": 5.0}, "keyframe 2: wanted a 'time' later than 5, found 2.5"),
    ({"time": None}, "keyframe 1: wanted 'time' to be a number"),
    ({"fov": 180}, "keyframe 1: wanted 'fov' to be a number, 0.1 to 179, found 180"),
    ({"pose": [[1, 0], [0, 1]]}, "keyframe 1: wanted 'pose' to be 4 x 4 finite numbers, found"),
    ({"pose": "unit"}, "'pose' to be 4 x 4"),
    ({"pose": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, float("inf")], [0, 0, 0, 1]]}, "4 x 4 finite"),
    ({"pose": [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]}, "wanted a rotation"),
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
        ({"render_width": None}, "'render_width' to be 1 to 16384 pixels, found null"),
        ({"camera_path": [{"camera_to_world": [1] * 15, "fov": 40}]}, "'camera_to_world' to be 16 finite numbers"),
        ({"camera_path": {}}, "wanted 'camera_path' to be a list"),
    ):
        with pytest.raises(ValueError, match=r"path\.json: .*" + message):
            load(write(tmp_path, nerfstudio_record() | change), TRANSFORM)
