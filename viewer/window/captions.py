"""What belongs to the picture: lines over it, names of panes, the status line below. With ImGui."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from imgui_bundle import imgui

from viewer.front.session import Pane, State
from viewer.front.updates import Update, format_duration, name_field
from viewer.window import areas, mouse, overlay
from viewer.window.areas import WindowAreas
from viewer.window.crop_box import Pixel
from viewer.window.gui import DIM, GROUND, TEXT_COLOR, to_ink, to_rgba
from viewer.window.overlay import Frusta, Line, Overlay, Picture, Track
from viewer.window.panel_fields import pick_color
from viewer.window.photograph_sheet import PhotographSheet
from viewer.window.widgets import AMBER, RED, scale

FAINT = 70  # opacity of what is hidden, of 255


@dataclass(frozen=True)
class Outlines:
    """What is drawn over the picture besides what the state says."""

    cameras: Frusta | None = None
    track: Track | None = None
    face: int | None = None  # of the crop box, under the pointer
    photographs: PhotographSheet | None = None


def draw_outlines(update: Update, at: WindowAreas, outlines: Outlines) -> None:
    """Scene box, axes, crop box, cameras and camera path, over every pane, fainter where its object hides them."""
    state, look = update.state, update.state.display
    camera = areas.make_camera(state, at)
    if camera is None:
        return
    view, box = state.eye.view if state.eye else None, state.panes[0].opened.box if look.show_box else None
    shown = Overlay(box, mouse.crop_of(update), outlines.face, outlines.cameras, view, outlines.track)
    if shown == Overlay(selected=view):
        return
    places = areas.place_panes(state, at)
    for pane, place in {place: pane for pane, place in zip(state.shown, places, strict=True)}.items():
        over = replace(shown, depth=place.frame.depth if place.frame else None)
        rectangle = areas.fit_within(pane, camera.size)
        with Pen.within(rectangle, at) as pen:
            if outlines.photographs:
                pen.photographs(overlay.list_pictures(camera, over), outlines.photographs)
            pen.lines(overlay.list_lines(camera, over))
            if outlines.track:
                pen.marks(overlay.list_marks(camera, outlines.track))


class Pen:
    """Draws in one pane, in pixels of its camera."""

    def __init__(self, corner: tuple[float, float], at: WindowAreas) -> None:
        self.list, self.corner, self.at = imgui.get_background_draw_list(), corner, at

    @staticmethod
    @contextmanager
    def within(rectangle: areas.Rectangle, at: WindowAreas) -> Iterator["Pen"]:
        """A pen that leaves the rectangle alone that is not its own."""
        left, top = at.picture[0] + rectangle[0], at.picture[1] + rectangle[1]
        pen = Pen((left, top), at)
        pen.list.push_clip_rect(pen.place((0.0, 0.0)), pen.place((float(rectangle[2]), float(rectangle[3]))), True)
        try:
            yield pen
        finally:
            pen.list.pop_clip_rect()

    def place(self, pixel: Pixel) -> imgui.ImVec2:
        """A pixel in the window's units."""
        return imgui.ImVec2((self.corner[0] + pixel[0]) / self.at.ratio, (self.corner[1] + pixel[1]) / self.at.ratio)

    def lines(self, lines: Sequence[Line]) -> None:
        """Lines, fainter where they are hidden."""
        for line in lines:
            ink = imgui.IM_COL32(*line.rgb, FAINT if line.hidden else 255)
            self.list.add_line(self.place(line.start), self.place(line.end), ink, line.width * self.at.scale)

    def marks(self, marks: Sequence[tuple[Pixel, str]]) -> None:
        """Numbers beside points."""
        for pixel, text in marks:
            at = self.place(pixel)
            for shift, tint in ((1.0, GROUND), (0.0, AMBER)):
                self.list.add_text(imgui.ImVec2(at.x + scale(7) + shift, at.y - scale(8) + shift), to_ink(tint), text)

    def photographs(self, pictures: Sequence[Picture], photographs: PhotographSheet) -> None:
        """Photographs where their cameras stand, fainter where they are hidden."""
        for view, corners, hidden in pictures:
            if (part := photographs.find(view)) is None:
                continue
            (left, top), (right, bottom) = part
            a, b, c, d = (self.place(corner) for corner in corners)
            ends = (imgui.ImVec2(x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)))
            ua, ub, uc, ud = ends
            ink = imgui.IM_COL32(255, 255, 255, FAINT if hidden else 255)
            self.list.add_image_quad(photographs.reference, a, b, c, d, ua, ub, uc, ud, ink)


def draw_names(state: State, at: WindowAreas) -> None:
    """Each pane's name with its size, milliseconds and dB, where there are several."""
    shown, camera = state.shown, areas.make_camera(state, at)
    if len(shown) < 2 or camera is None:
        return
    left, top = at.picture[:2]
    for i, (pane, place) in enumerate(zip(shown, areas.place_panes(state, at), strict=True)):
        x, y, width, _ = areas.fit_within(place, camera.size)
        if state.display.layout == "split":
            draw_caption(pane, name_field(pane, state), (left + x, top + y, width), at)
        elif i < 2:
            half = width // 2
            draw_caption(pane, name_field(pane, state), (left + x + i * half, top + y, half), at, right=i == 1)
    if state.display.layout == "wipe":
        draw_divider(at, areas.fit_within((0, 0, *at.picture[2:]), camera.size), state.display.wipe)


