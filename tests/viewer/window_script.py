"""Drives real windows with a worker that draws gradients, in a process of its own; prints what it saw as JSON.

Usage: window_script.py NAME, in an empty folder. Events go through the window's own handlers, as pyglet sends them.
"""

import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dense_display import say_dense
from gradient_link import BOX, UNIT, GradientLink, progress
from PIL import Image

from render.camera import Camera, Intrinsics, look_at
from viewer.front.session import Session
from viewer.front.updates import RestartWorker
from viewer.messages import Command, FieldOpened, Notice, OpenModel
from viewer.window import app, areas, overlay
from viewer.window.app import App
from viewer.window.crop_box import KNOB, CropBox

SIZE = (800, 600)
PATIENCE = 2000  # turns of the loop
LEFT, RIGHT = 1, 4
SHIFT, CTRL = 1, 2


class Opening(GradientLink):
    """Answers that a model was opened, or why it was not."""

    def send(self, command: Command) -> None:
        super().send(command)
        if isinstance(command, OpenModel) and Path(command.path).exists():
            opened = FieldOpened(9, "lego", command.path, "mlp", "small", 5000, 9000, BOX, UNIT, (1.0, 1.0, 1.0))
            self.waiting.append(opened)
        elif isinstance(command, OpenModel):
            self.waiting.append(Notice(f"{command.path}: no such file", True))


def camera(angle: float) -> Camera:
    """On a circle around the box."""
    eye = torch.tensor([0.5 + 2 * math.cos(angle), 0.5 + 2 * math.sin(angle), 1.5])
    pose = look_at(eye, torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(300.0, 300.0, 150.0, 150.0), (300, 300))


def until(condition: Callable[[], object]) -> Iterator[None]:
    """Turns of the loop until a condition holds; at most so many, so that a test says what it found instead."""
    for _ in range(PATIENCE):
        if condition():
            return
        yield


def turns(count: int) -> Iterator[None]:
    """Some turns."""
    for _ in range(count):
        yield


def settled(a: App) -> Iterator[None]:
    """Turns until the widgets have seen where the mouse is."""
    yield
    yield from until(lambda: not (a.redraws or a.soft))


def drag(a: App, start: tuple[float, float], by: tuple[float, float], button: int = LEFT, keys: int = 0) -> Any:
    """Press, move in steps, release; coordinates of the window, y upwards."""
    (x, y), (dx, dy) = start, by
    a.window.dispatch_event("on_mouse_motion", x, y, 0, 0)
    yield from settled(a)
    a.window.dispatch_event("on_mouse_press", x, y, button, keys)
    for i in range(1, 6):
        a.window.dispatch_event("on_mouse_drag", x + dx * i / 5, y + dy * i / 5, dx / 5, dy / 5, button, keys)
        yield
    a.window.dispatch_event("on_mouse_release", x + dx, y + dy, button, keys)
    yield from settled(a)


def tap(a: App, key: str, modifiers: int = 0) -> None:
    """Press and release a key by its name."""
    from pyglet.window import key as names

    for event in ("on_key_press", "on_key_release"):
        a.window.dispatch_event(event, getattr(names, key), modifiers)


def close(a: App) -> Iterator[None]:
    """The close button, and yes to the question."""
    for _ in range(2):
        a.window.dispatch_event("on_close")
        yield from turns(3)


def where(a: App, pixel: tuple[float, float], pane: int = 0) -> tuple[float, float]:
    """Window coordinates of a pixel of a pane's camera."""
    places = a.controller.places
    one, camera = areas.place_panes(a.session.state, places)[pane], areas.make_camera(a.session.state, places)
    assert camera
    left, top, _, _ = areas.fit_within(one, camera.size)
    x, y = places.picture[0] + left + pixel[0], places.picture[1] + top + pixel[1]
    return x / places.ratio, (places.window[1] - y) / places.ratio


