"""`view-scene` as a person starts it: with and without a display, with a real worker, and with mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from analytic import block_file
from display import virtual
from drawn import blender
from PIL import Image

from viewer import start, view_scene
from viewer.settings import ViewSettings
from viewer.window import desktop

HERE = Path(__file__).parent
WITHOUT = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return block_file(tmp_path_factory.mktemp("model") / "block.safetensors")


@pytest.fixture(scope="module")
def live(model, tmp_path_factory):
    pytest.importorskip("pyglet", reason="pyglet is missing; the extra `viewer` brings it")
    pytest.importorskip("imgui_bundle", reason="imgui-bundle is missing; the extra `viewer` brings it")
    folder = tmp_path_factory.mktemp("live")
    blender(folder / "data", train=4, test=1, size=(32, 24))
    with virtual() as display:
        command = [sys.executable, str(HERE / "live_script.py"), str(model), str(folder / "data")]
        done = subprocess.run(
            command, cwd=folder, env=WITHOUT | {"DISPLAY": display}, capture_output=True, text=True, timeout=900,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["trouble"] == []
    return result, folder


def test_the_window_shows_what_render_scene_draws(live):
    assert live[0]["render_scene"] >= 40


def test_drags_and_modes_change_the_picture(live):
    assert live[0]["dragged"] < 30 and live[0]["depth"] < 30


def test_a_field_learns_while_it_is_watched(live):
    steps, points, written = live[0]["learnt"]
    assert steps == 50 and points > 2 and written


def test_two_fields_are_compared_through_a_view(live):
    without, learnt = live[0]["psnr"]
    assert 3 < without < 60 and 3 < learnt < 60
    shown, difference = live[0]["difference"]
    assert 0 < shown <= 255 and difference > 1
    assert list(live[1].glob("*.png"))


def test_a_worker_that_is_killed_leaves_the_picture_and_another_takes_its_place(live):
    assert live[0]["kept"] and "killed by SIGKILL" in live[0]["said"] and live[0]["again"] == "ready"


def started(*words, cwd, env=WITHOUT):
    command = [sys.executable, "-m", "viewer.view_scene", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False)


def test_without_a_display_one_line_says_what_to_do(model, tmp_path):
    done = started(model, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("view-scene: no display")
    assert all(word in done.stderr for word in ("--screenshot", "--web", "render-scene"))


def test_the_window_toolkit_is_imported_only_for_a_window():
    code = "import sys, viewer.start; print([m for m in sys.modules if m in ('pyglet', 'imgui_bundle', 'viser')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=WITHOUT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("inputs", "title"),
    [
        ((), "Polyfield"),
        (("a/chair.safetensors", "builtin:60"), "chair | builtin:60 - Polyfield"),
        (("runs/chair/model.safetensors", "runs/lego/model.safetensors"), "chair | lego - Polyfield"),
    ],
)
def test_the_window_is_called_by_what_it_shows(inputs, title):
    assert start.make_title(ViewSettings(inputs)) == title


def test_a_missing_toolkit_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(desktop, "TOOLKIT", ("no_such_toolkit",))
    with pytest.raises(ValueError, match=r'no_such_toolkit: pip install "polyfield\[viewer\]"'):
        desktop.require()


def run(monkeypatch, capsys, *words):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "argv", ["view-scene", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        view_scene.main()
    return end.value.code, capsys.readouterr().err


def test_a_screenshot_needs_no_display(monkeypatch, capsys, model, tmp_path):
    out = tmp_path / "deep" / "a.png"
    code, said = run(monkeypatch, capsys, model, "--screenshot", out, "--size", 48, 36, "--mode", "depth", "--view", 1)
    assert code == 0 and "48 x 36" in said
    with Image.open(out) as image:
        assert image.size == (48, 36) and len(set(image.convert("L").get_flattened_data())) > 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.safetensors"], "nowhere.safetensors"),
        (["a", "b", "c", "d", "e"], "at most 4"),
        (["--screenshot", "a.jpg"], "wanted a .png"),
        (["--screenshot", "a.png"], "1 to 4 models"),
        (["builtin", "--screenshot", "a.png"], "train first"),
        (["--size", "0", "5"], "--size"),
        (["--view", "-1"], "--view"),
        (["--passes", "-1"], "--passes"),
        (["--port", "0"], "--port"),
    ],
)
def test_a_mistake_is_one_line(monkeypatch, capsys, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    code, text = run(monkeypatch, capsys, *words)
    assert code == 2 and said in text and text.count("\n") == 1


def test_an_empty_folder_and_a_damaged_model_are_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\x00\x00")
    assert "folder is empty" in run(monkeypatch, capsys, tmp_path / "empty")[1]
    assert "bad.safetensors" in run(monkeypatch, capsys, tmp_path / "bad.safetensors")[1]


PATIENCE = 600.0  # seconds after which it hangs: no machine is that slow


def wait(condition, what):
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, f"after {PATIENCE:.0f} s still not: {what}"
        time.sleep(0.05)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_window_and_worker_and_what_was_learnt_is_saved(number, tmp_path):
    pytest.importorskip("pyglet", reason="pyglet is missing; the extra `viewer` brings it")
    pytest.importorskip("imgui_bundle", reason="imgui-bundle is missing; the extra `viewer` brings it")
    blender(tmp_path / "data", train=4, test=1, size=(32, 24))
    log, words = (
        tmp_path / "run" / "log.jsonl",
        ["--preset", "tiny", "--batch", "1024", "--out", "run", "--device", "cpu"],
    )
    with virtual() as display:
        viewer = subprocess.Popen(
            [sys.executable, "-m", "viewer.view_scene", "data", *words], cwd=tmp_path, stderr=subprocess.PIPE,
            env=WITHOUT | {"DISPLAY": display, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])},
        )  # fmt: skip
        try:
            wait(lambda: (log.is_file() and log.stat().st_size) or viewer.poll() is not None, "learning")
            workers = psutil.Process(viewer.pid).children(recursive=True)
            viewer.send_signal(number)
            said = viewer.communicate(timeout=PATIENCE)[1].decode()
            status = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
            assert viewer.returncode == status, said
            gone, alive = psutil.wait_procs(workers, PATIENCE)
            assert gone and not alive
        finally:
            viewer.kill()
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert "Traceback" not in said
    assert ("continue with --resume" in said) == (number != signal.SIGKILL)