def draw_divider(at: WindowAreas, place: areas.Rectangle, share: float) -> None:
    """Dark edges of a wipe's divider, which is white, as backgrounds often are."""
    pen, tint = imgui.get_background_draw_list(), imgui.get_color_u32(to_rgba(GROUND, 0.6))
    top = (at.picture[1] + place[1]) / at.ratio
    for side in (-2, 2):
        x = (at.picture[0] + place[0] + round(share * place[2]) + side) / at.ratio
        pen.add_line(imgui.ImVec2(x, top), imgui.ImVec2(x, top + place[3] / at.ratio), tint, 1 / at.ratio)


def draw_caption(pane: Pane, name: str, room: tuple[int, int, int], at: WindowAreas, *, right: bool = False) -> None:
    """Two lines on a dark ground at the top of a pane, within `room`: left, top, width in pixels of the framebuffer."""
    x, y, width = room
    pad, most = scale(6), width / at.ratio - scale(28)
    if most < scale(24):
        return
    first, second = shorten(name, most), join_parts(describe(pane), most)
    pen = imgui.get_background_draw_list()
    sizes = imgui.calc_text_size(first), imgui.calc_text_size(second)
    wide, high = max(s.x for s in sizes) + 2 * pad, sizes[0].y + sizes[1].y * bool(second) + 2 * pad
    begin = x / at.ratio + scale(8) if not right else (x + width) / at.ratio - scale(8) - wide
    corner = imgui.ImVec2(begin, y / at.ratio + scale(8))
    end = imgui.ImVec2(corner.x + wide, corner.y + high)
    pen.add_rect_filled(corner, end, imgui.get_color_u32(to_rgba(GROUND, 0.78)), scale(4))
    pen.add_text(imgui.ImVec2(corner.x + pad, corner.y + pad), to_ink(pick_color(pane.opened.pane)), first)
    pen.add_text(imgui.ImVec2(corner.x + pad, corner.y + pad + sizes[0].y), to_ink(TEXT_COLOR), second)


def shorten(text: str, width: float) -> str:
    """A text that is no wider than that, in the window's units; its end is left out first."""
    if imgui.calc_text_size(text).x <= width:
        return text
    while text and imgui.calc_text_size(f"{text}...").x > width:
        text = text[:-1]
    return f"{text}..." if text else ""


def join_parts(parts: Sequence[str], width: float, gap: str = "  ") -> str:
    """As many of them as fit, the most telling first."""
    kept = [*parts]
    while kept and imgui.calc_text_size(gap.join(kept)).x > width:
        kept.pop()
    return gap.join(kept)


def describe(pane: Pane) -> list[str]:
    """dB in this view, architecture, MB and milliseconds."""
    parts = [f"{pane.psnr:.2f} dB here"] if pane.psnr is not None and math.isfinite(pane.psnr) else []
    parts += [pane.opened.architecture, f"{pane.opened.model_bytes / 1e6:.2f} MB"]
    return [*parts, format_duration(pane.frame.milliseconds)] if pane.frame else parts


def draw_status(state: State, at: WindowAreas, rate: int) -> None:
    """The line below the picture: rate, what a pass took, how far the picture is, where it is computed."""
    left, top, width, height = at.picture
    if at.window[1] - height < 2:
        return
    pen = imgui.get_background_draw_list()
    y = (top + height) / at.ratio + scale(3)
    figures = join_parts(list_figures(state, rate), width / at.ratio - scale(20), "    ")
    pen.add_text(imgui.ImVec2(left / at.ratio + scale(10), y), to_ink(DIM), figures)
    where = state.device if state.worker == "ready" else {"starting": "starting ...", "gone": "no worker"}[state.worker]
    end = (left + width) / at.ratio - imgui.calc_text_size(where).x - scale(10)
    if end > left / at.ratio + imgui.calc_text_size(figures).x + scale(30):
        pen.add_text(imgui.ImVec2(end, y), to_ink(RED if state.worker == "gone" else DIM), where)


def list_figures(state: State, rate: int) -> list[str]:
    """Figures of the frames that are shown, the most telling first."""
    frames = [pane.frame for pane in state.shown if pane.frame]
    if not frames:
        return []
    (height, width), passes = frames[0].image.shape[:2], min(f.passes for f in frames)
    found = [f"{p.psnr:.2f} dB" for p in state.shown if p.psnr is not None and math.isfinite(p.psnr)]
    quality = [f"{' | '.join(found[:4])} in this view"] if found else []
    return [
        f"{rate} frames/s", format_duration(sum(f.milliseconds for f in frames)), *quality,
        f"{width} x {height}", f"pass {passes} of {state.display.passes}",
        f"{sum(f.samples for f in frames) / 1e6:.2f} M samples",
    ]  # fmt: skip
