"""The exact command lines that repeat what was done, quoted for a shell, as it is done."""

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from distill.conversion import settings as conversion
from distill.photographs.settings import Settings
from render.mode_names import DRAWABLE
from viewer.front.keyframes import Matrix
from viewer.front.session import DisplaySettings, State
from viewer.messages import Command, Convert, DrawFilm, LearnFrom

MODEL = ".safetensors"


def repeat(command: Command, state: State) -> str | None:
    """A command line that does the same as a command, one that begins with # where there is none yet; None for
    commands that leave nothing behind."""
    try:
        match command:
            case LearnFrom():
                return repeat_training(command.data, command.settings)
            case Convert():
                return repeat_conversion(*find_model(state, command.pane), command, name_of(state, command.pane))
            case DrawFilm():
                return repeat_film(find_model(state, command.pane)[0], command, name_camera_path(command.path))
            case _:
                return None
    except ValueError as error:
        return f"# {error}"


def repeat_training(data: str, settings: Settings) -> str:
    """`train-scene`, for what the window learnt from photographs."""
    places, options = words(settings)
    return join("train-scene", [data, *places], options)


def repeat_conversion(model: str, to_input: Matrix, asked: Convert, name: str) -> str:
    """`convert-scene`, for what the window converted from the pane of this name; `to_input` (4 x 4) takes the world to
    input coordinates."""
    crop = () if asked.crop is None else (carry(asked.crop, to_input),)
    out = Path(asked.folder(name))
    turn = round(math.degrees(asked.crop_turn), 3) if crop else 0.0
    settings = conversion.ConversionSettings(
        asked.to, asked.preset, out=out, crop=crop, crop_turn=turn, steps=asked.steps
    )
    return join("convert-scene", [model], words(settings)[1])


def repeat_film(model: str, asked: DrawFilm, camera: Path) -> str:
    """`render-scene`, for a film along the camera path file that was written for it, which says size and rate too.

    ValueError for a mode that only the window draws.
    """
    if asked.mode not in DRAWABLE:
        raise ValueError(f"render-scene draws {', '.join(DRAWABLE)}, not {asked.mode}")
    mode = None if asked.mode == "color" else asked.mode
    return join("render-scene", [model, asked.path], options(camera=camera, mode=mode))


def repeat_display(state: State) -> str | None:
    """The line that opens what is shown, as it is shown but for the eye where that looks through no view."""
    models, display, usual = list_models(state), state.display, DisplaySettings()
    if not models:
        return None
    return join(
        "view-scene",
        models,
        options(
            compare=None if display.layout == usual.layout else display.layout,
            mode=None if display.mode == usual.mode else display.mode,
            view=state.eye.view if state.eye else None,
            passes=None if display.passes == usual.passes else display.passes,
        ),
    )


def repeat_screenshot(state: State, out: str, size: tuple[int, int]) -> str | None:
    """The line that draws the same picture; None where none does: of several, with photographs over it, cropped, from
    elsewhere than a view."""
    display, usual, eye, models = state.display, DisplaySettings(), state.eye, list_models(state)
    same = ("truth", "blink", "exposure", "background", "crop")
    drawn = all(getattr(display, name) == getattr(usual, name) for name in same)
    if eye is None or eye.view is None or eye.near or eye.aperture or not drawn or len(models) != 1:
        return None
    frame = state.shown[0].frame
    passes = frame.passes if frame and frame.passes > 1 else None
    mode = None if display.mode == usual.mode else display.mode
    return join("view-scene", models, options(mode=mode, view=eye.view, screenshot=out, size=size, passes=passes))


def find_model(state: State, pane: int) -> tuple[str, Matrix]:
    """A pane's model file, and its similarity to input coordinates. ValueError where it is not a file yet."""
    found = state.pane(pane)
    if found is None:
        raise ValueError("the field is no longer open")
    if not found.opened.path.endswith(MODEL):
        raise ValueError(f"save {found.opened.name} first; commands take model files")
    return found.opened.path, found.opened.to_input


def name_of(state: State, pane: int) -> str:
    """A pane's name; empty where it is gone."""
    found = state.pane(pane)
    return found.opened.name if found else ""


def list_models(state: State) -> tuple[str, ...]:
    """The model files that are shown, and no others: what `view-scene` can be given."""
    return tuple(pane.opened.path for pane in state.shown if pane.opened.path.endswith(MODEL))


def name_camera_path(film: str) -> Path:
    """Where a film's camera path is written, for `render-scene`."""
    return Path(film).with_suffix(".json")


def append_line(lines: tuple[str, ...], new: str | None) -> tuple[str, ...]:
    """With one line more, at the end and once."""
    return lines if new is None else (*(text for text in lines if text != new), new)


def join(name: str, places: Iterable[str], options: Iterable[str]) -> str:
    """A command with its positional arguments and flags."""
    return shlex.join([name, *map(_place, places), *options])


def options(**values: object) -> list[str]:
    """Flags with their values; those that are None are left out."""
    given = ((f"--{name}", value) for name, value in values.items() if value is not None)
    return [word for flag, value in given for word in _option(flag, value, False)]


def words(flags: object) -> tuple[list[str], list[str]]:
    """Positional arguments, and flags with their values, that a frozen flags dataclass was parsed from.

    Only what differs from the defaults is written; nested dataclasses are flags without a prefix (tyro's
    OmitArgPrefixes). ValueError for a value that has no form on a command line.
    """
    if not is_dataclass(flags):
        raise ValueError(f"wanted a dataclass of flags, found {type(flags).__name__}")
    hints = get_type_hints(type(flags), include_extras=True)
    places, options = [], []
    for item in fields(flags):
        value, marks = getattr(flags, item.name), getattr(hints[item.name], "__metadata__", ())
        if value == _default(item):
            continue
        if is_dataclass(value):
            inner = words(value)
            places, options = places + inner[0], options + inner[1]
        elif tyro.conf.Positional in marks:
            places += [_text(v) for v in (value if isinstance(value, tuple) else (value,))]
        else:
            options += _option("--" + item.name.replace("_", "-"), value, tyro.conf.UseAppendAction in marks)
    return places, options


def carry(
    box: tuple[float, float, float, float, float, float], similarity: Sequence[Sequence[float]]
) -> tuple[float, float, float, float, float, float]:
    """A box through a similarity (4, 4), seven digits: the box around its corners' images where that turns."""
    low, high = [], []
    for *row, shift in similarity[:3]:
        ends = [sorted((row[axis] * box[axis], row[axis] * box[axis + 3])) for axis in range(3)]
        low.append(float(f"{sum(e[0] for e in ends) + shift:.7g}"))
        high.append(float(f"{sum(e[1] for e in ends) + shift:.7g}"))
    return low[0], low[1], low[2], high[0], high[1], high[2]


def _default(item: "Field[Any]") -> object:
    """What a field is without a flag; MISSING, which equals nothing else, where there is none."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def _option(flag: str, value: object, appended: bool) -> list[str]:
    """A flag with its value as tyro reads it."""
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if not isinstance(value, tuple):
        text = _text(value)
        return [f"{flag}={text}"] if isinstance(value, str | Path) and text.startswith("-") else [flag, text]
    if appended:
        return [word for entry in value for word in _option(flag, entry, False)]
    return [flag, *map(_text, value)]


def _text(value: object) -> str:
    """A single value on a command line."""
    if value is None or isinstance(value, str | Path | int | float):
        return str(value)
    raise ValueError(f"a {type(value).__name__} has no form on a command line")


def _place(text: str) -> str:
    """A path or name as positional argument, which must not look like a flag."""
    return f"./{text}" if text.startswith("-") else text
