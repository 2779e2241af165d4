"""What belongs to the picture: lines over it, names of panes, the status line below. With ImGui."""

import math
from collections.abc import Sequence

from imgui_bundle import imgui

from viewer.front.session import Pane, State
from viewer.front.updates import Update, format_duration, name_field
from viewer.window import areas, overlay
from viewer.window.areas import WindowAreas
from viewer.window.gui import DIM, GROUND, TEXT_COLOR, to_ink, to_rgba
from viewer.window.overlay import Frusta, Line, Overlay
from viewer.window.panel_fields import pick_color
from viewer.window.widgets import RED, scale


def draw_outlines(update: Update, at: WindowAreas, cameras: Frusta | None, face: int | None) -> None:
    """Scene box, axes, crop box and cameras, over every pane."""
    state, look = update.state, update.state.display
    camera = areas.make_camera(state, at)
    if camera is None or not (look.show_box or look.crop or cameras):
        return
    view = state.eye.view if state.eye else None
    box = state.panes[0].opened.box if look.show_box else None
    found = overlay.list_lines(camera, Overlay(box, look.crop, face, cameras, view))
    for pane in dict.fromkeys(areas.place_panes(state, at)):
        draw_lines(found, areas.fit_within(pane, camera.size), at)


def draw_lines(lines: Sequence[Line], rectangle: areas.Rectangle, at: WindowAreas) -> None:
    """Lines in one pane."""
    pen = imgui.get_background_draw_list()
    left, top = at.picture[0] + rectangle[0], at.picture[1] + rectangle[1]
    corner = imgui.ImVec2(left / at.ratio, top / at.ratio)
    end = imgui.ImVec2((left + rectangle[2]) / at.ratio, (top + rectangle[3]) / at.ratio)
    pen.push_clip_rect(corner, end, True)
    for line in lines:
        (x0, y0), (x1, y1), (r, g, b) = line.start, line.end, line.rgb
        ink = imgui.IM_COL32(r, g, b, 255)
        begin = imgui.ImVec2((left + x0) / at.ratio, (top + y0) / at.ratio)
        pen.add_line(begin, imgui.ImVec2((left + x1) / at.ratio, (top + y1) / at.ratio), ink, line.width * at.scale)
    pen.pop_clip_rect()


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
