"""How commands end: exit status, one line on stderr, device."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from fields.files import ModelError
from render import device
from render.command import announce, one_line, run
from render.device import pick_device


@dataclass(frozen=True)
class Flags:
    """A command for tests."""

    count: int = 1
    """of something"""


def ended(monkeypatch, main, *words):
    """Exit status of a command named `try-scene` with these words."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/try-scene", *words])
    with pytest.raises(SystemExit) as caught:
        run(Flags, main)
    return caught.value.code


def test_flags_reach_main_and_success_is_zero(monkeypatch, capsys):
    got = []
    assert ended(monkeypatch, got.append, "--count", "3") == 0
    assert got == [Flags(3)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\n  and b"), "a and b"),
        (ModelError("m.safetensors: is truncated"), "m.safetensors: is truncated"),
        (FileNotFoundError(2, "No such file or directory", "x.json"), "x.json: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("broken\n\npipe"), "broken pipe"),
    ],
)
def test_a_callers_mistake_is_one_line_and_two(error, text, monkeypatch, capsys):
    monkeypatch.delenv("POLYFIELD_TRACEBACK", raising=False)

    def main(_):
        raise error

    assert ended(monkeypatch, main) == 2
    assert capsys.readouterr().err == f"try-scene: {text}\n"
    assert one_line(error) == text


def test_a_traceback_on_request(monkeypatch):
    def main(_):
        raise ValueError("as asked")

    monkeypatch.setenv("POLYFIELD_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["try-scene"])
    with pytest.raises(ValueError, match="as asked"):
        run(Flags, main)


def test_a_defect_of_ours_is_not_hidden(monkeypatch):
    def main(_):
        raise RuntimeError("our own mistake")

    monkeypatch.setattr(sys, "argv", ["try-scene"])
    with pytest.raises(RuntimeError, match="our own mistake"):
        run(Flags, main)


def test_an_interrupt_is_130(monkeypatch, capsys):
    def main(_):
        raise KeyboardInterrupt

    assert ended(monkeypatch, main) == 130
    assert capsys.readouterr().err == "try-scene: interrupted\n"


@pytest.mark.parametrize("words", [("--count", "many"), ("--cuont", "3"), ("--count",)])
def test_flags_that_do_not_parse_are_two(words, monkeypatch, capsys):
    assert ended(monkeypatch, lambda _: None, *words) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert words[0] in said


def test_a_reader_that_has_left_is_no_error_of_ours():
    """`command | head -0`: no traceback and no complaint at the end."""
    code = (
        "import sys; from dataclasses import dataclass; from render.command import run\n"
        "@dataclass(frozen=True)\nclass Flags: pass\n"
        "run(Flags, lambda _: sys.stdout.write('x' * 100))"
    )
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)
    try:
        command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=root, env=buffered, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_devices(monkeypatch, capsys):
    monkeypatch.setattr(device, "TRITON", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="--device cuda: PyTorch finds no CUDA device here; use --device cpu or auto"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda")
    assert pick_device("cpu") == torch.device("cpu")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("platform", "package"), [("linux", "triton"), ("win32", "triton-windows")])
def test_a_gpu_without_triton_is_told_once_with_the_command_that_mends_it(platform, package, monkeypatch, capsys):
    monkeypatch.setattr(device, "TRITON", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(sys, "platform", platform)
    device.say.cache_clear()
    with pytest.raises(ValueError, match=f"--device cuda: .* pip install {package}$"):
        pick_device("cuda")
    assert pick_device("cpu") == torch.device("cpu")
    assert capsys.readouterr().err == ""
    assert pick_device("auto") == pick_device("auto") == torch.device("cpu")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(f"pip install {package}")


@pytest.mark.parametrize("person", [True, False])
def test_the_first_word_is_for_a_person_at_a_terminal(person, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: person)
    announce("reading a.safetensors")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "reading a.safetensors\n" if person else "")


def test_what_a_file_says_never_reaches_the_terminal_and_is_short():
    told = one_line(ValueError("a.json: \x1b[31mred\x07 \u202egnp\r\nnext " + "x" * 5000))
    assert told.startswith("a.json: [31mred gnp next xxx")
    assert len(told) <= 300
    assert told.isprintable()
    assert one_line(OSError(2, "No such file or directory", "a\x1b[2J")) == "a [2J: No such file or directory"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory: none is left"),
        (MemoryError("Unable to allocate 9. GiB"), "not enough memory: Unable to allocate 9. GiB"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "not enough memory: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        ),
        (RuntimeError("can't start new thread"), "not enough memory: can't start new thread"),
        (ImportError("libx.so: failed to map segment"), "not enough memory: libx.so: failed to map segment"),
        (ValueError("out of memory at step 3: a smaller --batch"), "out of memory at step 3: a smaller --batch"),
    ],
)  # fmt: skip
def test_memory_that_runs_out_is_one_line(error, said, monkeypatch, capsys):
    monkeypatch.setattr("render.command.tell_limit", lambda: "")

    def main(_):
        raise error

    assert ended(monkeypatch, main) == 2
    assert capsys.readouterr().err == f"try-scene: {said}\n"


@pytest.mark.skipif(os.name == "nt", reason="a limit of POSIX systems")
def test_a_limit_of_memory_is_told_one_that_breaks_an_import_too():
    code = (
        "import resource, sys; from dataclasses import dataclass; from render.command import run\n"
        "@dataclass(frozen=True)\nclass Flags: pass\n"
        "most = int(sys.argv.pop())\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "def work(_): raise ImportError('cannot import name x')\n"
        "run(Flags, work)"
    )
    for most, reason in (("1000000000", "1.8 GB at least are wanted"), ("3000000000", "cannot import name x")):
        command, root = [sys.executable, "-c", code, most], Path(__file__).parents[2]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        said = f"-c: not enough memory under a limit of {most[0]}.0 GB (ulimit -v): {reason}\n"
        assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX systems")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_that_end_a_process_clear_away_as_ctrl_c_does(name, status, monkeypatch, capsys):
    cleared = []

    def main(_):
        try:
            os.kill(os.getpid(), getattr(signal, name))
            signal.pause()
        finally:
            cleared.append(name)

    assert ended(monkeypatch, main) == status
    assert cleared == [name]
    assert capsys.readouterr().err == f"try-scene: ended by {name}\n"
    assert signal.getsignal(getattr(signal, name)) == signal.SIG_DFL


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX systems")
def test_what_nohup_has_ignored_stays_so(monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ended(monkeypatch, lambda _: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
