"""What is going on and what is missing, in words."""

from dataclasses import replace

import pytest
from gradient_link import BOX, UNIT, cameras

from viewer.front import navigation
from viewer.front.remarks import describe_lack, format_activity
from viewer.front.session import DisplaySettings, Pane, State
from viewer.messages import Activity, FieldOpened, ViewCamera


def test_an_activity_says_how_far_it_is_where_that_is_known():
    assert format_activity(Activity("builtin:60: drawing pictures", 0.4)) == "builtin:60: drawing pictures ... 40%"
    assert format_activity(Activity("compiling kernels, once")) == "compiling kernels, once ..."


def shown(mode, view=None, photographed=True):
    pane = Pane(FieldOpened(0, "chair", "a.safetensors", "mlp", "small", 1, 1, BOX, UNIT, (1.0, 1.0, 1.0)))
    views = tuple(ViewCamera(f"r_{i}", "train", camera, photographed) for i, camera in enumerate(cameras()))
    eye = replace(navigation.start(BOX, []), view=view)
    return State(eye=eye, display=DisplaySettings(mode=mode), panes=(pane,), views=views)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (shown("error"), "no photograph from here"),
        (shown("error", photographed=False), "no photographs are open"),
        (shown("error", 0, photographed=False), "no photographs are open"),
        (replace(shown("error", 5), views=()), "no photographs are open"),
    ],
)
def test_errors_without_a_photograph_say_so(state, said):
    assert describe_lack(state).startswith(said)


@pytest.mark.parametrize("state", [shown("error", 1), shown("color"), shown("depth"), State()])
def test_nothing_is_said_where_nothing_is_missing(state):
    assert describe_lack(state) == ""
