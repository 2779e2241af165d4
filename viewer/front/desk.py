"""What a window remembers besides the session's state: texts being typed, choices, keyframes. Frozen, pure updates.

A widget takes a `Turn` and gives the next one: new state, new desk, commands for the worker, wishes to the window.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from viewer.front.keyframes import CameraKeys
from viewer.front.navigation import Eye
from viewer.front.session import NOTICES, Pane, State
from viewer.front.sniff import Found
from viewer.messages import Command, Told


@dataclass(frozen=True)
class Screenshot:
    """Write the picture as a PNG, without the panel."""


@dataclass(frozen=True)
class Restart:
    """Start a worker again, after the last one has gone."""


@dataclass(frozen=True)
class Quit:
    """Close the window."""


@dataclass(frozen=True)
class FullScreen:
    """The whole screen, or a window again."""


@dataclass(frozen=True)
class Browse:
    """Ask for a file, or a folder, with the desktop's own dialog."""

    folder: bool = False


@dataclass(frozen=True)
class Take:
    """Open whatever lies at a path."""

    text: str


@dataclass(frozen=True)
class SavePath:
    """Write the keyframes as a camera path."""

    path: str


Wish = Screenshot | Restart | Quit | FullScreen | Browse | Take | SavePath


@dataclass(frozen=True)
class Want:
    """A field that is to be made: by learning, or by converting."""

    architecture: str = "hashgrid"
    preset: str = "auto"
    steps: int = 0  # 0: the command's default
    downscale: int = 1  # of photographs
    cropped: bool = True  # a conversion leaves out what the crop box leaves out


@dataclass(frozen=True)
class Desk:
    """What lies about."""

    panel: bool = True  # shown
    help: bool = False  # keys are shown
    text: str = ""  # of the field for paths
    found: Found | None = None  # data that was brought: to learn from, or to compare with?
    learn: Want = field(default_factory=Want)
    convert: Want = field(default_factory=lambda: Want("mlp"))
    chosen: int | None = None  # pane that commands are for; None: the last
    save: str = ""  # model file being typed
    film: str = "film.mp4"
    film_size: tuple[int, int] = (1280, 720)  # pixels
    fps: float = 24.0  # of the film
    path_file: str = "path.json"
    path: CameraKeys = field(default_factory=CameraKeys)  # keyframes
    playing: float | None = None  # seconds into the path, while it is previewed
    lines: tuple[str, ...] = ()  # commands that repeat what was done
    wrote: str = ""  # the last file that was written, for a person


@dataclass(frozen=True)
class Turn:
    """One pass over the widgets, so far."""

    state: State
    desk: Desk
    commands: tuple[Command, ...] = ()
    wishes: tuple[Wish, ...] = ()

    @property
    def chosen(self) -> Pane | None:
        """The field that commands are for: the one that was clicked, else the last."""
        number, panes = self.desk.chosen, self.state.panes
        found = None if number is None else self.state.pane(number)
        return found or (panes[-1] if panes else None)

    def look(self, **changes: Any) -> "Turn":
        """Shown otherwise."""
        look = replace(self.state.look, **changes)
        return self if look == self.state.look else replace(self, state=replace(self.state, look=look))

    def eye(self, eye: Eye | None) -> "Turn":
        """Seen from elsewhere."""
        return self if eye == self.state.eye else replace(self, state=replace(self.state, eye=eye))

    def put(self, **changes: Any) -> "Turn":
        """Something else on the desk."""
        desk = replace(self.desk, **changes)
        return self if desk == self.desk else replace(self, desk=desk)

    def send(self, command: Command) -> "Turn":
        """Ask the worker."""
        return replace(self, commands=(*self.commands, command))

    def wish(self, wish: Wish) -> "Turn":
        """Ask the window."""
        return replace(self, wishes=(*self.wishes, wish))

    def tell(self, text: str, *, trouble: bool = False) -> "Turn":
        """A line for the person, among those of the worker."""
        notices = (*self.state.notices, Told(" ".join(text.split()), trouble))[-NOTICES:]
        return replace(self, state=replace(self.state, notices=notices))

    def show(self, pane: int, shown: bool) -> "Turn":
        """A pane is drawn, or not."""
        panes = tuple(replace(p, shown=shown) if p.opened.pane == pane else p for p in self.state.panes)
        return replace(self, state=replace(self.state, panes=panes))


def model_name(pane: Pane) -> str:
    """What a field's file is called where the person says nothing."""
    name, architecture = pane.opened.name, pane.opened.architecture
    return f"{name}.safetensors" if architecture in name else f"{name}-{architecture}.safetensors"


def called(pane: Pane, state: State) -> str:
    """A field's name, with its number where others have the same."""
    name = pane.opened.name
    same = [other for other in state.panes if other.opened.name == name]
    return name if len(same) < 2 else f"{name} #{pane.opened.pane + 1}"


def duration(milliseconds: float) -> str:
    """Milliseconds, or seconds where there are many."""
    return f"{milliseconds:.0f} ms" if milliseconds < 9999.5 else f"{milliseconds / 1000:.1f} s"
