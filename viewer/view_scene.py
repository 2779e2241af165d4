"""`view-scene [MODEL or DATA ...]`: look at fields in a window, also while they learn; compare them side by side."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

from distill.photographs.settings import Settings
from fields.files import write_beside
from render.command import run
from render.device import pick_device
from render.looks import ModeName
from render.pictures import encode_png
from scenes.assemble import load
from scenes.paths import expect
from scenes.options import ReadOptions
from viewer.front.controls import SAMPLES
from viewer.front.session import Arrangement, DisplaySettings, Session, State
from viewer.messages import Command, CompareWith, LearnFrom, OpenModel
from viewer.screenshot import ScreenshotOptions, draw_screenshot
from viewer.window import desktop
from viewer.worker.process import WorkerProcess

MOST = 4  # fields side by side
Front = Callable[[Session, Callable[[], None]], None]  # runs until closed; its second argument starts a new worker


@dataclass(frozen=True)
class Flags:
    """Look at models; train on a data set and watch; compare up to four under one camera."""

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """model files, data sets or meshes (as for train-scene), builtin[:SIZE]; without any, an empty window"""
    data: str = ""
    """photographs to compare models with: a data set as for train-scene"""
    compare: Arrangement = "split"
    """how several are shown: side by side, wiped, or the difference of the first two"""
    mode: ModeName = "color"
    """what is drawn"""
    view: int | None = None
    """look through this camera: training cameras are counted first, then test cameras"""
    screenshot: Path | None = None
    """draw one picture into this PNG and end; needs no display"""
    size: tuple[int, int] = (0, 0)
    """width and height of the screenshot in pixels; 0 0: the camera's own"""
    passes: int = 0
    """samples per pixel; 0: 1 for screenshots, 16 in the window when nothing moves"""
    web: bool = False
    """show it in a browser instead of a window"""
    host: str = "127.0.0.1"
    """address that --web listens at; 0.0.0.0 lets other machines look, and steer"""
    port: int = 8080
    """port of --web"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how a field is trained, where a data set is among the inputs"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if len(self.inputs) > MOST:
            raise ValueError(f"at most {MOST} fields are shown side by side, found {len(self.inputs)}")
        if self.passes:
            SAMPLES.require("--passes", self.passes)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"--port must be 1 to 65535, found {self.port}")
        if self.view is not None and self.view < 0:
            raise ValueError(f"--view must be 0 or more, found {self.view}")
        if not all(0 <= n <= 16_384 for n in self.size) or (0 in self.size and any(self.size)):
            raise ValueError(f"--size must be two numbers of pixels, 1 to 16384; found {self.size[0]} {self.size[1]}")


def main() -> None:
    """Entry point."""
    run(Flags, view)


def view(flags: Flags) -> None:
    """Sort out what is to be shown, and where."""
    flags.check()
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
        front = lambda session, again: web.serve(session, host=flags.host, port=flags.port, restart=again)  # noqa: E731
    else:
        desktop.require()
        from viewer.window import app

        front = lambda session, again: app.run(session, title=make_title(flags), restart=again)  # noqa: E731
    commands = [to_command(one.kind, one.path, flags) for one in found]
    commands += [CompareWith(flags.data, flags.settings.downscale)] if flags.data else []
    run_together(flags, commands, front)


def to_command(kind: str, path: str, flags: Flags) -> Command:
    """What the worker does with an input."""
    return OpenModel(path) if kind == "model" else LearnFrom(path, flags.settings)


def run_together(flags: Flags, commands: list[Command], front: Front) -> None:
    """A worker and a front end, until the front end is closed; what is being learnt is saved then."""

    def worker() -> WorkerProcess:
        return WorkerProcess(flags.settings.device)

    look = DisplaySettings(mode=flags.mode, layout=flags.compare, passes=flags.passes or DisplaySettings().passes)
    session = Session(worker(), State(display=look, first=flags.view))
    for command in commands:
        session.send(command)
    try:
        front(session, lambda: session.renew(worker()))
    finally:
        for line in session.link.close():
            sys.stderr.write(f"{line}\n")


def write_screenshot(flags: Flags, out: Path) -> None:
    """One picture, without a worker and without a window."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise ValueError(f"{out}: wanted a .png file for --screenshot")
    device = pick_device(flags.settings.device)
    options = ReadOptions(flags.settings.downscale, flags.settings.max_resolution, flags.settings.skip_missing)
    photographs = load(flags.data, options) if flags.data else None
    wanted = ScreenshotOptions(flags.mode, flags.compare, flags.view, flags.size, flags.passes or 1)
    image = draw_screenshot([Path(text) for text in flags.inputs], photographs, wanted, device)
    write_beside(out, encode_png(torch.tensor(image) / 255))
    sys.stderr.write(f"{out}: {image.shape[1]} x {image.shape[0]} pixels\n")


def make_title(flags: Flags) -> str:
    """Of the window."""
    return " | ".join(Path(text).stem or text for text in flags.inputs) or "polyfield"


if __name__ == "__main__":
    sys.argv[0] = "view-scene"
    main()
