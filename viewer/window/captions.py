"""What is written and drawn over the picture: lines, names of panes, the status line, messages, help. With ImGui."""

import math
from collections.abc import Sequence

from imgui_bundle import imgui

from viewer.front import keys
from viewer.front.session import Pane, State
from viewer.front.updates import Update, format_duration, name_field
from viewer.messages import Notice
from viewer.window import areas, overlay, widgets
from viewer.window.areas import WindowAreas
from viewer.window.gui import DIM, GROUND, TEXT_COLOR, to_rgba
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
    """Two lines on a dark ground at the top of a pane; `room`: left, top, width in pixels of the framebuffer."""
    x, y, width = room
    first, second = name, describe(pane)
    pen, pad = imgui.get_background_draw_list(), scale(6)
    sizes = imgui.calc_text_size(first), imgui.calc_text_size(second)
    wide, high = max(s.x for s in sizes) + 2 * pad, sizes[0].y + sizes[1].y + 2 * pad
    begin = x / at.ratio + scale(8) if not right else (x + width) / at.ratio - scale(8) - wide
    corner = imgui.ImVec2(begin, y / at.ratio + scale(8))
    end = imgui.ImVec2(corner.x + wide, corner.y + high)
    pen.add_rect_filled(corner, end, imgui.get_color_u32(to_rgba(GROUND, 0.78)), scale(4))
    pen.add_text(imgui.ImVec2(corner.x + pad, corner.y + pad), to_ink(pick_color(pane.opened.pane)), first)
    pen.add_text(imgui.ImVec2(corner.x + pad, corner.y + pad + sizes[0].y), to_ink(TEXT_COLOR), second)


def describe(pane: Pane) -> str:
    """Architecture, MB, milliseconds and dB."""
    parts = [pane.opened.architecture, f"{pane.opened.model_bytes / 1e6:.2f} MB"]
    if pane.frame:
        parts.append(format_duration(pane.frame.milliseconds))
    if pane.psnr is not None and math.isfinite(pane.psnr):
        parts.append(f"{pane.psnr:.2f} dB")
    return "  ".join(parts)


def draw_status(state: State, at: WindowAreas, rate: int) -> None:
    """The line below the picture: rate, what a pass took, how far the picture is, where it is computed."""
    left, top, width, height = at.picture
    if at.window[1] - height < 2:
        return
    pen = imgui.get_background_draw_list()
    y = (top + height) / at.ratio + scale(3)
    figures = format_figures(state, rate)
    pen.add_text(imgui.ImVec2(left / at.ratio + scale(10), y), to_ink(DIM), figures)
    where = state.device if state.worker == "ready" else {"starting": "starting ...", "gone": "no worker"}[state.worker]
    end = (left + width) / at.ratio - imgui.calc_text_size(where).x - scale(10)
    if end > left / at.ratio + imgui.calc_text_size(figures).x + scale(30):
        pen.add_text(imgui.ImVec2(end, y), to_ink(RED if state.worker == "gone" else DIM), where)


def format_figures(state: State, rate: int) -> str:
    """Figures of the frames that are shown."""
    frames = [pane.frame for pane in state.shown if pane.frame]
    if not frames:
        return ""
    (height, width), passes = frames[0].image.shape[:2], min(f.passes for f in frames)
    parts = [
        f"{rate} frames/s", format_duration(sum(f.milliseconds for f in frames)),
        f"{sum(f.samples for f in frames) / 1e6:.2f} M samples", f"{width} x {height}",
        f"pass {passes} of {state.display.passes}",
    ]  # fmt: skip
    found = [f"{p.psnr:.2f} dB" for p in state.shown if p.psnr is not None and math.isfinite(p.psnr)]
    return "    ".join(parts + found[:4])


def draw_notices(told: Sequence[Notice], at: WindowAreas) -> None:
    """The latest messages, above the status line."""
    left, top, width, height = at.picture
    pen, pad = imgui.get_background_draw_list(), scale(7)
    room = width / at.ratio - scale(32)
    y = (top + height) / at.ratio - scale(10)
    for message in reversed(told):
        size = imgui.calc_text_size(message.text, wrap_width=room)
        y -= size.y + 2 * pad
        if y < 0:
            return
        corner = imgui.ImVec2(left / at.ratio + scale(10), y)
        end = imgui.ImVec2(corner.x + size.x + 2 * pad, y + size.y + 2 * pad)
        pen.add_rect_filled(corner, end, imgui.get_color_u32(to_rgba(GROUND, 0.9)), scale(4))
        tint = to_ink(RED if message.trouble else TEXT_COLOR)
        font, corner = imgui.get_font(), imgui.ImVec2(corner.x + pad, y + pad)
        pen.add_text(font, imgui.get_font_size(), corner, tint, message.text, wrap_width=room)
        y -= scale(5)


def draw_hint(state: State, at: WindowAreas) -> None:
    """What to do where there is nothing to see."""
    if state.panes:
        return
    text = {
        "starting": "starting ...", "gone": "the worker has ended",
        "ready": "Drop a model, photographs, a mesh or a camera path here",
    }[state.worker]  # fmt: skip
    left, top, width, height = at.picture
    size = imgui.calc_text_size(text)
    middle = imgui.ImVec2((left + width / 2) / at.ratio - size.x / 2, (top + height / 2) / at.ratio - size.y / 2)
    imgui.get_background_draw_list().add_text(middle, to_ink(DIM), text)


def draw_help(at: WindowAreas) -> None:
    """All keys, in two columns."""
    kinds = imgui.WindowFlags_
    flags = kinds.no_title_bar | kinds.no_resize | kinds.no_move | kinds.no_saved_settings | kinds.no_nav
    left, top, width, height = (n / at.ratio for n in at.picture)
    lines = keys.list_help()
    half = -(-len(lines) // 2)
    high = imgui.get_text_line_height_with_spacing() * half + 2 * imgui.get_style().window_padding.y
    size = imgui.ImVec2(min(scale(860), width), min(high, height))
    imgui.set_next_window_pos(imgui.ImVec2(left + (width - size.x) / 2, top + (height - size.y) / 2))
    imgui.set_next_window_size(size)
    imgui.push_style_color(imgui.Col_.window_bg, to_rgba(GROUND, 0.94))
    imgui.begin("keys", None, flags)
    if imgui.begin_table("keys", 4):
        for share in (0.12, 0.38, 0.12, 0.38):
            imgui.table_setup_column("", imgui.TableColumnFlags_.width_stretch, share)
        for i in range(half):
            imgui.table_next_row()
            for pressed, does in lines[i::half]:
                imgui.table_next_column()
                imgui.text_unformatted(pressed)
                imgui.table_next_column()
                widgets.note(does)
        imgui.end_table()
    imgui.end()
    imgui.pop_style_color()


def to_ink(rgb: int) -> int:
    """A colour as draw lists want it."""
    return imgui.get_color_u32(to_rgba(rgb))
