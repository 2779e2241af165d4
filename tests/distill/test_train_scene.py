"""`train-scene` as a person meets it: results, one-line errors, Ctrl-C, full disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tyro
from PIL import Image

import fields
from distill import train_scene
from distill.learning import monitor as progress
from fields import files
from fields.files import load
from fields.programs import program
from viewer.settings import ViewSettings

QUICK = ["builtin:48", "--preset", "tiny", "--batch", "4096"]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        train_scene.main()
    return end.value.code


def test_a_run_leaves_model_metrics_log_and_sheet(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, *QUICK, "--steps", 30, "--out", tmp_path, "--json") == 0
    told = capsys.readouterr()
    printed = json.loads(told.out)  # nothing else on stdout
    assert re.search(r"step \d+  photographs  [\d.]+ dB( \(\d+ after \d+ s\))?  [\d.]+ M samples/s", told.err)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert printed == stored
    assert stored["steps"] == 30
    assert stored["protocol"]["split"] == "test"
    assert len(stored["images"]) == stored["protocol"]["count"] == 8
    assert stored["model_bytes"] == (tmp_path / "model.safetensors").stat().st_size
    assert stored["peak_memory_bytes"] > 1e8
    assert stored["psnr"] == pytest.approx(sum(i["psnr"] for i in stored["images"]) / 8)
    model = load(tmp_path / "model.safetensors")
    assert len(model.header.train_cameras) == 48
    assert model.header.metrics["psnr"] == stored["psnr"]
    assert model.header.provenance["recipe"]["data"] == "builtin:48"
    assert model.header.thumbnail
    with Image.open(tmp_path / "test_sheet.png") as sheet:
        assert sheet.size[0] > 100
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 1
    left = {p.name for p in tmp_path.iterdir()} - {"preview.png"}  # where the run took long enough for one
    assert left == {"metrics.json", "model.safetensors", "log.jsonl", "test_sheet.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arch", "hashgird"], "did you mean 'hashgrid'?"),
        (["--preset", "huge"], "there are: tiny, small, base, large"),
        (["--batch", "7"], "batch must be 1024 to 1048576 samples, found 7"),
        (["--resume"], "checkpoint.safetensors"),
        (["--frequency", "auto"], "hashgrid has no frequency to choose"),
        (["--arch", "mlp", "--frequency", "high"], "--frequency wants auto or a number, found 'high'"),
        (["--arch", "mlp", "--frequency", "1e9"], "mlp: bandwidth must be a number from"),
    ],
)
def test_bad_flags_are_one_line(monkeypatch, tmp_path, capsys, arguments, words):
    assert run(monkeypatch, "builtin:48", *arguments, "--out", tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert not list((tmp_path / "o").glob("*"))


def test_a_preset_too_large_for_memory_is_refused_before_anything_is_read(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("distill.learning.memory.free", lambda device: 2 << 30)
    (tmp_path / "empty").mkdir()
    assert run(monkeypatch, tmp_path / "empty", "--preset", "large", "--out", tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "hashgrid preset 'large' needs about 5.8 GB to train (90.5 M parameters); 2.1 GB are free on cpu" in error


def test_the_list_shows_every_preset(monkeypatch, capsys):
    assert run(monkeypatch, "--list", "--all") == 0
    shown = capsys.readouterr().out
    for name in fields.NAMES:
        assert name in shown
        for size in fields.module(name).PRESETS:
            assert size in shown


def test_the_frequency_is_chosen_told_and_kept_in_the_model(monkeypatch, tmp_path, capsys):
    words = ["builtin:48", "--arch", "mlp", "--preset", "tiny", "--batch", 4096, "--steps", 2, "--out", tmp_path]
    assert run(monkeypatch, *words, "--frequency", "auto") == 0
    told = re.search(r"frequency (\d+) cycles per box side", capsys.readouterr().out)
    assert told
    header = load(tmp_path / "model.safetensors").header
    assert header.config["bandwidth"] == float(told[1]) == header.provenance["recipe"]["bandwidth"]
    assert run(monkeypatch, *words, "--frequency", 12.5, "--overwrite") == 0
    assert load(tmp_path / "model.safetensors").header.config["bandwidth"] == 12.5


def test_cuda_without_a_device(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run(monkeypatch, "--device", "cuda", "--out", tmp_path / "o") == 2
    assert "finds no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("make", ["missing", "empty", "photos", "file"])
def test_bad_data_is_one_line_and_leaves_nothing(monkeypatch, tmp_path, capsys, make):
    data = tmp_path / "data"
    if make in ("empty", "photos"):
        data.mkdir()
    if make == "photos":
        Image.new("RGB", (8, 8)).save(data / "a.png")
    if make == "file":
        data.write_text("hello")
    assert run(monkeypatch, data, "--out", tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(data) in error
    words = {"missing": "no such file", "empty": "empty", "photos": "colmap2nerf", "file": "not a data set"}
    assert words[make] in error
    assert not (tmp_path / "o" / "model.safetensors").exists()
    assert not (tmp_path / "o").exists()


def test_out_that_is_a_file(monkeypatch, tmp_path, capsys):
    (tmp_path / "o").write_text("mine")
    assert run(monkeypatch, *QUICK, "--out", tmp_path / "o") == 2
    assert "is a file; --out wants a folder" in capsys.readouterr().err
    assert (tmp_path / "o").read_text() == "mine"


def test_full_disk_keeps_the_old_model(monkeypatch, tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes(b"old")
    real = os.fsync

    def full(number):
        if os.fstat(number).st_size > 10_000:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(files.os, "fsync", full)
    assert run(monkeypatch, *QUICK, "--steps", 3, "--out", tmp_path, "--overwrite") == 2
    assert capsys.readouterr().err.endswith("model.safetensors: No space left on device\n")
    assert (tmp_path / "model.safetensors").read_bytes() == b"old"
    assert not list(tmp_path.glob(".model*"))


def test_interrupted_run_saves_ends_with_130_and_continues(monkeypatch, tmp_path, capsys):
    words = [*QUICK, "--steps", "100000", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "distill.train_scene", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "log.jsonl"
    for _ in range(600):
        if log.exists() and len(log.read_text().splitlines()) >= 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert load(tmp_path / "model.safetensors").header.provenance["steps"] > 1
    assert (tmp_path / "checkpoint.safetensors").exists()
    before, seen = len(log.read_text().splitlines()), []

    def pressed(bar, step):  # the second Ctrl-C comes in this process, which is warm
        saw(bar, step)
        seen.append(step.index)
        if len(log.read_text().splitlines()) > before:
            os.kill(os.getpid(), signal.SIGINT)

    saw = progress.Bar.saw
    monkeypatch.setattr(progress.Bar, "saw", pressed)
    assert run(monkeypatch, *words, "--resume") == 130
    told = capsys.readouterr()
    assert f"continues at step {seen[0]}" in told.out
    assert told.err == "train-scene: interrupted\n"
    assert load(tmp_path / "model.safetensors").header.provenance["steps"] == seen[-1] + 1
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == sorted(steps)
    assert len(steps) == before + 1


@pytest.mark.parametrize(
    ("words", "passed", "data"),
    [
        (["--viewer", "--arch", "vm"], ["builtin", "--arch", "vm"], "builtin"),
        (["--steps", "5", "chair", "--viewer"], ["--steps", "5", "chair"], "chair"),
    ],
)
def test_viewer_becomes_view_scene_with_the_same_flags(monkeypatch, tmp_path, words, passed, data):
    begun = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chair").mkdir()

    def execv(path, arguments):
        begun.append((path, arguments))
        sys.exit(0)  # where the process would be another one

    monkeypatch.setattr(train_scene.os, "execv", execv)
    assert run(monkeypatch, *words) == 0
    assert begun == [(sys.executable, program("viewer.view_scene", *passed))]
    assert tyro.cli(ViewSettings, args=passed).inputs == (data,)


@pytest.mark.parametrize("name", ["viewer", "fields", "numpy", "runpy"])
def test_a_file_in_the_working_folder_is_not_the_viewer(name, tmp_path):
    (tmp_path / f"{name}.py").write_text("")
    command = program("distill.train_scene", "builtin:48", "--viewer")
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("view-scene: no display")


def test_on_windows_the_viewer_is_waited_for(monkeypatch, tmp_path):
    """There `execv` gives the shell back at once, and takes words with blanks apart."""
    monkeypatch.setattr(train_scene.os, "name", "nt")
    monkeypatch.setattr(train_scene.subprocess, "call", lambda words: 7 if words[-1] == "a b" else 0)
    monkeypatch.setattr(train_scene.sys, "argv", ["train-scene", "--viewer", "--out", "a b"])
    with pytest.raises(SystemExit) as caught:
        train_scene.open_viewer("builtin", train_scene.sys.argv[1:])
    assert caught.value.code == 7
