"""The controls beside a browser's picture: how it is shown, which views, what learns, and how it goes.

A widget is bound to a place in the session's state: what a person sets is written there, and what changes there by
other means is shown. All browsers share one panel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, final

import numpy as np

import fields
from fields.numbers import brief
from render.looks import MODES
from viewer.browser.incoming import is_allowed
from viewer.browser.status import FREE, format_status, format_title, format_view, list_new, select_points
from viewer.front import actions, controls
from viewer.front.arrangement import ARRANGEMENTS
from viewer.front.controls import Control
from viewer.front.session import Curve, Pane, Session, State, apply_report
from viewer.front.updates import PanelState, Update
from viewer.messages import ControlRun, Convert, Notice, SaveModel, ViewCamera

NONE = "none"  # the entry of the fields' list where there are none
SUFFIX = ".safetensors"
EVERY = 0.5  # seconds between renewals of text and curves
NOTICE = 15.0  # seconds that a warning is shown for
ENDED = "The viewer has ended."
WAYS = {"previous": "previous_view", "next": "next_view", "home": "reset_view"}  # viewer.front.keys names them
STEERING = ("pause", "resume", "step", "reset")
PAUSE = 1.0  # seconds between clicks of one button that count
SAVES = 100  # files that pages may have saved
NAMED = 100  # characters of a file's name
NO_NAME = set('/\\:*?"<>|')  # characters that name more than a file, on one system or another


def is_always(state: State) -> bool:
    """A widget that is never hidden."""
    return True


def has_several(state: State) -> bool:
    """Whether there is something to compare."""
    return len(state.shown) > 1


def is_wipe(state: State) -> bool:
    """Whether there is a divider to move."""
    return has_several(state) and state.display.layout == "wipe"


def is_difference(state: State) -> bool:
    """Whether a difference is shown."""
    return has_several(state) and state.display.layout == "difference"


def has_photo(state: State) -> bool:
    """Whether there is a photograph to lay over the frame."""
    return state.photograph is not None


@dataclass
class BoundWidget:
    """A widget and the value of the state that it shows."""

    widget: Any
    read: Callable[[State], Any]
    write: Callable[[State, Any], State]
    known: Any  # what the widget shows, or was set to by a person
    useful: Callable[[State], bool] = is_always  # whether it is there at all

    def show(self, state: State) -> None:
        """Bring the widget up to date; what a person is just setting is left alone."""
        set_property(self.widget, "visible", self.useful(state))
        value = self.read(state)
        if value != self.known:
            self.known = value
            self.widget.value = value


@final
class BrowserPanel:
    """The widgets. `post` hands a call to the thread that owns the session."""

    def __init__(
        self,
        server: Any,
        post: Callable[[Callable[[], None]], None],
        session: Session,
        screenshot: Callable[[Any], None],
        restart: Callable[[], None] | None,
    ) -> None:
        self.server, self.gui, self.post, self.session = server, server.gui, post, session
        self.bound: list[BoundWidget] = []
        self.rows: list[BoundWidget] = []  # of the fields
        self.listed: tuple[tuple[int, str], ...] = ()  # fields that the rows stand for
        self.views: tuple[ViewCamera, ...] = ()  # that the views' list was made of
        self.told: Notice | None = None  # the last notice that was looked at
        self.drawn: Curve | None = None  # the last one
        self.renewed = -math.inf
        self.saves = 0  # files that pages had saved
        self.widgets: dict[str, Any] = {}  # that a person may set, by their uuid
        self.warned: dict[str, float] = {}  # troubles that are popped up, and since when
        self.text = self.gui.add_markdown("")
        self.can_restart = restart is not None
        self.again = self.button("Start the worker again", lambda _: self.start_again(restart))
        self.again.visible = False
        self.add_look()
        self.panes = self.gui.add_folder("Fields")
        self.add_views()
        self.add_learning()
        self.button("Screenshot", screenshot)

    def add_look(self) -> None:
        """How it is shown."""
        gui = self.gui
        with gui.add_folder("Show"):
            about = "; ".join(f"{mode.name}: {mode.about}" for mode in MODES.values())
            self.bind(gui.add_dropdown("mode", tuple(MODES), hint=about), "mode")
            self.bind(gui.add_dropdown("layout", ARRANGEMENTS, hint="of several fields"), "layout", has_several)
            self.add_control(controls.WIPE, "wipe", is_wipe)
            self.add_control(controls.GAIN, "gain", is_difference)
            self.add_control(controls.EXPOSURE, "exposure")
            self.add_control(controls.SAMPLES, "passes")
            self.add_control(controls.PHOTOGRAPH, "truth", has_photo)

    def add_control(self, control: Control, name: str, useful: Callable[[State], bool] = is_always) -> None:
        """A slider for an entry of the display, or a field of digits where no even slider would do."""
        kind = int if control.whole else float
        low, high, step, usual = map(kind, (control.low, control.high, control.step, control.usual))
        hint = f"{control.help} ({control.unit})" if control.unit else control.help
        if control.log:
            widget = self.gui.add_number(control.name, usual, min=low, max=high, step=step, hint=hint)
        else:
            widget = self.gui.add_slider(control.name, low, high, step, usual, hint=hint)
        self.bind(widget, name, useful)

    def add_views(self) -> None:
        """Where it is seen from."""
        gui = self.gui
        self.view_folder = gui.add_folder("View", visible=False)
        with self.view_folder:
            self.view_list = gui.add_dropdown("through", (FREE,), hint="the cameras of the photographs")
            self.attach(BoundWidget(self.view_list, name_view, look_through, FREE), self.bound)
            self.clicks(gui.add_button_group("go", tuple(WAYS)), self.go)

    def add_learning(self) -> None:
        """What learns, how it goes, and into what it is converted."""
        gui = self.gui
        with gui.add_folder("Learn"):
            self.chosen = self.know(
                gui.add_dropdown("field", (NONE,), hint="which one is steered, converted and saved")
            )
            self.steering = gui.add_button_group("training", STEERING, visible=False)
            self.clicks(self.steering, self.steer)
            self.to = self.know(gui.add_dropdown("into", tuple(fields.NAMES), hint="an architecture"))
            self.button(
                "Convert", lambda _: self.ask(lambda p: Convert(p, self.to.value, crop=self.state.display.crop))
            )
            hint = "in the folder where view-scene was started; a number is added where there is one already"
            self.name = self.know(gui.add_text("file", f"model{SUFFIX}", hint=hint))
            self.button("Save", lambda _: self.save())
        self.progress = gui.add_folder("Progress", visible=False)
        with self.progress:
            self.plots = [self.chart(label) for label in ("log10 loss", "dB")]

    def chart(self, label: str) -> Any:
        """An empty curve over seconds."""
        series = ({"label": "s"}, {"label": label, "stroke": "#6aa5f5", "width": 2})
        ink = {"stroke": "#8a9099", "grid": {"stroke": "#30343c", "width": 1}}
        empty = np.array([0.0, 1.0]), np.zeros(2)
        return self.gui.add_uplot(
            empty, series, title=label, scales={"x": {"time": False}}, axes=(ink, {**ink, "size": 44}),
            legend={"show": False}, height=130,
        )  # fmt: skip

    @property
    def state(self) -> State:
        """The session's present state."""
        return self.session.state

    # ---- what a person does

    def bind(self, widget: Any, name: str, useful: Callable[[State], bool] = is_always) -> None:
        """A widget for an entry of `Look`."""
        bound = BoundWidget(widget, attrgetter(f"display.{name}"), partial(set_display, name), widget.value, useful)
        self.attach(bound, self.bound)

    def attach(self, bound: BoundWidget, to: list[BoundWidget]) -> None:
        """Write into the state what a person sets."""

        async def updated(event: Any) -> None:
            value = bound.widget.value
            if event.client_id is not None:
                self.post(lambda: self.set(bound, value))

        self.know(bound.widget).on_update(updated)
        to.append(bound)

    def know(self, widget: Any) -> Any:
        """Have pages set a widget; they may set no others."""
        self.widgets[widget._impl.uuid] = widget  # by which pages name it; viser says it nowhere else
        return widget

    def accepts(self, uuid: str, value: object) -> bool:
        """Whether a page may set a widget, by its uuid, to a value. From any thread."""
        widget = self.widgets.get(uuid)
        return widget is not None and is_allowed(widget, value)

    def set(self, bound: BoundWidget, value: Any) -> None:
        """Take over what a person set."""
        bound.known = value
        self.session.change(bound.write(self.state, value))

    def button(self, label: str, do: Callable[[Any], None]) -> Any:
        """A button; `do` gets the browser it was clicked in. From one browser a click in every `PAUSE` counts."""
        button, clicks = self.know(self.gui.add_button(label)), dict[int, float]()  # the last one of each browser

        async def clicked(event: Any) -> None:
            client, now = event.client, self.session.clock()
            if now - clicks.get(client.client_id, -math.inf) >= PAUSE:
                clicks[client.client_id] = now
                self.post(lambda: do(client))

        button.on_click(clicked)
        return button

    def clicks(self, group: Any, do: Callable[[str], None]) -> None:
        """A row of buttons; `do` gets the label of the one that was clicked."""

        async def clicked(_: Any) -> None:
            label = group.value
            self.post(lambda: do(label))

        self.know(group).on_click(clicked)

    def pane(self) -> Pane | None:
        """The field that the buttons are for."""
        return next((p for p in self.state.panes if format_title(p) == self.chosen.value), None)

    def ask(self, command: Callable[[int], Any]) -> None:
        """Send a command for the chosen field."""
        pane = self.pane()
        if pane is not None:
            self.session.send(command(pane.opened.pane))

    def steer(self, action: Any) -> None:
        """Pause, resume, step, reset."""
        self.ask(lambda pane: ControlRun(pane, action))

    def start_again(self, restart: Callable[[], None] | None) -> None:
        """Another worker, where there is none."""
        if restart and self.state.worker == "gone":
            restart()

    def save(self) -> None:
        """Write the chosen field into the folder where the command was started. The worker writes over nothing, and
        says what the file is called."""
        pane = self.pane()
        if pane is None:
            return
        try:
            path = check_target(self.name.value)
            if self.saves >= SAVES:
                raise ValueError(f"{SAVES} files were saved from here; start view-scene again to save more")
        except ValueError as error:
            self.session.change(apply_report(self.state, Notice(str(error), True)))
            return
        self.saves += 1
        self.session.send(SaveModel(pane.opened.pane, str(path)))

    def go(self, where: str) -> None:
        """To the view before or after, or back to where it began."""
        self.session.change(actions.act(Update(self.state, PanelState()), WAYS[where]).state)

    # ---- what is shown

    def refresh(self) -> None:
        """Bring all widgets up to date."""
        state = self.state
        self.list_panes(state)
        if state.views is not self.views:
            self.views = state.views
            self.view_list.options = (FREE, *(format_view(state.views, i) for i in range(len(state.views))))
        for bound in (*self.bound, *self.rows):
            bound.show(state)
        self.warn(state)
        now = self.session.clock()
        if now - self.renewed >= EVERY:
            self.renewed = now
            set_property(self.text, "content", format_status(state, self.session.openings))
            set_property(self.view_folder, "visible", bool(state.views))
            set_property(self.panes, "visible", len(state.panes) > 1)
            pane = self.pane()
            set_property(self.steering, "visible", pane is not None and pane.progress is not None)
            set_property(self.again, "visible", state.worker == "gone" and self.can_restart)
            self.draw()

    def list_panes(self, state: State) -> None:
        """A row for each field, renewed where one came or went."""
        listed = tuple((p.opened.pane, format_title(p)) for p in state.panes)
        if listed == self.listed:
            return
        for row in self.rows:
            del self.widgets[row.widget._impl.uuid]
            row.widget.remove()
        self.rows, before, self.listed = [], set(self.listed), listed
        for number, label in listed:
            with self.panes:
                box = self.gui.add_checkbox(label, True)
            self.attach(
                BoundWidget(box, partial(is_shown, number=number), partial(show_field, number), True), self.rows
            )
        self.chosen.options = tuple(label for _, label in listed) or (NONE,)
        if new := [label for number, label in listed if (number, label) not in before]:
            self.chosen.value = new[-1]

    def warn(self, state: State) -> None:
        """Pop up what went wrong since the last time, and is not popped up already."""
        news, self.told = list_new(state.notices, self.told), state.notices[-1] if state.notices else None
        now = self.session.clock()
        self.warned = {text: since for text, since in self.warned.items() if now - since < NOTICE}
        for notice in news:
            if notice.trouble and notice.text not in self.warned:
                self.warned[notice.text] = now
                for client in self.server.get_clients().values():
                    client.add_notification("view-scene", notice.text, color="red", auto_close_seconds=NOTICE)

    def end(self) -> None:
        """The last thing that is said."""
        self.text.content = f"**{ENDED}**"

    def draw(self) -> None:
        """Loss and dB of the chosen field's run."""
        pane = self.pane()
        if pane is None or pane.curve is self.drawn:
            return
        self.drawn, data = pane.curve, select_points(pane.curve)
        set_property(self.progress, "visible", len(data[0]) > 1)
        for plot, column in zip(self.plots, data[1:], strict=True):
            plot.data = (data[0], column)


