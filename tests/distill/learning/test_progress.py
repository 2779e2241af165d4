"""Where a run writes; and that Ctrl-C, in any phase, loses nothing."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from analytic import block_file
from rich.console import Console

from distill import convert_scene
from distill.conversion import report
from distill.learning import monitor as progress
from distill.learning.files import Files, Pace
from distill.learning.fit import Step
from fields.files import load
from fields.kernels.options_cpu import COMPILING

STEPS = 30
WORDS = ("--to", "triplane", "--preset", "tiny", "--batch", "1024", "--steps", str(STEPS))
LEFT = {"s.safetensors", "s_checkpoint.safetensors", "s_log.jsonl"}
DONE = {"s.safetensors", "s_metrics.json", "s_sheet.png", "s_log.jsonl"}


def convert(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["convert-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        convert_scene.main()
    return end.value.code


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A hash grid that holds a block."""
    return block_file(tmp_path_factory.mktemp("teacher") / "block.safetensors")


@pytest.fixture(scope="module")
def whole(teacher, tmp_path_factory):
    """Weights of a conversion that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "s.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        assert convert(patch, teacher, *WORDS, "--out", out) == 0
    return load(out).field.state_dict()


def test_the_bar_says_when_whole_decibels_were_reached():
    def step(index, mse, seconds):
        return Step(index, "photographs", 0.1, mse, 1, 1000, seconds, index / 10, "")

    pace = Pace(0.0)
    bar, said = progress.Bar(Console(file=io.StringIO()), SimpleNamespace(pace=pace)), []
    pace.saw(step(0, 1.0, 1.0))
    for index, (mse, seconds) in enumerate([(1.0, 1.0), (10**-2.05, 2.0), (10**-2.6, 3.0), (10**-2.3, 4.0)]):
        pace.mse, pace.fresh = mse, True
        bar.saw(step(index, mse, seconds))
        said.append(bar.bar.tasks[0].description)
    assert "0.00 dB  " in said[0]
    assert "20.50 dB (20 after 2 s)  " in said[1]
    assert "26.00 dB (26 after 3 s)  " in said[2]
    assert "23.00 dB (26 after 3 s)  " in said[3]


def step(progress, seconds):
    return Step(7, "photographs", 0.1, 0.01, 1, 1000, seconds, progress, "")


@pytest.mark.parametrize(
    ("done", "seconds", "text"),
    [(0.0, 0.1, ""), (0.01, 1.0, ""), (0.5, 30.0, "  30 s left"), (0.25, 60.0, "  3 min 00 s left"), (1.0, 60.0, "")],
)
def test_what_is_left_is_told_as_soon_as_it_is_known_and_until_the_end(done, seconds, text):
    assert progress.left(step(done, seconds)) == text


def lines_of(said, wanted):
    """The plain lines so far, as soon as one of them has this in it; all there are after ten minutes."""
    for _ in range(60_000):
        lines = said.getvalue().splitlines()
        if any(wanted in line for line in lines):
            return lines
        time.sleep(0.01)
    return said.getvalue().splitlines()


def test_without_a_terminal_plain_lines_say_what_is_done_also_while_nothing_happens(monkeypatch):
    monkeypatch.setattr(progress, "LINE", 0.01)
    said = io.StringIO()
    pace = Pace(0.0)
    with progress.Bar(Console(file=said), SimpleNamespace(pace=pace)) as bar:
        assert any(line.endswith(" s: first step ...") for line in lines_of(said, "first step"))
        COMPILING.on_start(None)
        assert any("compiling kernels, once" in line for line in lines_of(said, "compiling"))
        COMPILING.on_end(None)
        pace.mse, pace.rate, pace.fresh = 0.01, 2e6, True
        bar.saw(step(0.5, 30.0))
        wanted = " s: step 8  photographs  20.00 dB (20 after 30 s)  2.00 M samples/s  30 s left"
        assert any(line.endswith(wanted) for line in lines_of(said, "step 8"))
    before = said.getvalue()
    assert "\r" not in before
    assert not any(ord(letter) > 127 or letter == "\x1b" for letter in before)
    time.sleep(0.05)
    assert said.getvalue() == before  # closed, it is silent


def test_on_a_terminal_a_bar_says_it(monkeypatch):
    monkeypatch.setattr(progress, "GLANCE", 0.01)
    said = io.StringIO()
    with progress.Status(Console(file=said, force_terminal=True, width=100), "first") as shown:
        COMPILING.on_start(None)
        assert any("compiling kernels, once" in line for line in lines_of(said, "compiling kernels, once"))
        COMPILING.on_end(None)
        shown.say("second", 0.5)
    assert "second" in said.getvalue()
    assert not [line for line in said.getvalue().splitlines() if " s: " in line]


def test_what_goes_wrong_is_all_that_is_said_then():
    said = io.StringIO()
    with pytest.raises(ValueError, match="empty"), progress.Status(Console(file=said, width=100), "reading ..."):
        raise ValueError("empty")
    assert said.getvalue() == ""


def test_phases_that_were_never_reached_are_named(monkeypatch, teacher, tmp_path, capsys):
    """One step, of the first of three phases, takes all the time there is."""
    words = ("--to", "triplane", "--preset", "tiny", "--batch", "1024", "--max-seconds", "1e-9")
    assert convert(monkeypatch, teacher, *words, "--out", tmp_path / "s.safetensors") == 0
    assert "never reached: samples, rays; the time was over before" in capsys.readouterr().out


def interrupted_after(monkeypatch, steps, number=signal.SIGINT):
    """From now on, Ctrl-C is pressed, or another signal sent, after so many steps; returns a list that will hold the
    phase of the last."""
    saw, phases = progress.Bar.saw, []

    def pressed(bar, step):
        saw(bar, step)
        if step.index + 1 == steps:
            phases.append(step.phase)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(progress.Bar, "saw", pressed)
    return phases


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.safetensors"


@pytest.mark.parametrize(("steps", "phase"), [(5, "features"), (15, "samples"), (25, "rays"), (STEPS, "rays")])
def test_ctrl_c_saves_in_every_phase(monkeypatch, teacher, out, capsys, steps, phase):
    handler = signal.getsignal(signal.SIGINT)
    seen = interrupted_after(monkeypatch, steps)
    assert convert(monkeypatch, teacher, *WORDS, "--out", out) == 130
    assert seen == [phase]
    assert signal.getsignal(signal.SIGINT) is handler
    told = capsys.readouterr()
    assert "continue with --resume" in told.out
    assert told.err == "convert-scene: interrupted\n"
    assert {p.name for p in out.parent.iterdir()} == LEFT
    assert load(out).header.provenance["steps"] == steps


def test_sigterm_saves_as_well(monkeypatch, teacher, whole, out, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 5, signal.SIGTERM)
        assert convert(patch, teacher, *WORDS, "--out", out) == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "continue with --resume" in capsys.readouterr().out
    assert {p.name for p in out.parent.iterdir()} == LEFT
    assert convert(monkeypatch, teacher, *WORDS, "--out", out, "--resume") == 0
    got = load(out).field.state_dict()
    assert all(torch.equal(value, got[name]) for name, value in whole.items())


@pytest.mark.parametrize("steps", [5, 15, 25, STEPS])
def test_a_resumed_conversion_writes_the_weights_of_one_that_was_never_stopped(monkeypatch, teacher, whole, out, steps):
    with monkeypatch.context() as patch:
        interrupted_after(patch, steps)
        assert convert(patch, teacher, *WORDS, "--out", out) == 130
    assert convert(monkeypatch, teacher, *WORDS, "--out", out, "--resume") == 0
    got = load(out)
    assert got.header.provenance["steps"] == STEPS
    assert [name for name, value in whole.items() if not torch.equal(value, got.field.state_dict()[name])] == []
    assert {p.name for p in out.parent.iterdir()} == DONE


def test_stopped_while_scoring_the_model_is_there(monkeypatch, teacher, tmp_path, capsys):
    def pressed(*given):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)  # a signal arrives between two instructions

    monkeypatch.setattr(report, "score", pressed)
    out, before = tmp_path / "s.safetensors", signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
    try:
        assert convert(monkeypatch, teacher, *WORDS, "--out", out) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "convert-scene: interrupted\n"
    assert load(out).header.provenance["steps"] == STEPS


def test_checkpoints_and_previews_are_written_on_the_way(monkeypatch, teacher, tmp_path):
    seen = []
    step = progress.Bar.saw

    def looked(bar, one):
        step(bar, one)
        seen.append({p.name for p in tmp_path.iterdir()})

    monkeypatch.setattr(progress.Bar, "saw", looked)
    assert convert(monkeypatch, teacher, *WORDS, "--out", tmp_path / "s.safetensors", "--save-every", 0.01) == 0
    assert {"s_checkpoint.safetensors", "s_preview.png"} <= seen[-1]
    assert "s_checkpoint.safetensors" not in {p.name for p in tmp_path.iterdir()}  # the run is over


def test_a_checkpoint_of_another_teacher_is_refused_in_one_line(monkeypatch, teacher, tmp_path, capsys):
    out, copy = tmp_path / "s.safetensors", tmp_path / "copy.safetensors"
    with monkeypatch.context() as patch:
        interrupted_after(patch, 3)
        assert convert(patch, teacher, *WORDS, "--out", out) == 130
        capsys.readouterr()
    block_file(copy, background=[0.0, 0.0, 0.0])
    assert convert(monkeypatch, copy, *WORDS, "--out", out, "--resume") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "checkpoint has teacher" in error
    mine = teacher.read_bytes()
    try:
        teacher.write_bytes(copy.read_bytes())
        assert convert(monkeypatch, teacher, *WORDS, "--out", out, "--resume") == 2
    finally:
        teacher.write_bytes(mine)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "checkpoint has digest" in error
    assert load(out).header.provenance["steps"] == 3  # what was saved is still there


def stopped(words, log, lines):
    """Run a process and press Ctrl-C once the log has so many lines."""
    command = [sys.executable, "-m", "distill.convert_scene", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= lines):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert "Traceback" not in error


def test_a_process_that_is_interrupted_continues(monkeypatch, teacher, tmp_path, capsys):
    """As processes are slow to begin, the second one is this one."""
    out, log, saw = tmp_path / "s.safetensors", tmp_path / "s_log.jsonl", progress.Bar.saw
    words = (teacher, *WORDS[:-1], 100000, "--out", out)
    stopped(words, log, 2)
    assert {p.name for p in tmp_path.iterdir()} - {"s_preview.png"} == LEFT  # another process is as slow as it is
    before = log.read_text().splitlines()

    def pressed(bar, step):
        saw(bar, step)
        if len(log.read_text().splitlines()) >= len(before) + 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress.Bar, "saw", pressed)
    assert convert(monkeypatch, *words, "--resume") == 130
    assert "continues at step" in capsys.readouterr().out
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == sorted(steps)
    assert len(steps) == len(before) + 2
    assert load(out).header.provenance["steps"] == steps[-1]


def test_files_of_a_folder_and_beside_a_model(tmp_path):
    within, beside = Files.at(tmp_path / "run"), Files.at(tmp_path / "a.b.safetensors")
    assert within.model == tmp_path / "run" / "model.safetensors"
    assert within.sheet == tmp_path / "run" / "test_sheet.png"
    assert beside.model == tmp_path / "a.b.safetensors"
    assert beside.sheet == tmp_path / "a.b_sheet.png"
    assert beside.checkpoint == tmp_path / "a.b_checkpoint.safetensors"
    for files in (within, beside):
        paths = [getattr(files, name) for name in ("model", "metrics", "log", "preview", "sheet", "checkpoint")]
        assert len(set(paths)) == 6
    assert not list(tmp_path.iterdir())  # nothing is made before it is needed


def test_a_path_of_the_other_kind_is_refused(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a folder; --out wants a file there"):
        Files.at(tmp_path / "folder.safetensors")
    with pytest.raises(ValueError, match="is a file; --out wants a folder"):
        Files.at(tmp_path / "file")


def test_prepare_makes_the_folder_and_leaves_nothing_in_it(tmp_path):
    Files.at(tmp_path / "a" / "b" / "s.safetensors").prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        Files.at(Path(tmp_path / "file" / "s.safetensors")).prepare()
