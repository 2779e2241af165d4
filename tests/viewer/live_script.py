"""Drives a real window on a real worker, in a process of its own; prints what it saw as JSON.

Usage: live_script.py MODEL DATA, in an empty folder.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from window_script import CTRL, drag, settled, tap

from distill.photographs.settings import Settings
from render.model import open_model
from render.pictures import bytes_of
from viewer.front import navigation
from viewer.front.session import DisplaySettings, Session, State
from viewer.front.updates import RestartWorker
from viewer.messages import LearnFrom, OpenModel
from viewer.window import app
from viewer.window.app import App
from viewer.worker.process import WorkerProcess

LIMIT = 600.0  # seconds after which it hangs
MIDDLE = (560, 330)
seen: dict[str, Any] = {}


def until(condition: Callable[[], object], what: str) -> Iterator[None]:
    """Turns of the loop until a condition holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        yield


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """dB between two pictures of bytes."""
    error = np.square(one.astype(float) - other).mean() / 255**2
    return 99.0 if error == 0 else float(-10 * np.log10(error))


def use(a: App, model: Path, data: Path) -> Iterator[None]:
    """What a person does."""
    session = a.session

    def pane(number: int) -> Any:
        return session.state.panes[number]

    def fine() -> bool:
        sent, frames = session.sent[0], [p.frame for p in session.state.shown]
        return bool(
            sent and not sent.moving and frames and all(f and f.final and f.number == session.number for f in frames)
        )

    yield from until(fine, "the first picture")
    drawn = open_model(model, torch.device("cpu")).image(session.sent[0].camera)
    seen["render_scene"] = psnr(
        bytes_of(drawn.pixels.over(torch.tensor(pane(0).opened.background))), pane(0).frame.image
    )
    first = a.controller.image.copy()
    yield from drag(a, MIDDLE, (60, 20))
    a.window.dispatch_event("on_mouse_scroll", *MIDDLE, 0.0, 2.0)
    yield from until(fine, "a picture after a drag")
    seen["dragged"] = psnr(first, a.controller.image)
    colours = a.controller.image.copy()
    tap(a, "_2")
    yield from settled(a)
    yield from until(fine, "depth")
    seen["depth"] = psnr(colours, a.controller.image)
    tap(a, "_1")
    session.send(LearnFrom(str(data), Settings(out=Path("run"), preset="tiny", steps=50, batch=1024)))
    yield from until(lambda: len(session.state.panes) == 2 and pane(1).progress, "learning")
    yield from until(lambda: pane(1).progress.life == "done", "the end of learning")
    seen["learnt"] = pane(1).progress.step, len(pane(1).curve.loss), Path("run/model.safetensors").is_file()
    yield from compared(a, fine)
    os.kill(session.link.process.pid, signal.SIGKILL)
    yield from until(lambda: session.state.worker == "gone", "the worker's death")
    seen["kept"] = a.controller.image is not None and len(session.state.panes)
    seen["said"] = session.state.notices[-1].text
    a.controller.fulfil(RestartWorker())
    yield from until(lambda: session.state.panes and fine(), "another worker")
    seen["again"] = session.state.worker
    tap(a, "Q", CTRL)
    yield


def compared(a: App, fine: Callable[[], bool]) -> Iterator[None]:
    """Two fields under one camera: through a view, wiped, subtracted, and on file."""
    session = a.session
    camera = session.state.views[0].camera
    session.change(replace(session.state, eye=navigation.look_through(session.state.eye, camera, 0)))
    yield from settled(a)
    yield from until(fine, "two pictures through a view")
    seen["psnr"] = [p.psnr for p in session.state.panes]
    for layout in ("wipe", "difference"):
        look = replace(session.state.display, layout=layout, gain=1.0)
        session.change(replace(session.state, display=look))
        yield from settled(a)
        yield from until(fine, layout)
        yield from settled(a)
        one, other = (p.frame.image.astype(int) for p in session.state.panes)
        seen[layout] = a.controller.image.mean().item(), np.abs(one - other).mean().item()
    tap(a, "P")
    yield from until(lambda: list(Path().glob("*.png")), "the screenshot")
    session.change(replace(session.state, panes=session.state.panes[:1]))


def main(model: str, data: str) -> None:
    """A window, a worker, and what a person does with them."""
    session = Session(WorkerProcess("cpu"), State(display=DisplaySettings(passes=1)))
    session.send(OpenModel(model))
    trouble: list[str] = []

    def script(a: App) -> Iterator[object]:
        try:
            yield from use(a, Path(model), Path(data))
        except Exception as error:  # the window must close, whatever went wrong
            trouble.append(f"{type(error).__name__}: {error}; {[n.text for n in session.state.notices]}")
            a.close()

    app.run(session, title="test", size=(800, 600), script=script, restart=lambda: session.renew(WorkerProcess("cpu")))
    session.link.close()
    print(json.dumps(seen | {"trouble": trouble}))


if __name__ == "__main__":
    main(*sys.argv[1:])
