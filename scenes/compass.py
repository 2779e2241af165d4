"""A map of the directions from which a scene was photographed: azimuth across, elevation up, and what is missing."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from scenes.coverage import CLOSED, STEEP, Coverage, describe
from scenes.frusta import FINE, SIDE, TEST, TRAIN, WRONG, number
from scenes.lettering import FAINT_INK, INK, Rectangle, distinct, font, overlap, shorten, width, wrap
from scenes.photographs import PhotoCheck

LEFT, TOP, WIDE, HIGH = 70, 64, 800, 400  # of the map in pixels: 360 by 180 degrees
SEEN, FAR_OFF = 15.0, 45.0  # degrees from a camera up to which a direction is fully, and not at all, coloured
TINT = (176, 206, 236)  # of a direction that was photographed
NAMES = ((-180, "-X"), (-90, "-Y"), (0, "+X"), (90, "+Y"), (180, "-X"))  # of azimuths, where +Z is up
LINE = 26  # pixels from one line of text to the next


def draw(coverage: Coverage, photographs: Sequence[PhotoCheck]) -> Image.Image:
    """900 x 900 RGB: the map, what it says in words, and the names of the cameras that bear numbers."""
    picture = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
    picture.paste(_tinted(coverage.train), (LEFT * FINE, TOP * FINE))
    pen = ImageDraw.Draw(picture)
    title = "directions of the cameras, from the middle" if coverage.inward else "directions in which the cameras look"
    _text(pen, (20, 16), title, INK, 22)
    if coverage.gap > CLOSED:
        _gap(pen, coverage)
    _grid(pen, coverage)
    _dots(pen, coverage, photographs)
    _words(pen, coverage)
    _key(pen, photographs)
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)


def place(azimuth: float, elevation: float) -> tuple[float, float]:
    """Where a direction lies on the picture, pixels."""
    return LEFT + (azimuth + 180) / 360 * WIDE, TOP + (90 - elevation) / 180 * HIGH


def tint(directions: Sequence[tuple[float, float]], count: tuple[int, int]) -> Tensor:
    """How well each of `count` columns and rows of directions is covered, (rows, columns) in [0, 1]."""
    columns, rows = count
    azimuth = ((torch.arange(columns) + 0.5) / columns * 360 - 180).expand(rows, columns)
    elevation = (90 - (torch.arange(rows) + 0.5) / rows * 180)[:, None].expand(rows, columns)
    away = (_unit(azimuth, elevation) @ _unit(*torch.tensor(directions).unbind(-1)).T).amax(-1).clamp(-1, 1).acos()
    return ((FAR_OFF - away.rad2deg()) / (FAR_OFF - SEEN)).clamp(0, 1)


def _unit(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Unit vectors (..., 3) of directions in degrees."""
    a, e = azimuth.deg2rad(), elevation.deg2rad()
    return torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], -1)


