"""The viewer begins: what is to be shown, in which front end, with a worker behind it; or one picture, and the end."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from fields.files import write_beside
from render.device import pick_device
from render.pictures import encode_png
from scenes.assemble import load
from scenes.paths import expect
from viewer.front.session import DisplaySettings, Session, State
from viewer.messages import Command, CompareWith, LearnFrom, OpenModel
from viewer.screenshot import ScreenshotOptions, draw_screenshot
from viewer.settings import ViewSettings
from viewer.window import desktop
from viewer.worker.open_fields import name_model
from viewer.worker.process import WorkerProcess

Front = Callable[[Session, Callable[[], None]], None]  # runs until closed; its second argument starts a new worker


def start(flags: ViewSettings) -> None:
    """Sort out what is to be shown, and where."""
    found = [expect(text, "model", "scene", "camera path") for text in flags.inputs]
    for one in found:
        if one.kind == "camera path":
            raise ValueError(f"{one.path}: is a camera path; open a model, and the path in the window's film section")
    pick_device(flags.settings.device)  # says at once where CUDA is asked for and missing
    if flags.screenshot is not None:
        for one in found:
            if one.kind != "model":
                raise ValueError(f"{one.path}: --screenshot draws models; train first (train-scene {one.path})")
        write_screenshot(flags, flags.screenshot)
        return
    if flags.web:
        from viewer.browser import server as web

        web.require(flags.host, flags.port)
        front: Front
        place = {"host": flags.host, "port": flags.port, "title": make_title(flags)}
        front = lambda session, again: web.serve(session, **place, restart=again)  # noqa: E731
    else:
        desktop.require()
        from viewer.window import app

        front = lambda session, again: app.run(session, title=make_title(flags), restart=again)  # noqa: E731
    commands = [to_command(one.kind, one.path, flags) for one in found]
    read = flags.settings
    commands += [CompareWith(flags.data, read.downscale, read.poses, read.up)] if flags.data else []
    run_together(flags, commands, front)


def to_command(kind: str, path: str, flags: ViewSettings) -> Command:
    """What the worker does with an input."""
    return OpenModel(path) if kind == "model" else LearnFrom(path, flags.settings)


def run_together(flags: ViewSettings, commands: list[Command], front: Front) -> None:
    """A worker and a front end, until the front end is closed; what is being learnt is saved then."""

    def worker() -> WorkerProcess:
        return WorkerProcess(flags.settings.device)

    look = DisplaySettings(mode=flags.mode, layout=flags.compare, passes=flags.passes or DisplaySettings().passes)
    session = Session(worker(), State(display=look, first=flags.view))
    for command in commands:
        session.send(command)
    previous = signal.signal(signal.SIGTERM, leave)
    try:
        front(session, lambda: session.renew(worker()))
    finally:
        for line in session.link.close():
            sys.stderr.write(f"{line}\n")
        signal.signal(signal.SIGTERM, previous)


def leave(number: int, _: object) -> None:
    """SIGTERM ends the viewer as closing it does: what is being learnt is saved."""
    raise SystemExit(128 + number)


def write_screenshot(flags: ViewSettings, out: Path) -> None:
    """One picture, without a worker and without a window."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise ValueError(f"{out}: wanted a .png file for --screenshot")
    device = pick_device(flags.settings.device)
    photographs = load(flags.data, flags.settings.pictures()) if flags.data else None
    wanted = ScreenshotOptions(flags.mode, flags.compare, flags.view, flags.size, flags.passes or 1)
    image = draw_screenshot([Path(text) for text in flags.inputs], photographs, wanted, device)
    write_beside(out, encode_png(torch.tensor(image) / 255))
    sys.stderr.write(f"{out}: {image.shape[1]} x {image.shape[0]} pixels\n")


def make_title(flags: ViewSettings) -> str:
    """Of the window, and of the page."""
    names = " | ".join(name_model(Path(text)) or text for text in flags.inputs)
    return f"{names} - Polyfield" if names else "Polyfield"