def use(a: App, link: Opening) -> Iterator[None]:
    """What a person does with models."""
    controller = a.controller
    yield from until(lambda: controller.image is not None)
    seen["size"], seen["places"] = link.requests[-1].camera.size, controller.places.picture
    seen["shown"] = a.screenshot()[: controller.places.picture[3], controller.places.picture[0] :] - controller.image
    yield from moves(a, link)
    tap(a, "_2")
    yield from until(lambda: link.requests[-1].mode == "depth")
    seen["mode"] = link.requests[-1].mode
    tap(a, "P")
    yield from turns(2)
    [file] = Path().glob("chair-*.png")
    seen["file"] = np.abs(np.asarray(Image.open(file)).astype(int) - controller.image).max()
    tap(a, "TAB")
    yield from until(lambda: link.requests[-1].camera.size[0] == SIZE[0])
    seen["wide"] = link.requests[-1].camera.size
    tap(a, "TAB")
    yield from boxes(a, link)
    yield from leaving(a, link)


def leaving(a: App, link: Opening) -> Iterator[None]:
    """Help, undo, and quitting while a field learns."""
    session, controller = a.session, a.controller
    eye = session.state.eye
    yield from drag(a, (560, 330), (60, 20))
    tap(a, "Z", CTRL)
    seen["undone"] = session.state.eye == eye, controller.echo[1]
    tap(a, "H")
    yield from settled(a)
    Image.fromarray(a.screenshot()).save("help.png")
    seen["help"] = controller.panel.help
    tap(a, "ESCAPE")
    seen["escaped"] = controller.panel.help, a.leaving
    tap(a, "ESCAPE")
    yield from turns(3)
    seen["stays"] = a.window.context is not None, controller.echo[1]
    tap(a, "Q", CTRL)
    yield from settled(a)
    seen["asked"] = controller.panel.asking, a.leaving, link.alive
    tap(a, "ESCAPE")
    yield from settled(a)
    a.window.dispatch_event("on_close")
    yield from settled(a)
    seen["asked again"] = controller.panel.asking, a.leaving, link.alive
    tap(a, "ENTER")
    yield from turns(10)
    seen["after"] = "the loop goes on"


def moves(a: App, link: Opening) -> Iterator[None]:
    """The eye before and after each way to move it."""
    from pyglet.window import key

    session, middle = a.session, (560, 330)
    eyes = [session.state.eye]

    def eye(name: str) -> None:
        seen[name] = eyes[-1], session.state.eye
        eyes.append(session.state.eye)

    yield from drag(a, middle, (60, 20))
    eye("orbit")
    seen["moved"] = any(shot.moving for shot in link.requests), len(link.requests)
    yield from until(lambda: not link.requests[-1].moving)
    seen["settled"] = not link.requests[-1].moving
    for name, start, button, keys in (
        ("pan", middle, RIGHT, 0), ("shift", middle, LEFT, SHIFT), ("panel", (100, 30), LEFT, 0),
    ):  # fmt: skip
        yield from drag(a, start, (60, 20), button, keys)
        eye(name)
    a.window.dispatch_event("on_mouse_motion", *middle, 0, 0)
    yield from settled(a)
    a.window.dispatch_event("on_mouse_scroll", *middle, 0, 2)
    eye("wheel")
    a.window.dispatch_event("on_key_press", key.LCTRL, 0)
    a.window.dispatch_event("on_mouse_scroll", *middle, 0, 2)
    a.window.dispatch_event("on_key_release", key.LCTRL, CTRL)
    eye("lens")
    a.window.dispatch_event("on_key_press", key.W, 0)
    yield from until(lambda: session.state.eye != eyes[-1])
    a.window.dispatch_event("on_key_release", key.W, 0)
    eye("fly")
    a.window.dispatch_event("on_key_press", key.D, 0)
    a.window.dispatch_event("on_deactivate")  # the key is let go of somewhere else
    a.window.dispatch_event("on_activate")
    yield from turns(3)
    eye("landed")


