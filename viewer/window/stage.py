"""What the window shows and does, without the toolkit: picture, overlay, panel, mouse and keys of one session."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from viewer.front import actions, keys, navigation
from viewer.front.desk import Browse, Desk, FullScreen, Quit, Restart, Turn, Wish
from viewer.front.session import Session, State
from viewer.messages import Command, Drawn, Told
from viewer.window import captions, errands, mouse, panel, picture
from viewer.window.blit import Canvas, clear
from viewer.window.errands import Dialog
from viewer.window.gui import Gui
from viewer.window.mouse import Grip, Point, Press
from viewer.window.overlay import Frusta, album
from viewer.window.picture import Places

GROUND = (0.063, 0.067, 0.078)  # around the picture
BLINK = 0.5  # seconds that the photograph stays, and stays away
MOST = 4  # messages on the picture, besides as many troubles
HELD = {
    "LSHIFT": "SHIFT",
    "RSHIFT": "SHIFT",
    "LCTRL": "CTRL",
    "RCTRL": "CTRL",
    "LALT": "ALT",
    "RALT": "ALT",
    "LCOMMAND": "COMMAND",
    "RCOMMAND": "COMMAND",
}  # modifiers, as keys of their own
STAY, LONGER = 4.0, 12.0  # seconds that a message, and that a trouble, stays on the picture


@dataclass(frozen=True)
class Pace:
    """When frames came in the last second."""

    times: tuple[float, ...] = ()

    def at(self, now: float, more: int) -> "Pace":
        """A look at the clock, at which `more` frames have come."""
        return Pace(tuple(t for t in self.times if now - t < 1) + (now,) * more)


@final
class Stage:
    """One session in one window."""

    def __init__(self, session: Session, window: Any, scale: float, restart: Callable[[], None] | None) -> None:
        self.session, self.window, self.scale, self.restart = session, window, scale, restart
        self.gui, self.canvas = Gui(window, scale), Canvas()
        self.desk = Desk()
        self.grip: Grip | None = None
        self.held: set[str] = set()  # keys
        self.buttons: set[int] = set()  # of the mouse
        self.modifiers: frozenset[str] = frozenset()
        self.pointer: Point | None = None
        self.image: np.ndarray | None = None  # (H, W, 3) uint8, the picture without panel and lines
        self.made_of: tuple[Any, ...] = ()  # what it was put together from
        self.pace = Pace()
        self.now = time.monotonic()
        self.toasts: tuple[tuple[float, Told], ...] = ()  # messages on the picture, and until when
        self.frames: tuple[Drawn, ...] = ()  # that were counted
        self.notices: tuple[Told, ...] = ()  # that were shown
        self.frusta: tuple[Any, Frusta | None] = ((), None)  # of which album
        self.dialog: Dialog | None = None
        self.wishes: list[Wish] = []  # that only the window itself can fulfil

    @property
    def places(self) -> Places:
        """Where things are now."""
        units, pixels = self.window.get_size(), self.window.get_framebuffer_size()
        return picture.places(units, pixels, self.scale, self.desk.panel)

    # ---- time

    def tick(self) -> bool:
        """Take in what the worker says, and move what moves by itself. True where something to be seen changed."""
        before, self.now = self.now, time.monotonic()
        seconds = min(self.now - before, 0.1)
        turn = actions.played(Turn(self.session.state, self.desk), seconds)
        along = keys.direction(self.held, self.modifiers)
        if any(along) and turn.state.eye:
            turn = turn.eye(navigation.fly(turn.state.eye, along, seconds))
        self.take(turn)
        if self.dialog and (chosen := self.dialog.answer()) is not None:
            self.dialog = None
            self.take(errands.taken(self.turn, chosen) if chosen else self.turn)
        state = self.session.state
        held = self.grip is not None or any(along) or self.desk.playing is not None
        changed = self.session.tick(picture.pane_size(state, self.places), held=held)
        shown = self.toasts
        self.watch()
        return changed or self.toasts != shown or (state.look.blink and self.blinked(state))

    def watch(self) -> None:
        """Count frames, and keep messages on the picture for a while."""
        now = self.session.state
        frames = tuple(pane.frame for pane in now.panes if pane.frame)
        known = {id(frame) for frame in self.frames}
        self.pace = self.pace.at(self.now, int(any(id(frame) not in known for frame in frames)))
        told = {id(message) for message in self.notices}
        new = [message for message in now.notices if id(message) not in told]
        self.frames, self.notices = frames, now.notices
        entries = [*self.toasts, *((self.now + (LONGER if m.trouble else STAY), m) for m in new)]
        alive = [entry for entry in entries if entry[0] >= self.now]
        plain = [entry for entry in alive if not entry[1].trouble]
        self.toasts = tuple(entry for entry in alive if entry not in plain[:-MOST])[-2 * MOST :]

    def blinked(self, state: State) -> bool:
        """Whether the picture is one with the photograph that should be one without, or the other way round."""
        return bool(self.made_of) and self.made_of != self.makings(state, self.places)

    # ---- changes

    @property
    def turn(self) -> Turn:
        """A turn to begin with."""
        return Turn(self.session.state, self.desk)

    def take(self, turn: Turn) -> None:
        """Let a turn come true."""
        if turn.state is not self.session.state:
            self.session.change(turn.state)
        self.desk = turn.desk
        for command in turn.commands:
            self.send(command)
        for wish in turn.wishes:
            self.fulfil(wish)

    def send(self, command: Command) -> None:
        """Ask the worker, and remember what repeats it."""
        self.take(errands.noted(self.turn, command))
        self.session.send(command)

    def fulfil(self, wish: Wish) -> None:
        """Do what a widget cannot."""
        if isinstance(wish, Quit | FullScreen):
            self.wishes.append(wish)
        elif isinstance(wish, Restart):
            if self.restart:
                self.restart()
        elif isinstance(wish, Browse):
            self.dialog = self.dialog or errands.Dialog.opened(wish.folder)
        else:
            self.take(errands.done(self.turn, wish, self.image))

    # ---- mouse and keys, in the window's units with y growing upwards

    def at(self, x: float, y: float) -> Point:
        """Pixels from the picture's top left corner."""
        places = self.places
        left, top, _, _ = places.picture
        return x * places.ratio - left, places.window[1] - y * places.ratio - top

    def over_picture(self, at: Point) -> bool:
        """Whether a point is on the picture, and not on a widget over it."""
        _, _, width, height = self.places.picture
        return 0 <= at[0] < width and 0 <= at[1] < height and not self.gui.wants_mouse

    def move(self, x: float, y: float) -> None:
        """The mouse is there; whatever it holds goes along."""
        self.gui.pointed(x, y)
        self.pointer = self.at(x, y)
        if self.grip:
            turn, self.grip = mouse.dragged(self.turn, self.grip, self.pointer, self.places)
            self.take(turn)

    def stirs(self, before: Point | None) -> bool:
        """Whether a movement of the mouse from a point may show: on widgets, and near what can be caught."""
        if self.gui.wants_mouse or self.gui.popup or self.session.state.look.crop:
            return True
        _, _, width, height = self.places.picture
        points = [p for p in (before, self.pointer) if p is not None]
        return not all(0 <= x < width and 0 <= y < height for x, y in points)

    def leave(self) -> None:
        """The mouse has left the window; a widget that it holds keeps it."""
        if not self.buttons:
            self.gui.gone()
            self.pointer = None

    def press(self, x: float, y: float, button: int, modifiers: frozenset[str]) -> None:
        """A mouse button goes down."""
        self.buttons.add(button)
        self.gui.pointed(x, y)
        self.gui.pressed(button, True)
        name = mouse.BUTTONS.get(button)
        at = self.at(x, y)
        if name and self.grip is None and self.over_picture(at):
            self.grip = mouse.gripped(self.turn, Press(at, name, "SHIFT" in modifiers), self.places)

    def release(self, x: float, y: float, button: int) -> None:
        """A mouse button goes up."""
        self.buttons.discard(button)
        self.gui.pointed(x, y)
        self.gui.pressed(button, False)
        grip, self.grip = self.grip, None
        if grip and not grip.moved:
            self.take(mouse.clicked(self.turn, grip, self.places, self.cameras))

    def scroll(self, x: float, y: float, notches: tuple[float, float]) -> None:
        """The wheel turns."""
        if self.over_picture(self.at(x, y)):
            self.take(mouse.scrolled(self.turn, notches[1], lens=bool(self.modifiers & {"CTRL", "COMMAND"})))
        else:
            self.gui.wheel(*notches)

    def key(self, symbol: int, name: str, modifiers: frozenset[str], down: bool) -> None:
        """A key goes down or up; none but the panel's while something is being typed."""
        if name != "TAB" or self.gui.wants_keys:  # which would begin to type in the panel's first field
            self.gui.key(symbol, down)
        own = {HELD[name]} if name in HELD else set()  # not among the modifiers of its own press
        self.modifiers = modifiers | own if down else modifiers - own
        if not down:
            self.held.discard(name)
        elif not self.gui.wants_keys:
            action = keys.action_for(name, modifiers)
            if action:
                self.take(actions.act(self.turn, action))
            elif name in keys.HELD:
                self.held.add(name)

    def drop(self, paths: list[str]) -> None:
        """Files were dropped on the window."""
        for path in paths:
            self.take(errands.taken(self.turn, path))

    def let_go(self) -> None:
        """The window has lost the keyboard: nothing is held any more."""
        self.held.clear()
        self.buttons.clear()
        self.grip = None
        self.modifiers = frozenset()
        self.gui.focus(False)

    # ---- pictures

    @property
    def cameras(self) -> Frusta | None:
        """The album as pyramids, made once; None where they are not shown."""
        state = self.session.state
        if not (state.look.show_cameras and state.spots):
            return None
        if self.frusta[0] is not state.spots:
            self.frusta = (state.spots, album(state.spots))
        return self.frusta[1]

    def makings(self, state: State, places: Places) -> tuple[Any, ...]:
        """What the picture depends on."""
        return (*(id(p.frame) for p in state.shown), id(state.photograph), self.seen(state).look, places.picture)

    def seen(self, state: State) -> State:
        """The state as it is shown just now: with a photograph that comes and goes."""
        if not state.look.blink:
            return state
        there = int(self.now / BLINK) % 2 == 0
        return replace(state, look=replace(state.look, truth=1.0 if there else 0.0))

    def compose(self, places: Places) -> None:
        """Put the picture together again where something that it depends on has changed."""
        state = self.session.state
        makings = self.makings(state, places)
        if makings == self.made_of:
            return
        image = picture.composed(self.seen(state), places)
        if image is not None:
            self.made_of, self.image = makings, image
            self.canvas.upload(image)

    def draw(self) -> None:
        """Everything, into the window's framebuffer."""
        places = self.places
        if min(places.window) <= 0:
            return
        if min(places.picture[2:]) > 0:
            self.compose(places)
        clear(places.window, GROUND)
        self.canvas.draw(picture.letterboxed(self.canvas.size, places))
        self.gui.begin()
        self.annotate(places)
        turn = self.turn
        if self.desk.panel:
            turn = panel.draw(turn, places.window[1] / places.ratio, errands.has_dialogs())
        self.gui.end()
        self.take(turn)

    def annotate(self, places: Places) -> None:
        """Lines and words over the picture."""
        state = self.session.state
        captions.outlines(self.turn, places, self.cameras, mouse.face(self.turn, self.grip, self.pointer, places))
        captions.names(state, places)
        captions.status(state, places, len(self.pace.times))
        captions.empty(state, places)
        captions.toasts([told for _, told in self.toasts], places)
        if self.desk.help:
            captions.helped(places)

    def close(self) -> None:
        """Give the GPU's memory back."""
        self.canvas.close()
        self.gui.close()
