"""The lines that repeat what a window did, as it does it."""

from dataclasses import replace
from pathlib import Path

from viewer import view_scene
from viewer.front import repeat
from viewer.front.session import Look, State
from viewer.messages import Command, Convert, Film, Learn

MODEL = ".safetensors"


def line(command: Command, state: State) -> str | None:
    """A command line that does the same as a command, one that begins with # where there is none yet; None for
    commands that leave nothing behind."""
    try:
        return written(command, state)
    except ValueError as error:
        return f"# {error}"


def written(command: Command, state: State) -> str | None:
    """The same. ValueError where no command line does it."""
    match command:
        case Learn():
            return repeat.training(command.data, command.settings)
        case Convert():
            model, to_input = of(state, command.pane)
            teacher = state.pane(command.pane)
            assert teacher is not None
            return repeat.conversion(model, replace(command, out=command.folder(teacher.opened.name)), to_input)
        case Film():
            model, _ = of(state, command.pane)
            return repeat.film(Path(model), command, path_beside(command.path))
        case _:
            return None


def of(state: State, pane: int) -> tuple[str, tuple[tuple[float, ...], ...]]:
    """A pane's model file, and its similarity to input coordinates. ValueError where it is not a file yet."""
    found = state.pane(pane)
    if found is None:
        raise ValueError("the field is no longer open")
    if not found.opened.path.endswith(MODEL):
        raise ValueError(f"save {found.opened.name} first; commands take model files")
    return found.opened.path, found.opened.to_input


def models(state: State) -> tuple[str, ...]:
    """The model files that are shown, and no others: what `view-scene` can be given."""
    return tuple(pane.opened.path for pane in state.shown if pane.opened.path.endswith(MODEL))


def shown(state: State) -> str | None:
    """The line that opens what is shown, as it is shown but for the eye where that looks through no view."""
    found, look = models(state), state.look
    if not found:
        return None
    passes = 0 if look.passes == Look().passes else look.passes
    view = state.eye.view if state.eye else None
    flags = view_scene.Flags(found, compare=look.layout, mode=look.mode, view=view, passes=passes)
    return repeat.command("view-scene", flags)


def screenshot(state: State, out: str, size: tuple[int, int]) -> str | None:
    """The line that draws the same picture; None where none does: of several, with photographs over it, cropped, from
    elsewhere than a view."""
    look, plain, eye, found = state.look, Look(), state.eye, models(state)
    same = ("truth", "blink", "exposure", "background", "crop")
    drawn = all(getattr(look, name) == getattr(plain, name) for name in same)
    if eye is None or eye.view is None or eye.near or eye.aperture or not drawn or len(found) != 1:
        return None
    frame = state.shown[0].frame
    passes = frame.passes if frame and frame.passes > 1 else 0
    flags = view_scene.Flags(found, mode=look.mode, view=eye.view, screenshot=Path(out), size=size, passes=passes)
    return repeat.command("view-scene", flags)


def path_beside(film: str) -> Path:
    """Where a film's camera path is written, for `render-scene`."""
    return Path(film).with_suffix(".json")


def appended(lines: tuple[str, ...], new: str | None) -> tuple[str, ...]:
    """With one line more, at the end and once."""
    return lines if new is None else (*(text for text in lines if text != new), new)
