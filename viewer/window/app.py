"""The window: the only file that imports pyglet. It forwards events, and draws when something has changed."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from distill.learning.monitor import interrupts
from viewer.front import leaving
from viewer.front.session import Session
from viewer.front.updates import ToggleFullScreen
from viewer.window import desktop

FASTEST = 1 / 60  # seconds from one redraw to the next, at least
CALM = 1 / 20  # the same where nothing but the eye has changed: the picture that it wants is still to come
BUSY, IDLE = 0.004, 0.02  # seconds between looks at what the worker says: soon after something happened, and later
AWAKE = 1.0  # seconds after which nothing has happened for long
PATIENCE = 60.0  # seconds in which the worker may save, before the window closes
ECHO = 3  # redraws after an event, until the widgets have settled


def run(
    session: Session, *, title: str, size: tuple[int, int] = (1280, 800), visible: bool = True,
    restart: Callable[[], None] | None = None, script: "Callable[[App], Iterator[object]] | None" = None,
) -> None:  # fmt: skip
    """Show a session until its window is closed.

    `restart` gives the session a new worker where the old one has gone. `script` drives the window in tests: its
    generator is advanced once a turn of the loop. ValueError, one line, where there is no toolkit, no display
    or no OpenGL 3.3. Ctrl-C and SIGTERM close it, and then raise KeyboardInterrupt or SystemExit.
    """
    desktop.require()
    app = App(session, open_window(title, size, visible), restart)
    try:
        with interrupts() as pressed:  # noted, as a picture that is cut off on its way to the GPU cannot be drawn again
            app.pressed = pressed
            app.loop(script)
    finally:
        app.close()
    if pressed:
        raise SystemExit(128 + signal.SIGTERM) if signal.SIGTERM in pressed else KeyboardInterrupt


def open_window(title: str, size: tuple[int, int], visible: bool) -> Any:
    """A window with an OpenGL 3.3 core context."""
    import pyglet

    pyglet.options.shadow_window = False
    try:
        from pyglet import gl, window

        config = gl.Config(major_version=3, minor_version=3, forward_compatible=True, double_buffer=True, depth_size=0)
        result = window.Window(
            *size, title, resizable=True, visible=visible, vsync=False, config=config, file_drops=True
        )
    except Exception as error:  # pyglet's own kinds differ from platform to platform, and have no common base
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"no window with OpenGL 3.3 could be opened ({said}); {desktop.ELSEWHERE}") from None
    factor, screen = measure_density(result), (result.screen.width, result.screen.height)
    if factor > 1:
        result.set_size(*(round(min(n * factor, 0.9 * most)) for n, most in zip(size, screen, strict=True)))
    return result


def measure_density(window: Any) -> float:
    """How large texts and widgets must be, in the window's units, on a screen with many dots to an inch: 1 to 4."""
    units, pixels = window.get_size()[0], window.get_framebuffer_size()[0]
    return min(max((window.dpi or 96) / 96 * units / max(pixels, 1), 1.0), 4.0)


