"""A session that is served to browsers in a thread, for tests of the page."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from chromium import answers, free_port, page, until
from gradient_link import GradientLink, cameras, drawn

from viewer.browser import server as web
from viewer.front.session import Session

TITLE = "chair - Polyfield"


class Served:
    """A session that is served in a thread, for a page to look at."""

    def __init__(self, link: GradientLink | None = None, host: str = "127.0.0.1", **more):
        self.link = link or GradientLink(cameras=cameras())
        self.session, self.done = Session(self.link), threading.Event()
        self.port = free_port()
        arguments = {"host": host, "port": self.port, "stop": self.done.is_set, "title": TITLE, **more}
        self.thread = threading.Thread(target=web.serve, args=(self.session,), kwargs=arguments)
        self.thread.start()
        while self.thread.is_alive() and not answers(self.port):
            time.sleep(0.02)

    def end(self) -> None:
        """No more."""
        self.done.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    @property
    def wanted(self) -> np.ndarray:
        """The picture of the last request, at its full size."""
        return drawn(self.link.requests[-1].camera)

    def settled(self, tab, than: int) -> None:
        """Wait until the last of more than so many requests is a still one."""
        until(
            tab,
            lambda: len(self.link.requests) > than and not self.link.requests[-1].moving,
            "a still request was asked for",
        )


@contextmanager
def opened(size: tuple[int, int], link: GradientLink | None = None):
    """A session of its own, and a page of that size that looks at it."""
    pytest.importorskip("viser", reason="viser is not installed")
    served = Served(link)
    try:
        with page(f"http://127.0.0.1:{served.port}", size) as (tab, _):
            yield served, tab
    finally:
        served.end()
