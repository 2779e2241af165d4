"""What commands answer before any work: help, version, and what was mistyped, without importing what work needs."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tyro

import fields
from render import entries

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOUND = {name: next(ROOT.glob(f"*/{name.replace('-', '_')}.py")) for name in PROJECT["scripts"]}
COMMANDS = {name: f"{path.parent.name}.{path.stem}" for name, path in FOUND.items()}
HEAVY = {"torch", "numba", "numpy", "PIL", "imageio", "safetensors", "pyglet", "trimesh", "matplotlib"}
REQUIRED = {"convert-scene": ("MODEL",), "eval-scene": ("MODEL",), "inspect-scene": ("DATA|MODEL",),
            "render-scene": ("MODEL", "OUT")}  # fmt: skip


def ask(name: str, *words: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and errors of a command in a process of its own, which must have imported nothing
    heavy by its end."""
    code = (
        f"import sys, importlib; sys.argv = [{name!r}, *sys.argv[1:]]\n"
        "try:\n"
        f"    importlib.import_module({COMMANDS[name]!r}).main()\n"
        "except SystemExit as end:\n"
        "    status = end.code or 0\n"
        f"heavy = sorted({HEAVY!r} & set(sys.modules))\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def refused(name: str, *words: str, folder: Path | None = None) -> str:
    """The one line that a command answers with before it begins."""
    status, out, error = ask(name, *words, folder=folder)
    assert (status, out) == (2, ""), error
    assert error.count("\n") == 1, error
    assert error.startswith(f"{name}: ")
    return error.removeprefix(f"{name}: ").strip()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_speaks_the_words_of_the_readme_and_ends_with_examples(name):
    status, out, error = ask(name, "--help")
    assert (status, error) == (0, "")
    assert out.startswith(f"usage: {name} ")
    for word in REQUIRED.get(name, ()):
        assert word in out.splitlines()[0]
    assert "--no-" not in out
    assert "STR]" not in out.splitlines()[0].partition("--")[0]
    examples = out.partition("examples:\n")[2].splitlines()
    assert len(examples) >= 3
    assert all(line.startswith(f"  {name}") for line in examples)


@pytest.mark.parametrize("name", fields.NAMES)
def test_presets_are_known_without_running_their_file(name):
    assert fields.preset_names(name) == tuple(fields.module(name).PRESETS)


def test_the_architectures_are_listed():
    for name, flag in (("train-scene", "--arch"), ("convert-scene", "--to")):
        words = " ".join(ask(name, "--help")[1].replace("│", " ").split())
        assert f"{', '.join(fields.NAMES)}" in words.partition(f"{flag} NAME")[2][:200]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_of_the_help_is_understood(name):
    module = importlib.import_module(COMMANDS[name])
    [config] = [value for key, value in vars(module).items() if key in ("Flags", "BenchSettings", "ViewSettings")]
    for line in module.EXAMPLES.strip().splitlines():
        command = re.split(r" {2,}| > ", line.strip())[0].split()  # what is said about it stands behind two spaces
        assert command[0] == name
        tyro.cli(config, args=command[1:], console_outputs=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_script_starts_the_command(name, monkeypatch):
    started = []
    monkeypatch.setattr(entries, "start", started.append)
    module, _, function = PROJECT["scripts"][name].partition(":")
    getattr(importlib.import_module(module), function)()
    assert started == [COMMANDS[name]]


INTERRUPTED = """
import os, signal, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Watch())
sys.argv = ["/somewhere/{name}", *{words!r}]
from render import entries
entries.{function}()
"""


@pytest.mark.parametrize("module", ["tyro", "torch"])
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_it_is_imported_is_one_line(name, module, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"")
    words = ["m.safetensors", *(("out.png",) if name == "render-scene" else ()), *more(name)]
    words = [] if name in ("bench-scene", "train-scene", "view-scene") else words
    text = INTERRUPTED.format(module=module, name=name, words=words, function=name.replace("-", "_"))
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, f"{name}: interrupted\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_on_a_console_of_few_letters(name, encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    status, out, error = ask(name, "--help")
    assert (status, error) == (0, "")
    assert out.isascii() and "\\u" not in out and "\\x" not in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_version(name):
    assert ask(name, "--version") == (0, f"polyfield {PROJECT['version']}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag(name):
    said = refused(name, *("x.png" for _ in REQUIRED.get(name, ())), "--nonsense")
    assert said == f"unrecognized options: --nonsense; {name} --help shows all"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_errors_are_read_off_either_kind_of_box(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    assert refused("render-scene") == "missing MODEL and OUT; render-scene --help shows all"
    assert refused("train-scene", "--lst").startswith("unrecognized options: --lst; did you mean --list?; ")
    assert refused("train-scene", "--steps", "x").startswith("error parsing --steps: invalid literal for int()")


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_missing_is_named_as_in_the_help(name):
    assert refused(name) == f"missing {' and '.join(REQUIRED[name])}; {name} --help shows all"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_path_where_nothing_is(name, tmp_path):
    (tmp_path / "chairs").mkdir()
    said = refused(name, "chair", *("out.png" for _ in REQUIRED.get(name, ())[1:]), *more(name), folder=tmp_path)
    assert said.startswith("chair: no such file or folder; did you mean 'chairs'?")


def more(name: str) -> tuple[str, ...]:
    """Flags that a command wants besides."""
    return ("--to", "vm") if name == "convert-scene" else ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "train-scene --arch hashgird",
            "no architecture is named 'hashgird'; did you mean 'hashgrid'? (there are: cam",
        ),
        ("train-scene --preset smal", "hashgrid has no preset 'smal' (there are: tiny, small, base, large)"),
        ("train-scene --arch rbf --preset space-tny", "rbf has no preset 'space-tny' (there are: "),
        ("train-scene --head radance", "no head is named 'radance'; did you mean 'radiance'? (there are: "),
        ("train-scene --lst", "unrecognized options: --lst; did you mean --list?; train-scene --help shows all"),
        ("train-scene --steps many", "error parsing --steps: invalid literal for int() with base 10: 'many'"),
        ("train-scene --steps", "missing value for argument '--steps'"),
        ("train-scene --max-seconds -1", "--steps must be >= 0, --max-seconds and --save-every > 0"),
        ("train-scene --downscale 0", "--downscale must be 1 to 64, found 0"),
        ("train-scene --device tpu", "invalid choice 'tpu' for argument '--device'. Expected one of ('auto', 'cpu'"),
        ("convert-scene m --to trplane", "no architecture is named 'trplane'; did you mean 'triplane'?"),
        ("convert-scene m", "--to wants an architecture to convert into, or auto"),
        ("convert-scene m --to vm --max-bytes much", "--max-bytes wants a size such as 600kB"),
        ("convert-scene m --to vm --crop 1 1 1 0 0 0", "--crop wants six numbers x0 y0 z0 x1 y1 z1 with x0 < x1"),
        ("render-scene m a.jpg", "a.jpg: wanted an ending among .png .gif .mp4 .npy, found .jpg"),
        ("render-scene m a.png --mode colour", "invalid choice 'colour' for argument '--mode'. Expected one of"),
        ("render-scene m a.npy", "a.npy: .npy holds depth, normal or opacity; add --mode depth (or another)"),
        ("render-scene m a.mp4 --fps 0", "--fps must be 0.1 to 240, found 0"),
        ("eval-scene m --split all", "invalid choice 'all' for argument '--split'. Expected one of"),
        ("inspect-scene m --downscale 99", "--downscale must be 1 to 64, found 99"),
        ("bench-scene --repeats 1", "--repeats must be 3 or more"),
        ("view-scene a b c d e", "at most 4 fields are shown side by side, found 5"),
        ("view-scene --compare beside", "invalid choice 'beside' for argument '--compare'. Expected one of"),
        ("view-scene --passes 9999", "--passes must be"),
    ],
)
def test_a_misspelt_value(words, said):
    assert refused(*words.split()).startswith(said)
