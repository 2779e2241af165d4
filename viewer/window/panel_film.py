"""The panel's film: keyframes, their times, a preview in the window, and the film; then the command lines."""

from dataclasses import replace

from imgui_bundle import imgui

from viewer.front import actions, history, keyframes
from viewer.front.desk import SavePath, Turn, called
from viewer.front.navigation import Eye
from viewer.front.session import Pane
from viewer.messages import Film, StopFilm
from viewer.window import widgets
from viewer.window.widgets import AMBER, scaled

SIZES = {"640 x 360": (640, 360), "800 x 800": (800, 800), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}


def draw(turn: Turn) -> Turn:
    """The section."""
    eye, pane = turn.state.eye, turn.chosen
    if eye is None or pane is None or not widgets.section("Film", opened=False):
        return turn
    turn = keys(turn, eye)
    path = turn.desk.path
    if widgets.button("add keyframe", share=1):
        return actions.act(turn, "keyframe")
    if not path.keys:
        widgets.note("Keyframes are places that the camera passes; add two or more.")
        return turn
    return filming(preview(turn), pane)


def keys(turn: Turn, eye: Eye) -> Turn:
    """The list: time, go there, put it here, remove."""
    path = turn.desk.path
    for i, key in enumerate(path.keys):
        imgui.push_id(i)
        imgui.align_text_to_frame_padding()
        imgui.text_disabled(f"{i + 1}")
        imgui.same_line(scaled(34))
        imgui.set_next_item_width(scaled(84))
        changed, time = imgui.drag_float("##time", key.time, 0.02, 0.0, 3600.0, "%.2f s")
        if changed:
            turn = turn.put(path=keyframes.retime(path, i, time))
        for text, hint in (("go", "look from there"), ("set", "put it where the eye is"), ("x", "remove")):
            imgui.same_line()
            if not widgets.button(text, hint=hint):
                continue
            if text == "go":
                turn = turn.eye(keyframes.at_key(path, i, eye))
            else:
                turn = turn.put(path=keyframes.move(path, i, eye) if text == "set" else keyframes.remove(path, i))
        imgui.pop_id()
    return turn


def preview(turn: Turn) -> Turn:
    """Playing in the window; length and loop; the path as a file."""
    path, playing = turn.desk.path, turn.desk.playing is not None
    if path.seconds > 0:
        looped = widgets.toggle("loop", path.loop > 0, enabled=len(path.keys) > 1)
        if looped != (path.loop > 0):
            turn = turn.put(path=replace(path, loop=keyframes.SPACING if looped else 0.0))
        imgui.same_line()
        if widgets.button("stop preview" if playing else "preview"):
            turn = turn.put(playing=None if playing else path.keys[0].time)
        imgui.same_line()
        widgets.note(f"{path.seconds:.1f} s, {len(path.keys)} keyframes")
    text, entered = widgets.typed("path file", turn.desk.path_file)
    turn = turn.put(path_file=text)
    if widgets.button("save path", share=1, enabled=bool(text.strip())) or entered:
        turn = turn.wish(SavePath(text.strip()))
    return turn


def filming(turn: Turn, pane: Pane) -> Turn:
    """Size, rate, file; begin, progress, stop."""
    film, desk = turn.state.film, turn.desk
    if film and not film.final:
        imgui.progress_bar(film.done / max(film.frames, 1), imgui.ImVec2(-1, 0), f"{film.done} of {film.frames}")
        if widgets.button("stop film", share=1):
            turn = replace(turn.send(StopFilm()), state=replace(turn.state, film=None))
        return turn
    now = next((name for name, size in SIZES.items() if size == desk.film_size), f"{desk.film_size[0]} x "
               f"{desk.film_size[1]}")  # fmt: skip
    size = SIZES.get(widgets.choice("size", now, tuple(SIZES)), desk.film_size)
    fps = widgets.slider("frames/s", desk.fps, (1.0, 60.0), "%.0f")
    name, _ = widgets.typed("film", desk.film)
    turn = turn.put(film=name, film_size=size, fps=round(fps))
    wrong = "" if name.strip().lower().endswith((".mp4", ".gif")) else "wants a name that ends in .mp4 or .gif"
    if widgets.button(f"render {called(pane, turn.state)}", share=1, enabled=not wrong, hint=wrong):
        cameras = keyframes.cameras(desk.path, round(fps), size)
        turn = turn.send(Film(pane.opened.pane, name.strip(), cameras, round(fps), turn.state.look.mode))
    if film and film.final:
        widgets.note(f"{film.path} is written" if film.done == film.frames else f"{film.path} was given up")
    return turn


def command_lines(turn: Turn) -> Turn:
    """The section with lines that repeat what was done."""
    if not widgets.section("Command line", opened=False):
        return turn
    now = history.shown(turn.state)
    lines = ((now,) if now else ()) + turn.desk.lines
    if not lines:
        widgets.note("Nothing yet that a command would repeat.")
    for i, line in enumerate(lines):
        imgui.push_id(i)
        if imgui.small_button("copy"):
            imgui.set_clipboard_text(line)
        imgui.same_line()
        widgets.note(line, AMBER if line.startswith("#") else None)
        imgui.pop_id()
    return turn
