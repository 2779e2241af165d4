"""What is written over the browser's picture: names of fields, what is waited for, what is missing, what was done.

Lines of text stand on dark grounds within the picture, beside each other and beside the scales of colours. Pixels count
from the top left. Phones are known by pictures that are higher than wide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from viewer.browser.status import format_quality, name_field
from viewer.front import compare
from viewer.front.compare import Rectangle
from viewer.front.remarks import describe_lack
from viewer.front.session import Pane, State
from viewer.messages import PixelSize

LETTERS, MARGIN, PAD, INK = 14, 10, 4, (228, 230, 234)  # height of letters, to the edge, of a ground; colour
LINE = 1.3  # letters from one line to the next
PHONE = 844  # pixels that a page higher than wide is taken to have: the picture's may be smaller ones
SHEET = 0.085  # of a phone's height: the bottom, where viser's sheet of controls lies when folded
FEWEST = 3  # letters that a shortened name keeps
DOTS = "…"
Lines = tuple[str, ...]


@dataclass(frozen=True)
class TextBlock:
    """Lines of text on a ground of their own, each in its middle."""

    lines: Lines
    place: Rectangle


def pick_letters(size: PixelSize) -> int:
    """How high letters are in a picture of `size`."""
    width, height = size
    return LETTERS if width >= height else max(LETTERS, round(LETTERS * height / PHONE))


def find_floor(size: PixelSize) -> int:
    """The first row that may be covered: the height, but on phones, where controls lie at the bottom."""
    width, height = size
    return height if width >= height else round(height * (1 - SHEET))


@lru_cache(4096)
def measure(text: str, letters: int) -> float:
    """How wide a line is."""
    return ImageFont.load_default(letters).getlength(text)


def measure_lines(count: int, letters: int) -> int:
    """How high the ground of so many lines is."""
    return round(count * LINE * letters) + 2 * PAD


def make_block(lines: Lines, letters: int, at: tuple[float, float], anchor: tuple[float, float]) -> TextBlock:
    """Lines whose ground has its point `anchor` (shares of its width and height) at a point of the picture."""
    width, height = (
        math.ceil(max(measure(line, letters) for line in lines)) + 2 * PAD,
        measure_lines(len(lines), letters),
    )
    return TextBlock(lines, (round(at[0] - anchor[0] * width), round(at[1] - anchor[1] * height), width, height))


def shorten(text: str, width: float, letters: int) -> str:
    """As much of a text's beginning as fits, with dots; of a path's end. Empty where that would say nothing."""
    if measure(text, letters) <= width:
        return text
    path = "/" in text and " " not in text
    for count in range(len(text) - 1, FEWEST - 1, -1):
        short = DOTS + text[-count:] if path else text[:count].rstrip() + DOTS
        if measure(short, letters) <= width:
            return short
    return ""


def wrap(text: str, width: float, letters: int, most: int) -> Lines:
    """A text in at most so many lines, broken between words; what is too long is shortened, or left out."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (measure(longer, letters) <= width or len(lines) == most):
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
    short = tuple(shorten(line, width, letters) for line in lines)
    return short if all(short) else ()


def fit_caption(names: Sequence[str], figures: Sequence[str], width: float, letters: int, most: int) -> Lines:
    """A name and its figure in one line, or two, of at most `most`: the name's shorter forms are taken first, then the
    figure's, then none of it; nothing where even a shortened name has no room."""
    for figure in (*figures, ""):
        whole = f"{names[0]}  {figure}" if figure else names[0]
        if most > 0 and measure(whole, letters) <= width:
            return (whole,)
        if most < (2 if figure else 1) or measure(figure, letters) > width:
            continue
        name = next((n for n in names if measure(n, letters) <= width), None) or shorten(names[-1], width, letters)
        if name:
            return (name, figure) if figure else (name,)
    return ()


def place_captions(state: State, size: PixelSize) -> list[TextBlock]:
    """Each field's name in a corner of its place, where there are several; none where there is no room for it."""
    shown, look, letters = state.shown, state.display, pick_letters(size)
    if len(shown) < 2:
        return []
    places = compare.place_panes(look.layout, len(shown), size)
    if look.layout == "difference":
        both = " against ".join(name_field(pane, state) for pane in shown[:2])
        room = size[0] - 2 * (MARGIN + PAD)
        lines = wrap(f"{both}, times {look.gain:g}", room, letters, count_lines(size[1], letters))
        return [make_block(lines, letters, (MARGIN, MARGIN), (0, 0))] if lines else []
    if look.layout == "wipe":
        half = size[0] // 2
        places, shown = ((0, 0, half, size[1]), (half, 0, size[0] - half, size[1])), shown[:2]
    blocks = []
    for i, (pane, (left, top, width, height)) in enumerate(zip(shown, places, strict=True)):
        names, figures = list_names(pane, state), format_quality(pane)
        room = width - 2 * (MARGIN + PAD)
        lines = fit_caption(names, figures, room, letters, count_lines(height, letters))
        right = look.layout == "wipe" and i == 1
        if lines:
            at = (left + width - MARGIN if right else left + MARGIN, top + MARGIN)
            blocks.append(make_block(lines, letters, at, (int(right), 0)))
    return blocks


