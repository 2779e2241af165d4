"""Text on drawn pictures: measured before it is written, so that none is cut off or lies on another."""

from collections.abc import Sequence
from functools import lru_cache

from PIL import ImageDraw, ImageFont

INK, FAINT_INK = "#444444", "#8a8a8a"
GAP = "..."  # where a name was shortened

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one typeface, `size` pixels high."""
    return ImageFont.load_default(size)


def width(text: str, size: int) -> float:
    """Pixels that a line takes."""
    return font(size).getlength(text)


def write(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, size: int) -> float:
    """A line with its top left corner `at`; returns where it ends, in pixels from the left."""
    pen.text(at, text, fill=colour, font=font(size))
    return at[0] + width(text, size)


def distinct(names: Sequence[str], limit: float, size: int) -> list[str]:
    """The names where all are at most `limit` pixels wide; otherwise without what all begin with and all end with."""
    if len(names) < 2 or all(width(name, size) <= limit for name in names):
        return list(names)
    start = _common(names)
    end = _common([name[start:][::-1] for name in names])
    ends = [(name[start : len(name) - end], name) for name in names]
    return [f"{GAP * (start > len(GAP))}{part}{GAP * (end > len(GAP))}" if part else name for part, name in ends]


def _common(names: Sequence[str]) -> int:
    """How many letters all names begin with, up to the last one that is no digit: numbers stay whole."""
    columns = enumerate(zip(*names, strict=False))
    same = next((k for k, letters in columns if len(set(letters)) > 1), min(len(name) for name in names))
    return len(names[0][:same].rstrip("0123456789"))


def shorten(name: str, limit: float, size: int) -> str:
    """A name cut in its middle to be at most `limit` pixels wide."""
    if width(name, size) <= limit:
        return name
    for kept in range(len(name) - 1, 0, -1):
        front = kept // 2
        cut = name[:front] + GAP + name[len(name) - (kept - front) :]
        if width(cut, size) <= limit:
            return cut
    return GAP


def wrap(text: str, limit: float, size: int) -> list[str]:
    """Lines of whole words, each at most `limit` pixels wide; a longer word is shortened."""
    lines: list[str] = []
    for word in (shorten(word, limit, size) for word in text.split()):
        if lines and width(f"{lines[-1]} {word}", size) <= limit:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def overlap(one: Rectangle, others: Sequence[Rectangle]) -> bool:
    """Whether a rectangle lies on any of the others."""
    return any(one[0] < o[2] and o[0] < one[2] and one[1] < o[3] and o[1] < one[3] for o in others)
