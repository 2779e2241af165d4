"""Leaving: Esc closes one thing after the other and never quits; quitting asks while work is under way."""

from dataclasses import replace

import pytest
from gradient_link import BOX, UNIT, progress

from viewer.front import actions, keyframes, navigation
from viewer.front.leaving import list_unfinished
from viewer.front.session import Pane, State
from viewer.front.updates import CloseWindow, PanelState, Update
from viewer.messages import FieldOpened, FilmProgress, StopFilm


def pane(life=None):
    opened = FieldOpened(0, "chair", "chair", "mlp", "small", 1, 1, BOX, UNIT, (1.0, 1.0, 1.0))
    return Pane(opened, progress=progress(0, 40, life) if life else None)


def update(life=None, **panel):
    return Update(State(eye=navigation.start(BOX, []), panes=(pane(life),), worker="ready"), PanelState(**panel))


def filming(one, done=3):
    return replace(one, state=replace(one.state, film=FilmProgress("a.mp4", done, 10)))


def test_escape_closes_what_lies_on_top_and_then_says_how_to_quit():
    now = filming(update(asking=True, help=True, playing=0.0))
    now = actions.act(now, "escape")
    assert (now.panel.asking, now.panel.help, now.panel.playing) == (False, True, 0.0)
    now = actions.act(now, "escape")
    assert (now.panel.help, now.panel.playing) == (False, 0.0)
    now = actions.act(now, "escape")
    assert now.panel.playing is None
    assert now.commands == ()
    now = actions.act(now, "escape")
    assert now.commands == (StopFilm(),)
    now = replace(now, state=replace(now.state, film=replace(now.state.film, final=True)))
    now = actions.act(now, "escape")
    assert now.panel.echo == "Ctrl+Q quits"
    assert now.requests == ()


@pytest.mark.parametrize("life", [None, "done", "failed"])
def test_quitting_with_nothing_under_way_closes_the_window(life):
    now = actions.act(update(life), "quit")
    assert now.requests == (CloseWindow(),)
    assert not now.panel.asking


@pytest.mark.parametrize("life", ["running", "paused", "scoring"])
def test_quitting_while_something_learns_asks_and_then_quits(life):
    now = actions.act(update(life, help=True), "quit")
    assert (now.requests, now.panel.asking, now.panel.help) == ((), True, False)
    [line] = list_unfinished(now)
    assert line.startswith("chair")
    assert ("--resume" in line) == (life != "scoring")
    assert actions.act(now, "quit").requests == (CloseWindow(),)
    assert actions.act(now, "escape").panel.asking is False
    assert actions.act(update(life, quitting=True), "quit").requests == (
        CloseWindow(),
    )  # it is being saved: no more asking


def test_a_film_and_keyframes_in_no_file_are_told():
    one = filming(update())
    path = keyframes.add(one.panel.path, one.state.eye)
    told = list_unfinished(one.put(path=path))
    assert told[0].startswith("a.mp4, 3 of 10 frames")
    assert told[1].startswith("a camera path of 1 keyframe:")
    assert list_unfinished(one.put(path=path, kept=path)) == told[:1]


def test_nothing_is_under_way_without_a_worker():
    one = filming(update("running"))
    assert list_unfinished(replace(one, state=replace(one.state, worker="gone"))) == []
