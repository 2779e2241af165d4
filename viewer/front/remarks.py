"""What is going on, and what is missing in the picture, in words that say what to do about it. Pure."""

from render.looks import MODES
from viewer.front.session import State
from viewer.messages import Activity


def describe_lack(state: State) -> str:
    """Why the picture is not what was asked for; empty where it is."""
    if MODES[state.display.mode].wants != "photograph" or not state.shown:
        return ""
    view = state.eye.view if state.eye else None
    if view is not None and view < len(state.views) and state.views[view].photographed:
        return ""
    if any(spot.photographed for spot in state.views):
        return "no photograph from here, so these are colours: ] looks through a training view"
    return "no photographs are open, so these are colours: open the data set to see errors"


def format_activity(activity: Activity) -> str:
    """In words."""
    return f"{activity.text} ..." + ("" if activity.share is None else f" {activity.share:.0%}")
