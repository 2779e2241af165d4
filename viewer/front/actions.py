"""What a key's action does (viewer/front/keys.py names them): a turn in, a turn out."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from viewer.front import desk, keyframes, navigation
from viewer.front.desk import Turn
from viewer.front.navigation import Eye
from viewer.front.session import LAYOUTS, Pane
from viewer.messages import MODES, Control, Save

TILT = math.radians(2)
STOP = 0.25  # of exposure
NOTCH = 1.1  # of focus
OPENING = 1.25  # ratio of apertures from one step to the next
SMALLEST = 1 / 400  # of the distance to the pivot: the first aperture above none


def act(turn: Turn, action: str) -> Turn:
    """The turn after an action, one of viewer.front.keys.BINDINGS; unchanged where there is nothing to act on."""
    return ALL[action](turn)


def through(turn: Turn, view: int) -> Turn:
    """Looking through a view of the album; beyond its ends the other end follows."""
    state = turn.state
    if not state.spots or state.eye is None:
        return turn
    view %= len(state.spots)
    center = navigation.middle(state.panes[0].opened.box) if state.panes else None
    return turn.eye(navigation.looking_through(state.eye, state.spots[view].camera, view, center))


def stepped(turn: Turn, by: int) -> Turn:
    """The next view; from nowhere the first one, or the last."""
    view = turn.state.eye.view if turn.state.eye else None
    return through(turn, (0 if by > 0 else -1) if view is None else view + by)


def home(turn: Turn) -> Turn:
    """The first look again; the scene's up and flying speed too."""
    if not turn.state.panes:
        return turn
    cameras = tuple(spot.camera for spot in turn.state.spots)
    return turn.eye(navigation.start(turn.state.panes[0].opened.box, cameras))


def moved(turn: Turn, change: Callable[[Eye], Eye]) -> Turn:
    """The eye after a change."""
    return turn.eye(change(turn.state.eye)) if turn.state.eye else turn


def focused(eye: Eye, notches: int) -> Eye:
    """Sharp nearer or farther away."""
    return navigation.refocus(eye, navigation.sharp_at(eye) * NOTCH**notches)


def opened(eye: Eye, steps: int) -> Eye:
    """A larger lens, from a pinhole on; or a smaller one, down to a pinhole."""
    return replace(eye, aperture=wider(eye.aperture, eye.distance * SMALLEST, steps))


def wider(aperture: float, least: float, steps: int) -> float:
    """The next aperture, 0 below the least."""
    if aperture <= 0:
        return least if steps > 0 else 0.0
    result = aperture * OPENING**steps
    return result if result >= least * 0.999 else 0.0


def learner(turn: Turn) -> Pane | None:
    """The pane that learns: the chosen one, else the last that does."""
    panes = [p for p in turn.state.panes if p.progress]
    return next((p for p in panes if p.opened.pane == turn.desk.chosen), panes[-1] if panes else None)


def train(turn: Turn) -> Turn:
    """On, or a halt."""
    pane = learner(turn)
    if pane is None or pane.progress is None or pane.progress.life not in ("running", "paused"):
        return turn
    return turn.send(Control(pane.opened.pane, "pause" if pane.progress.life == "running" else "resume"))


def control(turn: Turn, action: str) -> Turn:
    """Steer the pane that learns."""
    pane = learner(turn)
    return turn.send(Control(pane.opened.pane, action)) if pane else turn  # pyright: ignore[reportArgumentType]


def truth(turn: Turn) -> Turn:
    """The photograph over the picture, or away."""
    return turn.look(truth=0.0 if turn.state.look.truth > 0 else 1.0, blink=False)


def compare(turn: Turn) -> Turn:
    """The next way to show panes."""
    layouts = [*LAYOUTS, LAYOUTS[0]]
    return turn.look(layout=layouts[layouts.index(turn.state.look.layout) + 1])


def crop(turn: Turn) -> Turn:
    """A crop box as large as the scene box, or none."""
    if not turn.state.panes:
        return turn
    return turn.look(crop=None if turn.state.look.crop else turn.state.panes[0].opened.box)


