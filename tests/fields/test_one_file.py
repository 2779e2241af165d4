"""Another architecture takes one file: a copy of the house with `toy.py` in fields/arch trains and resumes it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fields.files import read_header

ROOT = Path(__file__).parents[2]
TRAIN = ["-m", "distill.train_scene", "builtin:48", "--arch", "toy", "--preset", "tiny", "--batch", "4096"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    copy = tmp_path_factory.mktemp("house")
    for name in ("fields", "render", "scenes", "distill", "tests", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    shutil.copy(ROOT / "tests" / "fields" / "toy.py", copy / "fields" / "arch" / "toy.py")
    return copy


def python(house, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(house), "NUMBA_CACHE_DIR": str(house / "numba")}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=house, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def test_the_contract_test_runs_on_it_without_being_edited(house):
    process = python(house, "-m", "pytest", "-q", "tests/fields/test_architectures.py", "-k", "toy")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert int(out.split(" passed")[0].split()[-1]) >= 8


def test_it_trains_grows_and_opens_again(house, tmp_path):
    process = python(house, *TRAIN, "--steps", 40, "--out", tmp_path)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    header = read_header(tmp_path / "model.safetensors")  # the header needs no toy to be read
    assert header.architecture == "toy"
    assert header.config == {"resolution": 16, "finest": 16}


def test_a_run_that_has_grown_resumes(house, tmp_path):
    process = python(house, *TRAIN, "--max-seconds", 6, "--out", tmp_path)
    log = tmp_path / "log.jsonl"
    for _ in range(1200):
        if process.poll() is not None or (log.exists() and 'growth 1"' in log.read_text()):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    process = python(house, *TRAIN, "--max-seconds", 6, "--resume", "--out", tmp_path)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert "continues at step" in out