def set_display(name: str, state: State, value: Any) -> State:
    """With another entry of `Look`."""
    return replace(state, display=replace(state.display, **{name: value}))


def set_property(widget: Any, name: str, value: Any) -> None:
    """Set a property of a widget where it is another one: every assignment is sent to all pages."""
    if getattr(widget, name) != value:
        setattr(widget, name, value)


def is_shown(state: State, number: int) -> bool:
    """Whether a pane is drawn."""
    pane = state.pane(number)
    return pane is not None and pane.shown


def show_field(number: int, state: State, value: bool) -> State:
    """With a pane drawn, or not."""
    panes = tuple(replace(p, shown=value) if p.opened.pane == number else p for p in state.panes)
    return replace(state, panes=panes)


def name_view(state: State) -> str:
    """The entry of the view that is looked through."""
    return format_view(state.views, state.eye.view if state.eye else None)


def look_through(state: State, label: str) -> State:
    """Looking through the view of an entry; FREE leaves the eye where it is."""
    labels = [format_view(state.views, i) for i in range(len(state.views))]
    if label not in labels:
        return replace(state, eye=replace(state.eye, view=None)) if state.eye else state
    return actions.look_through(Update(state, PanelState()), labels.index(label)).state


def check_target(text: str) -> Path:
    """The model file that a page may name: without folders, and for no terminal or system to stumble over. ValueError
    otherwise."""
    name = text.strip()
    if not name or name.startswith(".") or len(name) > NAMED or not name.isprintable() or NO_NAME & set(name):
        raise ValueError(f"file {brief(text)}: wanted a name of at most {NAMED} characters, without folders")
    return Path.cwd() / (name if name.endswith(SUFFIX) else name + SUFFIX)
