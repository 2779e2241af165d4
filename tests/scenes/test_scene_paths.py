"""What a path is."""

import json

import pytest

from scenes.paths import expect, look

HEADER = b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'


def written(path, record) -> str:
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


def openable(text):
    """What a window can open."""
    return expect(text, "model", "scene", "camera path")


@pytest.mark.parametrize(
    ("record", "kind"),
    [({"keyframes": []}, "camera path"), ({"camera_path": []}, "camera path"), ({"frames": [], "x_fov": 1.0}, "scene")],
)
def test_json_tells_data_from_camera_paths_by_its_entries(tmp_path, record, kind):
    path = written(tmp_path / "some.json", record)
    assert (look(path).kind, look(path).path) == (kind, path)


def test_a_model_is_told_by_its_first_bytes(tmp_path):
    path = tmp_path / "chair.safetensors"
    path.write_bytes(len(HEADER).to_bytes(8, "little") + HEADER)
    assert look(str(path)).kind == openable(str(path)).kind == "model"
    path.write_bytes(b"PK\x03\x04 a zip by another name")
    with pytest.raises(ValueError, match=r"chair\.safetensors: is a pickle"):
        openable(str(path))


def test_folders_with_poses_and_the_built_in_scene_are_data(tmp_path):
    written(tmp_path / "transforms.json", {"frames": []})
    found = look(str(tmp_path))
    assert (found.kind, found.format) == ("scene", "transforms")
    assert look("builtin").kind == look("builtin:64").kind == "scene"


def test_a_mesh_is_told_by_its_ending(tmp_path):
    (tmp_path / "ball.ply").write_bytes(b"ply\n")
    assert look(str(tmp_path / "ball.ply")).format == "mesh"
    with pytest.raises(ValueError, match=r"missing\.glb: no such file or folder; wanted .*mesh"):
        openable(str(tmp_path / "missing.glb"))


def test_what_shells_and_file_managers_put_around_a_path_is_taken_off(tmp_path):
    written(tmp_path / "a path.json", {"keyframes": []})
    for text in (f"'{tmp_path}/a path.json'", f"file://{tmp_path}/a path.json", f"  {tmp_path}/a path.json\n"):
        assert look(text).path == f"{tmp_path}/a path.json"


@pytest.mark.parametrize(
    "text",
    ["", "   ", "~nobody-of-this-name/there", "/nothing/there", "/nothing/there.safetensors", "/nothing/there.json"],
)
def test_what_is_not_there_is_one_line(text):
    with pytest.raises(ValueError, match=r"wanted a model|no such file") as caught:
        openable(text)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds_say_what_was_wanted(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.json").write_text("{")
    for name, said in (("notes.txt", "wanted a model"), ("broken.json", "not whole JSON")):
        with pytest.raises(ValueError, match=said):
            openable(str(tmp_path / name))
    with pytest.raises(ValueError, match="keyframes"):
        openable(written(tmp_path / "other.json", {"some": 1}))
