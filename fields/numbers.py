"""Numbers and words from files that strangers wrote: what is a number, and within which bounds it means something.

Model files, data sets, camera paths and meshes are all read through here: an integer of 400 digits, NaN, `true` where a
number is wanted or a focal length of 1e-300 end in one line that names the entry, before anything is computed of it.
PyTorch is imported where it is needed alone: commands make their messages printable here before it is there.
"""

import json
import math
import reprlib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LENGTH = 1e12  # largest coordinate and length in input units: its square is finite in float32
LONGEST = 60  # characters of a value in a message
DEEPEST = 64  # lists and objects within each other that a record may have


def number(found: object, what: str, low: float, high: float) -> float:
    """A number from `low` to `high`. ValueError, beginning with `what`, for anything else; `true` is no number."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise ValueError(f"{what} must be a number from {low:g} to {high:g}, found {brief(found)}")
    return float(found)


def whole(found: object, what: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, which may be written as 800.0. ValueError, beginning with `what`."""
    value = int(found) if isinstance(found, float) and found.is_integer() else found
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, found {brief(found)}")
    return value


def array(found: object, what: str, shape: tuple[int, ...], largest: float = LENGTH) -> "Tensor":
    """Nested lists of numbers from -`largest` to `largest` as a float64 tensor of `shape`. ValueError, beginning with
    `what`."""
    import torch

    form = " x ".join(map(str, shape))

    def flat(part: object, sides: tuple[int, ...]) -> list[float]:
        if not sides:
            return [number(part, what, -largest, largest)]
        if not isinstance(part, list | tuple) or len(part) != sides[0]:
            raise ValueError(f"{what} must be {form} numbers, found {brief(found)}")
        return [value for one in part for value in flat(one, sides[1:])]

    return torch.tensor(flat(found, shape), dtype=torch.float64, device="cpu").reshape(shape)


def check_plain(found: object, what: str) -> None:
    """ValueError, beginning with `what`, for JSON values that could not be written as JSON again: with NaN or infinity,
    or lists within lists deeper than DEEPEST."""
    level = [found]
    for _ in range(DEEPEST):
        if any(isinstance(one, float) and not -math.inf < one < math.inf for one in level):
            raise ValueError(f"{what} holds NaN or infinity; wanted numbers")
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for part in inner for one in part]
        if not level:
            return
    raise ValueError(f"{what} holds lists within lists, more than {DEEPEST} deep")


def brief(found: object) -> str:
    """A value as JSON writes it, on one line, shortened, with nothing that a terminal would obey."""
    try:
        plain = found is None or isinstance(found, bool | int | float)
        text = json.dumps(found) if plain else reprlib.repr(found)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of too many digits"
    return printable(text, LONGEST)


def printable(text: str, longest: int = 300) -> str:
    """Text on one line of at most `longest` characters, without control characters (escapes, turned writing)."""
    clean = "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else " " for c in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."
