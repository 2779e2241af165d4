"""The JSON object of a data set, which may hold //, # and /* */ comments and trailing commas; and numbers in it."""

import json
import math
import re
from pathlib import Path
from typing import Any

from scenes.options import SceneError

Entry = dict[str, Any]  # one JSON object

MAX_BYTES = 256 << 20  # of one JSON file
TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)  # strings and comments
TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[\]}])', re.DOTALL)  # strings, and commas before a closing bracket


def parse(path: Path) -> Entry:
    """The object in a JSON file. SceneError for anything else."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SceneError(f"{path}: expected at most {MAX_BYTES >> 20} MiB of JSON, found {size >> 20} MiB")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneError(f"{path}: expected JSON in UTF-8, found byte {error.object[error.start]:#04x}") from None
    plain = TOKENS.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)
    try:
        found = json.loads(TRAILING.sub(lambda m: m[1] or " ", plain))
    except (json.JSONDecodeError, RecursionError) as error:
        raise SceneError(f"{path}: not whole JSON, it may be cut off or damaged: {error}") from None
    if not isinstance(found, dict):
        raise SceneError(f"{path}: expected a JSON object with 'frames', found a {type(found).__name__}")
    return found


def number(entry: Entry, key: str, where: str, default: float | None = None) -> float:
    """A finite number of a JSON object; `default` where the key is missing."""
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SceneError(f"{where}: '{key}' must be a finite number, found {value!r}")
    return float(value)
