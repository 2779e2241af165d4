"""What the window shows and does, without the toolkit: picture, overlay, panel, mouse and keys of one session."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from viewer.front import actions, keyframes, keys, leaving, navigation, remarks
from viewer.front.session import Session, State
from viewer.front.updates import (
    AskForPath,
    CloseWindow,
    PanelState,
    RestartWorker,
    ToggleFullScreen,
    Update,
    WindowRequest,
)
from viewer.messages import Activity, Command, FrameDrawn, Notice, ShowPhotographs
from viewer.window import announcements, areas, captions, files, mouse, panel
from viewer.window.areas import WindowAreas
from viewer.window.captions import Outlines
from viewer.window.files import FileDialog
from viewer.window.gui import Gui
from viewer.window.mouse import Drag, Point, Press
from viewer.window.overlay import Frusta, Track, make_frusta, make_track
from viewer.window.photograph_sheet import PhotographSheet
from viewer.window.texture import PictureTexture, clear

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
ECHO = 1.8  # seconds that what a key did stays on the picture
SAVING = Activity("saving what was learnt")
STAY, LONGER = 4.0, 12.0  # seconds that a message, and that a trouble, stays on the picture


@dataclass(frozen=True)
class FrameRate:
    """When frames came in the last second."""

    times: tuple[float, ...] = ()

    def at(self, now: float, more: int) -> "FrameRate":
        """A look at the clock, at which `more` frames have come."""
        return FrameRate(tuple(t for t in self.times if now - t < 1) + (now,) * more)


@final
class Controller:
    """One session in one window."""

    def __init__(self, session: Session, window: Any, scale: float, restart: Callable[[], None] | None) -> None:
        self.session, self.window, self.scale, self.restart = session, window, scale, restart
        self.gui, self.texture = Gui(window, scale), PictureTexture()
        self.panel = PanelState()
        self.drag: Drag | None = None
        self.held: set[str] = set()  # keys
        self.buttons: set[int] = set()  # of the mouse
        self.modifiers: frozenset[str] = frozenset()
        self.pointer: Point | None = None
        self.image: np.ndarray | None = None  # (H, W, 3) uint8, the picture without panel and lines
        self.sources: tuple[Any, ...] = ()  # what it was put together from
        self.rate = FrameRate()
        self.now = time.monotonic()
        self.shown_notices: tuple[tuple[float, Notice], ...] = ()  # messages on the picture, and until when
        self.frames: tuple[FrameDrawn, ...] = ()  # that were counted
        self.notices: tuple[Notice, ...] = ()  # that were shown
        self.echo = (0.0, "")  # what a key did, and until when that is said
        self.frusta: tuple[Any, Frusta | None] = ((), None)  # of which views
        self.tracks: tuple[Any, Track | None] = (None, None)  # of which path
        self.asked: tuple[Any, ...] = ()  # views whose photographs were asked for
        self.textures: tuple[Any, PhotographSheet | None] = (None, None)  # of which photographs
        self.dialog: FileDialog | None = None
        self.requests: list[WindowRequest] = []  # that only the window itself can fulfil

    @property
    def places(self) -> WindowAreas:
        """Where things are now."""
        units, pixels = self.window.get_size(), self.window.get_framebuffer_size()
        return areas.lay_out(units, pixels, self.scale, self.panel.visible)

    # ---- time

    def tick(self) -> bool:
        """Take in what the worker says, and move what moves by itself. True where something to be seen changed."""
        before, self.now = self.now, time.monotonic()
        seconds = min(self.now - before, 0.1)
        update = actions.play(Update(self.session.state, self.panel), seconds)
        along = keys.find_direction(self.held, self.modifiers)
        if any(along) and update.state.eye:
            update = update.eye(navigation.fly(update.state.eye, along, seconds))
        self.apply(update)
        if self.dialog and (chosen := self.dialog.answer()) is not None:
            self.dialog = None
            self.apply(files.open_path(self.update, chosen) if chosen else self.update)
        state = self.session.state
        held = self.drag is not None or any(along) or self.panel.playing is not None
        changed = self.session.tick(areas.measure_pane(state, self.places), held=held)
        shown, said = self.shown_notices, self.echo
        self.watch()
        told = self.shown_notices != shown or self.echo != said
        return changed or told or (state.display.blink and self.has_blinked(state))

    def watch(self) -> None:
        """Count frames, and keep messages on the picture for a while."""
        now = self.session.state
        if self.echo[1] and self.now > self.echo[0]:
            self.echo = (0.0, "")
        frames = tuple(pane.frame for pane in now.panes if pane.frame)
        known = {id(frame) for frame in self.frames}
        self.rate = self.rate.at(self.now, int(any(id(frame) not in known for frame in frames)))
        told = {id(message) for message in self.notices}
        new = [message for message in now.notices if id(message) not in told]
        self.frames, self.notices = frames, now.notices
        entries = [*self.shown_notices, *((self.now + (LONGER if m.trouble else STAY), m) for m in new)]
        alive = [entry for entry in entries if entry[0] >= self.now]
        plain = [entry for entry in alive if not entry[1].trouble]
        self.shown_notices = tuple(entry for entry in alive if entry not in plain[:-MOST])[-2 * MOST :]

    def has_blinked(self, state: State) -> bool:
        """Whether the picture is one with the photograph that should be one without, or the other way round."""
        return bool(self.sources) and self.sources != self.list_sources(state, self.places)

    # ---- changes

    @property
    def update(self) -> Update:
        """An update to begin with."""
        return Update(self.session.state, self.panel)

    def apply(self, update: Update) -> None:
        """Let an update come true."""
        before, after = self.session.state, update.state
        if after is not before:
            self.session.change(after)
        if update.panel.echo:
            self.echo = self.now + ECHO, update.panel.echo
            update = update.put(echo="")
        if update.panel.steps is self.panel.steps:  # else it was taken back, or done again
            held = self.drag is not None and self.drag.moved
            update = update.put(steps=self.panel.steps.saw(before, after, self.now, held=held))
        self.panel = update.panel
        for command in update.commands:
            self.send(command)
        for request in update.requests:
            self.fulfil(request)

    def send(self, command: Command) -> None:
        """Ask the worker, and remember what repeats it."""
        command = files.choose_place(command, self.session.state)
        self.apply(files.note_command(self.update, command))
        self.session.send(command)

    def fulfil(self, request: WindowRequest) -> None:
        """Do what a widget cannot."""
        if isinstance(request, CloseWindow):
            self.panel = replace(self.panel, quitting=True, asking=False)
            self.requests.append(request)
        elif isinstance(request, ToggleFullScreen):
            self.requests.append(request)
        elif isinstance(request, RestartWorker):
            if self.restart:
                self.restart()
        elif isinstance(request, AskForPath):
            self.dialog = self.dialog or files.FileDialog.ask(request.folder)
        else:
            self.apply(files.fulfil(self.update, request, self.image))

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
        self.gui.move_pointer(x, y)
        self.pointer = self.at(x, y)
        if self.drag:
            update, self.drag = mouse.drag_to(self.update, self.drag, self.pointer, self.places)
            self.apply(update)

    def needs_redraw(self, before: Point | None) -> bool:
        """Whether a movement of the mouse from a point may show: on widgets, and near what can be caught."""
        if self.gui.wants_mouse or self.gui.popup or self.session.state.display.crop:
            return True
        _, _, width, height = self.places.picture
        points = [p for p in (before, self.pointer) if p is not None]
        return not all(0 <= x < width and 0 <= y < height for x, y in points)

    def leave(self) -> None:
        """The mouse has left the window; a widget that it holds keeps it."""
        if not self.buttons:
            self.gui.leave()
            self.pointer = None

    def press(self, x: float, y: float, button: int, modifiers: frozenset[str]) -> None:
        """A mouse button goes down."""
        self.buttons.add(button)
        self.gui.move_pointer(x, y)
        self.gui.press_button(button, True)
        name = mouse.BUTTONS.get(button)
        at = self.at(x, y)
        if name and self.drag is None and self.over_picture(at):
            self.panel = replace(self.panel, steps=self.panel.steps.apart())
            self.drag = mouse.begin_drag(self.update, Press(at, name, "SHIFT" in modifiers), self.places)

    def release(self, x: float, y: float, button: int) -> None:
        """A mouse button goes up."""
        self.buttons.discard(button)
        self.gui.move_pointer(x, y)
        self.gui.press_button(button, False)
        drag, self.drag = self.drag, None
        if drag and not drag.moved:
            self.apply(mouse.click(self.update, drag, self.places, self.cameras))

    def scroll(self, x: float, y: float, notches: tuple[float, float]) -> None:
        """The wheel turns."""
        if self.over_picture(self.at(x, y)):
            self.apply(mouse.scroll(self.update, notches[1], lens=bool(self.modifiers & {"CTRL", "COMMAND"})))
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
        elif not (self.gui.wants_keys or (name == "ESCAPE" and self.gui.popup)):  # which closes a list first
            action = keys.find_action(name, modifiers)
            if self.panel.asking and name in ("RETURN", "ENTER", "NUM_ENTER"):
                action = "quit"
            if action:
                self.panel = replace(self.panel, steps=self.panel.steps.apart())
                self.apply(actions.act(self.update, action))
            elif name in keys.HELD:
                self.held.add(name)

    def leave_window(self) -> None:
        """The window's close button."""
        self.apply(leaving.leave(self.update))

    def drop(self, paths: list[str]) -> None:
        """Files were dropped on the window."""
        for path in paths:
            self.apply(files.open_path(self.update, path))

    def release_all(self) -> None:
        """The window has lost the keyboard: nothing is held any more."""
        self.held.clear()
        self.buttons.clear()
        self.drag = None
        self.modifiers = frozenset()
        self.gui.focus(False)

    # ---- pictures

    @property
    def cameras(self) -> Frusta | None:
        """The views' cameras as pyramids, made once; None where they are not shown."""
        state = self.session.state
        if not (state.display.show_cameras and state.views):
            return None
        if self.frusta[0] is not state.views:
            self.frusta = (state.views, make_frusta(state.views))
        return self.frusta[1]

    @property
    def track(self) -> Track | None:
        """The camera path, made once; None where it is not shown, or flown."""
        panel = self.panel
        if not (panel.show_path and panel.path.keys) or panel.playing is not None:
            return None
        if self.tracks[0] is not panel.path:
            self.tracks = panel.path, make_track(*keyframes.sketch(panel.path, panel.film_size))
        return self.tracks[1]

    @property
    def photographs(self) -> PhotographSheet | None:
        """The views' photographs; asked for where they are wanted for the first time."""
        state = self.session.state
        if not state.photographs:
            if self.asked is not state.views and any(spot.photographed for spot in state.views):
                self.asked = state.views
                self.session.send(ShowPhotographs())
            return None
        if self.textures[0] is not state.photographs:
            if self.textures[1]:
                self.textures[1].close()
            self.textures = state.photographs, PhotographSheet(state.photographs)
        return self.textures[1]

    def list_sources(self, state: State, places: WindowAreas) -> tuple[Any, ...]:
        """What the picture depends on."""
        return (*(id(p.frame) for p in state.shown), id(state.photograph), self.blink(state).display, places.picture)

    def blink(self, state: State) -> State:
        """The state as it is shown just now: with a photograph that comes and goes."""
        if not state.display.blink:
            return state
        there = int(self.now / BLINK) % 2 == 0
        return replace(state, display=replace(state.display, truth=1.0 if there else 0.0))

    def compose(self, places: WindowAreas) -> None:
        """Put the picture together again where something that it depends on has changed."""
        state = self.session.state
        sources = self.list_sources(state, places)
        if sources == self.sources:
            return
        image = areas.compose(self.blink(state), places)
        if image is not None:
            self.sources, self.image = sources, image
            self.texture.upload(image)

    def draw(self) -> None:
        """Everything, into the window's framebuffer."""
        places = self.places
        if min(places.window) <= 0:
            return
        if min(places.picture[2:]) > 0:
            self.compose(places)
        clear(places.window, GROUND)
        self.texture.draw(areas.place_texture(self.texture.size, places))
        self.gui.begin()
        self.annotate(places)
        update = self.update
        if self.panel.visible:
            update = panel.draw(update, places, files.has_dialogs())
        if self.panel.asking:
            update = announcements.draw_question(update, places)
        elif self.panel.help:
            update = announcements.draw_help(update, places)
        self.gui.end()
        self.apply(update)

    def annotate(self, places: WindowAreas) -> None:
        """Lines and words over the picture."""
        state = self.session.state
        face = mouse.find_lit_face(self.update, self.drag, self.pointer, places)
        outlines = Outlines(self.cameras, self.track, face, self.photographs if self.cameras else None)
        captions.draw_outlines(self.update, places, outlines)
        captions.draw_names(state, places)
        captions.draw_status(state, places, len(self.rate.times))
        announcements.draw_hint(state, self.session.openings, places)
        announcements.draw_notices([told for _, told in self.shown_notices], state, places)
        if activity := SAVING if self.panel.quitting else state.activity:
            announcements.draw_activity(activity, places, empty=not state.panes)
        said = [text for text in (self.echo[1], remarks.describe_lack(state)) if text]
        for line, text in enumerate(said, 1 if activity and state.panes else 0):
            announcements.draw_echo(text, places, line)

    def close(self) -> None:
        """Give the GPU's memory back."""
        self.texture.close()
        if self.textures[1]:
            self.textures[1].close()
        self.gui.close()
