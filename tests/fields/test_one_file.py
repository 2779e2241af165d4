"""Another architecture takes one file: a copy of `fields` with `toy.py` in arch trains it, grows it and resumes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fields.files import read_header

ROOT = Path(__file__).parents[2]
STEPS, PRESSED = 20, 14  # the toy grows after half of them
TRAIN = ["builtin:48", "--arch", "toy", "--preset", "tiny", "--batch", "4096", "--steps", STEPS]
RUNS = f"""
import os, signal, sys
from distill import train_scene
from distill.learning import monitor as progress

def run(*more):
    sys.argv = ["train-scene", *words, *more]
    try:
        train_scene.main()
    except SystemExit as end:
        print(f"ended with {{end.code}}", flush=True)

def pressed(bar, step):
    saw(bar, step)
    if step.index + 1 == {PRESSED}:
        os.kill(os.getpid(), signal.SIGINT)

whole, stopped, *words = sys.argv[1:]
run("--out", whole)
saw, progress.Bar.saw = progress.Bar.saw, pressed
run("--out", stopped)
progress.Bar.saw = saw
os.rename(stopped + "/model.safetensors", stopped + "/stopped.safetensors")
run("--out", stopped, "--resume")
"""  # in one process, as the first steps of every process take seconds


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder in which `fields` has one file more; the other folders are those of this checkout."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("fields", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copy(ROOT / "tests" / "fields" / "toy.py", copy / "fields" / "arch" / "toy.py")
    return copy


def python(house, *arguments):
    """Exit status and output of a process in the house."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (house, ROOT))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=house, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_the_contract_test_runs_on_it_without_being_edited(house):
    status, out = python(house, "-m", "pytest", "-q", "tests/fields/test_architectures.py", "-k", "toy")
    assert status == 0, out
    assert int(out.split(" passed")[0].split()[-1]) >= 8


@pytest.fixture(scope="module")
def runs(house, tmp_path_factory):
    """What three runs told: a whole one, one that Ctrl-C stopped after it had grown, and its continuation; folders."""
    whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    status, told = python(house, "-c", RUNS, whole, stopped, *TRAIN)
    assert status == 0, told
    assert told.count("ended with") == 3, told
    return told.split("ended with")[:3], [line for line in told.splitlines() if "ended with" in line], whole, stopped


def test_it_trains_grows_and_opens_again(runs):
    told, ends, whole, _ = runs
    assert ends[0] == "ended with 0", told[0]
    header = read_header(whole / "model.safetensors")  # the header needs no toy to be read
    assert header.architecture == "toy"
    assert header.config == {"resolution": 16, "finest": 16}


def test_a_run_that_has_grown_resumes(runs):
    told, ends, whole, stopped = runs
    assert ends[1] == "ended with 130", told[1]
    assert read_header(stopped / "stopped.safetensors").config == {"resolution": 16, "finest": 16}
    assert ends[2] == "ended with 0", told[2]
    assert f"continues at step {PRESSED}" in told[2]
    want, got = (load_file(folder / "model.safetensors") for folder in (whole, stopped))
    assert want.keys() == got.keys()
    assert [name for name in want if not torch.equal(want[name], got[name])] == []
