"""`train-scene` as a person meets it: results, one-line errors, Ctrl-C, full disk."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
import tyro
from PIL import Image

import fields
from distill import train_scene
from distill.learning import monitor as progress
from fields import files
from fields.files import load
from fields.programs import program
from render.paths import look_at
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
    while process.poll() is None:
        if log.exists() and len(log.read_text().splitlines()) >= 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
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


def capture(folder):
    """A data set of eight views of nothing much."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, angle in enumerate(torch.linspace(0, 6.283, 9)[:-1]):
        name = f"images/{number:03d}.png"
        Image.new("RGBA", (16, 16), (200, 30 * number, 0, 255)).save(folder / name)
        eye = torch.stack([3 * angle.cos(), 3 * angle.sin(), torch.tensor(1.0)])
        pose = look_at(eye, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    record = {"fl_x": 20.0, "w": 16, "h": 16, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(record))
    return folder


SMALL = ["--preset", "tiny", "--batch", 1024]


def one_line(capsys):
    """What stands on standard error, which must be one line, behind the command's name."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error.removeprefix("train-scene: ").strip()


def test_no_result_is_lost_untold(monkeypatch, tmp_path, capsys):
    """Names that share a stem, files of one name, a working folder inside the data; then other flags, other data."""
    monkeypatch.chdir(tmp_path)
    for name in ("scan.v1", "scan.v2"):
        capture(tmp_path / name)
    for folder, data, out in (
        (".", "scan.v1", "runs/scan.v1"), (".", "scan.v2/transforms.json", "runs/scan.v2"),
        ("scan.v1/images", "..", "runs/scan.v1"),
    ):  # fmt: skip
        monkeypatch.chdir(tmp_path / folder)
        assert run(monkeypatch, data, *SMALL, "--steps", 1) == 0
        assert (tmp_path / out / "model.safetensors").is_file()
    assert sorted(path.name for path in (tmp_path / "scan.v1").iterdir()) == ["images", "transforms.json"]
    assert len(list((tmp_path / "scan.v1" / "images").iterdir())) == 8
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    model = Path("runs/scan.v1/model.safetensors")
    before = model.read_bytes()
    end = "; --overwrite writes over it, --out names another place"
    for words, difference in (
        (["--steps", 2], "steps 1, this run has 2"),
        (["--steps", 1, "--max-seconds", 60], "--max-seconds inf, this run has 60"),
        (["--steps", 1, "--seed", 3], "seed 0, this run has 3"),
    ):
        assert run(monkeypatch, "scan.v1", *SMALL, *words) == 2
        assert one_line(capsys) == f"{model}: is of another run, with {difference}{end}"
    assert run(monkeypatch, "scan.v2", *SMALL, "--steps", 1, "--out", model.parent) == 2
    said = f"{model}: is of another run, with data '..', this run has {str(tmp_path / 'scan.v2')!r}{end}"
    assert one_line(capsys) == said
    assert run(monkeypatch, "scan.v1", *SMALL, "--steps", 1, "--out", "scan.v1") == 2
    assert one_line(capsys) == "scan.v1: is what is read; --out wants another place for the results"
    assert model.read_bytes() == before
    assert run(monkeypatch, "scan.v1", *SMALL, "--steps", 2, "--overwrite") == 0
    assert load(model).header.provenance["steps"] == 2
    assert str(tmp_path) not in json.dumps(load(model).header.record())  # where the data lies is nobody's business


def test_a_run_goes_on_however_its_data_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    capture(tmp_path / "base")
    (tmp_path / "link").symlink_to("base")
    words = [*SMALL, "--steps", 9, "--out", tmp_path / "o"]
    pressed = iter(range(1, 9))

    def press(bar, step):
        os.kill(os.getpid(), signal.SIGHUP if next(pressed) % 2 else signal.SIGINT)

    monkeypatch.setattr(progress.Bar, "saw", press)
    assert run(monkeypatch, "base", *words) == 129
    for name in ("base/", "./base", "link", tmp_path / "base", "base/transforms.json"):
        assert run(monkeypatch, name, *words, "--resume") in (129, 130)
    capture(tmp_path / "other" / "base")
    monkeypatch.chdir(tmp_path / "other")
    capsys.readouterr()
    assert run(monkeypatch, "base", *words, "--resume") == 2
    assert f"this run has {str(tmp_path / 'other' / 'base')!r}" in one_line(capsys)
    (tmp_path / "base").rename(tmp_path / "moved")  # all together to another place or machine
    assert run(monkeypatch, "base", *words, "--resume") == 2  # but it was called base/transforms.json last
    (tmp_path / "other" / "base").rename(tmp_path / "other" / "last")
    (tmp_path / "moved").rename(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "base", *words, "--resume") in (129, 130)
    assert load(tmp_path / "o" / "model.safetensors").header.provenance["steps"] == 7


def test_results_that_cannot_be_written_are_kept_elsewhere_and_go_on(monkeypatch, tmp_path, capsys):
    out, other = tmp_path / "o", tmp_path / "temporary"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    real = Path.replace

    def full(part, path):
        if Path(path) == out / "model.safetensors":
            raise OSError(28, "No space left on device")
        real(part, path)

    capture(tmp_path / "data")
    words = [tmp_path / "data", *SMALL, "--steps", 3]
    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "replace", full)
        assert run(patch, *words, "--out", out) == 2
    [kept] = other.iterdir()
    where = f"what was learnt is in {kept}, from where --resume goes on"
    assert one_line(capsys) == f"{out}/model.safetensors: No space left on device; {where}"
    assert load(kept / "model.safetensors").header.provenance["steps"] == 3
    assert run(monkeypatch, *words, "--out", kept, "--resume") == 0
    assert "continues at step 3" in capsys.readouterr().out
    assert (kept / "metrics.json").is_file()


def test_a_folder_that_is_removed_meanwhile_comes_again(monkeypatch, tmp_path, capsys):
    out = tmp_path / "o"
    monkeypatch.setattr("distill.learning.files.MEASURED_EVERY", 0.0)

    def removed(bar, step):
        if step.index == 1:
            shutil.rmtree(out)

    monkeypatch.setattr(progress.Bar, "saw", removed)
    assert run(monkeypatch, capture(tmp_path / "data"), *SMALL, "--steps", 4, "--out", out) == 0
    left = {path.name for path in out.iterdir()}
    assert left == {"model.safetensors", "metrics.json", "log.jsonl", "test_sheet.png"}
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [3, 4]


def test_two_runs_in_one_place_are_told_and_what_the_killed_one_left_is_swept(monkeypatch, tmp_path, capsys):
    out, data = tmp_path / "o", capture(tmp_path / "data")
    words = [str(word) for word in (data, *SMALL, "--steps", 100_000, "--out", out)]
    command = [sys.executable, "-m", "distill.train_scene", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (out / "log.jsonl").exists() or not (out / "log.jsonl").read_text():
            time.sleep(0.1)
            assert process.poll() is None
        assert run(monkeypatch, *words) == 2
        assert f"{out}/model.safetensors: process {process.pid} is writing it; wait" in one_line(capsys)
        process.kill()
    assert (out / ".model.lock").exists()
    (out / f".model.safetensors.abcdefgh.{process.pid}.part").write_bytes(b"half")
    assert run(monkeypatch, data, *SMALL, "--steps", 1, "--out", out) == 0
    assert not list(out.glob(".*"))


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
