"""The JSON object of a data set, and the numbers in it. What is wrong with them is a SceneError that names the file."""

from pathlib import Path
from typing import Any

from fields import json_files, numbers
from scenes.options import SceneError

Entry = dict[str, Any]  # one JSON object


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
    """A number of a JSON object, within what a length in input units may be; `default` where the key is missing."""
    try:
        return numbers.number(entry.get(key, default), f"{where}: '{key}'", -numbers.LENGTH, numbers.LENGTH)
    except ValueError as error:
        raise SceneError(str(error)) from None
