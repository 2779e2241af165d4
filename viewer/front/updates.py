"""What a window remembers besides the session's state: texts being typed, choices, keyframes. Frozen, pure updates.

A widget takes an `Update` and gives the next one: new state, new panel, commands for the worker, requests to the
window.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from scenes.paths import Found
from viewer.front.controls import FRAME_RATE
from viewer.front.keyframes import CameraKeys
from viewer.front.navigation import Eye
from viewer.front.session import NOTICES, Pane, State
from viewer.front.undo import Steps
from viewer.messages import Command, Notice


@dataclass(frozen=True)
class WriteScreenshot:
    """Write the picture as a PNG, without the panel."""


@dataclass(frozen=True)
class RestartWorker:
    """Start a worker again, after the last one has gone."""


@dataclass(frozen=True)
class CloseWindow:
    """Close the window."""


@dataclass(frozen=True)
class ToggleFullScreen:
    """The whole screen, or a window again."""


@dataclass(frozen=True)
class AskForPath:
    """Ask for a file, or a folder, with the desktop's own dialog."""

    folder: bool = False


@dataclass(frozen=True)
class OpenPath:
    """Open whatever lies at a path."""

    text: str


@dataclass(frozen=True)
class WriteCameraPath:
    """Write the keyframes as a camera path."""

    path: str


WindowRequest = (
    WriteScreenshot | RestartWorker | CloseWindow | ToggleFullScreen | AskForPath | OpenPath | WriteCameraPath
)


@dataclass(frozen=True)
class NewField:
    """A field that is to be made: by learning, or by converting."""

    architecture: str = "hashgrid"
    preset: str = "auto"
    steps: int = 0  # 0: the command's default
    downscale: int = 1  # of photographs
    cropped: bool = True  # a conversion leaves out what the crop box leaves out


@dataclass(frozen=True)
class PanelState:
    """What the panel holds."""

    visible: bool = True  # shown
    help: bool = False  # keys are shown
    asking: bool = False  # whether to quit, with work under way
    quitting: bool = False  # the window closes as soon as the worker has saved
    echo: str = ""  # said on the picture for a moment
    steps: Steps = field(default_factory=Steps)  # that can be taken back
    text: str = ""  # of the field for paths
    found: Found | None = None  # data that was brought: to learn from, or to compare with?
    learn: NewField = field(default_factory=NewField)
    convert: NewField = field(default_factory=lambda: NewField("mlp"))
    chosen: int | None = None  # pane that commands are for; None: the last
    save: str = ""  # model file being typed
    film: str = "film.mp4"
    film_size: tuple[int, int] = (1280, 720)  # pixels
    fps: float = FRAME_RATE.usual  # of the film
    path_file: str = "path.json"
    path: CameraKeys = field(default_factory=CameraKeys)  # keyframes
    kept: CameraKeys = field(default_factory=CameraKeys)  # those that are in a file
    show_path: bool = True  # the camera path is drawn in the scene
    playing: float | None = None  # seconds into the path, while it is previewed
    lines: tuple[str, ...] = ()  # commands that repeat what was done
    wrote: str = ""  # the last file that was written, for a person


@dataclass(frozen=True)
class Update:
    """One pass over the widgets, so far."""

    state: State
    panel: PanelState
    commands: tuple[Command, ...] = ()
    requests: tuple[WindowRequest, ...] = ()

    @property
    def chosen(self) -> Pane | None:
        """The field that commands are for: the one that was clicked, else the last."""
        number, panes = self.panel.chosen, self.state.panes
        found = None if number is None else self.state.pane(number)
        return found or (panes[-1] if panes else None)

    def display(self, **changes: Any) -> "Update":
        """Shown otherwise."""
        display = replace(self.state.display, **changes)
        return self if display == self.state.display else replace(self, state=replace(self.state, display=display))

    def eye(self, eye: Eye | None) -> "Update":
        """Seen from elsewhere."""
        return self if eye == self.state.eye else replace(self, state=replace(self.state, eye=eye))

    def put(self, **changes: Any) -> "Update":
        """Something else in the panel."""
        panel = replace(self.panel, **changes)
        return self if panel == self.panel else replace(self, panel=panel)

    def send(self, command: Command) -> "Update":
        """Ask the worker."""
        return replace(self, commands=(*self.commands, command))

    def request(self, request: WindowRequest) -> "Update":
        """Ask the window."""
        return replace(self, requests=(*self.requests, request))

    def tell(self, text: str, *, trouble: bool = False) -> "Update":
        """A line for the person, among those of the worker."""
        notices = (*self.state.notices, Notice(" ".join(text.split()), trouble))[-NOTICES:]
        return replace(self, state=replace(self.state, notices=notices))

    def echo(self, text: str) -> "Update":
        """Something said on the picture for a moment."""
        return self.put(echo=text)

    def show_pane(self, pane: int, shown: bool) -> "Update":
        """A pane is drawn, or not."""
        panes = tuple(replace(p, shown=shown) if p.opened.pane == pane else p for p in self.state.panes)
        return replace(self, state=replace(self.state, panes=panes))


def name_model_file(pane: Pane) -> str:
    """What a field's file is called where the person says nothing."""
    name, architecture = pane.opened.name, pane.opened.architecture
    return f"{name}.safetensors" if architecture in name else f"{name}-{architecture}.safetensors"


def name_field(pane: Pane, state: State) -> str:
    """A field's name, with its number where others have the same."""
    name = pane.opened.name
    same = [other for other in state.panes if other.opened.name == name]
    return name if len(same) < 2 else f"{name} #{pane.opened.pane + 1}"


def format_duration(milliseconds: float) -> str:
    """Milliseconds, or seconds where there are many."""
    return f"{milliseconds:.0f} ms" if milliseconds < 9999.5 else f"{milliseconds / 1000:.1f} s"
