"""Several panes as one picture: side by side, one wiped over the other, or how they differ; and a photograph over them.

Pictures are (H, W, 3) uint8, sizes (width, height), rectangles (left, top, width, height) in pixels from the top left.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from render.legends import draw_legend
from viewer.front.arrangement import Arrangement
from viewer.front.session import State
from viewer.messages import PixelSize

Rectangle = tuple[int, int, int, int]

EMPTY = (24, 24, 26)  # where no pane is, and beside pictures of another shape
DIVIDER = (255, 255, 255)  # of a wipe


def count_columns(kind: Arrangement, panes: int) -> tuple[int, int]:
    """Columns and rows that the panes take: four in a square, fewer in a row; panes that share a place take one."""
    if kind != "split" or panes < 2:
        return 1, 1
    return (2, 2) if panes == 4 else (panes, 1)


def measure_pane(kind: Arrangement, panes: int, size: PixelSize) -> PixelSize:
    """Pixels of one pane's picture, at least 1 x 1; the same for all."""
    columns, rows = count_columns(kind, panes)
    return max(1, size[0] // columns), max(1, size[1] // rows)


def place_panes(kind: Arrangement, panes: int, size: PixelSize) -> tuple[Rectangle, ...]:
    """Where each pane lies in a picture of `size`, row by row; all in one place for a wipe or difference."""
    columns, _ = count_columns(kind, panes)
    width, height = measure_pane(kind, panes, size)
    if kind != "split":
        return ((0, 0, width, height),) * panes
    return tuple((i % columns * width, i // columns * height, width, height) for i in range(panes))


def letterbox(size: PixelSize, place: Rectangle) -> Rectangle:
    """The largest rectangle of the aspect of `size` within another, in its middle; at least 1 x 1."""
    left, top, width, height = place
    factor = min(width / size[0], height / size[1])
    w, h = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    return left + (width - w) // 2, top + (height - h) // 2, w, h


def fit_picture(size: PixelSize, place: Rectangle) -> Rectangle:
    """Where a picture lies in a pane: as in `letterbox`, but all over it where only the rounding of a coarse picture's
    sides, half a pixel of its own each, keeps it from that."""
    within = letterbox(size, place)
    pixel = max(within[2] / size[0], within[3] / size[1])
    slack = pixel * (1 + max(size) / min(size)) / 2
    coarse = pixel > 1 and place[2] - within[2] <= slack and place[3] - within[3] <= slack
    return place if coarse else within


def scale(picture: np.ndarray, size: PixelSize, columns: tuple[int, int] | None = None) -> np.ndarray:
    """The picture at another size, or some `columns` of it (first, and one past the last, at that size): bilinear where
    it grows, means over areas where it shrinks; itself at its own size."""
    height, width = picture.shape[:2]
    first, end = columns or (0, size[0])
    if (width, height) == size:
        return picture[:, first:end] if columns else picture
    how = Image.Resampling.BILINEAR if size[0] >= width and size[1] >= height else Image.Resampling.BOX
    part = (first * width / size[0], 0, end * width / size[0], height)
    return np.asarray(Image.fromarray(picture).resize((end - first, size[1]), how, part))


def place(picture: np.ndarray, size: PixelSize, aspect: PixelSize) -> np.ndarray:
    """A picture in a pane of `size`, where one of size `aspect` lies."""
    left, top, width, height = fit_picture(aspect, (0, 0, *size))
    inside = scale(picture, (width, height))
    if (width, height) == size:
        return inside
    result = np.full((size[1], size[0], 3), EMPTY, np.uint8)
    result[top : top + height, left : left + width] = inside
    return result


def arrange(
    kind: Arrangement, pictures: Sequence[np.ndarray], size: PixelSize, *, share: float = 0.5, gain: float = 4.0
) -> np.ndarray:
    """One picture of `size` of all panes; a pane's picture may be of any resolution. ValueError for none.

    Panes take the shape of the largest picture. `wipe`: the first pane up to `share` of its width, the second beyond.
    `difference`: of the first against the second, times `gain`. Both show one picture as it is, and leave out the
    third and later.
    """
    if not pictures:
        raise ValueError("there is no picture to arrange")
    height, width = max((p.shape[:2] for p in pictures), key=lambda s: s[0] * s[1])
    if len(pictures) == 1:
        return place(pictures[0], size, (width, height))
    if kind == "wipe":
        area = fit_picture((width, height), (0, 0, *size))
        return place(wipe(pictures[0], pictures[1], area[2:], share), size, area[2:])
    if kind == "difference":  # at the pictures' resolution, so that only one is scaled to the pane's
        one, other = (scale(p, (width, height)) for p in pictures[:2])
        return place(subtract(one, other, gain), size, (width, height))
    result = np.full((size[1], size[0], 3), EMPTY, np.uint8)
    for picture, (left, top, w, h) in zip(pictures, place_panes(kind, len(pictures), size), strict=True):
        result[top : top + h, left : left + w] = place(picture, (w, h), (width, height))
    return result


def wipe(one: np.ndarray, other: np.ndarray, size: PixelSize, share: float) -> np.ndarray:
    """A picture of `size`: one up to a share of the width, the other beyond, and a line of two pixels between."""
    width, height = size
    column = min(max(round(share * width), 0), width)
    result = np.empty((height, width, 3), np.uint8)
    if column > 0:
        result[:, :column] = scale(one, size, (0, column))
    if column < width:
        result[:, column:] = scale(other, size, (column, width))
    if 0 < column < width:
        result[:, column - 1 : column + 1] = DIVIDER
    return result


def subtract(one: np.ndarray, other: np.ndarray, gain: float) -> np.ndarray:
    """|one - other| of pictures of one size, times the gain."""
    table = np.minimum(np.arange(256) * gain, 255).round().astype(np.uint8)
    return table[np.maximum(one, other) - np.minimum(one, other)]


def blend(picture: np.ndarray, photograph: np.ndarray, alpha: float) -> np.ndarray:
    """A photograph over a picture, at the picture's size: 0 leaves the picture, 1 the photograph."""
    weight = round(min(max(alpha, 0.0), 1.0) * 256)
    if weight == 0:
        return picture
    over = scale(photograph, (picture.shape[1], picture.shape[0]))
    if weight == 256:
        return over
    return ((picture.astype(np.uint16) * (256 - weight) + over.astype(np.uint16) * weight) >> 8).astype(np.uint8)


def compose(state: State, size: PixelSize) -> np.ndarray | None:
    """What a front end shows, as one picture of `size`: the shown panes, with the photograph of the view over them as
    far as the look says so. None before the first frame; a pane without one is left empty."""
    frames = [pane.frame for pane in state.shown]
    drawn = [frame.image for frame in frames if frame]
    if not drawn or min(size) < 1:
        return None
    look, shape = state.display, max((image.shape for image in drawn), key=lambda s: s[0] * s[1])
    pictures = [frame.image if frame else np.full(shape, EMPTY, np.uint8) for frame in frames]
    photograph, view = state.photograph, state.eye.view if state.eye else None
    if look.truth > 0 and photograph is not None and photograph.view == view:
        pictures = [blend(picture, photograph.image, look.truth) for picture in pictures]
    return arrange(look.layout, pictures, size, share=look.wipe, gain=look.gain)


def explain(image: np.ndarray, state: State, letters: int) -> np.ndarray:
    """A composed picture with what its colours mean in a corner of each pane, in lines of `letters` pixels: nothing
    where colours are colours, and where differences of such scales are shown."""
    legends = [pane.frame.legend if pane.frame else None for pane in state.shown]
    if (state.display.layout == "difference" and len(legends) > 1) or not any(legends) or state.display.truth >= 1:
        return image
    height, width = image.shape[:2]
    if state.display.layout != "split" or len(legends) < 2:
        return draw_legend(image, legends[0], letters) if legends[0] else image
    result = image.copy()
    for legend, (left, top, w, h) in zip(legends, place_panes("split", len(legends), (width, height)), strict=True):
        if legend:
            part = result[top : top + h, left : left + w]
            part[:] = draw_legend(part, legend, letters)
    return result
