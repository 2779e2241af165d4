"""The scripts of docs/examples run as they stand, each in a folder of its own, on a model that was just trained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import polyfield

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "docs" / "examples").glob("*.py"))
SHORT = {"train_from_arrays": ["60"], "convert_and_compare": ["30"], "turntable": ["3"]}  # steps, steps, frames
WRITES = {"train_from_arrays": "learnt.png", "slice_density": "slice.png", "turntable": "turntable.gif"}
TELLS = {
    "train_from_arrays": "dB on pictures it has not seen",
    "convert_and_compare": "dB against the teacher",
    "slice_density": "of the cut is solid",
    "turntable": "3 frames",
    "read_without_polyfield": "density there",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    polyfield.train("builtin:32", arch="mlp", preset="tiny", batch=4096, steps=60, out=path).finish()
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_an_example_runs(script, model, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(model), *SHORT.get(script.stem, [])]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert TELLS[script.stem] in done.stdout
    if script.stem in WRITES:
        with Image.open(tmp_path / WRITES[script.stem]) as picture:
            low, high = picture.convert("L").getextrema()
        assert high > low + 50  # something is on it
    assert sorted(p.name for p in tmp_path.iterdir()) == [name for stem, name in WRITES.items() if stem == script.stem]


def test_there_is_a_script_for_everything_that_is_told():
    assert {script.stem for script in SCRIPTS} == set(TELLS)


def test_one_script_wants_nothing_of_ours():
    text = (ROOT / "docs" / "examples" / "read_without_polyfield.py").read_text(encoding="utf-8")
    assert "import polyfield" not in text and "torch" not in text
