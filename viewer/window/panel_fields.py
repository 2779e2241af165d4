"""The panel's fields: what is open, how large, how fast and how far from the photograph; shown or not; closed."""

import math

from imgui_bundle import imgui

from viewer.front.desk import Turn, called, duration, model_name
from viewer.front.session import Pane
from viewer.messages import Close, Save
from viewer.window import widgets
from viewer.window.gui import rgba

COLORS = (0x6AA5F5, 0xF2A65A, 0x7CC47F, 0xD98AE0, 0xE0D36A, 0x6FD3C7)  # of panes, in the order they were opened


def draw(turn: Turn) -> Turn:
    """The section."""
    if not turn.state.panes or not widgets.section("Fields"):
        return turn
    for pane in turn.state.panes:
        imgui.push_id(pane.opened.pane)
        turn = row(turn, pane)
        imgui.pop_id()
    return saving(turn)


def row(turn: Turn, pane: Pane) -> Turn:
    """One field on two lines."""
    number = pane.opened.pane
    shown = imgui.checkbox("##shown", pane.shown)[1]
    if imgui.is_item_hovered():
        imgui.set_tooltip("drawn or not")
    if shown != pane.shown:
        turn = turn.show(number, shown)
    imgui.same_line()
    square = imgui.get_frame_height()
    room = imgui.get_content_region_avail().x - square - imgui.get_style().item_spacing.x
    active = turn.chosen is pane and len(turn.state.panes) > 1
    imgui.push_style_color(imgui.Col_.text, rgba(color(number)))
    if imgui.selectable(f"{called(pane, turn.state)}##name", active, size=imgui.ImVec2(room, 0))[0]:
        turn = turn.put(chosen=number)
    imgui.pop_style_color()
    if imgui.is_item_hovered():
        imgui.set_tooltip(pane.opened.path)
    imgui.same_line()
    if imgui.button("x", imgui.ImVec2(square, square)):
        turn = turn.send(Close(number))
    if imgui.is_item_hovered():
        imgui.set_tooltip("close; what it was learning is saved first")
    widgets.note(sizes(pane))
    return turn


def sizes(pane: Pane) -> str:
    """Architecture, size, milliseconds and dB."""
    opened = pane.opened
    kind = f"{opened.architecture} {opened.preset}".strip()
    parts = [kind, f"{opened.parameters / 1e6:.2f} M", f"{opened.model_bytes / 1e6:.2f} MB"]
    if pane.frame:
        parts.append(duration(pane.frame.milliseconds))
    if pane.psnr is not None and math.isfinite(pane.psnr):
        parts.append(f"{pane.psnr:.2f} dB")
    elif "psnr" in opened.metrics:
        parts.append(f"scored {float(opened.metrics['psnr']):.2f} dB")
    return "  ".join(parts)


def saving(turn: Turn) -> Turn:
    """The chosen field as a model file."""
    pane = turn.chosen
    if pane is None:
        return turn
    default = model_name(pane)
    text, entered = widgets.typed("save as", turn.desk.save, default)
    turn = turn.put(save=text)
    if widgets.button(f"save {called(pane, turn.state)}", share=1) or entered:
        turn = turn.send(Save(pane.opened.pane, text.strip() or default))
    return turn


def color(pane: int) -> int:
    """0xRRGGBB of a pane's name and curves."""
    return COLORS[pane % len(COLORS)]
