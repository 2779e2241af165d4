"""What a key's action does (viewer/front/keys.py names them): an update in, an update out."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from render.looks import MODES
from viewer.front import echoes, keyframes, leaving, navigation
from viewer.front.arrangement import ARRANGEMENTS
from viewer.front.controls import EXPOSURE
from viewer.front.navigation import Eye
from viewer.front.session import Pane
from viewer.front.updates import AskForPath, ToggleFullScreen, Update, WriteScreenshot, name_model_file
from viewer.messages import ControlRun, SaveModel

TILT = math.radians(2)
NOTCH = 1.1  # of focus
OPENING = 1.25  # ratio of apertures from one step to the next
SMALLEST = 1 / 400  # of the distance to the pivot: the first aperture above none


def act(update: Update, action: str) -> Update:
    """The update after an action, one of viewer.front.keys.BINDINGS, and what is said of it on the picture; else
    unchanged where there is nothing to act on."""
    result = ALL[action](update)
    said = echoes.describe(action, update, result)
    return result.echo(said) if said else result


def look_through(update: Update, view: int) -> Update:
    """Looking through one of the views; beyond its ends the other end follows."""
    state = update.state
    if not state.views or state.eye is None:
        return update
    view %= len(state.views)
    center = navigation.find_center(state.panes[0].opened.box) if state.panes else None
    return update.eye(navigation.look_through(state.eye, state.views[view].camera, view, center))


def step_view(update: Update, by: int) -> Update:
    """The next view; from nowhere the first one, or the last."""
    view = update.state.eye.view if update.state.eye else None
    return look_through(update, (0 if by > 0 else -1) if view is None else view + by)


def reset_view(update: Update) -> Update:
    """The first look again; the scene's up and flying speed too."""
    if not update.state.panes:
        return update
    cameras = tuple(spot.camera for spot in update.state.views)
    return update.eye(navigation.start(update.state.panes[0].opened.box, cameras))


def change_eye(update: Update, change: Callable[[Eye], Eye]) -> Update:
    """The eye after a change."""
    return update.eye(change(update.state.eye)) if update.state.eye else update


def change_focus(eye: Eye, notches: int) -> Eye:
    """Sharp nearer or farther away."""
    return navigation.refocus(eye, navigation.find_focus(eye) * NOTCH**notches)


def change_aperture(eye: Eye, steps: int) -> Eye:
    """A larger lens, from a pinhole on; or a smaller one, down to a pinhole."""
    return replace(eye, aperture=step_aperture(eye.aperture, eye.distance * SMALLEST, steps))


def step_aperture(aperture: float, least: float, steps: int) -> float:
    """The next aperture, 0 below the least."""
    if aperture <= 0:
        return least if steps > 0 else 0.0
    result = aperture * OPENING**steps
    return result if result >= least * 0.999 else 0.0


def find_learner(update: Update) -> Pane | None:
    """The pane that learns: the chosen one, else the last that does."""
    panes = [p for p in update.state.panes if p.progress]
    return next((p for p in panes if p.opened.pane == update.panel.chosen), panes[-1] if panes else None)


def toggle_training(update: Update) -> Update:
    """On, or a halt."""
    pane = find_learner(update)
    if pane is None or pane.progress is None or pane.progress.life not in ("running", "paused"):
        return update
    return update.send(ControlRun(pane.opened.pane, "pause" if pane.progress.life == "running" else "resume"))


def send_control(update: Update, action: str) -> Update:
    """Steer the pane that learns."""
    pane = find_learner(update)
    return update.send(ControlRun(pane.opened.pane, action)) if pane else update  # pyright: ignore[reportArgumentType]


def toggle_photograph(update: Update) -> Update:
    """The photograph over the picture, or away."""
    return update.display(truth=0.0 if update.state.display.truth > 0 else 1.0, blink=False)


def cycle_layout(update: Update) -> Update:
    """The next way to show panes."""
    layouts = [*ARRANGEMENTS, ARRANGEMENTS[0]]
    return update.display(layout=layouts[layouts.index(update.state.display.layout) + 1])


def toggle_crop(update: Update) -> Update:
    """A crop box as large as the scene box, or none."""
    if not update.state.panes:
        return update
    crop = None if update.state.display.crop else update.state.panes[0].opened.box
    return update.display(crop=crop, crop_turn=0.0)


def reset_crop(update: Update) -> Update:
    """The crop box as large as the scene box again, and straight."""
    return update.display(crop=update.state.panes[0].opened.box, crop_turn=0.0) if update.state.panes else update


