"""The browser: a session's picture, camera and main controls on one port, through viser (extra `web`).

The picture lies behind viser's empty scene. Every browser shows the same one; the one that moved last says from where,
and the others are brought along. viser's cameras look along +Z with Y down (OpenCV), ours along -Z with Y up.
"""

import importlib.util
import io
import logging
import math
import operator
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
from PIL import Image

from render.command import one_line
from viewer.browser import page, writing
from viewer.browser.door import Door, guarded, require_free, say_taken
from viewer.browser.panel import ENDED, BrowserPanel
from viewer.browser.status import list_new
from viewer.front import compare, navigation
from viewer.front.navigation import Eye, Point3, Quaternion
from viewer.front.remarks import describe_wait
from viewer.front.session import SETTLE, Session, apply_report
from viewer.messages import Notice

LONGEST = 1280  # pixels along the longer side of a picture
PRECISION = 1e-4  # radians, shares of the distance: cameras that differ by less are the same
ECHO = 1.0  # seconds in which a browser may answer that its camera was moved
SAID = 4.0  # seconds that a message stays on the picture
FAREWELL = 0.2  # seconds in which pages hear that the viewer has ended
COARSE, FINE = 60, 90  # JPEG quality while moving, and while a picture is being refined; a finished one is a PNG
SCREENSHOT = "view-scene.png"  # what the file is called
BUSY, CALM, ALONE = 0.008, 0.05, 0.25  # seconds between looks at the worker: being drawn, finished, nobody there


@dataclass(frozen=True)
class BrowserCamera:
    """A browser's camera as it reports it."""

    position: Point3
    wxyz: Quaternion  # camera to world, OpenCV axes
    look_at: Point3
    up: Point3
    fov: float  # vertical
    size: tuple[int, int]  # of the canvas in pixels

    @staticmethod
    def of(camera: Any) -> "BrowserCamera":
        """What viser knows of a camera, as plain numbers."""
        position, look_at, up = (_vector(v) for v in (camera.position, camera.look_at, camera.up_direction))
        w, x, y, z = (float(v) for v in camera.wxyz)
        size = int(camera.image_width), int(camera.image_height)
        return BrowserCamera(position, (w, x, y, z), look_at, up, float(camera.fov), size)


def to_eye(seen: BrowserCamera, eye: Eye) -> Eye:
    """An eye moved to where a browser's camera is: its axes turned half around X, the rest of it kept."""
    w, x, y, z = seen.wxyz
    length = math.hypot(*seen.up)
    return replace(
        eye,
        position=seen.position,
        turn=(-x, w, z, -y),  # the product with (0, 1, 0, 0)
        distance=max(math.dist(seen.position, seen.look_at), navigation.NEAREST),
        up=(seen.up[0] / length, seen.up[1] / length, seen.up[2] / length) if length > 0 else eye.up,
        fov=min(max(seen.fov, navigation.NARROWEST), navigation.WIDEST),
        view=None,
    )


def are_alike(one: Eye, other: Eye) -> bool:
    """Whether two eyes look from one point in one direction through one lens. Roll is not counted."""
    backs = navigation.find_axes(one)[2], navigation.find_axes(other)[2]
    near = math.dist(one.position, other.position) <= PRECISION * other.distance
    return near and math.dist(*backs) <= PRECISION and abs(one.fov - other.fov) <= PRECISION


def cap_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture for a canvas: its proportions, and no side longer than `LONGEST`."""
    factor = min(1.0, LONGEST / max(*size, 1))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def require(host: str, port: int) -> None:
    """ValueError, in one line, where viser is missing or nothing can listen there. Cheap; `serve` asks by itself."""
    if importlib.util.find_spec("viser") is None:
        raise ValueError('--web needs viser: pip install "polyfield[web]"')
    require_free(host, port)


def open_server(door: Door, port: int, title: str = "Polyfield") -> Any:
    """A viser server behind a door, on exactly this port (0: any free one), its page so named. ValueError where that
    cannot be."""
    require(door.host, port)
    import viser

    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # a browser that hangs up early is no traceback
    warnings.filterwarnings("ignore", "Queued a .* on a closed connection")  # nor is one that has just gone a warning
    with redirect_stdout(io.StringIO()), page.named(viser, title), guarded(door):  # it has a banner of its own
        server = viser.ViserServer(host=door.host, port=port, label="Polyfield", verbose=False)
    if not door.opened:
        stop_server(server)
        raise ValueError(f"--web cannot guard the server of viser {viser.__version__}: pip install viser==1.1.1")
    if port and server.get_port() != port:  # somebody was faster; viser then takes the next one
        stop_server(server)
        raise ValueError(say_taken(port))
    server.request_share_url = lambda *_, **__: None  # no page may ask for a tunnel through a stranger's server
    server.gui.configure_theme(control_width="medium", dark_mode=True, show_logo=False, show_share_button=False)
    server.gui.main_panel.dock_right()
    return server


def stop_server(server: Any) -> None:
    """End a server without its farewell."""
    with redirect_stdout(io.StringIO()):
        server.stop()


@dataclass(eq=False)
class Browser:
    """One connected page."""

    client: Any
    seen: BrowserCamera  # where it said last that its camera is
    eye: Eye | None = None  # where its camera is, or was sent; None: not known in our terms yet
    placed: float = -math.inf  # when it was last sent somewhere

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of its canvas."""
        return self.seen.size


