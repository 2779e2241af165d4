"""The contact sheet: a thumbnail of every picture, how sharp it is beside its neighbours, and what looks wrong."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from scenes.frusta import TEST, TRAIN, spread
from scenes.lettering import FAINT_INK, INK, distinct, shorten, width, wrap, write
from scenes.photographs import BLUR, Kind, PhotoCheck
from scenes.scene import Scene, View

MOST = 120  # pictures on a sheet
AREA = 200 * 150  # pixels of a thumbnail, about
LEAST = 150  # width of a cell's inside, so that its text has room
FRAME, MARGIN, LINE, SIZE = 5, 8, 19, 15  # pixels: coloured frame, around a cell, from line to line, height of letters
COLUMNS = (6, 12)  # least, so that the legend has room, and most
SHARPEST = 2.0  # times as sharp as its neighbours: the bar's right end
COLOURS: dict[Kind, str] = {
    "blank": "#6b6b6b",
    "blurred": "#8e24aa",
    "darker": "#1b2a6b",
    "brighter": "#b8860b",
    "blown out": "#b8860b",
    "black": "#1b2a6b",
    "inside": "#c81e1e",
    "far": "#c81e1e",
    "away": "#c81e1e",
    "duplicate": "#00796b",
}
MEANING: tuple[tuple[Kind, str], ...] = (
    ("blurred", "blurred: much less sharp than the pictures taken from nearby"),
    ("darker", "darker, or more black, than those from nearby"),
    ("brighter", "brighter, or more blown out, than those from nearby"),
    ("duplicate", "the same place and direction, or the same pixels, as another"),
    ("inside", "its camera stands inside the box or core, far off, or looks elsewhere"),
    ("blank", "shows nothing: all black, white, masked or empty"),
)


@dataclass(frozen=True)
class Cell:
    """What one picture takes on the sheet."""

    picture: Image.Image  # RGB thumbnail
    photo: PhotoCheck
    name: str  # no wider than the cell
    lines: list[tuple[str, str]]  # text below, and its colour


def draw(scene: Scene, photographs: Sequence[PhotoCheck]) -> Image.Image:
    """RGB: all pictures by name, or an even choice of many with those of which something was found."""
    views = (*scene.train, *scene.test)
    chosen, told = choose(photographs)
    aspect = float(np.median([view.image.shape[1] / view.image.shape[0] for view in views]))
    wide = max(LEAST, round(math.sqrt(AREA * aspect)))
    size = wide, round(min(wide / aspect, math.sqrt(AREA / aspect) * 1.2))
    names = distinct([photographs[i].name for i in chosen], wide, SIZE)
    cells = [_cell(views[i], photographs[i], name, size) for i, name in zip(chosen, names, strict=True)]
    columns = min(max(COLUMNS[0], math.ceil(math.sqrt(1.6 * len(cells)))), COLUMNS[1])
    across = wide + 2 * (FRAME + MARGIN)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [size[1] + 2 * (FRAME + MARGIN) + LINE * (2 + max(len(cell.lines) for cell in row)) for row in rows]
    head = _head(scene, told, columns * across)
    sheet = Image.new("RGB", (columns * across, head.height + sum(heights)), "white")
    sheet.paste(head, (0, 0))
    pen = ImageDraw.Draw(sheet)
    top = head.height
    for row, height in zip(rows, heights, strict=True):
        for k, cell in enumerate(row):
            _paste(sheet, pen, cell, (k * across + MARGIN, top + MARGIN), size)
        top += height
    return sheet


def choose(photographs: Sequence[PhotoCheck]) -> tuple[list[int], str]:
    """Indices of the pictures to show, by name as a person counts, and how they were chosen in words."""
    order = sorted(range(len(photographs)), key=lambda i: _natural(photographs[i].name))
    wrong = [i for i in order if photographs[i].findings]
    if len(order) <= MOST:
        return order, f"all {len(order)} pictures, by name; of note: {len(wrong) or 'none'}"
    kept = {*spread(wrong, MOST)}
    kept |= {*spread([i for i in order if i not in kept], MOST - len(kept))}
    noted = f"all {len(wrong)}" if len(wrong) <= MOST else f"{MOST} of the {len(wrong)}"
    how = f"{noted} of note, the others chosen evenly" if wrong else "chosen evenly, as none is of note"
    return [i for i in order if i in kept], f"{MOST} of {len(order)} pictures: {how}"


def thumbnail(view: View, size: tuple[int, int]) -> Image.Image:
    """RGB, within `size`: empty parts as a chequerboard, masked ones striped."""
    whole = Image.fromarray(view.image.numpy())  # RGBA
    small = ImageOps.contain(whole.reduce(max(1, min(whole.width // size[0], whole.height // size[1]) // 2)), size)
    rows, columns = np.mgrid[: small.height, : small.width]
    board = np.where((rows // 8 + columns // 8) % 2, 255, 226).astype(np.uint8)
    ground = Image.fromarray(np.stack([board] * 3, -1))
    ground.paste(small, (0, 0), small)
    if bool(view.valid.all()):
        return ground
    masked = Image.fromarray((~view.valid).numpy().astype(np.uint8) * 255).resize(small.size, Image.Resampling.BOX)
    stripes = np.where((rows + columns) // 4 % 2, 150, 190).astype(np.uint8)
    ground.paste(Image.fromarray(np.stack([stripes] * 3, -1)), (0, 0), masked)
    return ground


def _cell(view: View, photo: PhotoCheck, name: str, size: tuple[int, int]) -> Cell:
    """A picture with its lines of text."""
    lines = [(line, COLOURS[f.kind]) for f in photo.findings for line in wrap(f.text, size[0], SIZE)]
    return Cell(thumbnail(view, size), photo, shorten(name, size[0], SIZE), lines)


def _paste(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, at: tuple[int, int], size: tuple[int, int]
) -> None:
    """Frame, thumbnail in its middle, name, split and sharpness, findings."""
    (left, top), (wide, high) = at, size
    findings = cell.photo.findings
    colour = COLOURS[findings[0].kind] if findings else "#d0d0d0"
    corner = (left + wide + 2 * FRAME - 1, top + high + 2 * FRAME - 1)
    pen.rectangle([at, corner], fill="#f4f4f4", outline=colour, width=FRAME if findings else 1)
    place = left + FRAME + (wide - cell.picture.width) // 2, top + FRAME + (high - cell.picture.height) // 2
    sheet.paste(cell.picture, place)
    x, y = left + FRAME, top + high + 2 * FRAME + 3
    write(pen, (x, y), cell.name, INK, SIZE)
    _sharpness(pen, (x, y + LINE), wide, cell.photo)
    for k, (line, ink) in enumerate(cell.lines):
        write(pen, (x, y + LINE * (k + 2)), line, ink, SIZE)


def _sharpness(pen: ImageDraw.ImageDraw, at: tuple[float, float], wide: int, photo: PhotoCheck) -> None:
    """Train or test, and a bar whose tick is the sharpness of the neighbours."""
    x, y = at
    write(pen, at, photo.split, TRAIN if photo.split == "train" else TEST, SIZE)
    start, length = x + width("train ", SIZE) + 2, wide - width("train ", SIZE) - 2
    pen.rectangle([start, y + 6, start + length - 1, y + 12], fill="#e4e4e4")
    filled = length * min(photo.sharpness / SHARPEST, 1.0)
    blurred = any(f.kind == "blurred" for f in photo.findings)
    pen.rectangle([start, y + 6, start + max(filled - 1, 1), y + 12], fill=COLOURS["blurred"] if blurred else "#7d9c7d")
    tick = start + length / SHARPEST
    pen.line([tick, y + 3, tick, y + 15], fill=INK, width=1)


def _head(scene: Scene, told: str, wide: int) -> Image.Image:
    """Title and legend."""
    lines = wrap(f"{scene.name}: {told}", wide - 2 * MARGIN, 22)
    bar = f"bar: sharpness beside the pictures taken from nearby (tick: as sharp); blurred below {BLUR:.0%} of theirs"
    notes = wrap(f"{bar}. Chequered: empty. Striped: masked out, ignored.", wide - 2 * MARGIN, SIZE)
    entries = [(COLOURS[kind], wrap(text, wide / 2 - 60, SIZE)) for kind, text in MEANING]
    depth = LINE * sum(max(len(a[1]), len(b[1])) for a, b in zip(entries[::2], entries[1::2], strict=True))
    head = Image.new("RGB", (wide, 12 + 28 * len(lines) + LINE * len(notes) + depth + 12), "white")
    pen = ImageDraw.Draw(head)
    y = 10
    for text, size, step in (*((line, 22, 28) for line in lines), *((line, SIZE, LINE) for line in notes)):
        write(pen, (MARGIN, y), text, INK if size == 22 else FAINT_INK, size)
        y += step
    for k in range(0, len(entries), 2):
        for side, (colour, words) in enumerate(entries[k : k + 2]):
            x = MARGIN + side * wide / 2
            pen.rectangle([x, y + 3, x + 22, y + 15], outline=colour, width=4)
            for row, line in enumerate(words):
                write(pen, (x + 32, y + LINE * row), line, colour, SIZE)
        y += LINE * max(len(entry[1]) for entry in entries[k : k + 2])
    return head


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts r_2 before r_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
