"""A front end's memory: what reports change, which requests are asked for, and when."""

from dataclasses import replace

import numpy as np
import pytest
from analytic import camera

from distill.photographs.settings import Settings
from viewer.front import navigation
from viewer.front.session import HISTORY, SETTLE, Curve, DisplaySettings, Session, State, apply_report, request_frame
from viewer.messages import (
    CompareWith,
    FieldClosed,
    FieldOpened,
    FrameDrawn,
    FrameRequest,
    LearnFrom,
    Notice,
    OpenModel,
    Photograph,
    RunProgress,
    SaveModel,
    ViewCamera,
    Views,
    ViewScores,
    WorkerStarted,
)

BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
UNIT = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def opened(pane=0, **changes):
    return replace(FieldOpened(pane, "block", "block", "vm", "tiny", 10, 100, BOX, UNIT, (1.0, 1.0, 1.0)), **changes)


def progress(step, pane=0, **changes):
    one = RunProgress(pane, "running", step, 100, step / 100, "photographs", 1 / (step + 1), 20.0, float(step), 1e6)
    return replace(one, **changes)


def drawn(number=1, pane=0, psnr=None):
    return FrameDrawn(number, pane, np.zeros((6, 8, 3), np.uint8), 1, 5.0, 100, psnr)


def album(count=3):
    return Views(tuple(ViewCamera(f"view {n}", "train", camera(azimuth=0.5 + n), True) for n in range(count)))


class FakeLink:
    def __init__(self):
        self.sent, self.coming, self.alive = [], [], True

    def send(self, command):
        self.sent.append(command)

    def reports(self):
        while self.coming:
            yield self.coming.pop(0)

    def close(self):
        return []


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def session():
    link, clock = FakeLink(), Clock()
    one = Session(link, State(), clock)
    link.coming = [WorkerStarted("CPU", "omp"), album(), opened()]
    return one, link, clock


def test_reports_fill_the_state():
    state = State()
    for report in (
        WorkerStarted("CPU", "omp"),
        album(),
        opened(),
        opened(1),
        drawn(pane=1),
        ViewScores(1, (20.0, 30.0), True),
    ):
        state = apply_report(state, report)
    assert state.worker == "ready" and len(state.views) == 3 and state.eye is not None
    assert [p.opened.pane for p in state.panes] == [0, 1]
    assert state.panes[0].frame is None and state.panes[1].frame.number == 1
    assert state.panes[1].scores == (20.0, 30.0)
    state = apply_report(state, FieldClosed(0))
    assert [p.opened.pane for p in state.panes] == [1] and state.pane(0) is None


def test_news_of_a_pane_keep_what_is_known_of_it():
    state = apply_report(apply_report(apply_report(State(), opened()), drawn()), opened(model_bytes=7))
    assert len(state.panes) == 1 and state.panes[0].opened.model_bytes == 7 and state.panes[0].frame is not None


def test_notices_are_bounded_and_the_newest_stay():
    state = State()
    for n in range(200):
        state = apply_report(state, Notice(str(n)))
    assert len(state.notices) < 200 and state.notices[-1].text == "199"


def test_curves_grow_are_thinned_and_begin_anew_after_a_reset():
    state = apply_report(State(), opened())
    for step in range(1, 50):
        state = apply_report(state, progress(step))
    assert state.panes[0].curve.seconds == tuple(map(float, range(1, 50)))
    state = apply_report(state, progress(0, seconds=0.0))
    assert state.panes[0].curve.seconds == (0.0,)
    curve = Curve()
    for n in range(3 * HISTORY):
        curve = curve.with_point(float(n), 0.0, 0.0)
    assert len(curve.seconds) <= HISTORY and curve.seconds[0] == 0 and curve.seconds[-1] >= 3 * HISTORY - 2
    assert all(a < b for a, b in zip(curve.seconds, curve.seconds[1:], strict=False))


