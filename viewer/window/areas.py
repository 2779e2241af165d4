"""Where the picture and its panes lie in the window."""

from dataclasses import dataclass

import numpy as np

from render.camera import Camera
from viewer.front import compare
from viewer.front.compare import Rectangle
from viewer.front.session import State, request_frame
from viewer.window.texture import TextureArea

LETTERS = 13.0  # pixels at scale 1: a line of a scale of colours
SHEET = 0.42  # of a narrow window's height that the panel takes
PANEL, BAR = 340.0, 24.0  # pixels at scale 1: the panel's width, the status line's height


@dataclass(frozen=True)
class WindowAreas:
    """Where things are: pixels of the framebuffer, y growing downwards."""

    window: tuple[int, int]
    picture: Rectangle
    panel: Rectangle  # 0 wide where it is hidden
    ratio: float  # pixels of the framebuffer in one of the window's units
    scale: float  # of texts and widgets, in the window's units


def lay_out(units: tuple[int, int], pixels: tuple[int, int], scale: float, panelled: bool) -> WindowAreas:
    """The panel at the left, or where that would leave less than half, as a sheet below; the status line below the
    picture; both away where the window is too small for them."""
    ratio = pixels[0] / units[0] if units[0] > 0 else 1.0
    (width, height), side, bar = pixels, round(PANEL * scale * ratio), round(BAR * scale * ratio)
    if not panelled:
        return WindowAreas(pixels, (0, 0, width, height), (0, 0, 0, 0), ratio, scale)
    below = 2 * side > width
    sheet = round(SHEET * height) if below else 0
    left = 0 if below else side
    bar = bar if bar < 0.5 * (height - sheet) else 0
    picture = left, 0, max(0, width - left), max(0, height - sheet - bar)
    return WindowAreas(
        pixels, picture, (0, height - sheet, width, sheet) if below else (0, 0, side, height), ratio, scale
    )


def measure_pane(state: State, at: WindowAreas) -> tuple[int, int]:
    """Pixels of one pane's picture; 0 where the window has no room."""
    room = at.picture[2:]
    return compare.measure_pane(state.display.layout, len(state.shown), room) if min(room) > 0 else (0, 0)


def place_panes(state: State, at: WindowAreas) -> tuple[Rectangle, ...]:
    """Where each shown pane is drawn, from the picture's corner; the same place for all that lie over each other."""
    return compare.place_panes(state.display.layout, len(state.shown), at.picture[2:])


def fit_within(pane: Rectangle, size: tuple[int, int]) -> Rectangle:
    """Where the picture of a camera of `size` lies in its pane."""
    return compare.letterbox(size, pane)


def make_camera(state: State, at: WindowAreas) -> Camera | None:
    """The camera of every pane."""
    size = measure_pane(state, at)
    wanted = request_frame(state, size, 0, False) if min(size) > 0 else None
    return wanted.camera if wanted else None


def compose(state: State, at: WindowAreas) -> np.ndarray | None:
    """All panes as one picture, (H, W, 3) uint8, with what its colours mean; None before the first frame."""
    image = compare.compose(state, at.picture[2:])
    return None if image is None else compare.explain(image, state, round(LETTERS * at.scale * at.ratio))


def place_texture(size: tuple[int, int], at: WindowAreas) -> TextureArea:
    """Where a picture of `size` is drawn, which was made for another size while the window is being resized; counted
    from the bottom, as OpenGL does."""
    if min(*size, *at.picture[2:]) <= 0:
        return 0, 0, 0, 0
    left, top, width, height = compare.letterbox(size, at.picture)
    return left, at.window[1] - top - height, width, height
