"""The panel: each section takes a turn and gives the next one (viewer/front/desk.py)."""

from dataclasses import replace

from imgui_bundle import imgui

from viewer.front.desk import Browse, Restart, Screenshot, Take, Turn
from viewer.front.sniff import Found
from viewer.messages import MODES, Learn, Photographs
from viewer.window import panel_camera, panel_compare, panel_fields, panel_film, panel_learning, widgets
from viewer.window.picture import PANEL
from viewer.window.widgets import AMBER, RED, scaled

SECTIONS = (
    panel_camera.draw, panel_fields.draw, panel_learning.draw, panel_learning.convert, panel_compare.draw,
    panel_compare.errors, panel_film.draw, panel_film.command_lines,
)  # fmt: skip


def draw(turn: Turn, height: float, dialogs: bool) -> Turn:
    """All of it, along the window's left side; `height` in window units; `dialogs`: the desktop has some for files."""
    imgui.set_next_window_pos(imgui.ImVec2(0, 0))
    imgui.set_next_window_size(imgui.ImVec2(scaled(PANEL), height))
    kinds = imgui.WindowFlags_
    flags = kinds.no_title_bar | kinds.no_resize | kinds.no_move | kinds.no_saved_settings | kinds.no_collapse
    imgui.begin("panel", None, flags | kinds.always_vertical_scrollbar)
    turn = opening(worker(turn), dialogs)
    turn = look(turn)
    for section in SECTIONS:
        turn = section(turn)
    notices(turn)
    imgui.end()
    return turn


def worker(turn: Turn) -> Turn:
    """Where it computes; a clear word where it does no more."""
    if turn.state.worker == "gone":
        widgets.note("The worker has ended. What is shown is the last picture.", RED)
        if widgets.button("start again", share=1):
            return turn.wish(Restart())
    return turn


def opening(turn: Turn, dialogs: bool) -> Turn:
    """A path to open, and what to do with photographs."""
    if not widgets.section("Open"):
        return turn
    imgui.set_next_item_width(-1)
    flag = imgui.InputTextFlags_.enter_returns_true
    entered, text = imgui.input_text_with_hint("##path", "model, photographs, mesh, camera path", turn.desk.text, flag)
    turn = turn.put(text=text)
    labels = ("open", "file ...", "folder ...") if dialogs else ("open",)
    pressed = widgets.row(*labels, enabled=[bool(text.strip()), True, True])
    if entered or pressed == 0:
        turn = turn.wish(Take(text))
    if pressed in (1, 2):
        turn = turn.wish(Browse(folder=pressed == 2))
    if turn.desk.found:
        return question(turn, turn.desk.found)
    if not turn.state.panes:
        widgets.note("Drop a model, a folder of photographs, a mesh or a camera path on the window.")
    return turn


def question(turn: Turn, found: Found) -> Turn:
    """Photographs were brought: to learn from, or to compare with?"""
    imgui.spacing()
    widgets.note(found.path, AMBER)
    learn = panel_learning.wanted(turn.desk.learn, "learn")
    learn = replace(learn, downscale=widgets.whole("downscale", learn.downscale, (1, 8)))
    turn = turn.put(learn=learn)
    pressed = widgets.row("train a field", "compare with", "not now")
    if pressed == 0:
        turn = turn.send(Learn(found.path, panel_learning.settings(learn))).put(found=None)
    elif pressed == 1:
        turn = turn.send(Photographs(found.path, learn.downscale)).put(found=None)
    elif pressed == 2:
        turn = turn.put(found=None)
    return turn


def look(turn: Turn) -> Turn:
    """What is shown of the fields."""
    if not widgets.section("Look"):
        return turn
    now = turn.state.look
    mode = widgets.segments("mode", now.mode, MODES, 4)
    turn = turn.look(
        mode=mode,
        exposure=widgets.slider("exposure", now.exposure, (-4.0, 4.0), "%+.2f stops"),
        passes=widgets.whole("samples/pixel", now.passes, (1, 256), log=True),
    )
    turn = background(turn)
    half = imgui.get_content_region_avail().x / 2
    box = widgets.toggle("scene box", now.show_box)
    imgui.same_line(half)
    turn = turn.look(show_box=box, show_cameras=widgets.toggle("cameras", now.show_cameras))
    turn = crop(turn)
    pressed = widgets.row("screenshot", "keys")
    if pressed is not None:
        turn = turn.wish(Screenshot()) if pressed == 0 else turn.put(help=not turn.desk.help)
    if turn.desk.wrote:
        widgets.note(turn.desk.wrote)
    return turn


def background(turn: Turn) -> Turn:
    """Behind the scene: the model's own colour, or one that is chosen."""
    now = turn.state.look.background
    widgets.label("background")
    own = imgui.checkbox("model's own", now is None)[1]
    if own:
        return turn.look(background=None)
    imgui.same_line()
    flags = imgui.ColorEditFlags_.no_inputs | imgui.ColorEditFlags_.no_label
    chosen = imgui.color_edit3("##background", list(now or (1.0, 1.0, 1.0)), flags)[1]
    return turn.look(background=(float(chosen[0]), float(chosen[1]), float(chosen[2])))


def crop(turn: Turn) -> Turn:
    """A box outside of which nothing is drawn; it is also what a conversion keeps."""
    now, panes = turn.state.look.crop, turn.state.panes
    on = widgets.toggle("crop", now is not None, enabled=bool(panes))
    if not (on and panes):
        return turn.look(crop=None)
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
    return turn.look(crop=tuple(box))


def notices(turn: Turn) -> None:
    """What the worker said, the latest first."""
    if not widgets.section("Messages", opened=False):
        return
    for told in reversed(turn.state.notices):
        widgets.note(told.text, RED if told.trouble else None)
