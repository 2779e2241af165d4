"""The browser's panel without a browser: widgets and the state, what pages may ask for, and what is said."""

import asyncio
import math
from collections import deque
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gradient_link import GradientLink, cameras, progress

from viewer.browser import panel as web_panel
from viewer.browser import status as web_status
from viewer.browser.panel import BoundWidget
from viewer.front.session import Curve, Session, State
from viewer.messages import Activity, Notice, OpenModel


def state_of(link: GradientLink) -> State:
    session = Session(link, clock=lambda: 0.0)  # in which everything has just moved
    session.tick((8, 6))
    session.tick((8, 6))
    return session.state


def test_the_status_tells_of_pictures_runs_and_trouble():
    link = GradientLink(("a_b",))
    link.waiting += [progress(0, 7, "paused"), Notice("disk <full>", True)]
    text = web_status.format_status(state_of(link))
    assert "CPU, 1 thread" in text and r"**a\_b** hashgrid · 2 x 1 · 1 sample · 5 ms" in text
    assert "**paused** (train) · step 7 of 100 · 20.70 dB in training" in text and r"**!** disk \<full\>" in text


def test_a_worker_that_has_gone_is_told():
    link = GradientLink()
    link.alive = False
    assert web_status.format_status(state_of(link)).startswith("**The worker has ended.**")


def test_curves_are_thinned_and_leave_out_what_is_no_number():
    seconds = tuple(float(i) for i in range(1000))
    curve = Curve(seconds, (math.nan, 0.0, *(0.01,) * 998), (20.0,) * 1000)
    x, loss, psnr = web_status.select_points(curve)
    assert len(x) == len(loss) == len(psnr) <= web_status.POINTS and x[0] == 2.0
    assert loss == pytest.approx(-2.0) and psnr == pytest.approx(20.0)
    assert all(len(column) == 0 for column in web_status.select_points(Curve()))


def test_pages_write_bare_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert web_panel.check_target(" chair ") == web_panel.check_target("chair.safetensors")
    assert web_panel.check_target("chair") == tmp_path / "chair.safetensors"
    longest = "ä" * web_panel.NAMED
    for text in (
        "",
        "../chair",
        "/chair",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "C:a",
        "a\0",
        "a\x1b[2J",
        "a\u202e",
        longest + "a",
    ):
        with pytest.raises(
            ValueError, match=r"^file '[ -~ä]*': wanted a name of at most 100 characters, without folders$"
        ):
            web_panel.check_target(text)
    assert web_panel.check_target(longest).stem == longest


def test_a_view_is_chosen_by_its_entry_and_left_again():
    state = state_of(GradientLink(cameras=cameras()))
    through = web_panel.look_through(state, "1: r_1 (train)")
    assert through.eye is not None and through.eye.view == 1
    assert through.eye.position == pytest.approx((2.5, 0.0, 1.5))
    assert web_panel.name_view(through) == "1: r_1 (train)"
    assert web_panel.name_view(web_panel.look_through(through, "free")) == "free"


def test_each_figure_says_what_it_is_of():
    link = GradientLink(("chair",))
    link.waiting.append(progress(0, 7, "paused"))
    state = state_of(link)
    pane = replace(state.panes[0], psnr=29.1, opened=replace(state.panes[0].opened, scored=29.951))
    text = web_status.format_status(replace(state, panes=(pane,)))
    assert "29.10 dB in this view" in text and "29.95 dB in the file" in text and "20.70 dB in training" in text
    assert text.count(" dB") == 3
    assert "in this view" not in web_status.format_status(state) and "in the file" not in web_status.format_status(
        state
    )


def test_what_is_waited_for_is_in_the_panel_too():
    state = State(activity=Activity("reading builtin:60", 0.4))
    assert web_status.format_status(state) == r"reading builtin\:60 \.\.\. 40 %"
    assert web_status.format_status(State()) == r"starting \.\.\."
    opening = web_status.format_status(State(worker="ready", device="CPU"), [OpenModel("a/chair.safetensors")])
    assert opening == r"CPU · opening chair\.safetensors \.\.\."


def test_all_notices_since_the_last_one_are_new():
    first, second, third = (Notice(text) for text in "abb")  # equal ones are told apart
    assert web_status.list_new((first, second, third), first) == (second, third)
    assert web_status.list_new((first, second), second) == ()
    assert web_status.list_new((second, third), first) == (second, third)
    assert web_status.list_new((), None) == ()


def bound(name: str, useful=web_panel.is_always) -> BoundWidget:
    """A slider from 0 to 2 for an entry of the look."""
    widget = SimpleNamespace(value=0.0, visible=True, min=0.0, max=2.0)
    widget.on_update = lambda call: setattr(widget, "call", call)

    def write(state: State, value: float) -> State:
        return web_panel.set_display(name, state, value)

    return BoundWidget(widget, lambda state: getattr(state.display, name), write, 0.0, useful)


def test_a_widget_follows_the_state_but_not_while_a_person_is_faster():
    slider, state = bound("exposure"), State()
    slider.show(web_panel.set_display("exposure", state, 1.0))
    assert slider.widget.value == 1.0
    slider.widget.value = 1.5  # being dragged; the state will hear of it
    slider.show(web_panel.set_display("exposure", state, 1.0))
    assert slider.widget.value == 1.5


def test_a_widget_hides_where_it_is_of_no_use():
    slider = bound("gain", web_panel.is_difference)
    state = state_of(GradientLink(("chair", "lego")))
    slider.show(state)
    assert not slider.widget.visible
    slider.show(web_panel.set_display("layout", state, "difference"))
    assert slider.widget.visible
    assert not web_panel.is_difference(
        web_panel.show_field(1, web_panel.set_display("layout", state, "difference"), False)
    )


def test_what_a_person_sets_is_written_and_what_we_set_is_not():
    events: deque = deque()
    session, slider = Session(GradientLink()), bound("exposure")
    panel = SimpleNamespace(post=events.append, session=session, state=session.state, know=lambda widget: widget)
    panel.set = lambda *pair: web_panel.BrowserPanel.set(panel, *pair)
    web_panel.BrowserPanel.attach(panel, slider, [])

    def send(value: float, client: int | None) -> None:
        slider.widget.value = value
        asyncio.run(slider.widget.call(SimpleNamespace(client_id=client)))

    send(1.0, None)  # set by us
    assert not events
    send(2.0, 1)
    events.popleft()()
    assert session.state.display.exposure == 2.0 and slider.known == 2.0
