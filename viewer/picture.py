"""Where the picture and its panes lie in the window."""

from dataclasses import dataclass

import numpy as np

from render.camera import Camera
from viewer.blit import Area
from viewer.session import State, shot

PANEL, BAR = 340.0, 24.0  # pixels at scale 1: the panel's width, the status line's height
Rectangle = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class Places:
    """Where things are: pixels of the framebuffer, y growing downwards."""

    window: tuple[int, int]
    picture: Rectangle
    ratio: float  # pixels of the framebuffer in one of the window's units
    scale: float  # of texts and widgets, in the window's units


def places(units: tuple[int, int], pixels: tuple[int, int], scale: float, panelled: bool) -> Places:
    """The panel at the left, the status line below the picture; both away where the window is too small for them."""
    ratio = pixels[0] / units[0] if units[0] > 0 else 1.0
    left, bottom = round(PANEL * scale * ratio), round(BAR * scale * ratio)
    if not panelled or left > pixels[0] * 0.7:
        left = 0  # a panel lies over the picture then
    if not panelled or bottom > pixels[1] * 0.5:
        bottom = 0
    return Places(pixels, (left, 0, max(0, pixels[0] - left), max(0, pixels[1] - bottom)), ratio, scale)


def pane_size(state: State, at: Places) -> tuple[int, int]:
    """Pixels of one pane's picture."""
    _, _, width, height = at.picture
    count = len(state.shown)
    if state.look.layout == "split" and count > 1:
        width = width // count
    return max(0, width), height


def panes(state: State, at: Places) -> list[Rectangle]:
    """Where each shown pane is drawn, from the picture's corner; the same place for all that lie over each other."""
    width, height = pane_size(state, at)
    split = state.look.layout == "split"
    return [(i * width * split, 0, width, height) for i in range(len(state.shown))]


def camera(state: State, at: Places) -> Camera | None:
    """The camera of every pane."""
    size = pane_size(state, at)
    wanted = shot(state, size, 0, False) if min(size) > 0 else None
    return wanted.camera if wanted else None


def composed(state: State, at: Places) -> np.ndarray | None:
    from PIL import Image

    images = [p.frame.image for p in state.shown if p.frame]
    if not images:
        return None
    w, h = pane_size(state, at)
    return np.hstack([np.asarray(Image.fromarray(i).resize((w, h))) for i in images])


def letterboxed(size: tuple[int, int], at: Places) -> Area:
    """Where a picture is drawn: as large as fits, in the middle; counted from the bottom as OpenGL does."""
    left, top, width, height = at.picture
    if min(*size, width, height) <= 0:
        return 0, 0, 0, 0
    factor = min(width / size[0], height / size[1])
    w, h = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    x, y = left + (width - w) // 2, top + (height - h) // 2
    return x, at.window[1] - y - h, w, h