@final
class SharedSession:
    """A session and the browsers that look at it. Everything but `post` happens in the thread that calls `tick`."""

    def __init__(self, server: Any, session: Session, restart: Callable[[], None] | None = None) -> None:
        self.server, self.session = server, session
        self.events: deque[Callable[[], None]] = deque()
        self.woken = threading.Event()
        self.browsers: dict[int, Browser] = {}
        self.leader: int | None = None  # the browser that moved last; its canvas sets the size
        self.home: Eye | None = None  # where browsers begin
        self.made: tuple[Any, ...] = ()  # frames and photograph of the picture that was sent last
        self.how: tuple[Any, ...] = ()  # they were put together
        self.heard: Notice | None = None  # the last notice that was looked at
        self.said: tuple[tuple[float, str], ...] = ()  # messages, and until when they stay on the picture
        self.panel = BrowserPanel(server, self.post, session, self.screenshot, restart)
        server.on_client_connect(self.connected)
        server.on_client_disconnect(self.disconnected)

    def post(self, event: Callable[[], None]) -> None:
        """Have something done by the next tick; from any thread."""
        self.events.append(event)
        self.woken.set()

    async def connected(self, client: Any) -> None:
        """A page was opened. (In viser's own thread, where things stay in order.)"""

        async def moved(camera: Any) -> None:
            seen = BrowserCamera.of(camera)
            self.post(lambda: self.take_camera(client.client_id, seen))

        seen = BrowserCamera.of(client.camera)
        self.post(lambda: self.join(client, seen))
        client.camera.on_update(moved)

    async def disconnected(self, client: Any) -> None:
        """A page was closed."""
        self.post(lambda: self.left(client.client_id))

    def join(self, client: Any, seen: BrowserCamera) -> None:
        """Remember a page."""
        eye = self.session.state.eye
        self.browsers[client.client_id] = Browser(client, seen, to_eye(seen, eye) if eye else None)
        if self.leader is None:
            self.leader = client.client_id

    def left(self, number: int) -> None:
        """Forget a page."""
        self.browsers.pop(number, None)
        if self.leader == number:
            self.leader = next(iter(self.browsers), None)

    def take_camera(self, number: int, seen: BrowserCamera) -> None:
        """A page says where its camera is: a person moved it, or it answers that we did, or its canvas changed, which a
        slow page may say long before it goes where it was sent."""
        browser, eye = self.browsers.get(number), self.session.state.eye
        if browser is None:
            return
        before, browser.seen = browser.seen, seen
        if eye is None or not all(map(math.isfinite, (*seen.position, *seen.wxyz, *seen.look_at, *seen.up, seen.fov))):
            return
        there = to_eye(seen, eye)
        if are_alike(there, eye):
            browser.eye, browser.placed = there, -math.inf
        elif self.session.clock() - browser.placed > ECHO and not are_alike(there, to_eye(before, eye)):
            browser.eye, self.leader = there, number
            self.session.change(replace(self.session.state, eye=there))

    def tick(self) -> None:
        """Obey what was clicked and dragged, ask for the picture that is wanted now, and send what there is."""
        self.drain()
        self.session.tick(self.room())
        self.send_cameras()
        self.listen()
        self.panel.refresh()
        self.show()

    def drain(self) -> None:
        """Do all that was posted so far; what comes meanwhile waits, however fast it comes."""
        self.woken.clear()
        for _ in range(len(self.events)):
            self.attempt(self.events.popleft())

    def attempt(self, act: Callable[[], None]) -> None:
        """Do what a page wants. Whatever goes wrong with that is told, and nothing ends."""
        try:
            act()
        except Exception as error:  # the session outlives whatever a page asks for
            self.tell(f"{type(error).__name__}: {one_line(error)}", trouble=True)

    def wait(self) -> None:
        """Sleep until something is posted, or until it is time to look at the worker."""
        shown = self.session.state.shown
        calm = all(p.frame is not None and p.frame.final for p in shown) and not self.moving()
        seconds = ALONE if not self.browsers else CALM if calm else BUSY
        self.woken.wait(seconds)

    def size(self) -> tuple[int, int]:
        """Pixels of the whole picture; 0 where nobody looks."""
        browser = self.browsers.get(self.leader) if self.leader is not None else None
        return cap_size(browser.size) if browser else (0, 0)

    def room(self) -> tuple[int, int]:
        """Pixels of a pane; 0 where nobody looks."""
        size, state = self.size(), self.session.state
        return compare.measure_pane(state.display.layout, len(state.shown), size) if self.browsers else size

    def moving(self) -> bool:
        """Whether the eye has moved just now."""
        return self.session.clock() - self.session.turned < SETTLE

    def send_cameras(self) -> None:
        """Send every browser's camera to the eye that is not there."""
        eye = self.session.state.eye
        if eye is None:
            return
        if self.home is None:
            self.home = eye
            initial = self.server.initial_camera
            initial.position, initial.look_at, initial.fov = eye.position, navigation.find_pivot(eye), eye.fov
            self.server.scene.set_up_direction(eye.up)
        for browser in self.browsers.values():
            if browser.eye is None or not are_alike(browser.eye, eye):
                browser.eye, browser.placed = eye, self.session.clock()
                self.attempt(partial(send_camera, browser.client, eye))

    def listen(self) -> None:
        """Have what was told since the last time seen on the picture for a moment; trouble pops up instead."""
        notices, now = self.session.state.notices, self.session.clock()
        news = [told.text for told in list_new(notices, self.heard) if not told.trouble]
        self.heard = notices[-1] if notices else None
        self.said = (*(one for one in self.said if one[0] > now), *((now + SAID, text) for text in news))

    def show(self) -> None:
        """Send the picture, if it is another one than before, as finely as there is time for."""
        state, size = self.session.state, self.size()
        final = all(p.frame is not None and p.frame.final for p in state.shown)
        quality = COARSE if self.moving() else None if final else FINE
        wait = describe_wait(state, self.session.openings)
        texts = writing.place_texts(state, size, wait, [text for _, text in self.said]) if min(size) > 0 else ()
        made = (*(p.frame for p in state.shown), state.photograph)
        sizes = tuple(browser.size for browser in self.browsers.values())
        how = (state.display, state.eye and state.eye.view, size, sizes, quality, texts)
        same = how == self.how and len(made) == len(self.made) and all(map(operator.is_, made, self.made))
        if same or not self.browsers or min(size) < 1:
            return
        self.send(texts, quality)
        self.made, self.how = made, how

    def send(self, texts: tuple[writing.TextBlock, ...], quality: int | None) -> None:
        """Send the picture, or an empty one, with texts on it: as JPEG of a quality, or as PNG."""
        image, size = self.picture(), self.size()
        image = writing.make_empty(size) if image is None else image
        image = writing.write(image, texts, writing.pick_letters(size))
        form = "png" if quality is None else "jpeg"
        sizes = {browser: cap_size(browser.size) for browser in self.browsers.values()}
        if len({*sizes.values()}) < 2:
            self.server.scene.set_background_image(image, format=form, jpeg_quality=quality)
            self.server.flush()
            return
        for browser, own in sizes.items():  # pages stretch what they are sent to their own shape
            fitting = compare.place(image, own, size)
            browser.client.scene.set_background_image(fitting, format=form, jpeg_quality=quality)
            browser.client.flush()

    def picture(self) -> np.ndarray | None:
        """The panes' pictures as one, (h, w, 3) uint8; None where there is nothing yet."""
        image = compare.compose(self.session.state, self.size())
        return None if image is None else writing.explain(image, self.session.state)

    def screenshot(self, client: Any) -> None:
        """Send a page the picture as a file."""
        image = self.picture()
        if image is None:
            return
        data = io.BytesIO()
        Image.fromarray(image).save(data, "PNG")
        client.send_file_download(SCREENSHOT, data.getvalue(), save_immediately=True)
        self.tell(f"screenshot: {SCREENSHOT}, {image.shape[1]} x {image.shape[0]} pixels")

    def tell(self, text: str, *, trouble: bool = False) -> None:
        """A line for the person, among those of the worker."""
        self.session.change(apply_report(self.session.state, Notice(text, trouble)))

    def end(self) -> None:
        """Say on all pages that this was all, while the worker is ending."""
        self.session.link.quit()
        if self.browsers:
            self.panel.end()
            self.send(tuple(writing.place_hint(ENDED, self.size())), FINE)
            time.sleep(FAREWELL)


