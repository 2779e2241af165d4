"""What is said over the picture for a while: what is being done, what a key did, messages, questions, help."""

from collections.abc import Sequence

from imgui_bundle import imgui

from viewer.front import actions, keys, leaving, remarks
from viewer.front.session import State
from viewer.front.updates import Update
from viewer.messages import Activity, Command, Notice
from viewer.window import widgets
from viewer.window.areas import LETTERS, WindowAreas
from viewer.window.gui import ACCENT, DIM, GROUND, TEXT_COLOR, to_ink, to_rgba
from viewer.window.widgets import AMBER, RED, scale

TOP = 72.0  # pixels at scale 1 from the picture's upper edge, below captions
BAR = 220.0  # pixels at scale 1 that the bar of an activity is long
COLUMN = 330.0  # the same, a column of the help
LEGEND = 4.1 * LETTERS + 8  # the same, what a scale of colours takes of the picture's lower edge
STILL = imgui.WindowFlags_.no_title_bar | imgui.WindowFlags_.no_resize | imgui.WindowFlags_.no_move
FIXED = STILL | imgui.WindowFlags_.no_saved_settings | imgui.WindowFlags_.no_nav


def draw_notices(told: Sequence[Notice], state: State, at: WindowAreas) -> None:
    """The latest messages, above the status line and above scales of colours."""
    left, top, width, height = at.picture
    pen, pad = imgui.get_background_draw_list(), scale(7)
    room = width / at.ratio - scale(32)
    explained = any(pane.frame and pane.frame.legend for pane in state.shown)
    y = (top + height) / at.ratio - scale(10) - scale(LEGEND) * explained
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


def draw_echo(text: str, at: WindowAreas, line: int) -> None:
    """A short text at the top of the picture, in its middle; `line` 0 is the highest."""
    room = at.picture[2] / at.ratio - scale(32)
    size = imgui.calc_text_size(text, wrap_width=room)
    pad = scale(8)
    x = (at.picture[0] + at.picture[2] / 2) / at.ratio - size.x / 2
    y = at.picture[1] / at.ratio + scale(TOP) + line * scale(40)
    pen = imgui.get_background_draw_list()
    begin, end = imgui.ImVec2(x - pad, y - pad), imgui.ImVec2(x + size.x + pad, y + size.y + pad)
    pen.add_rect_filled(begin, end, imgui.get_color_u32(to_rgba(GROUND, 0.88)), scale(6))
    pen.add_text(imgui.get_font(), imgui.get_font_size(), imgui.ImVec2(x, y), to_ink(TEXT_COLOR), text, wrap_width=room)


def draw_activity(activity: Activity, at: WindowAreas, *, empty: bool) -> None:
    """What the worker is at, with a bar where it knows how far that is: in the middle of an empty picture, else where
    echoes are."""
    left, top, width, height = (n / at.ratio for n in at.picture)
    text = remarks.format_activity(activity)
    room = width - scale(32)
    size = imgui.calc_text_size(text, wrap_width=room)
    bar = activity.share is not None
    x, y = left + width / 2, top + (height / 2 - size.y if empty else scale(TOP))
    pen, pad = imgui.get_background_draw_list(), scale(10)
    wide, high = max(size.x, scale(BAR) * bar) / 2 + pad, size.y + scale(16) * bar + pad
    begin, end = imgui.ImVec2(x - wide, y - pad), imgui.ImVec2(x + wide, y + high)
    pen.add_rect_filled(begin, end, imgui.get_color_u32(to_rgba(GROUND, 0.9)), scale(6))
    place = imgui.ImVec2(x - size.x / 2, y)
    pen.add_text(imgui.get_font(), imgui.get_font_size(), place, to_ink(TEXT_COLOR), text, wrap_width=room)
    if activity.share is not None:
        half, y = min(scale(BAR), room) / 2, y + size.y + scale(8)
        for share, tint in ((1.0, DIM), (activity.share, ACCENT)):
            end = imgui.ImVec2(x - half + 2 * half * share, y + scale(4))
            pen.add_rect_filled(imgui.ImVec2(x - half, y), end, to_ink(tint), scale(2))