def _tinted(directions: Sequence[tuple[float, float]]) -> Image.Image:
    """The ground of the map: coloured near a train view, white far from all."""
    covered = tint(directions, (WIDE // 4, HIGH // 4))[..., None]
    colour = 255 - covered * (255 - torch.tensor(TINT))
    ground = Image.fromarray(colour.to(torch.uint8).numpy())
    return ground.resize((WIDE * FINE, HIGH * FINE), Image.Resampling.BILINEAR)


def _gap(pen: ImageDraw.ImageDraw, coverage: Coverage) -> None:
    """The largest gap, hatched, in one part or in two where it runs over the map's edge."""
    end = coverage.gap_from + coverage.gap
    parts = [(coverage.gap_from, min(end, 180.0))] + ([(-180.0, end - 360)] if end > 180 else [])
    for low, high in parts:
        (left, top), (right, bottom) = place(low, 90), place(high, -90)
        for x in range(math.ceil(left / 12) * 12, math.ceil(right), 12):
            pen.line([(x * FINE, top * FINE), (x * FINE, bottom * FINE)], fill="#f0b9b4", width=FINE)
    low, high = max(parts, key=lambda part: part[1] - part[0])
    text, middle = f"no picture for {coverage.gap:.0f} degrees", place((low + high) / 2, 0)[0]
    half = width(text, 18) / 2
    if place(high, 0)[0] - place(low, 0)[0] > 2 * half + 12:
        box = [(middle - half - 6) * FINE, (TOP + 10) * FINE, (middle + half + 6) * FINE, (TOP + 38) * FINE]
        pen.rectangle(box, fill="white")
        _text(pen, (middle - half, TOP + 13), text, WRONG, 18)


def _grid(pen: ImageDraw.ImageDraw, coverage: Coverage) -> None:
    """Frame, level line and what they mean."""
    upright = coverage.up == (0.0, 0.0, 1.0)
    for azimuth, name in NAMES:
        x = place(azimuth, 0)[0]
        pen.line([(x * FINE, TOP * FINE), (x * FINE, (TOP + HIGH) * FINE)], fill="#c8c8c8", width=FINE)
        text = f"{name} {azimuth}" if upright else str(azimuth)
        _text(pen, (min(x - width(text, 16) / 2, SIDE - width(text, 16) - 4), TOP + HIGH + 6), text, FAINT_INK, 16)
    for elevation in (90, 45, 0, -45, -90):
        y = place(0, elevation)[1]
        pen.line([(LEFT * FINE, y * FINE), ((LEFT + WIDE) * FINE, y * FINE)], fill="#c8c8c8", width=FINE)
        text = {0: "level", 90: "above", -90: "below"}.get(elevation, f"{elevation}")
        _text(pen, (LEFT - 8 - width(text, 16), y - 10), text, FAINT_INK, 16)


def _dots(pen: ImageDraw.ImageDraw, coverage: Coverage, photographs: Sequence[PhotoCheck]) -> None:
    """A dot for each camera, and numbers where there is room for them."""
    numbers = number(photographs)
    directions = [*coverage.train, *coverage.test]
    spots = [place(*direction) for direction in directions]
    for (x, y), photo in zip(spots, photographs, strict=True):
        colour = WRONG if photo.findings else TRAIN if photo.split == "train" else TEST
        pen.ellipse([(x - 5) * FINE, (y - 5) * FINE, (x + 5) * FINE, (y + 5) * FINE], fill=colour)
    taken: list[Rectangle] = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    taken += [(LEFT, TOP + 8, LEFT + WIDE, TOP + 40)] if coverage.gap > CLOSED else []
    for i, count in numbers.items():
        (x, y), text = spots[i], str(count)
        half = width(text, 16) / 2
        for reach, turn in product((17, 24, 32), range(8)):
            u, v = x + reach * math.sin(turn * math.pi / 4), y - reach * math.cos(turn * math.pi / 4)
            space = (u - half - 2, v - 9, u + half + 2, v + 9)
            if space[0] > LEFT and space[2] < LEFT + WIDE and space[1] > TOP and not overlap(space, taken):
                _text(pen, (u - half, v - 9), text, WRONG if photographs[i].findings else INK, 16)
                taken.append(space)
                break


def _words(pen: ImageDraw.ImageDraw, coverage: Coverage) -> None:
    """What the map says."""
    first, last = coverage.gap_between
    lines = wrap(describe(coverage), SIDE - 40, 20)
    if coverage.gap < 360:
        names = [shorten(name, 280, 18) for name in distinct((first, last), 280, 18)]
        lines += [f"the largest gap lies between {names[0]} and {names[1]}"]
    lines += [f"the typical point is in {coverage.seen_typical} pictures, the least seen one in {coverage.seen_least}"]
    for k, line in enumerate(lines):
        _text(pen, (20, TOP + HIGH + 36 + LINE * k), line, INK, 20 if k == 0 else 18)


def _key(pen: ImageDraw.ImageDraw, photographs: Sequence[PhotoCheck]) -> None:
    """Names of the numbered cameras, in two columns, and what was found about them."""
    chosen = number(photographs)
    rows = -(-len(chosen) // 2)
    bottom = SIDE - 66
    names = distinct([photographs[i].name for i in chosen], 200, 17)
    for k, (i, count) in enumerate(chosen.items()):
        photo = photographs[i]
        said = f": {', '.join(f.text for f in photo.findings)}" if photo.findings else ""
        x, y = 20 + 440 * (k // rows), bottom - LINE * (rows - k % rows)
        tail = shorten(said, max(230.0, 386 - width(names[k], 17)), 17)
        name = shorten(names[k], 420 - 34 - width(tail, 17), 17)
        _text(pen, (x, y), str(count), INK, 17)
        _text(pen, (x + 30, y), name + tail, WRONG if photo.findings else INK, 17)
    ground = f"blue ground: a train view within {SEEN:.0f} degrees; white: none within {FAR_OFF:.0f}"
    _text(pen, (20, SIDE - 58), ground, FAINT_INK, 16)
    steep = f"hatched: the largest gap; views steeper than {STEEP:.0f} degrees do not close it"
    _text(pen, (20, SIDE - 34), steep, FAINT_INK, 16)


def _text(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, size: int) -> None:
    """Text with its top left corner at pixels of the finished picture."""
    pen.text((at[0] * FINE, at[1] * FINE), text, fill=colour, font=font(size * FINE))
