"""The panel's fields: what is open, how large, how fast and how far from the photograph; shown or not; closed."""

import math

from imgui_bundle import imgui

from viewer.front.session import Pane
from viewer.front.updates import Update, format_duration, name_field, name_model_file
from viewer.messages import CloseField, SaveModel
from viewer.window import widgets
from viewer.window.gui import to_rgba

COLORS = (0x6AA5F5, 0xF2A65A, 0x7CC47F, 0xD98AE0, 0xE0D36A, 0x6FD3C7)  # of panes, in the order they were opened


def draw(update: Update) -> Update:
    """The section."""
    if not update.state.panes or not widgets.section("Fields"):
        return update
    for pane in update.state.panes:
        imgui.push_id(pane.opened.pane)
        update = draw_row(update, pane)
        imgui.pop_id()
    return draw_saving(update)


def draw_row(update: Update, pane: Pane) -> Update:
    """One field on two lines."""
    number = pane.opened.pane
    shown = imgui.checkbox("##shown", pane.shown)[1]
    if imgui.is_item_hovered():
        imgui.set_tooltip("drawn or not")
    if shown != pane.shown:
        update = update.show_pane(number, shown)
    imgui.same_line()
    square = imgui.get_frame_height()
    room = imgui.get_content_region_avail().x - square - imgui.get_style().item_spacing.x
    active = update.chosen is pane and len(update.state.panes) > 1
    imgui.push_style_color(imgui.Col_.text, to_rgba(pick_color(number)))
    if imgui.selectable(f"{name_field(pane, update.state)}##name", active, size=imgui.ImVec2(room, 0))[0]:
        update = update.put(chosen=number)
    imgui.pop_style_color()
    if imgui.is_item_hovered():
        imgui.set_tooltip(pane.opened.path)
    imgui.same_line()
    if imgui.button("x", imgui.ImVec2(square, square)):
        update = update.send(CloseField(number))
    if imgui.is_item_hovered():
        imgui.set_tooltip("close; what it was learning is saved first")
    widgets.note(format_sizes(pane))
    return update


def format_sizes(pane: Pane) -> str:
    """Architecture, size, milliseconds and dB."""
    opened = pane.opened
    kind = f"{opened.architecture} {opened.preset}".strip()
    parts = [kind, f"{opened.parameters / 1e6:.2f} M", f"{opened.model_bytes / 1e6:.2f} MB"]
    if pane.frame:
        parts.append(format_duration(pane.frame.milliseconds))
    if pane.psnr is not None and math.isfinite(pane.psnr):
        parts.append(f"{pane.psnr:.2f} dB in this view")
    if opened.scored is not None:
        parts.append(f"{opened.scored:.2f} dB in the file")
    return "  ".join(parts)


def draw_saving(update: Update) -> Update:
    """The chosen field as a model file."""
    pane = update.chosen
    if pane is None:
        return update
    default = name_model_file(pane)
    text, entered = widgets.typed("save as", update.panel.save, default)
    update = update.put(save=text)
    if widgets.button(f"save {name_field(pane, update.state)}", share=1) or entered:
        update = update.send(SaveModel(pane.opened.pane, text.strip() or default))
    return update


def pick_color(pane: int) -> int:
    """0xRRGGBB of a pane's name and curves."""
    return COLORS[pane % len(COLORS)]
