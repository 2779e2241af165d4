"""The JSON object of a data set, and the numbers in it. What is wrong with them is a SceneError that names the file."""

from pathlib import Path
from typing import Any

from fields import json_files, numbers
from render.camera import ASIDE, BENT, FOCAL, LARGEST
from scenes.options import SceneError

Entry = dict[str, Any]  # one JSON object
BOUNDS = {  # what numbers may be, by their keys, where that is less than what a length may
    **dict.fromkeys(("fl_x", "fl_y"), FOCAL),
    **dict.fromkeys(("cx", "cy"), (-ASIDE * LARGEST, ASIDE * LARGEST)),
    **dict.fromkeys(("w", "h"), (1, LARGEST)),
    **dict.fromkeys(("k1", "k2", "k3", "k4", "p1", "p2"), (-BENT, BENT)),
}


def parse(path: Path) -> Entry:
    """The object in a JSON file. SceneError for anything else."""
    try:
        found = json_files.parse(path)
    except ValueError as error:
        raise SceneError(str(error)) from None
    if not isinstance(found, dict):
        raise SceneError(f"{path}: expected a JSON object with 'frames', found a {type(found).__name__}")
    return found


def number(entry: Entry, key: str, where: str, default: float | None = None) -> float:
    """A number of a JSON object, within what its key means, else what a length in input units may be; `default` where
    the key is missing."""
    low, high = BOUNDS.get(key, (-numbers.LENGTH, numbers.LENGTH))
    try:
        return numbers.number(entry.get(key, default), f"{where}: '{key}'", low, high)
    except ValueError as error:
        raise SceneError(str(error)) from None
