"""The exact command line that repeats what was done, quoted for a shell."""

import shlex
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tyro

from distill import convert_scene, train_scene
from distill.photographs.settings import Settings
from render import render_scene
from viewer.messages import Convert, Film


def command(name: str, flags: object) -> str:
    """`name` with the positional arguments and flags that a frozen flags dataclass was parsed from.

    Only what differs from the defaults is written; nested dataclasses are flags without a prefix (tyro's
    OmitArgPrefixes). ValueError for a value that has no form on a command line.
    """
    places, options = words(flags)
    return shlex.join([name, *places, *options])


def training(data: str, settings: Settings) -> str:
    """`train-scene`, for what the window learnt from photographs."""
    return command("train-scene", train_scene.Flags(data, settings))


def conversion(model: str, asked: Convert, to_input: Sequence[Sequence[float]]) -> str:
    """`convert-scene`, for what the window converted; `to_input` (4 x 4) takes the world to input coordinates."""
    crop = () if asked.crop is None else (carried(asked.crop, to_input),)
    out = Path(asked.out) if asked.out else None
    flags = convert_scene.Flags(model, asked.to, asked.preset, out, crop=crop, steps=asked.steps)
    return command("convert-scene", flags)


def film(model: Path, asked: Film, camera: Path) -> str:
    """`render-scene`, for a film along the camera path file that was written for it, which says size and rate too.

    ValueError for a mode that only the window draws.
    """
    mode = next((m for m in get_args(render_scene.Mode) if m == asked.mode), None)
    if mode is None:
        raise ValueError(f"render-scene draws {', '.join(get_args(render_scene.Mode))}, not {asked.mode}")
    return command("render-scene", render_scene.Flags(model, Path(asked.path), str(camera), mode=mode))


def words(flags: object) -> tuple[list[str], list[str]]:
    """Positional arguments, and flags with their values, of a flags dataclass."""
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
            places += [_place(_text(v)) for v in (value if isinstance(value, tuple) else (value,))]
        else:
            options += _option("--" + item.name.replace("_", "-"), value, tyro.conf.UseAppendAction in marks)
    return places, options


def carried(
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