class App:
    """A window's loop around a controller."""

    def __init__(self, session: Session, window: Any, restart: Callable[[], None] | None) -> None:
        from viewer.window.controller import Controller  # late: it needs the toolkit, and a GL context

        self.window, self.session = window, session
        window.switch_to()
        self.controller = Controller(session, window, measure_density(window), restart)
        self.shown = window.visible  # not minimised
        self.leaving: float | None = None  # since when the worker saves, to end
        self.pressed: list[int] = []  # signals: Ctrl-C and SIGTERM are as if the window had been closed
        self.obeyed = False
        self.redraws, self.soft = ECHO, False  # to be made; whether one is due only because the eye has moved
        self.happened = self.drawn = time.monotonic()
        window.push_handlers(**{name: getattr(self, name) for name in dir(self) if name.startswith("on_")})

    # ---- the loop

    def loop(self, script: "Callable[[App], Iterator[object]] | None") -> None:
        """Run until the window is closed."""
        import pyglet
        from pyglet.app.base import EventLoop

        steps = script(self) if script else None
        events = EventLoop()
        pyglet.app.event_loop = events  # where the window says that it is closed

        def idle() -> float:
            if steps is not None:
                next(steps, None)
            return 0.0 if events.has_exit else self.turn()

        events.idle = idle
        events.run(None)

    def turn(self) -> float:
        """Look at the worker, draw if need be; seconds that may be slept until the next time."""
        eye = self.session.state.eye
        if self.pressed and not self.obeyed:
            self.obeyed = True
            self.leave()
        if self.leaving is None and self.controller.tick():  # else what the worker says is for the terminal
            self.happened = time.monotonic()
            self.redraws = max(self.redraws, 1)
        self.soft = self.soft or self.session.state.eye is not eye
        if self.leaving is not None and (not self.session.link.alive or time.monotonic() - self.leaving > PATIENCE):
            self.close()
            return 0.0
        requests, self.controller.requests = self.controller.requests, []
        for request in requests:
            self.fulfil(request)
        now = time.monotonic()
        pause = BUSY if now - self.happened < AWAKE or self.controller.drag or self.controller.held else IDLE
        due = self.drawn + (FASTEST if self.redraws else CALM)
        if not (self.redraws or self.soft) or not self.shown:
            return pause
        if now < due:
            return min(pause, due - now)
        self.redraw()
        return 0.0

    def redraw(self) -> None:
        """Draw now."""
        if self.window.context is None:
            return
        self.window.switch_to()
        before = self.session.state.display, self.controller.panel
        self.controller.draw()
        self.window.flip()
        self.drawn, self.soft = time.monotonic(), False
        self.redraws = max(0, self.redraws - 1)
        if (self.session.state.display, self.controller.panel) != before:
            self.wake()

    def wake(self) -> None:
        """Something happened: draw until the widgets have settled."""
        self.happened, self.redraws = time.monotonic(), ECHO

    def fulfil(self, request: object) -> None:
        """What only the window can do."""
        if isinstance(request, ToggleFullScreen):
            self.window.set_fullscreen(not self.window.fullscreen)
        else:
            self.leave()

    def leave(self) -> None:
        """Have the worker save and end, and then close the window: no process outlives it. A second time: now."""
        if self.leaving is not None or not self.session.link.alive:
            self.close()
            return
        self.leaving = time.monotonic()
        if not leaving.list_unfinished(self.controller.update):
            self.window.set_visible(False)  # it takes a moment, and there is nothing to see
        self.controller.panel = replace(self.controller.panel, quitting=True, asking=False)
        self.session.link.quit()

    def close(self) -> None:
        """Give everything back. The window may be closed already."""
        if self.window.context is not None:
            self.window.switch_to()
            self.controller.close()
            self.window.close()

    def screenshot(self) -> np.ndarray:
        """What the window shows, panel and all: (H, W, 3) uint8."""
        from viewer.window.texture import read_framebuffer

        self.window.switch_to()
        self.controller.draw()
        return read_framebuffer(self.window.get_framebuffer_size())

    # ---- events, as pyglet calls them

    def on_mouse_motion(self, x: float, y: float, _dx: float, _dy: float) -> None:
        before = self.controller.pointer
        self.controller.move(x, y)
        if self.controller.needs_redraw(before):
            self.wake()

    def on_mouse_drag(self, x: float, y: float, *_: Any) -> None:
        self.controller.move(x, y)
        if self.controller.drag is None or self.controller.drag.tool in ("wipe", "crop"):
            self.wake()
        else:
            self.happened, self.soft = time.monotonic(), True

    def on_mouse_press(self, x: float, y: float, button: int, modifiers: int) -> None:
        self.controller.press(x, y, button, name_modifiers(modifiers))
        self.wake()

    def on_mouse_release(self, x: float, y: float, button: int, _modifiers: int) -> None:
        self.controller.release(x, y, button)
        self.wake()

    def on_mouse_scroll(self, x: float, y: float, scroll_x: float, scroll_y: float) -> None:
        self.controller.scroll(x, y, (scroll_x, scroll_y))
        self.wake()

    def on_mouse_leave(self, _x: float, _y: float) -> None:
        self.controller.leave()
        self.wake()

    def on_key_press(self, symbol: int, modifiers: int) -> bool:
        from pyglet.window import key

        self.controller.key(symbol, key.symbol_string(symbol), name_modifiers(modifiers), True)
        self.wake()
        return True  # or pyglet closes the window on Escape

    def on_key_release(self, symbol: int, modifiers: int) -> None:
        from pyglet.window import key

        self.controller.key(symbol, key.symbol_string(symbol), name_modifiers(modifiers), False)
        self.wake()

    def on_text(self, text: str) -> None:
        self.controller.gui.text(text)
        self.wake()

    def on_file_drop(self, _x: float, _y: float, paths: list[str]) -> None:
        self.controller.drop(paths)
        self.wake()

    def on_resize(self, _width: int, _height: int) -> bool:
        self.wake()
        return True  # the controller sets the viewport itself

    def on_expose(self) -> None:
        self.wake()

    def on_show(self) -> None:
        self.shown = True
        self.wake()

    def on_hide(self) -> None:
        self.shown = False

    def on_activate(self) -> None:
        self.controller.gui.focus(True)
        self.wake()

    def on_deactivate(self) -> None:
        self.controller.release_all()

    def on_close(self) -> bool:
        self.controller.leave_window()
        self.wake()
        return True  # or pyglet closes the window now


def name_modifiers(modifiers: int) -> frozenset[str]:
    """pyglet's bits as names."""
    from pyglet.window import key

    return frozenset(key.modifiers_string(modifiers).replace("MOD_", "").split("|")) - {""}
