"""Headless Chromium, for tests of what a browser shows: it draws WebGL on the processor."""

import io
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking",
)  # fmt: skip
PATIENCE = 600.0  # seconds after which it hangs; a slow machine is no failure


def program() -> str:
    """The browser's path; skips the test where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return path


@contextmanager
def page(address: str, size: tuple[int, int]):
    """A page that was opened at an address, and the addresses of all that it fetched."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = program()
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            tab = browser.new_page(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
            tab.set_default_timeout(PATIENCE * 1000)
            fetched: list[str] = []
            tab.on("request", lambda request: fetched.append(request.url))
            tab.on("websocket", lambda web_socket: fetched.append(web_socket.url))
            tab.goto(address)
            yield tab, fetched
        finally:
            browser.close()


def until(tab, met: Callable[[], object], what: str) -> None:
    """Wait for a condition while the page lives on."""
    end = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > end:
            raise AssertionError(f"after {PATIENCE:.0f} s still not: {what}")
        tab.wait_for_timeout(30)


def canvas(tab) -> np.ndarray:
    """What the page's canvas shows, (h, w, 3) uint8, without what lies beside it."""
    box = tab.locator("canvas").first.bounding_box()
    return np.asarray(Image.open(io.BytesIO(tab.screenshot(clip=box))).convert("RGB"))


def difference(shown: np.ndarray, wanted: np.ndarray) -> float:
    """Mean difference, 0 to 255, over the lower two fifths: notices pop up over the others."""
    height, width = shown.shape[:2]
    scaled = np.asarray(Image.fromarray(wanted).resize((width, height), Image.Resampling.BILINEAR))
    first = height * 3 // 5
    return float(np.abs(shown[first:].astype(float) - scaled[first:]).mean())


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