def send_camera(client: Any, eye: Eye) -> None:
    """Send a browser's camera to an eye, without its roll."""
    with client.atomic():
        client.camera.up_direction = eye.up
        client.camera.position = eye.position
        client.camera.look_at = navigation.find_pivot(eye)
        client.camera.fov = eye.fov


def warn(text: str) -> None:
    """A line on the terminal."""
    print(f"view-scene: {text}", file=sys.stderr, flush=True)


def serve(
    session: Session,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    title: str = "Polyfield",
    restart: Callable[[], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> None:
    """Serve a session to browsers until Ctrl-C, or until `stop()` says so.

    ValueError in one line where viser is missing or nothing can listen at that host and port. `title` is the page's,
    `restart` starts a worker again that has gone. Only who comes as viewer/browser/door.py says is let in.
    """
    door = Door(host, warn)
    server = open_server(door, port, title)
    try:
        site = SharedSession(server, session, restart)
        door.accepts = site.panel.accepts
        print(f"view-scene: open {door.address(server.get_port())} in a browser; Ctrl-C ends it", flush=True)
        try:
            while not (stop and stop()):
                site.tick()
                site.wait()
        finally:
            site.end()
    finally:
        stop_server(server)


def _vector(values: Any) -> Point3:
    x, y, z = (float(v) for v in values)
    return x, y, z
