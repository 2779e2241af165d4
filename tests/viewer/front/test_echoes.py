"""Echoes: every key whose effect could be missed says on the picture what it did."""

import pytest
from gradient_link import BOX, UNIT, progress

from render.looks import MODES
from viewer.front import actions, echoes, keys, navigation
from viewer.front.session import Pane, State
from viewer.front.updates import PanelState, Update
from viewer.messages import FieldOpened


def update(learns=False):
    opened = FieldOpened(0, "chair", "chair.safetensors", "mlp", "small", 1, 1, BOX, UNIT, (1.0, 1.0, 1.0))
    pane = Pane(opened, progress=progress(0, 40, "running") if learns else None)
    return Update(State(eye=navigation.start(BOX, []), panes=(pane,), worker="ready"), PanelState())


@pytest.mark.parametrize("action", [b.action for b in keys.BINDINGS])
def test_every_action_is_told_or_shows_itself(action):
    said = actions.act(update(), action).panel.echo
    shows_itself = action in echoes.SILENT or action.startswith(("roll", "focus")) or "aperture" in action
    told_elsewhere = action in ("undo", "redo", "escape", "screenshot")
    assert bool(said) != (shows_itself or told_elsewhere) or told_elsewhere
    assert "\n" not in said


def test_what_is_said_is_what_happened():
    def told(action, learns=False):
        return actions.act(update(learns), action).panel.echo

    assert told("keyframe") == "keyframe 1 at 0.0 s"
    assert told("save") == "saving chair-mlp.safetensors ..."
    assert told("mode_depth") == f"depth: {MODES['depth'].about}"
    assert told("train") == "nothing learns here"
    assert told("train", learns=True) == "training pauses"
    assert told("reset_training", learns=True) == "training begins again"
    assert told("brighter") == "exposure +0.25 stops"
    assert told("ground_truth").startswith("no photograph from here")
    assert told("next_view") == "no views are known here"
    assert told("preview").startswith("a camera path wants two keyframes")
    assert told("crop").startswith("crop: drag")
    assert told("orbit_or_fly") == "dragging looks around"