def count_lines(height: int, letters: int) -> int:
    """Lines that a caption may have in a pane: its upper half is free of scales."""
    return max(0, min(2, int((height / 2 - MARGIN - 2 * PAD) / (LINE * letters))))


def list_names(pane: Pane, state: State) -> tuple[str, str]:
    """A field's name with its architecture, and without."""
    name = name_field(pane, state)
    return f"{name} ({pane.opened.architecture})", name


def place_remarks(remarks: Sequence[str], state: State, size: PixelSize) -> list[TextBlock]:
    """Remarks on the left, the last one outermost: from the bottom up, above the scales; in pictures higher than wide
    from the captions down, as a phone's sheet of controls covers more than the bottom when it is open. Where there is
    too little room the first ones are left out."""
    letters, (width, height) = pick_letters(size), size
    _, rows = compare.count_columns(state.display.layout, len(state.shown))
    scales = round(5.1 * letters) if any(pane.frame and pane.frame.legend for pane in state.shown) else 0
    captions = 2 * MARGIN + measure_lines(2, letters)
    down = height > width
    first, end = (0, min(height // rows, find_floor(size))) if down else (height // rows * (rows - 1), height)
    first, end, blocks = first + captions, end - scales - MARGIN, []
    for remark in reversed(remarks):
        lines = wrap(remark, width - 2 * (MARGIN + PAD), letters, 3)
        high = measure_lines(len(lines), letters)
        if not lines or end - first < high:
            break
        blocks.append(make_block(lines, letters, (MARGIN, first if down else end), (0, 0 if down else 1)))
        first, end = (first + high + MARGIN // 2, end) if down else (first, end - high - MARGIN // 2)
    return blocks


def place_hint(text: str, size: PixelSize) -> list[TextBlock]:
    """A text in the middle of what can be seen."""
    letters, floor = pick_letters(size), find_floor(size)
    lines = wrap(text, 0.9 * size[0] - 2 * PAD, letters, 3)
    return [make_block(lines, letters, (size[0] / 2, floor / 2), (0.5, 0.5))] if lines else []


def place_texts(state: State, size: PixelSize, wait: str, said: Sequence[str] = ()) -> tuple[TextBlock, ...]:
    """All that is written on a picture of `size`: what is waited for, in the middle of an empty one; what is missing,
    and what has just been told."""
    if not any(pane.frame for pane in state.shown):
        return tuple(place_hint(wait, size))
    remarks = [text for text in (wait, describe_lack(state), *said) if text]
    return (*place_captions(state, size), *place_remarks(remarks, state, size))


def make_empty(size: PixelSize) -> np.ndarray:
    """A picture (h, w, 3) uint8 of nothing."""
    return np.full((size[1], size[0], 3), compare.EMPTY, np.uint8)


def write(image: np.ndarray, blocks: Sequence[TextBlock], letters: int) -> np.ndarray:
    """A picture (h, w, 3) uint8 with texts on it; itself without any."""
    if not blocks:
        return image
    canvas, font = Image.fromarray(image), ImageFont.load_default(letters)
    pen = ImageDraw.Draw(canvas)
    for block in blocks:
        left, top, width, height = block.place
        pen.rectangle((left, top, left + width - 1, top + height - 1), compare.EMPTY)
        for i, line in enumerate(block.lines):
            pen.text((left + width / 2, top + PAD + (i + 0.5) * LINE * letters), line, INK, font, "mm")
    return np.asarray(canvas)


def explain(image: np.ndarray, state: State) -> np.ndarray:
    """A composed picture with its scales of colours (viewer.front.compare.explain), clear of what may be covered."""
    height, width = image.shape[:2]
    columns, rows = compare.count_columns(state.display.layout, len(state.shown))
    letters, floor, result = pick_letters((width, height)), find_floor((width, height)), image
    for row in range(rows):
        first, end = height // rows * row, min(height // rows * (row + 1), floor)
        seen = replace(state, panes=state.shown[row * columns :][:columns]) if rows > 1 else state
        part = compare.explain(plain := result[first:end], seen, letters)
        if part is not plain:
            result = np.concatenate([result[:first], part, result[end:]])
    return result
