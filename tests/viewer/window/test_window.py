"""The window, on a display of its own: what `window_script.py` saw while it drove it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from display import virtual
from PIL import Image

pytest.importorskip("pyglet", reason="pyglet is missing; the extra `viewer` brings it")
pytest.importorskip("imgui_bundle", reason="imgui-bundle is missing; the extra `viewer` brings it")
HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def display():
    """A display without a screen, whatever the machine has."""
    with virtual() as name:
        yield name


def driven(name: str, folder: Path, display: str) -> dict:
    """What a scenario saw."""
    environment = {k: v for k, v in os.environ.items() if k != "WAYLAND_DISPLAY"} | {"DISPLAY": display}
    command = [sys.executable, str(HERE / "window_script.py"), name]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def used(display, tmp_path_factory):
    folder = tmp_path_factory.mktemp("window")
    return driven("use", folder, display), folder


@pytest.fixture(scope="module")
def seen(used):
    return used[0]


def changed(pair) -> set[str]:
    """Which entries of the eye differ."""
    before, after = pair
    return {name for name in before if before[name] != after[name]}


def test_the_picture_fills_the_window_beside_the_panel(seen):
    left, top, width, height = seen["places"]
    assert (left + width, top) == (800, 0)
    assert seen["size"] == [width, height]
    assert seen["shown"] == 0, "the framebuffer is not, bit for bit, the picture that was put together"


def test_a_drag_orbits_and_asks_for_coarse_and_then_for_fine_pictures(seen):
    assert changed(seen["orbit"]) == {"position", "turn"}
    moving, requests = seen["moved"]
    assert moving
    assert requests > 2
    assert seen["settled"]


def test_right_and_shifted_drags_pan(seen):
    assert changed(seen["pan"]) == changed(seen["shift"]) == {"position"}


def test_the_panel_keeps_the_mouse(seen):
    assert not changed(seen["panel"])


def test_the_wheel_goes_nearer_and_with_ctrl_narrows_the_lens(seen):
    assert changed(seen["wheel"]) == {"position", "distance"}
    assert seen["wheel"][1]["distance"] < seen["wheel"][0]["distance"]
    assert changed(seen["lens"]) == {"fov"}
    assert seen["lens"][1]["fov"] < seen["lens"][0]["fov"]


def test_a_held_key_flies_until_it_is_let_go(seen):
    assert changed(seen["fly"]) == {"position"}
    assert not changed(seen["landed"])


def test_a_key_changes_the_mode(seen):
    assert seen["mode"] == "depth"


def test_a_screenshot_is_exactly_the_picture(seen):
    assert seen["file"] == 0


def test_tab_hides_the_panel(seen):
    assert seen["wide"] == [800, 600]


def test_a_handle_drags_one_face_of_the_crop_box(seen):
    before, after = seen["crop"]
    assert before[:5] == after[:5]
    assert 0.1 < after[5] < 0.99


def test_a_click_on_a_camera_looks_through_it(seen):
    assert seen["view"] is not None


def test_two_fields_share_the_picture_and_the_divider_is_dragged(seen, used):
    panes, size = seen["split"]
    assert [pane[2:] for pane in panes] == [size, size]
    assert panes[1][0] == size[0]
    assert seen["wipe"] == ["wipe", pytest.approx(0.25, abs=0.01)]  # to the pixel where the mouse was let go
    picture = np.asarray(Image.open(used[1] / "wipe.png"))
    left, _, width, height = seen["places"]
    divider = left + round(0.25 * width)
    assert (picture[height // 2, divider - 1 : divider + 1] == 255).all()


def test_the_knob_turns_the_crop_box(seen):
    turn, asked = seen["turned"]
    assert 0.02 < abs(turn) < 1.5
    assert asked == turn


def test_a_drag_is_taken_back_as_one_step(seen):
    assert seen["undone"] == [True, "taken back"]


def test_escape_closes_help_and_never_the_window(seen):
    assert seen["help"]
    assert seen["escaped"] == [False, None]
    assert seen["stays"] == [True, "Ctrl+Q quits"]


def test_quitting_asks_while_a_field_learns_and_then_ends_the_loop_once_the_worker_has_ended(seen):
    assert seen["asked"] == seen["asked again"] == [True, None, True]
    assert "after" not in seen


@pytest.mark.parametrize("size", [(1000, 500), (60, 40), (20, 20), (1000, 1150), (800, 600)])
def test_the_picture_follows_the_window_to_any_size(seen, size):
    width, height = seen[f"resized {size}"]
    assert 0 < width <= size[0]
    assert 0 < height <= size[1]


def test_curves_of_learning_run_across_the_panel(seen):
    assert seen["curve"] > 150  # of 340 columns, less the axis and its numbers


def test_nothing_is_drawn_while_the_window_is_minimised(seen):
    assert seen["hidden"] == 0
    assert seen["back"]


def test_what_is_dropped_is_opened_asked_about_or_told_in_a_line(seen):
    assert len(seen["told"]) == 2
    assert "nothing.safetensors: no such file" in seen["told"][0]
    assert "broken.safetensors" in seen["told"][1]
    assert seen["found"] == "scene"


def test_what_is_typed_goes_to_the_panel_alone(seen):
    assert seen["typed"] == ["lost 2 w", "color", True]
    assert seen["entered"].startswith("lost 2 w: no such file")


def test_a_worker_that_died_leaves_the_last_picture_and_another_takes_its_place(seen):
    assert seen["gone"] == ["gone", True]
    assert seen["again"] == ["ready", True]


def test_ctrl_c_passes_through_and_leaves_no_window(seen):
    assert seen["interrupted"] == 0


def test_ctrl_c_ends_also_while_the_worker_saves_and_after_it_has_died(seen):
    assert seen["saves"]
    assert seen["hasty"] == seen["bereft"] == 0


def test_dense_screens_have_large_texts_and_sharp_pictures(display, tmp_path):
    dense = driven("dense", tmp_path, display)
    for ratio, scale in (("1", 2.0), ("2", 1.0)):  # the window's units are the screen's dots, or twice as large
        said, window, place, size = dense[f"dense {ratio}"]
        assert said == scale
        assert place[0] == 680, "the panel is not 340 pixels wide at scale 1"
        assert place[0] + place[2] == window[0]
        assert size == place[2:]
    assert dense["dragged"]


def test_a_display_that_is_not_there_is_told_in_one_line(tmp_path):
    said = driven("nowhere", tmp_path, ":987654")["error"]
    assert "--screenshot" in said
    assert "\n" not in said