def brighter(turn: Turn, stops: float) -> Turn:
    """More exposure."""
    return turn.look(exposure=min(max(turn.state.look.exposure + stops, -8.0), 8.0))


def flipped(turn: Turn, name: str) -> Turn:
    """A setting of the look that is on or off, the other way."""
    return turn.look(**{name: not getattr(turn.state.look, name)})


def keyframe(turn: Turn) -> Turn:
    """One more at the end of the camera path, where the eye is."""
    if turn.state.eye is None:
        return turn
    path = keyframes.add(turn.desk.path, turn.state.eye)
    return turn.put(path=path).tell(f"keyframe {len(path.keys)} at {path.keys[-1].time:.1f} s")


def preview(turn: Turn) -> Turn:
    """The camera path is flown, or no more."""
    path = turn.desk.path
    if turn.desk.playing is not None or path.seconds == 0:
        return turn.put(playing=None)
    return turn.put(playing=path.keys[0].time)


def played(turn: Turn, seconds: float) -> Turn:
    """So much further along the path that is flown; its end ends the flight, a loop goes on."""
    path, now, eye = turn.desk.path, turn.desk.playing, turn.state.eye
    if now is None or eye is None or not path.keys:
        return turn
    begin, time = path.keys[0].time, now + seconds
    if time > begin + path.seconds and path.loop > 0:
        time = begin + (time - begin) % path.seconds
    ended = time >= begin + path.seconds
    return turn.eye(keyframes.at_time(path, time, eye)).put(playing=None if ended else time)


def save(turn: Turn) -> Turn:
    """The chosen field as a model file."""
    pane = turn.chosen
    return turn.send(Save(pane.opened.pane, turn.desk.save.strip() or desk.model_name(pane))) if pane else turn


ALL: dict[str, Callable[[Turn], Turn]] = {
    "train": train,
    "step": partial(control, action="step"),
    "reset_training": partial(control, action="reset"),
    "reset_view": home,
    "orbit_or_fly": partial(flipped, name="fly"),
    "set_up": partial(moved, change=navigation.upright),
    "level": partial(moved, change=navigation.level),
    "roll_left": partial(moved, change=partial(navigation.roll, angle=TILT)),
    "roll_right": partial(moved, change=partial(navigation.roll, angle=-TILT)),
    "faster": partial(moved, change=partial(navigation.hasten, notches=1)),
    "slower": partial(moved, change=partial(navigation.hasten, notches=-1)),
    "narrower": partial(moved, change=partial(navigation.widen, notches=-1)),
    "wider": partial(moved, change=partial(navigation.widen, notches=1)),
    "focus_nearer": partial(moved, change=partial(focused, notches=-1)),
    "focus_farther": partial(moved, change=partial(focused, notches=1)),
    "focus_pivot": partial(moved, change=partial(navigation.refocus, distance=0.0)),
    "smaller_aperture": partial(moved, change=partial(opened, steps=-1)),
    "larger_aperture": partial(moved, change=partial(opened, steps=1)),
    "previous_view": partial(stepped, by=-1),
    "next_view": partial(stepped, by=1),
    "first_view": partial(through, view=0),
    "last_view": partial(through, view=-1),
    "ground_truth": truth,
    "blink": partial(flipped, name="blink"),
    **{f"mode_{mode}": (lambda turn, mode=mode: turn.look(mode=mode)) for mode in MODES},
    "brighter": partial(brighter, stops=STOP),
    "darker": partial(brighter, stops=-STOP),
    "compare": compare,
    "cameras": partial(flipped, name="show_cameras"),
    "box": partial(flipped, name="show_box"),
    "crop": crop,
    "keyframe": keyframe,
    "preview": preview,
    "screenshot": lambda turn: turn.wish(desk.Screenshot()),
    "open": lambda turn: turn.wish(desk.Browse()),
    "save": save,
    "panel": lambda turn: turn.put(panel=not turn.desk.panel),
    "help": lambda turn: turn.put(help=not turn.desk.help),
    "full_screen": lambda turn: turn.wish(desk.FullScreen()),
    "quit": lambda turn: turn.wish(desk.Quit()),
}
