"""The few widgets that the panel is made of: a dim label at the left, the control in what is left of the line."""

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from imgui_bundle import imgui

from viewer.front.controls import Control
from viewer.window.gui import ACCENT, to_rgba

T = TypeVar("T", bound=str)
LABEL = 88.0  # pixels at scale 1 that labels take
RED, GREEN, AMBER = 0xF0716A, 0x7CC47F, 0xE3B25C


def scale(pixels: float) -> float:
    """Pixels at scale 1, on this screen."""
    return pixels * imgui.get_style().font_scale_dpi


def label(text: str) -> None:
    """Begin a line; the next widget fills the rest."""
    imgui.align_text_to_frame_padding()
    imgui.text_disabled(text)
    imgui.same_line(scale(LABEL) + imgui.get_style().window_padding.x)
    imgui.set_next_item_width(-1)


def slider(control: Control, value: float, *, pivot: float = 1.0, form: str = "") -> float:
    """A number of the table of controls; Ctrl+click types it. `pivot`: distance to it, for controls that count such;
    `form`: instead of the number, as printf takes it."""
    label(control.name)
    low, high = (end * (pivot if control.pivots else 1.0) for end in (control.low, control.high))
    flags = imgui.SliderFlags_.always_clamp | (imgui.SliderFlags_.logarithmic if control.log else 0)
    changed, wanted = imgui.slider_float(f"##{control.name}", value, low, high, form or printf(control), flags)
    if imgui.is_item_hovered():
        imgui.set_tooltip(control.help)
    return wanted if changed else value  # an unchanged value comes back rounded to 32 bits


def printf(control: Control) -> str:
    """How a control's values are written: with the digits that its step has, and its unit."""
    digits = 0 if control.whole else max(2, -math.floor(math.log10(control.step)))
    sign = "+" if control.low < 0 else ""
    number = f"%{sign}.{digits}f"
    return f"x {number}" if control.unit == "x" else f"{number} {control.unit}".strip()


def whole(text: str, value: int, ends: tuple[int, int]) -> int:
    """A whole number between two."""
    label(text)
    return imgui.slider_int(f"##{text}", value, *ends, "%d", imgui.SliderFlags_.always_clamp)[1]


def typed(text: str, value: str, hint: str = "") -> tuple[str, bool]:
    """A text, and whether Enter was pressed."""
    label(text)
    entered, value = imgui.input_text_with_hint(f"##{text}", hint, value, imgui.InputTextFlags_.enter_returns_true)
    return value, entered


def choice(text: str, value: T, options: Sequence[T], shown: Callable[[T], str] = str) -> T:
    """One of several."""
    label(text)
    if begin_list(f"##{text}", shown(value)):
        for option in options:
            if imgui.selectable(shown(option), option == value)[0]:
                value = option
        imgui.end_combo()
    return value


def begin_list(name: str, shown: str) -> bool:
    """Whether a list that drops down is open; `imgui.end_combo()` ends it then. Esc closes it."""
    if not imgui.begin_combo(name, shown):
        return False
    if imgui.is_key_pressed(imgui.Key.escape):
        imgui.close_current_popup()
    return True


def segments(name: str, value: T, options: Sequence[T], columns: int = 0, hints: Sequence[str] = ()) -> T:
    """One of several, all of them in sight as a row (or rows of `columns`) of buttons; a hint for each, if any."""
    columns = columns or len(options)
    gap = scale(3)
    width = (imgui.get_content_region_avail().x - gap * (columns - 1)) / columns
    imgui.push_style_var(imgui.StyleVar_.item_spacing, imgui.ImVec2(gap, gap))
    for i, option in enumerate(options):
        if i % columns:
            imgui.same_line()
        active = option == value
        if active:
            imgui.push_style_color(imgui.Col_.button, to_rgba(ACCENT))
            imgui.push_style_color(imgui.Col_.button_hovered, to_rgba(ACCENT))
        if imgui.button(f"{option}##{name}", imgui.ImVec2(width, 0)):
            value = option
        if hints and imgui.is_item_hovered():
            imgui.set_tooltip(hints[i])
        if active:
            imgui.pop_style_color(2)
    imgui.pop_style_var()
    return value


def toggle(text: str, on: bool, *, enabled: bool = True) -> bool:
    """A tick."""
    with greyed(not enabled):
        return imgui.checkbox(text, on)[1]


def button(text: str, *, enabled: bool = True, share: int = 0, hint: str = "") -> bool:
    """A button; `share` n: a n-th of the line that is left at its start, 1: all of it."""
    width = 0.0
    if share == 1:
        width = -1.0
    elif share:
        look = imgui.get_style()
        whole_line = imgui.get_window_width() - 2 * look.window_padding.x - look.scrollbar_size
        width = (whole_line - imgui.get_style().item_spacing.x * (share - 1)) / share
    with greyed(not enabled):
        pressed = imgui.button(text, imgui.ImVec2(width, 0))
    if hint and imgui.is_item_hovered(imgui.HoveredFlags_.allow_when_disabled):
        imgui.set_tooltip(hint)
    return pressed and enabled


def row(*texts: str, enabled: Sequence[bool] = ()) -> int | None:
    """Equally wide buttons on one line; the number of the pressed one."""
    pressed = None
    for i, text in enumerate(texts):
        if i:
            imgui.same_line()
        if button(text, share=len(texts), enabled=enabled[i] if enabled else True):
            pressed = i
    return pressed


@contextmanager
def greyed(grey: bool) -> Any:
    """Widgets that cannot be used just now."""
    imgui.begin_disabled(grey)
    try:
        yield
    finally:
        imgui.end_disabled()


def section(text: str, *, opened: bool = True) -> bool:
    """The head of a section; whether what is in it shall be drawn."""
    imgui.spacing()
    return imgui.collapsing_header(text, imgui.TreeNodeFlags_.default_open if opened else 0)


def note(text: str, color: int | None = None) -> None:
    """A wrapped text; dim where no colour is given."""
    tint = imgui.get_style_color_vec4(imgui.Col_.text_disabled) if color is None else to_rgba(color)
    imgui.push_style_color(imgui.Col_.text, tint)
    imgui.push_text_wrap_pos(0.0)
    imgui.text_unformatted(text)
    imgui.pop_text_wrap_pos()
    imgui.pop_style_color()