def undo(update: Update) -> Update:
    """The eye and the crop box as they were before."""
    steps, state = update.panel.steps.back(update.state)
    told = "taken back" if steps is not update.panel.steps else "nothing to take back"
    return replace(update, state=state).put(steps=steps).echo(told)


def redo(update: Update) -> Update:
    """What was taken back, again."""
    steps, state = update.panel.steps.forward(update.state)
    told = "again" if steps is not update.panel.steps else "nothing was taken back"
    return replace(update, state=state).put(steps=steps).echo(told)


def change_exposure(update: Update, stops: float) -> Update:
    """More exposure."""
    return update.display(exposure=EXPOSURE.clamp(update.state.display.exposure + stops))


def toggle(update: Update, name: str) -> Update:
    """A setting of the look that is on or off, the other way."""
    return update.display(**{name: not getattr(update.state.display, name)})


def add_keyframe(update: Update) -> Update:
    """One more at the end of the camera path, where the eye is."""
    if update.state.eye is None:
        return update
    return update.put(path=keyframes.add(update.panel.path, update.state.eye))


def toggle_preview(update: Update) -> Update:
    """The camera path is flown, or no more."""
    path = update.panel.path
    if update.panel.playing is not None or path.seconds == 0:
        return update.put(playing=None)
    return update.put(playing=path.keys[0].time)


def play(update: Update, seconds: float) -> Update:
    """So much further along the path that is flown; its end ends the flight, a loop goes on."""
    path, now, eye = update.panel.path, update.panel.playing, update.state.eye
    if now is None or eye is None or not path.keys:
        return update
    begin, time = path.keys[0].time, now + seconds
    if time > begin + path.seconds and path.loop > 0:
        time = begin + (time - begin) % path.seconds
    ended = time >= begin + path.seconds
    return update.eye(keyframes.look_at_time(path, time, eye)).put(playing=None if ended else time)


def save_model(update: Update) -> Update:
    """The chosen field as a model file."""
    pane = update.chosen
    return (
        update.send(SaveModel(pane.opened.pane, update.panel.save.strip() or name_model_file(pane))) if pane else update
    )


ALL: dict[str, Callable[[Update], Update]] = {
    "train": toggle_training,
    "step": partial(send_control, action="step"),
    "reset_training": partial(send_control, action="reset"),
    "reset_view": reset_view,
    "orbit_or_fly": partial(toggle, name="fly"),
    "set_up": partial(change_eye, change=navigation.set_up),
    "level": partial(change_eye, change=navigation.level),
    "roll_left": partial(change_eye, change=partial(navigation.roll, angle=TILT)),
    "roll_right": partial(change_eye, change=partial(navigation.roll, angle=-TILT)),
    "faster": partial(change_eye, change=partial(navigation.hasten, notches=1)),
    "slower": partial(change_eye, change=partial(navigation.hasten, notches=-1)),
    "narrower": partial(change_eye, change=partial(navigation.widen, notches=-1)),
    "wider": partial(change_eye, change=partial(navigation.widen, notches=1)),
    "focus_nearer": partial(change_eye, change=partial(change_focus, notches=-1)),
    "focus_farther": partial(change_eye, change=partial(change_focus, notches=1)),
    "focus_pivot": partial(change_eye, change=partial(navigation.refocus, distance=0.0)),
    "smaller_aperture": partial(change_eye, change=partial(change_aperture, steps=-1)),
    "larger_aperture": partial(change_eye, change=partial(change_aperture, steps=1)),
    "previous_view": partial(step_view, by=-1),
    "next_view": partial(step_view, by=1),
    "first_view": partial(look_through, view=0),
    "last_view": partial(look_through, view=-1),
    "ground_truth": toggle_photograph,
    "blink": partial(toggle, name="blink"),
    **{f"mode_{mode}": (lambda update, mode=mode: update.display(mode=mode)) for mode in MODES},
    "brighter": partial(change_exposure, stops=EXPOSURE.step),
    "darker": partial(change_exposure, stops=-EXPOSURE.step),
    "compare": cycle_layout,
    "cameras": partial(toggle, name="show_cameras"),
    "box": partial(toggle, name="show_box"),
    "crop": toggle_crop,
    "keyframe": add_keyframe,
    "preview": toggle_preview,
    "screenshot": lambda update: update.request(WriteScreenshot()),
    "open": lambda update: update.request(AskForPath()),
    "save": save_model,
    "panel": lambda update: update.put(visible=not update.panel.visible),
    "help": lambda update: update.put(help=not update.panel.help),
    "full_screen": lambda update: update.request(ToggleFullScreen()),
    "undo": undo,
    "redo": redo,
    "escape": leaving.escape,
    "quit": leaving.leave,
}
