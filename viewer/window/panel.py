"""The panel: each section takes an update and gives the next one (viewer/front/updates.py)."""

import math
from dataclasses import replace

from imgui_bundle import imgui

from render.looks import MODES
from scenes.paths import Found
from viewer.front import actions
from viewer.front.controls import CROP_TURN, EXPOSURE, SAMPLES
from viewer.front.updates import AskForPath, OpenPath, RestartWorker, Update, WriteScreenshot
from viewer.messages import CompareWith, LearnFrom
from viewer.window import panel_camera, panel_compare, panel_fields, panel_film, panel_learning, widgets
from viewer.window.areas import WindowAreas
from viewer.window.widgets import AMBER, RED

SECTIONS = (
    panel_camera.draw, panel_fields.draw, panel_learning.draw, panel_learning.draw_conversion, panel_compare.draw,
    panel_compare.draw_errors, panel_film.draw, panel_film.draw_command_lines,
)  # fmt: skip


def draw(update: Update, at: WindowAreas, dialogs: bool) -> Update:
    """All of it, in its place; `dialogs`: the desktop has some for files."""
    left, top, width, height = (n / at.ratio for n in at.panel)
    imgui.set_next_window_pos(imgui.ImVec2(left, top))
    imgui.set_next_window_size(imgui.ImVec2(width, height))
    kinds = imgui.WindowFlags_
    flags = kinds.no_title_bar | kinds.no_resize | kinds.no_move | kinds.no_saved_settings | kinds.no_collapse
    imgui.begin("panel", None, flags | kinds.always_vertical_scrollbar)
    update = draw_opening(draw_worker(update), dialogs)
    update = draw_display(update)
    for section in SECTIONS:
        update = section(update)
    draw_notices(update)
    imgui.end()
    return update


def draw_worker(update: Update) -> Update:
    """Where it computes; a clear word where it does no more."""
    if update.state.worker == "gone":
        widgets.note("The worker has ended. What is shown is the last picture.", RED)
        if widgets.button("start again", share=1):
            return update.request(RestartWorker())
    return update


def draw_opening(update: Update, dialogs: bool) -> Update:
    """A path to open, and what to do with photographs."""
    if not widgets.section("Open"):
        return update
    imgui.set_next_item_width(-1)
    flag = imgui.InputTextFlags_.enter_returns_true
    entered, text = imgui.input_text_with_hint(
        "##path", "model, photographs, mesh, camera path", update.panel.text, flag
    )
    update = update.put(text=text)
    labels = ("open", "file ...", "folder ...") if dialogs else ("open",)
    pressed = widgets.row(*labels, enabled=[bool(text.strip()), True, True])
    if entered or pressed == 0:
        update = update.request(OpenPath(text))
    if pressed in (1, 2):
        update = update.request(AskForPath(folder=pressed == 2))
    if update.panel.found:
        return draw_question(update, update.panel.found)
    if not update.state.panes:
        widgets.note("Drop a model, a folder of photographs, a mesh or a camera path on the window.")
    return update


def draw_question(update: Update, found: Found) -> Update:
    """Photographs were brought: to learn from, or to compare with?"""
    imgui.spacing()
    widgets.note(found.path, AMBER)
    learn = panel_learning.draw_new_field(update.panel.learn, "learn")
    learn = replace(learn, downscale=widgets.whole("downscale", learn.downscale, (1, 8)))
    update = update.put(learn=learn)
    pressed = widgets.row("train a field", "compare with", "not now")
    if pressed == 0:
        update = update.send(LearnFrom(found.path, panel_learning.to_settings(learn))).put(found=None)
    elif pressed == 1:
        update = update.send(CompareWith(found.path, learn.downscale)).put(found=None)
    elif pressed == 2:
        update = update.put(found=None)
    return update


def draw_display(update: Update) -> Update:
    """What is shown of the fields."""
    if not widgets.section("Look"):
        return update
    now = update.state.display
    mode = widgets.segments("mode", now.mode, tuple(MODES), 4, [mode.about for mode in MODES.values()])
    update = update.display(
        mode=mode,
        exposure=widgets.slider(EXPOSURE, now.exposure),
        passes=round(widgets.slider(SAMPLES, now.passes)),
    )
    update = draw_background(update)
    half = imgui.get_content_region_avail().x / 2
    box = widgets.toggle("scene box", now.show_box)
    imgui.same_line(half)
    update = update.display(show_box=box, show_cameras=widgets.toggle("cameras", now.show_cameras))
    update = draw_crop(update)
    pressed = widgets.row("screenshot", "keys")
    if pressed is not None:
        update = update.request(WriteScreenshot()) if pressed == 0 else update.put(help=not update.panel.help)
    if update.panel.wrote:
        widgets.note(update.panel.wrote)
    return update


def draw_background(update: Update) -> Update:
    """Behind the scene: the model's own colour, or one that is chosen."""
    now = update.state.display.background
    widgets.label("background")
    own = imgui.checkbox("model's own", now is None)[1]
    if own:
        return update.display(background=None)
    imgui.same_line()
    flags = imgui.ColorEditFlags_.no_inputs | imgui.ColorEditFlags_.no_label
    chosen = imgui.color_edit3("##background", list(now or (1.0, 1.0, 1.0)), flags)[1]
    return update.display(background=(float(chosen[0]), float(chosen[1]), float(chosen[2])))


def draw_crop(update: Update) -> Update:
    """A box outside of which nothing is drawn; it is also what a conversion keeps."""
    now, panes = update.state.display.crop, update.state.panes
    on = widgets.toggle("crop", now is not None, enabled=bool(panes))
    if not (on and panes):
        return update.display(crop=None, crop_turn=0.0)
    box = list(now or panes[0].opened.box)
    scene = panes[0].opened.box
    for axis, name in enumerate("xyz"):
        margin = 0.1 * (scene[axis + 3] - scene[axis])
        widgets.label(name)
        speed = margin / 50
        ends = scene[axis] - margin, scene[axis + 3] + margin
        changed, low, high = imgui.drag_float_range2(f"##crop {name}", box[axis], box[axis + 3], speed, *ends, "%.3f")
        if changed and high - low > 1e-3:
            box[axis], box[axis + 3] = low, high
    turn = widgets.slider(CROP_TURN, math.degrees(update.state.display.crop_turn))
    if abs(turn - math.degrees(update.state.display.crop_turn)) > 1e-4:
        update = update.display(crop_turn=math.radians(turn))
    pressed = widgets.row("whole box", "undo", "redo")
    if pressed == 0:
        return actions.reset_crop(update)
    if pressed is not None:
        return actions.act(update, "undo" if pressed == 1 else "redo")
    return update.display(crop=tuple(box))


def draw_notices(update: Update) -> None:
    """What the worker said, the latest first."""
    if not widgets.section("Messages", opened=False):
        return
    for told in reversed(update.state.notices):
        widgets.note(told.text, RED if told.trouble else None)
