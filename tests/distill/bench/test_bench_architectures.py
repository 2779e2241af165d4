"""The contest of architectures: one protocol, failures that are told, the front, the plot."""

import json
import os
import sys
import time

import pytest
from PIL import Image
from rich.console import Console

import fields
from distill import bench_scene
from distill.bench import architectures as bench_architectures
from distill.bench import process
from distill.bench.architectures import Contest, Entrant, compete
from distill.bench.charts import find_front, require_matplotlib
from distill.bench.process import run_command
from distill.bench.results import Failure


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        bench_scene.main()
    return end.value.code


def test_entries_are_all_names_at_the_size_or_the_named_ones():
    every = Contest("builtin", 1, 1, "cpu", "small").entrants()
    assert {one.architecture for one in every} == set(fields.NAMES)
    assert all(one.preset == "small" or one.preset.endswith("-small") for one in every)
    assert Contest("x", 1, 1, "cpu", "small", ("hashgrid:tiny", "hashgrid")).entrants() == [
        Entrant("hashgrid", "tiny"),
        Entrant("hashgrid", "small"),
    ]
    with pytest.raises(ValueError, match="did you mean 'hashgrid'"):
        Contest("x", 1, 1, "cpu", "small", ("hashgird",)).entrants()
    with pytest.raises(ValueError, match="hashgrid has no preset 'huge'"):
        Contest("x", 1, 1, "cpu", "small", ("hashgrid:huge",)).entrants()


def test_the_front_holds_what_nothing_beats():
    points = [(1.0, 20.0), (2.0, 19.0), (3.0, 25.0), (3.0, 24.0), (9.0, 25.0), (10.0, 26.0)]
    assert find_front(points) == [(1.0, 20.0), (3.0, 25.0), (10.0, 26.0)]
    assert find_front([]) == []


def test_a_contest_leaves_table_plot_and_models(in_this_process, monkeypatch, tmp_path, capfd):
    only = ["hashgrid:tiny", "mlp:tiny"]
    words = ["builtin:48", "--architectures", "--seconds", 0.5, "--only", *only, "--out", tmp_path]
    assert run(monkeypatch, *words) == 0
    stored = json.loads((tmp_path / "architectures.json").read_text())
    assert [(r["architecture"], r["preset"]) for r in stored["rows"]] == [("hashgrid", "tiny"), ("mlp", "tiny")]
    for row in stored["rows"]:
        folder = tmp_path / f"{row['architecture']}-tiny"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert row["psnr"] == metrics["psnr"]
        assert row["model_bytes"] == (folder / "model.safetensors").stat().st_size
    assert "8 test pictures" in stored["scored_on"]
    with Image.open(tmp_path / "architectures.png") as picture:
        assert picture.size[0] > 800
        assert len(picture.convert("L").resize((64, 64)).getcolors()) > 10
    assert f"{stored['rows'][0]['psnr']:.2f}" in capfd.readouterr().out


def test_a_failing_entry_is_told_and_the_others_go_on(monkeypatch, tmp_path):
    answers = iter([Failure("no memory")])
    real = bench_architectures.train_entrant
    monkeypatch.setattr(bench_architectures, "train_entrant", lambda *a: next(answers, None) or real(*a))
    contest = Contest("builtin:48", 0.2, 1, "cpu", "small", ("mlp:tiny", "hashgrid:tiny"))  # the latter as a process
    result = compete(contest, tmp_path, Console(quiet=True))
    rows = result.to_record()["rows"]
    assert rows[0] == {"architecture": "mlp", "preset": "tiny", "error": "no memory"}
    assert rows[1]["psnr"] > 0
    assert result.to_table().row_count == 2


def test_data_that_cannot_be_read_is_one_line(monkeypatch, tmp_path, capfd):
    (tmp_path / "none").mkdir()
    words = [tmp_path / "none", "--architectures", "--only", "hashgrid:tiny", "--out", tmp_path / "o"]
    assert run(monkeypatch, *words) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "no architecture could be trained" in last
    assert "folder is empty" in last


def test_missing_matplotlib_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match="pip install matplotlib"):
        require_matplotlib()


def test_an_interrupted_process_is_told_once_and_waited_for(monkeypatch, tmp_path):
    code = """
import pathlib, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored from birth
try:
    pathlib.Path("ready").touch()
    time.sleep(3600)
except KeyboardInterrupt:
    time.sleep(0.2)
    pathlib.Path("saved").touch()
"""
    (tmp_path / "slow_command.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def interrupted(started, *_):
        while not (tmp_path / "ready").exists() and started.poll() is None:
            time.sleep(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "follow_log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_command("slow_command", [], tmp_path / "log.jsonl", 1.0, Console(quiet=True))
    assert (tmp_path / "saved").exists()
