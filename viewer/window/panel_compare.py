"""The panel's comparison: how several fields share the picture, and how far each is from every photograph."""

import math

from imgui_bundle import imgui

from viewer.front import actions
from viewer.front.arrangement import ARRANGEMENTS
from viewer.front.controls import GAIN, WIPE
from viewer.front.session import Pane
from viewer.front.updates import Update, name_field
from viewer.messages import ScoreViews
from viewer.window import widgets
from viewer.window.gui import to_rgba
from viewer.window.widgets import scale

ROWS = 10  # of the list of photographs that are in sight at once


def draw(update: Update) -> Update:
    """The section, where there is something to compare."""
    if len(update.state.panes) < 2 or not widgets.section("Compare"):
        return update
    look = update.state.display
    layout = widgets.segments("layout", look.layout, ARRANGEMENTS)
    update = update.display(layout=layout)
    if layout == "wipe":
        update = update.display(wipe=widgets.slider(WIPE, look.wipe))
    if layout == "difference":
        update = update.display(gain=widgets.slider(GAIN, look.gain))
    if layout != "split" and len(update.state.shown) < 2:
        widgets.note("Show two fields to compare them.")
    return update


def draw_errors(update: Update) -> Update:
    """The section that lists photographs, the worst first; a click looks through one."""
    pane = update.chosen
    if pane is None or not any(spot.photographed for spot in update.state.views):
        return update
    if not widgets.section("Photographs", opened=False):
        return update
    if widgets.button(f"score {name_field(pane, update.state)}", share=1, enabled=update.state.worker == "ready"):
        update = update.send(ScoreViews(pane.opened.pane))
    worst = rank_views(pane)
    if not worst:
        widgets.note("A click on a photograph will look through its camera; scores say how far off each is.")
        return update
    mean = sum(psnr for _, psnr in worst) / len(worst)
    widgets.note(f"{len(worst)} photographs, {mean:.2f} dB on average; the worst first")
    return draw_table(update, worst)


def rank_views(pane: Pane) -> list[tuple[int, float]]:
    """View and dB of all photographs that were scored, ascending."""
    return sorted(((i, p) for i, p in enumerate(pane.scores) if math.isfinite(p)), key=lambda pair: pair[1])


def draw_table(update: Update, worst: list[tuple[int, float]]) -> Update:
    """The list, drawn where it is in sight, with a bar for each."""
    height = imgui.get_text_line_height_with_spacing() * min(ROWS, len(worst))
    imgui.begin_child("errors", imgui.ImVec2(0, height))
    low, high = worst[0][1], worst[-1][1]
    clipper = imgui.ListClipper()
    clipper.begin(len(worst))
    while clipper.step():
        for i in range(clipper.display_start, clipper.display_end):
            update = draw_entry(update, *worst[i], (worst[i][1] - low) / max(high - low, 1e-6))
    imgui.end_child()
    return update


def draw_entry(update: Update, view: int, psnr: float, share: float) -> Update:
    """One photograph; `share` 0 for the worst and 1 for the best."""
    if view >= len(update.state.views):
        return update
    spot, eye = update.state.views[view], update.state.eye
    if imgui.selectable(f"##{view}", eye is not None and eye.view == view)[0]:
        update = actions.look_through(update, view)
    low, high = imgui.get_item_rect_min(), imgui.get_item_rect_max()
    end = imgui.ImVec2(low.x + (high.x - low.x) * (0.15 + 0.85 * share), high.y)
    pen = imgui.get_window_draw_list()
    pen.add_rect_filled(low, end, imgui.get_color_u32(to_rgba(0x3D7BD9, 0.28)))
    ink = imgui.get_color_u32(imgui.Col_.text)
    y = (low.y + high.y - imgui.get_text_line_height()) / 2
    pen.add_text(imgui.ImVec2(low.x + scale(4), y), ink, f"{spot.split}  {spot.name}")
    said = f"{psnr:.2f} dB"
    pen.add_text(imgui.ImVec2(high.x - imgui.calc_text_size(said).x - scale(4), y), ink, said)
    return update
