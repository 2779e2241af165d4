"""What the colours of a picture mean: a scale with numbers and their unit, drawn into a corner of it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rgb = tuple[int, int, int]

LETTERS = 12  # pixels that a line of text is high, where nothing else is said
SMALLEST = 8  # the same, of what can still be read
LENGTH = 15.0  # of the bar, in heights of a line
GROUND, INK, DIM = (23, 25, 29), (228, 230, 234), (150, 156, 165)
ROOM = 0.9  # of the picture's width that a scale may take; where that leaves too little, there is none


@dataclass(frozen=True)
class Legend:
    """A bar of colours and what they stand for. As many labels as colours: each colour is a thing of its own; else the
    colours run on from the first label's to the last one's."""

    title: str  # with the unit
    colors: tuple[Rgb, ...]
    labels: tuple[str, ...]


def format_number(value: float) -> str:
    """Three digits, for a person."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def spread(low: float, high: float, count: int = 4) -> tuple[str, ...]:
    """Labels of `count` numbers evenly from low to high; with more digits where three would not tell them apart."""
    values = np.linspace(low, high, count).tolist()
    plain = tuple(format_number(value) for value in values)
    return plain if len({*plain}) == count else tuple(f"{value:.5g}" for value in values)


def draw_legend(image: np.ndarray, legend: Legend, letters: int = LETTERS) -> np.ndarray:
    """The picture (H, W, 3) uint8 with the scale in its lower right corner, in lines of `letters` pixels; smaller where
    that does not fit, and none where it could not be read."""
    height, width = image.shape[:2]
    while letters > SMALLEST and not fits(measure(legend, letters), width, height):
        letters -= 1
    size = measure(legend, letters)
    if not fits(size, width, height):
        return image
    canvas = Image.fromarray(image)
    canvas.paste(draw_scale(legend, letters, size), (width - size[0] - letters // 2, height - size[1] - letters // 2))
    return np.array(canvas)


def fits(size: tuple[int, int], width: int, height: int) -> bool:
    """Whether a scale of `size` leaves enough of a picture to be seen."""
    return size[0] <= ROOM * width and size[1] <= height / 3


def measure(legend: Legend, letters: int) -> tuple[int, int]:
    """Width and height of a scale in pixels."""
    font = ImageFont.load_default(letters)
    labels = len(legend.labels) * max(font.getlength(f"{label}  ") for label in legend.labels)
    return round(max(font.getlength(legend.title), labels, LENGTH * letters) + letters), round(4.1 * letters)


def draw_scale(legend: Legend, letters: int, size: tuple[int, int]) -> Image.Image:
    """Title, bar and labels, one below the other."""
    canvas, font = Image.new("RGB", size, GROUND), ImageFont.load_default(letters)
    pen, pad = ImageDraw.Draw(canvas), letters // 2
    pen.text((pad, round(0.3 * letters)), legend.title, INK, font)
    length, top = size[0] - 2 * pad, round(1.7 * letters)
    apart = len(legend.labels) == len(legend.colors)
    bar = Image.fromarray(np.array([legend.colors], np.uint8))
    how = Image.Resampling.NEAREST if apart else Image.Resampling.BILINEAR
    canvas.paste(bar.resize((length, round(0.8 * letters)), how), (pad, top))
    for i, label in enumerate(legend.labels):
        share = (i + 0.5) / len(legend.labels) if apart else i / max(len(legend.labels) - 1, 1)
        anchor = "ma" if apart or 0 < i < len(legend.labels) - 1 else "la" if i == 0 else "ra"
        pen.text((pad + share * length, round(2.7 * letters)), label, DIM, font, anchor)
    return canvas
