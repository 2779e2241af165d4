"""The panel's film: keyframes, their times, a preview in the window, and the film; then the command lines."""

import math
from dataclasses import replace

from imgui_bundle import imgui

from viewer.front import actions, command_lines, keyframes
from viewer.front.controls import FRAME_RATE
from viewer.front.navigation import Eye
from viewer.front.session import Pane
from viewer.front.updates import Update, WriteCameraPath, name_field
from viewer.messages import DrawFilm, FilmProgress, StopFilm
from viewer.window import widgets
from viewer.window.panel_learning import format_clock
from viewer.window.widgets import AMBER, scale

SIZES = {"640 x 360": (640, 360), "800 x 800": (800, 800), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}


def draw(update: Update) -> Update:
    """The section."""
    eye, pane = update.state.eye, update.chosen
    if eye is None or pane is None or not widgets.section("Film", opened=False):
        return update
    update = draw_keys(update, eye)
    path = update.panel.path
    if widgets.button("add keyframe", share=1):
        return actions.act(update, "keyframe")
    if not path.keys:
        widgets.note("Keyframes are places that the camera passes; add two or more.")
        return update
    return draw_film(draw_preview(update), pane)


def draw_keys(update: Update, eye: Eye) -> Update:
    """The list: time, go there, put it here, remove."""
    path = update.panel.path
    for i, key in enumerate(path.keys):
        imgui.push_id(i)
        imgui.align_text_to_frame_padding()
        imgui.text_disabled(f"{i + 1}")
        imgui.same_line(scale(34))
        imgui.set_next_item_width(scale(84))
        changed, time = imgui.drag_float("##time", key.time, 0.02, 0.0, 3600.0, "%.2f s")
        if changed:
            update = update.put(path=keyframes.retime(path, i, time))
        for text, hint in (("go", "look from there"), ("set", "put it where the eye is"), ("x", "remove")):
            imgui.same_line()
            if not widgets.button(text, hint=hint):
                continue
            if text == "go":
                update = update.eye(keyframes.look_from_key(path, i, eye))
            else:
                update = update.put(path=keyframes.move(path, i, eye) if text == "set" else keyframes.remove(path, i))
        imgui.pop_id()
    return update


def draw_preview(update: Update) -> Update:
    """Playing in the window; length and loop; the path as a file."""
    path, playing = update.panel.path, update.panel.playing is not None
    if path.seconds > 0:
        looped = widgets.toggle("loop", path.loop > 0, enabled=len(path.keys) > 1)
        if looped != (path.loop > 0):
            update = update.put(path=replace(path, loop=keyframes.SPACING if looped else 0.0))
        imgui.same_line()
        if widgets.button("stop preview" if playing else "preview"):
            update = update.put(playing=None if playing else path.keys[0].time)
        imgui.same_line()
        widgets.note(f"{path.seconds:.1f} s, {len(path.keys)} keyframes")
    update = update.put(show_path=widgets.toggle("path drawn in the scene", update.panel.show_path))
    text, entered = widgets.typed("path file", update.panel.path_file)
    update = update.put(path_file=text)
    if widgets.button("save path", share=1, enabled=bool(text.strip())) or entered:
        update = update.request(WriteCameraPath(text.strip()))
    return update


def draw_film(update: Update, pane: Pane) -> Update:
    """Size, rate, file; begin, progress, stop."""
    film, panel = update.state.film, update.panel
    if film and not film.final:
        widgets.note(film.path)
        imgui.progress_bar(film.done / max(film.frames, 1), imgui.ImVec2(-1, 0), f"{film.done} of {film.frames} frames")
        widgets.note(format_film(film))
        if widgets.button("stop (Esc)", share=1):
            update = replace(update.send(StopFilm()), state=replace(update.state, film=None))
        return update
    now = next((name for name, size in SIZES.items() if size == panel.film_size), f"{panel.film_size[0]} x "
               f"{panel.film_size[1]}")  # fmt: skip
    size = SIZES.get(widgets.choice("size", now, tuple(SIZES)), panel.film_size)
    fps = float(f"{widgets.slider(FRAME_RATE, panel.fps):.3g}")
    name, _ = widgets.typed("film", panel.film)
    update = update.put(film=name, film_size=size, fps=fps)
    wrong = "" if name.strip().lower().endswith((".mp4", ".gif")) else "wants a name that ends in .mp4 or .gif"
    count = math.floor(panel.path.seconds * fps + 1e-6) + 1  # as render/path_files.py counts them
    widgets.note(f"{name_field(pane, update.state)}: {count} frames, {panel.path.seconds:.1f} s")
    if widgets.button(f"write {name.strip() or 'a film'}", share=1, enabled=not wrong, hint=wrong):
        cameras = keyframes.make_cameras(panel.path, fps, size)
        update = update.send(DrawFilm(pane.opened.pane, name.strip(), cameras, fps, update.state.display.mode))
    if film and film.final:
        widgets.note(f"{film.path} is written" if film.done == film.frames else f"{film.path} was given up")
    return update


def format_film(film: FilmProgress) -> str:
    """How long it has taken, and what is left at that pace."""
    if film.done < 2:
        return f"{format_clock(film.seconds)} so far"
    left = film.seconds / film.done * (film.frames - film.done)
    return f"{format_clock(film.seconds)} so far, about {format_clock(left)} left"


def draw_command_lines(update: Update) -> Update:
    """The section with lines that repeat what was done."""
    if not widgets.section("Command line", opened=False):
        return update
    now = command_lines.repeat_display(update.state)
    lines = ((now,) if now else ()) + update.panel.lines
    if not lines:
        widgets.note("Nothing yet that a command would repeat.")
    for i, line in enumerate(lines):
        imgui.push_id(i)
        if imgui.small_button("copy"):
            imgui.set_clipboard_text(line)
        imgui.same_line()
        widgets.note(line, AMBER if line.startswith("#") else None)
        imgui.pop_id()
    return update
