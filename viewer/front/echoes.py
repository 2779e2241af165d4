"""What is said on the picture for a moment when a key was pressed whose effect could be missed. Pure."""

import math

from render.looks import MODES
from viewer.front.updates import Update, name_model_file

SILENT = {"help", "panel", "quit", "escape", "full_screen", "open", "undo", "redo"}  # they show, or say, it themselves


def describe(action: str, before: Update, after: Update) -> str:
    """What an action has done, for a person; empty where the picture itself says so."""
    if action in SILENT or action.startswith(("roll", "focus")):
        return ""
    if action.startswith("mode_"):
        mode = after.state.display.mode
        return f"{mode}: {MODES[mode].about}"
    if text := TEXTS.get(action):
        return text(before, after)
    return ""


def describe_keyframe(_: Update, after: Update) -> str:
    """Which one it is, and when."""
    keys = after.panel.path.keys
    return f"keyframe {len(keys)} at {keys[-1].time:.1f} s" if keys else ""


def describe_saving(_: Update, after: Update) -> str:
    """Under which name."""
    pane = after.chosen
    return f"saving {after.panel.save.strip() or name_model_file(pane)} ..." if pane else "nothing is open to be saved"


def describe_training(before: Update, after: Update) -> str:
    """Whether it goes on."""
    if len(after.commands) == len(before.commands):
        return "nothing learns here"
    return "training pauses" if getattr(after.commands[-1], "action", "") == "pause" else "training goes on"


def describe_control(before: Update, after: Update) -> str:
    """One step, or from the beginning."""
    if len(after.commands) == len(before.commands):
        return "nothing learns here"
    return {"step": "one step", "reset": "training begins again"}.get(getattr(after.commands[-1], "action", ""), "")


def describe_photograph(_: Update, after: Update) -> str:
    """Whether there is one to be seen."""
    if after.state.photograph is None:
        return "no photograph from here: ] looks through a training view"
    return "photograph" if after.state.display.truth > 0 or after.state.display.blink else "picture"


def describe_view(_: Update, after: Update) -> str:
    """Which one is looked through."""
    state = after.state
    if state.eye is None or state.eye.view is None:
        return "no views are known here"
    spot = state.views[state.eye.view]
    return f"view {state.eye.view + 1} of {len(state.views)}: {spot.name} ({spot.split})"


def describe_preview(_: Update, after: Update) -> str:
    """Whether there is a path to play."""
    if after.panel.playing is not None:
        return "playing the camera path; Esc stops it"
    return "a camera path wants two keyframes: K adds one" if after.panel.path.seconds == 0 else "stopped"


def describe_crop(_: Update, after: Update) -> str:
    """Whether something is cut away."""
    return "crop: drag the squares, Ctrl+Z takes back" if after.state.display.crop else "no crop"


def describe_layout(_: Update, after: Update) -> str:
    """How several are shown."""
    return after.state.display.layout + " of two fields, once two are open" * (len(after.state.shown) < 2)


def describe_lens(_: Update, after: Update) -> str:
    """How wide it is."""
    return f"field of view {math.degrees(after.state.eye.fov):.0f} deg" if after.state.eye else ""


TEXTS = {
    "keyframe": describe_keyframe,
    "save": describe_saving,
    "train": describe_training,
    "step": describe_control,
    "reset_training": describe_control,
    "ground_truth": describe_photograph,
    "blink": describe_photograph,
    "previous_view": describe_view, "next_view": describe_view, "first_view": describe_view, "last_view": describe_view,
    "preview": describe_preview,
    "crop": describe_crop,
    "orbit_or_fly": lambda _, after: "dragging looks around" if after.state.display.fly else "dragging orbits",
    "brighter": lambda _, after: f"exposure {after.state.display.exposure:+.2g} stops",
    "darker": lambda _, after: f"exposure {after.state.display.exposure:+.2g} stops",
    "compare": describe_layout,
    "cameras": lambda _, after: "cameras" if after.state.display.show_cameras else "no cameras",
    "box": lambda _, after: "scene box" if after.state.display.show_box else "no scene box",
    "faster": lambda _, after: f"flying {after.state.eye.speed:.2g} x" if after.state.eye else "",
    "slower": lambda _, after: f"flying {after.state.eye.speed:.2g} x" if after.state.eye else "",
    "narrower": describe_lens,
    "wider": describe_lens,
    "reset_view": lambda *_: "the first look again",
    "set_up": lambda *_: "this is up now",
    "level": lambda *_: "level",
}  # fmt: skip
