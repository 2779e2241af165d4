"""Camera paths made of keyframes: put together, written, read, and drawn by render-scene as in the window."""

import json
import math
from dataclasses import replace

import pytest
import torch

from render import path_files
from viewer.front import keyframes, navigation
from viewer.front.keyframes import CameraKeys

SIZE = (64, 48)
BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


def eyes(count: int) -> list[navigation.Eye]:
    first = navigation.start(BOX, [])
    return [navigation.widen(navigation.orbit(first, 300 * k, 40 * k * k), k) for k in range(count)]


def path(count: int = 4, loop: float = 0.0) -> CameraKeys:
    result = CameraKeys(loop=loop)
    for eye in eyes(count):
        result = keyframes.add(result, eye)
    return result


def similarity() -> torch.Tensor:
    """Turned, scaled by 3.7 and shifted: scene units to input coordinates."""
    result = torch.eye(4, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64))[0]
    result[:3, :3] = 3.7 * turn * turn.det()
    result[:3, 3] = torch.tensor([2.0, -5.0, 0.3])
    return result


def same(a, b, tolerance: float) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert torch.allclose(one.pose, other.pose, atol=tolerance)
        assert one.intrinsics.fy == pytest.approx(other.intrinsics.fy, rel=tolerance)
        assert one.size == other.size


def times(keys: CameraKeys) -> list[float]:
    return [key.time for key in keys.keys]


def test_keyframes_are_added_removed_and_moved():
    whole = path(3)
    assert times(whole) == [0, 2, 4] and whole.seconds == 4
    assert keyframes.remove(whole, 1).keys == (whole.keys[0], whole.keys[2])
    between = keyframes.add(whole, eyes(5)[4], 3.0)
    assert times(between) == [0, 2, 3, 4] and between.keys[2].position == eyes(5)[4].position
    moved = keyframes.move(whole, 1, eyes(4)[3])
    assert moved.keys[1] == replace(
        whole.keys[1], position=eyes(4)[3].position, turn=eyes(4)[3].turn, fov=eyes(4)[3].fov
    )
    assert (moved.keys[0], moved.keys[2]) == (whole.keys[0], whole.keys[2])


def test_another_time_may_change_the_order_but_never_makes_two_of_one():
    whole = path(3)
    late = keyframes.retime(whole, 0, 9.0)
    assert times(late) == [2, 4, 9] and late.keys[2].position == whole.keys[0].position
    met = keyframes.retime(whole, 0, 2.0)
    assert times(met) == [2, 2 + keyframes.CLOSEST, 4] and met.keys[0].position == whole.keys[0].position


def test_the_path_passes_its_keyframes():
    whole = path(4)
    drawn = keyframes.make_cameras(whole, 10, SIZE)
    assert len(drawn) == 61
    for index, eye in enumerate(eyes(4)):
        same([drawn[20 * index]], [navigation.make_camera(eye, SIZE)], 1e-5)  # float32 poses


def test_a_loop_ends_where_it_begins():
    drawn = keyframes.make_cameras(path(3, loop=2.0), 10, SIZE)
    assert len(drawn) == 61
    same([drawn[0]], [drawn[-1]], 1e-5)
    plain = keyframes.make_cameras(path(3), 10, SIZE)
    assert len(plain) == 41 and not torch.allclose(plain[5].pose, drawn[5].pose, atol=1e-4)


@pytest.mark.parametrize("loop", [0.0, 1.5])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_eye_at_a_time_is_the_films(count, loop):
    whole = path(count, loop)
    eye = replace(eyes(1)[0], view=3, near=0.2)
    for frame, camera in enumerate(keyframes.make_cameras(whole, 4, SIZE)):
        at = keyframes.look_at_time(whole, frame / 4, eye)
        same([navigation.make_camera(at, SIZE)], [camera], 1e-5)
        assert at.view is None and at.near == 0.2
    assert keyframes.look_at_time(whole, 1e6, eye) == keyframes.look_at_time(whole, whole.seconds, eye)
    last = navigation.make_camera(keyframes.look_from_key(whole, count - 1, eye), SIZE)
    same([last], [navigation.make_camera(eyes(count)[-1], SIZE)], 1e-6)


@pytest.mark.parametrize("loop", [0.0, 1.5])
def test_render_scene_reads_the_same_cameras_from_the_file(tmp_path, loop):
    """To 1e-5: poses are float32, in input coordinates of size 10."""
    file, to_input = tmp_path / "path.json", similarity()
    keyframes.write(file, path(4, loop), 12.5, SIZE, to_input.tolist())
    loaded = path_files.load(file, to_input.inverse())
    assert loaded.fps == 12.5
    same(loaded.cameras, keyframes.make_cameras(path(4, loop), 12.5, SIZE), 1e-5)


@pytest.mark.parametrize("loop", [0.0, 1.5])
@pytest.mark.parametrize("count", [1, 4])
def test_a_file_is_read_back_to_work_on(tmp_path, loop, count):
    file, to_input = tmp_path / "path.json", similarity()
    keyframes.write(file, path(count, loop), 24, SIZE, to_input.tolist())
    found = keyframes.read(file, to_input.inverse())
    assert (found.fps, found.size) == (24, SIZE)
    assert times(found.keys) == times(path(count)) and found.keys.loop == pytest.approx(loop)
    same(keyframes.make_cameras(found.keys, 6, SIZE), keyframes.make_cameras(path(count, loop), 6, SIZE), 1e-5)


def test_files_hold_input_coordinates(tmp_path):
    to_input = similarity()
    [frame] = keyframes.to_record(path(1), 24, SIZE, to_input.tolist())["keyframes"]
    position = to_input @ torch.tensor([*eyes(1)[0].position, 1.0], dtype=torch.float64)
    assert [row[3] for row in frame["pose"]] == pytest.approx(position.tolist())
    assert frame["fov"] == pytest.approx(math.degrees(eyes(1)[0].fov))


def test_every_frame_of_nerfstudios_becomes_a_keyframe(tmp_path):
    file = tmp_path / "camera_path.json"
    drawn = keyframes.make_cameras(path(2), 5, SIZE)
    frames = [{"camera_to_world": c.pose.flatten().tolist(), "fov": 40.0 + k} for k, c in enumerate(drawn)]
    values = {"camera_type": "perspective", "render_width": 64, "render_height": 48, "fps": 5, "camera_path": frames}
    file.write_text(json.dumps(values))
    found = keyframes.read(file, torch.eye(4, dtype=torch.float64))
    assert (len(found.keys.keys), found.fps, found.size) == (11, 5, SIZE)
    same(keyframes.make_cameras(found.keys, 5, SIZE), path_files.load(file, torch.eye(4)).cameras, 1e-5)


def test_a_bad_file_is_told_with_its_name(tmp_path):
    file = tmp_path / "path.json"
    for text in ("{", "[]", '{"keyframes": []}', '{"keyframes": [{"time": 0}], "fps": 1, "size": [4, 4]}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"path\.json: "):
            keyframes.read(file, torch.eye(4))


def test_an_empty_path_is_no_film():
    with pytest.raises(ValueError, match="at least 1 keyframe"):
        keyframes.make_cameras(CameraKeys(), 24, SIZE)
    assert CameraKeys().seconds == 0
    assert keyframes.look_at_time(CameraKeys(), 1.0, eyes(1)[0]) == eyes(1)[0]
