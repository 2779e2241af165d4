"""Where results go: a folder of their own for every data set, mesh and model, never among the data."""

import os
from pathlib import Path

import pytest

from scenes.results import OWNER, digest, locate, result_folder


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def capture(name):
    """A folder that holds a data set."""
    folder = Path(name)
    (folder / "images").mkdir(parents=True)
    (folder / "transforms.json").write_text("{}")
    return name


def taken(text, kind=""):
    """The folder for these results, which then are there."""
    folder = result_folder(text, kind)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OWNER).write_text(digest(locate(text)))
    return folder


def test_a_name_is_the_whole_name_of_the_folder():
    for name in ("scan.v1", "scan.v2", "chair"):
        assert taken(capture(f"captures/{name}")) == Path("runs") / name
        assert taken(f"captures/{name}/") == taken(f"captures/{name}/transforms.json") == Path("runs") / name
    assert result_folder("builtin") == Path("runs/builtin")
    assert result_folder("builtin:48") == Path("runs/builtin_48")


def test_files_are_named_by_themselves_but_for_those_that_are_all_called_alike():
    for name in ("scan.v1.ply", "scan.v2.ply", "chair/model.safetensors", "lego/model.safetensors", "a.b.safetensors"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert [taken(f"scan.v{n}.ply") for n in (1, 2)] == [Path("runs/scan.v1"), Path("runs/scan.v2")]
    assert taken("chair/model.safetensors", "vm") == Path("runs/chair_vm")
    assert taken("lego/model.safetensors", "vm") == Path("runs/lego_vm")
    assert taken("a.b.safetensors", "vm") == Path("runs/a.b_vm")


def test_others_of_the_same_name_get_a_number_and_keep_it():
    one, two = capture("a/chair"), capture("b/chair")
    assert taken(one) == Path("runs/chair")
    assert taken(two) == Path("runs/chair_2")
    assert (taken(one), taken(two)) == (Path("runs/chair"), Path("runs/chair_2"))
    Path("a/chair/other.json").write_text("{}")
    assert taken("a/chair/other.json") == Path("runs/chair_3")
    Path("runs/lego").touch()
    assert taken(capture("a/lego")) == Path("runs/lego_2")  # a file is in the way


@pytest.mark.parametrize(
    ("where", "text", "wanted"),
    [
        ("scan.v1", ".", "../runs/scan.v1"),
        ("scan.v1/images", "..", "runs/scan.v1"),
        ("scan.v1/images", "../transforms.json", "runs/scan.v1"),
        (".", "runs/chair", "runs/chair_2"),
        (".", "runs", "runs_runs/runs"),
        (".", "runs/one/one", "runs/one_2"),
    ],
)
def test_never_among_the_data_nor_around_them(where, text, wanted, working_folder, monkeypatch):
    for name in ("scan.v1", "runs", "runs/chair", "runs/one/one"):
        capture(name)
    monkeypatch.chdir(where)
    folder = Path(os.path.realpath(result_folder(text)))
    assert folder == Path(os.path.realpath(working_folder / wanted.removeprefix("../")))
    assert not folder.is_relative_to(locate(text)) and not Path(locate(text)).is_relative_to(folder)


def test_where_there_is_no_place_outside_one_has_to_be_named():
    with pytest.raises(ValueError, match=r"^/: there is no place outside of it for the results; name one with --out$"):
        result_folder("/")


def test_the_same_data_however_it_is_named(working_folder, monkeypatch):
    capture("base")
    Path("link").symlink_to("base")
    names = (
        "base",
        "base/",
        "./base",
        "link",
        str(working_folder / "base"),
        "'base'",
        "base/images/..",
        "link/transforms.json",
    )
    assert {locate(name) for name in names} == {os.path.realpath("base")}
    (Path("base") / "transforms_train.json").write_text("{}")  # now the folder is read in another way
    assert locate("base/transforms.json") != locate("base")
    assert (locate("builtin:48"), locate("nothing"), locate("")) == ("builtin:48", "", "")
