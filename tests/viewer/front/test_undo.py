"""Undo: each step is taken back and done again; a drag is one step, and a new one after a rest."""

from dataclasses import replace

import pytest

from viewer.front import actions, navigation
from viewer.front.session import State
from viewer.front.undo import MOST, REST, Steps
from viewer.front.updates import PanelState, Update

BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


@pytest.fixture
def state():
    return State(eye=navigation.start(BOX, []))


def moved(state, by=10.0):
    return replace(state, eye=navigation.orbit(state.eye, by, 0))


def walked(state, times, *, held=False):
    """Steps after a movement at each time, and the states in between."""
    steps, states = Steps(), [state]
    for time in times:
        states.append(moved(states[-1]))
        steps = steps.saw(states[-2], states[-1], time, held=held)
    return steps, states


def test_steps_apart_are_taken_back_one_by_one_and_done_again(state):
    steps, states = walked(state, [0.0, 10.0, 20.0])
    back = states[-1]
    for want in states[-2::-1]:
        steps, back = steps.back(back)
        assert back == want
    assert steps.back(back) == (steps, back)
    for want in states[1:]:
        steps, back = steps.forward(back)
        assert back == want
    assert steps.forward(back) == (steps, back)


def test_what_follows_soon_or_while_something_is_held_is_one_step(state):
    steps, states = walked(state, [0.0, REST / 2, REST, 1.4 * REST])
    assert steps.back(states[-1])[1] == states[0]
    steps, states = walked(state, [0.0, 50.0, 100.0], held=True)
    assert steps.back(states[-1])[1] == states[0]
    steps, states = walked(state, [0.0])
    for held in (False, True):  # the first change of a drag comes with the button down
        apart = steps.apart().saw(states[-1], moved(states[-1]), 0.01, held=held)
        assert len(apart.past) == 2


def test_a_new_step_forgets_what_was_taken_back(state):
    steps, states = walked(state, [0.0, 10.0])
    steps, back = steps.back(states[-1])
    steps = steps.saw(back, moved(back, -5.0), 30.0, held=False)
    assert steps.future == ()
    assert steps.back(moved(back, -5.0))[1] == back


def test_the_crop_box_is_taken_back_and_nothing_else(state):
    cut = replace(state, display=replace(state.display, crop=BOX, crop_turn=0.3))
    steps = Steps().saw(state, cut, 0.0, held=False)
    other = replace(cut, display=replace(cut.display, mode="depth"))
    assert steps.saw(cut, other, 5.0, held=False) is steps
    back = steps.back(other)[1]
    assert (back.display.crop, back.display.crop_turn, back.display.mode) == (None, 0.0, "depth")


def test_no_more_than_so_many_are_remembered(state):
    steps, _ = walked(state, [10.0 * k for k in range(MOST + 20)])
    assert len(steps.past) == MOST


def test_keys_take_back_and_say_so(state):
    update = Update(state, PanelState())
    assert actions.act(update, "undo").panel.echo == "nothing to take back"
    steps, states = walked(state, [0.0])
    update = Update(states[-1], PanelState(steps=steps))
    back = actions.act(update, "undo")
    assert back.state == states[0]
    assert back.panel.echo == "taken back"
    assert actions.act(back, "redo").state == states[-1]
