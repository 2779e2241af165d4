"""What is said over a picture, so that an empty or unexpected one is explained: what is waited for, what is missing."""

from collections.abc import Sequence
from pathlib import Path

from render.looks import MODES
from viewer.front.session import State
from viewer.messages import Activity, Command, LearnFrom, OpenModel

NOTHING = "nothing is open"


def describe_wait(state: State, openings: Sequence[Command] = ()) -> str:
    """What a person waits for, and how far that is; empty where all that is open can be seen. `openings`: what the
    worker was asked to open (viewer.front.session.Session)."""
    if state.worker == "gone":
        return "the worker has ended"
    if state.activity:
        return format_activity(state.activity)
    if state.worker == "starting":
        return "starting ..."
    if not state.panes:
        return describe_opening(state, openings)
    if not state.shown:
        return "no field is shown"
    return "" if all(pane.frame for pane in state.shown) else "drawing ..."


def format_activity(activity: Activity) -> str:
    """What the worker is at, in words."""
    return f"{activity.text} ..." + ("" if activity.share is None else f" {100 * activity.share:.0f} %")


def describe_opening(state: State, openings: Sequence[Command]) -> str:
    """What is waited for where no field is open; that one could not be opened is told by a notice."""
    paths = [c.path if isinstance(c, OpenModel) else c.data for c in openings if isinstance(c, OpenModel | LearnFrom)]
    if not paths or any(notice.trouble for notice in state.notices):
        return NOTHING
    return f"opening {Path(paths[0]).name} ..."


def describe_lack(state: State) -> str:
    """What the mode cannot be shown without and is not there; empty where nothing is missing."""
    if not state.shown or MODES[state.display.mode].wants != "photograph":
        return ""
    view = state.eye.view if state.eye else None
    if view is not None and view < len(state.views) and state.views[view].photographed:
        return ""
    if any(spot.photographed for spot in state.views):
        return "no photograph from here, so these are colours: choose a view"
    return "no photographs are open, so these are colours"
