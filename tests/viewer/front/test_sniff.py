"""What a path is."""

import json

import pytest

from viewer.front.sniff import sniff

HEADER = b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'


def written(path, record) -> str:
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("record", "kind"),
    [({"keyframes": []}, "path"), ({"camera_path": []}, "path"), ({"frames": [], "camera_angle_x": 1.0}, "data")],
)
def test_json_tells_data_from_camera_paths_by_its_entries(tmp_path, record, kind):
    path = written(tmp_path / "some.json", record)
    assert (sniff(path).kind, sniff(path).path) == (kind, path)


def test_a_model_is_told_by_its_first_bytes(tmp_path):
    path = tmp_path / "chair.safetensors"
    path.write_bytes(len(HEADER).to_bytes(8, "little") + HEADER)
    assert sniff(str(path)).kind == "model"
    path.write_bytes(b"PK\x03\x04 a zip by another name")
    with pytest.raises(ValueError, match=r"chair\.safetensors: ends in \.safetensors but is not such a file"):
        sniff(str(path))


def test_folders_with_poses_and_the_built_in_scene_are_data(tmp_path):
    written(tmp_path / "transforms.json", {"frames": []})
    assert sniff(str(tmp_path)).kind == "data"
    assert sniff("builtin").kind == sniff("builtin:64").kind == "data"


def test_a_mesh_is_told_by_its_ending(tmp_path):
    (tmp_path / "ball.ply").write_bytes(b"ply\n")
    assert sniff(str(tmp_path / "ball.ply")).kind == "mesh"
    with pytest.raises(ValueError, match=r"missing\.glb: no such file"):
        sniff(str(tmp_path / "missing.glb"))


def test_what_shells_and_file_managers_put_around_a_path_is_taken_off(tmp_path):
    written(tmp_path / "a path.json", {"keyframes": []})
    for text in (f"'{tmp_path}/a path.json'", f"file://{tmp_path}/a path.json", f"  {tmp_path}/a path.json\n"):
        assert sniff(text).path == f"{tmp_path}/a path.json"


@pytest.mark.parametrize("text", ["", "   ", "/nothing/there", "/nothing/there.safetensors", "/nothing/there.json"])
def test_what_is_not_there_is_one_line(text):
    with pytest.raises(ValueError, match=r"wanted a model|no such file|wanted JSON") as caught:
        sniff(text)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds_say_what_was_wanted(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.json").write_text("{")
    for name, said in (("notes.txt", "wanted a model"), ("broken.json", "wanted JSON")):
        with pytest.raises(ValueError, match=said):
            sniff(str(tmp_path / name))
    with pytest.raises(ValueError, match="keyframes"):
        sniff(written(tmp_path / "other.json", {"some": 1}))