def draw_hint(state: State, openings: Sequence[Command], at: WindowAreas) -> None:
    """What is waited for, or what to do, where there is nothing to see."""
    if state.panes or state.activity:
        return
    waited = remarks.describe_wait(state, openings)
    text = waited if waited != remarks.NOTHING else "Drop a model, photographs, a mesh or a camera path here, or Ctrl+O"
    left, top, width, height = at.picture
    room = width / at.ratio - scale(32)
    size = imgui.calc_text_size(text, wrap_width=room)
    middle = imgui.ImVec2((left + width / 2) / at.ratio - size.x / 2, (top + height / 2) / at.ratio - size.y / 2)
    pen = imgui.get_background_draw_list()
    pen.add_text(imgui.get_font(), imgui.get_font_size(), middle, to_ink(DIM), text, wrap_width=room)


def draw_question(update: Update, at: WindowAreas) -> Update:
    """Whether to quit, with what is under way."""
    begin_box("quit?", scale(420), at)
    widgets.note("Work is under way:", AMBER)
    for line in leaving.list_unfinished(update):
        imgui.bullet()
        widgets.note(line, TEXT_COLOR)
    imgui.spacing()
    pressed = widgets.row("save and quit", "stay")
    widgets.note("Enter or Ctrl+Q quits, Esc stays")
    imgui.end()
    if pressed == 0:
        return leaving.leave(update)
    return update.put(asking=False) if pressed == 1 else update


def draw_help(update: Update, at: WindowAreas) -> Update:
    """Mouse and keys in groups, in as many columns as there is room for; a click elsewhere, H or Esc closes it."""
    left, top, width, height = (n / at.ratio for n in at.picture)
    columns = keys.spread_groups(keys.list_help(), max(1, min(3, int(width // scale(COLUMN)))))
    lines = max(sum(len(group) + 2 for _, group in column) for column in columns)
    size = imgui.ImVec2(
        min(scale(COLUMN) * len(columns), width),
        min((lines + 2) * imgui.get_text_line_height_with_spacing() + scale(24), height),
    )
    imgui.set_next_window_pos(imgui.ImVec2(left + (width - size.x) / 2, top + (height - size.y) / 2))
    imgui.set_next_window_size(size)
    imgui.push_style_color(imgui.Col_.window_bg, to_rgba(GROUND, 0.96))
    imgui.begin("keys", None, FIXED)
    imgui.pop_style_color()
    if imgui.begin_table("columns", len(columns)):
        imgui.table_next_row()
        for column in columns:
            imgui.table_next_column()
            for name, group in column:
                draw_group(name, group)
        imgui.end_table()
    outside = imgui.is_mouse_clicked(0) and not imgui.is_window_hovered(imgui.HoveredFlags_.root_and_child_windows)
    closed = outside and not imgui.is_any_item_hovered()
    imgui.end()
    return actions.act(update, "escape") if closed else update


def draw_group(name: str, lines: Sequence[tuple[str, str]]) -> None:
    """One group of the help."""
    widgets.note(name, ACCENT)
    if imgui.begin_table(name, 2):
        for share in (0.34, 0.66):
            imgui.table_setup_column("", imgui.TableColumnFlags_.width_stretch, share)
        for pressed, does in lines:
            imgui.table_next_row()
            imgui.table_next_column()
            widgets.note(pressed, TEXT_COLOR)
            imgui.table_next_column()
            widgets.note(does)
        imgui.end_table()
    imgui.spacing()


def begin_box(name: str, width: float, at: WindowAreas) -> None:
    """A window in the middle of the picture, as high as what is in it and no higher than the picture."""
    left, top, wide, high = (n / at.ratio for n in at.picture)
    width = min(width, wide)
    middle = imgui.ImVec2(left + wide / 2, top + high / 2)
    imgui.set_next_window_pos(middle, imgui.Cond_.always, imgui.ImVec2(0.5, 0.5))
    imgui.set_next_window_size_constraints(imgui.ImVec2(width, 0), imgui.ImVec2(width, high))
    imgui.push_style_color(imgui.Col_.window_bg, to_rgba(GROUND, 0.96))
    imgui.begin(name, None, FIXED | imgui.WindowFlags_.always_auto_resize)
    imgui.pop_style_color()
