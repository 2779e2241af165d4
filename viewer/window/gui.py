"""Dear ImGui in a pyglet window: all that is used of imgui-bundle's pyglet backend.

The backend's own handlers are not attached: the window decides who gets an event, and some of them do not say where
the mouse is or how much time has passed.
"""

import time
from pathlib import Path
from typing import Any

import imgui_bundle
from imgui_bundle import imgui, implot
from imgui_bundle.python_backends.pyglet_backend import create_renderer

TEXT = 15.0  # pixels at scale 1
FONT = Path(imgui_bundle.__file__).parent / "assets" / "fonts" / "Roboto" / "Roboto-Regular.ttf"
GROUND, CARD, RAISED, ACCENT = 0x17191D, 0x22252B, 0x30343C, 0x3D7BD9
TEXT_COLOR, DIM = 0xE4E6EA, 0x8A9099


class Gui:
    """One ImGui context, drawn into one window."""

    def __init__(self, window: Any, scale: float) -> None:
        imgui.create_context()
        implot.create_context()
        self.io, self.window, self.time = imgui.get_io(), window, time.monotonic()
        self.io.set_ini_filename("")  # nothing is remembered on disk
        self.backend: Any = create_renderer(window, attach_callbacks=False)
        self.backend._window = window  # for the shape of the pointer
        if FONT.is_file():
            self.io.fonts.add_font_from_file_ttf(str(FONT), TEXT)
        self.scale = scale
        apply_style(scale)

    def begin(self) -> None:
        """Start a frame at the window's present size."""
        now = time.monotonic()
        self.io.delta_time, self.time = max(now - self.time, 1e-4), now
        self.backend._set_pixel_ratio(self.window)
        imgui.new_frame()

    def end(self) -> None:
        """Draw what was asked for since `begin`."""
        imgui.render()
        self.backend.render(imgui.get_draw_data())

    def move_pointer(self, x: float, y: float) -> None:
        """The mouse is there: window coordinates, y growing upwards."""
        self.io.add_mouse_pos_event(x, self.window.get_size()[1] - y)

    def leave(self) -> None:
        """The mouse has left the window."""
        self.io.add_mouse_pos_event(-1e9, -1e9)

    def press_button(self, button: int, down: bool) -> None:
        """A mouse button, as pyglet numbers them: 1 left, 2 middle, 4 right."""
        number = {1: 0, 4: 1, 2: 2}.get(button)
        if number is not None:
            self.io.add_mouse_button_event(number, down)

    def wheel(self, x: float, y: float) -> None:
        """Notches of the wheel."""
        self.io.add_mouse_wheel_event(x, y)

    def key(self, symbol: int, down: bool) -> None:
        """A key, as pyglet numbers them."""
        (self.backend.on_key_press if down else self.backend.on_key_release)(symbol, 0)

    def text(self, text: str) -> None:
        """Characters that were typed."""
        for character in text:
            if character.isprintable():
                self.io.add_input_character(ord(character))

    def focus(self, here: bool) -> None:
        """The window has the keyboard, or lost it: then nothing is held down any more."""
        self.io.add_focus_event(here)

    @property
    def wants_keys(self) -> bool:
        """Whether something is being typed."""
        return self.io.want_text_input

    @property
    def wants_mouse(self) -> bool:
        """Whether the mouse is over a widget, or holds one."""
        return self.io.want_capture_mouse

    @property
    def popup(self) -> bool:
        """Whether a list is open."""
        kinds = imgui.PopupFlags_
        return imgui.is_popup_open("", kinds.any_popup_id | kinds.any_popup_level)

    def close(self) -> None:
        """Give everything back."""
        self.backend.shutdown()
        implot.destroy_context()
        imgui.destroy_context()


def to_rgba(color: int, alpha: float = 1.0) -> imgui.ImVec4:
    """0xRRGGBB as ImGui wants it."""
    return imgui.ImVec4((color >> 16) / 255, (color >> 8 & 255) / 255, (color & 255) / 255, alpha)


def to_ink(rgb: int) -> int:
    """A colour as draw lists want it."""
    return imgui.get_color_u32(to_rgba(rgb))


def apply_style(scale: float) -> None:
    """A dark look; `scale` is that of a dense screen whose window is measured in its small pixels."""
    imgui.style_colors_dark()
    look, kinds = imgui.get_style(), imgui.Col_
    look.window_padding, look.frame_padding = imgui.ImVec2(12, 10), imgui.ImVec2(7, 4)
    look.item_spacing, look.item_inner_spacing = imgui.ImVec2(7, 6), imgui.ImVec2(6, 4)
    look.window_border_size = look.child_border_size = 0
    look.frame_rounding = look.grab_rounding = look.popup_rounding = look.scrollbar_rounding = 4
    look.window_rounding, look.scrollbar_size, look.grab_min_size, look.indent_spacing = 0, 11, 10, 14
    colors = {
        kinds.window_bg: (GROUND, 1.0), kinds.popup_bg: (CARD, 0.98), kinds.text: (TEXT_COLOR, 1.0),
        kinds.text_disabled: (DIM, 1.0), kinds.frame_bg: (RAISED, 1.0), kinds.frame_bg_hovered: (0x3A3F49, 1.0),
        kinds.frame_bg_active: (0x434956, 1.0), kinds.button: (0x363B45, 1.0), kinds.button_hovered: (0x454C59, 1.0),
        kinds.button_active: (ACCENT, 1.0), kinds.header: (CARD, 1.0), kinds.header_hovered: (RAISED, 1.0),
        kinds.header_active: (RAISED, 1.0), kinds.slider_grab: (ACCENT, 1.0), kinds.slider_grab_active: (0x5B96EE, 1.0),
        kinds.check_mark: (0x6AA5F5, 1.0), kinds.plot_lines: (0x6AA5F5, 1.0), kinds.plot_histogram: (ACCENT, 1.0),
        kinds.border: (0x3A3F49, 1.0), kinds.scrollbar_bg: (GROUND, 1.0), kinds.separator: (RAISED, 1.0),
        kinds.scrollbar_grab: (RAISED, 1.0), kinds.nav_cursor: (ACCENT, 1.0),
    }  # fmt: skip
    for kind, (color, alpha) in colors.items():
        look.set_color_(kind, to_rgba(color, alpha))
    look.scale_all_sizes(scale)
    look.font_scale_dpi = scale
