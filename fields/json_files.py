"""JSON files that people and other programs wrote: with //, # and /* */ comments, trailing commas, a byte order mark.

Read in bounded memory and in time that grows with the length alone; nested lists of any depth end in one line.
"""

import json
import re
from pathlib import Path
from typing import Any

MOST = 64 << 20  # bytes of one file: 100 000 frames; its values take up to 25 times as much
# Strings and comments. One that is not closed reaches to the end, so that no text is looked through twice.
TOKENS = re.compile(r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
TRAILING = re.compile(r'("(?:\\.|[^"\\])*+(?:"|\\?\Z))|,(?=\s*[\]}])', re.DOTALL)  # strings; commas before a bracket


def parse(path: Path) -> Any:
    """The JSON values in a file. ValueError, which names the file, where it is none."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a file of JSON, found {'a folder' if path.is_dir() else 'none'}")
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"{path}: expected at most {MOST >> 20} MiB of JSON, found {path.stat().st_size >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected JSON in UTF-8, found byte {error.object[error.start]:#04x}") from None
    try:
        return loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: not whole JSON, it may be cut off or damaged: {error}") from None


def loads(text: str) -> Any:
    """The values in a text. ValueError where it is no JSON, also without comments and trailing commas."""
    try:
        try:
            return json.loads(text)
        except ValueError:
            plain = TOKENS.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)
            return json.loads(TRAILING.sub(lambda m: m[1] or " ", plain))
    except RecursionError:
        raise ValueError("lists within lists, deeper than any that we know") from None