def boxes(a: App, link: Opening) -> Iterator[None]:
    """Handles of the crop box, cameras, and the divider between two panes."""
    session, controller = a.session, a.controller
    tap(a, "R")
    tap(a, "X")
    yield from turns(3)
    crop = session.state.display.crop
    shot = areas.make_camera(session.state, controller.places)
    handles = CropBox(crop).handles(shot)
    yield from drag(a, where(a, next(h for h in handles if h.face == 5).at), (0, -40))
    seen["crop"] = crop, session.state.display.crop
    knobs = CropBox(session.state.display.crop).handles(shot)
    yield from drag(a, where(a, next(h for h in knobs if h.face == KNOB).at), (25, 12))
    yield from turns(3)
    seen["turned"] = session.state.display.crop_turn, link.requests[-1].crop_turn
    tap(a, "X")
    tap(a, "R")
    tap(a, "V")
    yield from turns(3)
    shot = areas.make_camera(session.state, controller.places)
    pixels = [line.start for line in overlay.list_lines(shot, overlay.Overlay(cameras=controller.cameras))]
    inside = [p for p in pixels if 20 < p[0] < shot.size[0] - 20 and 20 < p[1] < shot.size[1] - 20]
    yield from drag(a, where(a, inside[0]), (1, 0))
    seen["view"] = session.state.eye.view
    controller.drop(["lego.safetensors"])
    yield from until(lambda: len(session.state.shown) == 2 and all(p.frame for p in session.state.shown))
    tap(a, "R")
    yield from turns(3)
    seen["split"] = areas.place_panes(session.state, controller.places), session.sent[0].camera.size
    tap(a, "M")
    yield from turns(3)
    left, _, width, height = controller.places.picture
    yield from drag(a, (left + width / 2, height / 2), (-width / 4, 0))
    seen["wipe"] = session.state.display.layout, session.state.display.wipe
    Image.fromarray(a.screenshot()).save("wipe.png")


def trouble(a: App, link: Opening) -> Iterator[None]:
    """Odd sizes, bad files, a worker that dies and one that takes its place."""
    session, controller = a.session, a.controller
    yield from until(lambda: controller.image is not None)
    yield from sizes(a, link)
    controller.drop(["nothing.safetensors", "builtin", "broken.safetensors"])
    seen["told"] = [told.text for told in session.state.notices if told.trouble]
    seen["found"] = controller.panel.found.kind
    yield from typing(a)
    before = controller.image
    link.alive = False
    yield from until(lambda: session.state.worker == "gone")
    yield from turns(5)
    seen["gone"] = session.state.worker, controller.image is before
    controller.fulfil(RestartWorker())
    yield from until(lambda: session.state.worker == "ready" and controller.image is not before)
    seen["again"] = session.state.worker, controller.image is not before
    yield from close(a)


def sizes(a: App, link: Opening) -> Iterator[None]:
    """Wide, tiny, minimised."""
    for size in ((1000, 500), (60, 40), (20, 20), (1000, 1150), SIZE):
        a.window.set_size(*size)
        yield from until(lambda size=size: a.window.get_size() == size)
        yield from turns(5)
        seen[f"resized {size}"] = link.requests[-1].camera.size
        if size[1] > 1000:
            yield from learning(a, link)
    a.window.minimize()
    a.window.dispatch_event("on_hide")
    drawn = a.drawn
    a.session.change(a.controller.update.display(exposure=1.0).state)
    yield from turns(20)
    seen["hidden"] = a.drawn - drawn
    a.window.dispatch_event("on_show")
    yield from until(lambda: a.drawn > drawn)
    seen["back"] = a.drawn > drawn


def learning(a: App, link: Opening) -> Iterator[None]:
    """Whether curves are drawn: how many columns of the panel hold their colour below the fields' names."""
    link.waiting += [progress(0, step, "running") for step in range(1, 60)]
    yield from until(lambda: len(a.session.state.panes[0].curve.seconds) > 50)
    yield from settled(a)
    from viewer.window import panel_fields

    panel = a.screenshot()[600:, : a.controller.places.picture[0]].astype(int)
    color = panel_fields.pick_color(0)
    away = panel - [color >> 16, color >> 8 & 255, color & 255]
    seen["curve"] = (np.abs(away).max(-1) < 40).any(0).sum()