def test_the_first_look_goes_through_the_view_that_was_asked_for():
    state = apply_report(apply_report(State(first=2), album()), opened())
    assert state.eye.view == 2
    assert apply_report(apply_report(State(first=9), album()), opened()).eye.view is None
    wanted = request_frame(state, (64, 64), 1, False)
    assert wanted.view == 2 and wanted.camera.size == (64, 48)  # the view's own aspect
    assert np.allclose(wanted.camera.pose, album().views[2].camera.pose, atol=1e-6)


def test_nothing_is_asked_for_where_nothing_is_shown():
    state = apply_report(State(), opened())
    hidden = replace(state, panes=tuple(replace(p, shown=False) for p in state.panes))
    assert request_frame(State(), (8, 8), 1, False) is None and request_frame(hidden, (8, 8), 1, False) is None
    assert request_frame(state, (8, 8), 1, False).panes == (0,)


def test_a_shot_is_sent_once_per_change(session):
    one, link, clock = session
    one.tick((40, 30))
    one.tick((40, 30))
    clock.now += 1
    one.tick((40, 30))  # settled
    one.tick((40, 30))
    moving, still = link.sent
    assert moving.moving and not still.moving and (moving.number, still.number) == (1, 2)
    one.change(replace(one.state, display=DisplaySettings(mode="depth")))
    one.tick((40, 30))
    one.tick((41, 30))
    assert [s.mode for s in link.sent[2:]] == ["depth", "depth"] and link.sent[3].camera.size == (41, 30)


def test_movement_is_coarse_until_it_settles(session):
    one, link, clock = session
    one.tick((40, 30))
    clock.now += 1
    one.change(replace(one.state, eye=navigation.orbit(one.state.eye, 5, 0)))
    one.tick((40, 30))
    assert link.sent[-1].moving
    clock.now += 0.9 * SETTLE
    one.tick((40, 30))
    assert link.sent[-1].moving
    clock.now += 0.2 * SETTLE
    one.tick((40, 30), held=True)
    assert link.sent[-1].moving
    one.tick((40, 30))
    assert not link.sent[-1].moving


def test_a_window_without_a_size_asks_for_nothing(session):
    one, link, _ = session
    one.tick((0, 0))
    assert not any(isinstance(c, FrameRequest) for c in link.sent)


def test_decibels_and_photograph_belong_to_the_view_that_is_looked_through(session):
    one, link, _ = session
    one.tick((40, 30))
    eye = navigation.look_through(one.state.eye, one.state.views[0].camera, 0)
    one.change(replace(one.state, eye=eye))
    link.coming = [drawn(psnr=31.5), Photograph(0, np.zeros((6, 8, 3), np.uint8)), drawn()]
    one.tick((40, 30))
    assert one.state.panes[0].psnr == 31.5 and one.state.photograph is not None
    one.change(replace(one.state, eye=navigation.orbit(one.state.eye, 5, 0)))
    assert one.state.panes[0].psnr is None and one.state.photograph is None


def test_a_worker_that_is_gone_is_seen_and_another_takes_its_place(session, tmp_path):
    one, link, _ = session
    runs = [LearnFrom("builtin", Settings(out=tmp_path / name)) for name in ("new", "begun")]
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "checkpoint.safetensors").touch()
    for command in (OpenModel("a"), *runs, CompareWith("b"), SaveModel(0, "c")):
        one.send(command)
    one.tick((40, 30))
    link.alive = False
    assert one.tick((40, 30)) and one.state.worker == "gone" and len(one.state.panes) == 1
    other, eye = FakeLink(), one.state.eye
    one.renew(other)
    assert one.state.worker == "starting" and one.state.panes == () and one.state.eye == eye
    first, new, begun, last = other.sent
    assert (first, last) == (OpenModel("a"), CompareWith("b"))
    assert (new.settings.resume, begun.settings.resume) == (False, True)
    other.coming = [WorkerStarted("CPU", "omp"), opened()]
    one.tick((40, 30))
    assert isinstance(other.sent[-1], FrameRequest)
