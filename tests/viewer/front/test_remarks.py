"""What is said over an empty or unexpected picture."""

from dataclasses import replace

import pytest
from gradient_link import GradientLink, cameras

from viewer.front.remarks import describe_lack, describe_wait
from viewer.front.session import Session, State
from viewer.messages import Activity, CompareWith, Notice, OpenModel


def opened(**link) -> State:
    """A state in which everything has been drawn."""
    session = Session(GradientLink(**link), clock=lambda: 0.0)
    session.tick((8, 6))
    session.tick((8, 6))
    return session.state


def test_what_is_waited_for_is_told_until_it_can_be_seen():
    state = State()
    assert describe_wait(state) == "starting ..."
    assert describe_wait(replace(state, activity=Activity("reading builtin:60", 0.4))) == "reading builtin:60 ... 40 %"
    ready = replace(state, worker="ready")
    assert describe_wait(replace(ready, activity=Activity("compiling kernels, once"))) == "compiling kernels, once ..."
    asked = [OpenModel("runs/chair/model.safetensors")]
    assert describe_wait(ready, asked) == "opening model.safetensors ..."
    assert describe_wait(opened()) == ""


def test_what_cannot_be_opened_is_not_waited_for():
    ready = replace(State(), worker="ready")
    assert describe_wait(ready) == describe_wait(ready, [CompareWith("chair")]) == "nothing is open"
    failed = replace(ready, notices=(Notice("model.safetensors: no such file", True),))
    assert describe_wait(failed, [OpenModel("model.safetensors")]) == "nothing is open"


def test_a_field_that_is_hidden_or_not_drawn_yet_is_told():
    state = opened(names=("chair", "lego"))
    pane = state.panes[1]
    assert describe_wait(replace(state, panes=(state.panes[0], replace(pane, frame=None)))) == "drawing ..."
    assert describe_wait(replace(state, panes=(replace(pane, shown=False),))) == "no field is shown"


def test_a_worker_that_has_gone_is_told_before_all_else():
    state = replace(opened(), worker="gone", activity=Activity("reading chair"))
    assert describe_wait(state) == "the worker has ended"


@pytest.mark.parametrize("mode", ["color", "depth", "cost"])
def test_modes_of_a_model_alone_lack_nothing(mode):
    state = opened(cameras=cameras())
    assert describe_lack(replace(state, display=replace(state.display, mode=mode))) == ""


def test_errors_lack_a_photograph_but_through_a_view_that_has_one():
    state = opened(cameras=cameras())
    state = replace(state, display=replace(state.display, mode="error"))
    assert describe_lack(state) == "no photograph from here, so these are colours: choose a view"
    assert state.eye is not None
    through = replace(state, eye=replace(state.eye, view=1))
    assert describe_lack(through) == ""
    first, second = state.views
    assert describe_lack(replace(through, views=(first, replace(second, photographed=False)))) != ""


def test_where_there_are_no_photographs_no_view_is_asked_for():
    state = opened()
    assert describe_lack(replace(state, display=replace(state.display, mode="error"))) == (
        "no photographs are open, so these are colours"
    )
    assert describe_lack(replace(State(worker="ready"), display=replace(state.display, mode="error"))) == ""
