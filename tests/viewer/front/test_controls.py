"""The table of controls: what stands in it, and that panels and keys keep to it."""

import pytest

from viewer.front import actions, controls
from viewer.front.controls import EXPOSURE, SAMPLES, Control
from viewer.front.session import DisplaySettings, State
from viewer.front.updates import PanelState, Update

ALL = [one for one in vars(controls).values() if isinstance(one, Control)]


@pytest.mark.parametrize("control", ALL, ids=lambda c: c.name)
def test_what_is_usual_lies_in_the_range(control):
    assert control.low <= control.usual <= control.high
    assert control.low >= 0 or not control.log
    assert control.help and 0 < control.step <= control.high - control.low


def test_names_are_unique():
    assert len({control.name for control in ALL}) == len(ALL) > 8


def test_keys_keep_to_the_range():
    update = Update(State(), PanelState())
    for _ in range(100):
        update = actions.act(update, "brighter")
    assert update.state.display.exposure == EXPOSURE.high
    assert actions.act(update, "darker").state.display.exposure == EXPOSURE.high - EXPOSURE.step


def test_flags_are_refused_in_one_line():
    SAMPLES.require("--passes", 4096)
    with pytest.raises(ValueError, match=r"^--passes must be 1 to 4096, found 5000$"):
        SAMPLES.require("--passes", 5000)


def test_a_display_begins_with_what_is_usual():
    display = DisplaySettings()
    assert (display.exposure, display.passes) == (EXPOSURE.usual, SAMPLES.usual)