def typing(a: App) -> Iterator[None]:
    """A name, into the field for paths."""
    session, field = a.session, (170, SIZE[1] - 57)  # the first thing in the panel
    a.window.dispatch_event("on_mouse_motion", *field, 0, 0)
    for event in ("on_mouse_press", "on_mouse_release"):
        yield from settled(a)
        a.window.dispatch_event(event, *field, LEFT, 0)
    yield from settled(a)
    eye, count = session.state.eye, len(session.state.notices)
    for character in "lost 2 w":
        tap(a, {" ": "SPACE", "2": "_2"}.get(character, character.upper()))
        a.window.dispatch_event("on_text", character)
        yield from settled(a)
    seen["typed"] = a.controller.panel.text, session.state.display.mode, session.state.eye == eye
    tap(a, "ENTER")
    yield from until(lambda: len(session.state.notices) > count)
    seen["entered"] = session.state.notices[-1].text


def interrupted(a: App, link: Opening) -> Iterator[None]:
    """Ctrl-C in the terminal."""
    yield from until(lambda: a.controller.image is not None)
    signal.raise_signal(signal.SIGINT)
    yield from turns(10)
    yield from close(a)


class Slow(Opening):
    """Takes its time to end."""

    def quit(self) -> None:
        """Still there."""


def hasty(a: App, link: Opening) -> Iterator[None]:
    """Ctrl-C while the worker still saves."""
    yield from until(lambda: a.controller.image is not None)
    yield from close(a)
    seen["saves"] = a.leaving is not None and link.alive
    signal.raise_signal(signal.SIGINT)
    yield from turns(10)


def bereft(a: App, link: Opening) -> Iterator[None]:
    """Ctrl-C after the worker has died."""
    yield from until(lambda: a.controller.image is not None)
    link.alive = False
    yield from until(lambda: a.session.state.worker == "gone")
    signal.raise_signal(signal.SIGINT)
    yield from turns(10)


def dense(a: App, link: Opening) -> Iterator[None]:
    """A screen with twice as many dots."""
    yield from until(lambda: a.controller.image is not None)
    places = a.controller.places
    seen[f"dense {places.ratio:g}"] = places.scale, places.window, places.picture, link.requests[-1].camera.size
    eye = a.session.state.eye
    yield from drag(a, (a.window.get_size()[0] - 20, 200), (10, 0))
    seen["dragged"] = a.session.state.eye.turn != eye.turn
    yield from close(a)


def show(script: Callable[[App, Opening], Iterator[None]], kind: type[Opening] = Opening) -> None:
    """One window, driven until it is closed."""
    link = kind(("chair",), tuple(camera(i) for i in range(6)))
    session = Session(link)
    app.run(
        session,
        title="test",
        size=SIZE,
        restart=lambda: session.renew(Opening(("chair",))),
        script=lambda a: script(a, link),
    )


seen: dict[str, Any] = {}


def main() -> None:
    """The scenario that was asked for."""
    torch.set_num_threads(1)
    Path("lego.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    Path("broken.safetensors").write_bytes(b"nothing of that kind")
    if sys.argv[1] == "dense":
        display = say_dense()
        import pyglet

        for pyglet.options.dpi_scaling in ("platform", "stretch"):
            show(dense)
        assert display
    elif sys.argv[1] == "nowhere":
        try:
            show(use)
        except ValueError as error:
            seen["error"] = str(error)
    else:
        show(use)
        show(trouble)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored from birth in the background
        try:
            show(interrupted)
        except KeyboardInterrupt:
            import pyglet

            seen["interrupted"] = len(pyglet.app.windows)
        for script, kind in ((hasty, Slow), (bereft, Opening)):
            try:
                show(script, kind)
            except KeyboardInterrupt:
                seen[script.__name__] = len(pyglet.app.windows)
    sys.stdout.write(json.dumps(seen, default=plain))


def plain(value: Any) -> Any:
    """What JSON does not know."""
    if isinstance(value, np.ndarray):
        return int(np.abs(value.astype(np.int8).astype(int)).max())
    return value.item() if isinstance(value, np.generic) else vars(value)


if __name__ == "__main__":
    main()
