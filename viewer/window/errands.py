"""What a window does besides drawing: open what a path names, write files, ask for paths."""

import importlib
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields.files import write_beside
from render.pictures import encode_png
from viewer.front import history, keyframes, sniff
from viewer.front.desk import SavePath, Screenshot, Take, Turn, Wish
from viewer.messages import Command, Film, Open

HELPERS = ("zenity", "matedialog", "qarma", "kdialog")  # any one of them draws dialogs on Linux


def taken(turn: Turn, text: str) -> Turn:
    """Open what lies at a path; data wait for the choice between learning and comparing."""
    try:
        found = sniff.sniff(text)
        if found.kind == "model":
            return turn.send(Open(found.path)).put(text="")
        if found.kind == "path":
            return loaded(turn, Path(found.path))
        return turn.put(found=found, text="", panel=True)
    except (OSError, ValueError) as error:
        return turn.tell(str(error), trouble=True)


def loaded(turn: Turn, path: Path) -> Turn:
    """A camera path from a file, in the units of what is open."""
    if not turn.state.panes:
        raise ValueError(f"{path}: is a camera path; open a model first")
    to_input = torch.tensor(turn.state.panes[0].opened.to_input, dtype=torch.float64)
    file = keyframes.read(path, torch.linalg.inv(to_input))
    turn = turn.put(path=file.keys, fps=file.fps, film_size=file.size, path_file=str(path), text="")
    return turn.tell(f"{path}: {len(file.keys.keys)} keyframes, {file.keys.seconds:.1f} s")


def done(turn: Turn, wish: Wish, image: np.ndarray | None) -> Turn:
    """Files that a person asked for; trouble with them is told."""
    try:
        match wish:
            case Take():
                return taken(turn, wish.text)
            case Screenshot():
                return shot(turn, image)
            case SavePath():
                return written(turn, Path(wish.path))
    except (OSError, ValueError) as error:
        return turn.tell(str(error), trouble=True)
    return turn


def shot(turn: Turn, image: np.ndarray | None) -> Turn:
    """The picture as a PNG under the next free name."""
    if image is None:
        return turn.tell("there is no picture yet", trouble=True)
    name = turn.state.panes[0].opened.name if turn.state.panes else "view"
    path = next(p for i in range(1, 100_000) if not (p := Path(f"{name}-{i:03d}.png")).exists())
    write_beside(path, encode_png(torch.tensor(image) / 255))
    height, width = image.shape[:2]
    lines = history.appended(turn.desk.lines, history.screenshot(turn.state, str(path), (width, height)))
    return turn.tell(f"{path.absolute()}: {width} x {height} pixels").put(wrote=f"written: {path}", lines=lines)


def written(turn: Turn, path: Path) -> Turn:
    """The keyframes as a camera path file."""
    desk = turn.desk
    keyframes.write(path, desk.path, desk.fps, desk.film_size, turn.state.panes[0].opened.to_input)
    return turn.tell(f"{path.absolute()}: {len(desk.path.keys)} keyframes")


def noted(turn: Turn, command: Command) -> Turn:
    """A command that is being sent: the line that repeats it, with the path file that a film's line names."""
    if isinstance(command, Film):
        try:
            turn = written(turn, history.path_beside(command.path))
        except (OSError, ValueError) as error:
            turn = turn.tell(str(error), trouble=True)
    return turn.put(lines=history.appended(turn.desk.lines, history.line(command, turn.state)))


@cache
def has_dialogs() -> bool:
    """Whether the desktop has dialogs for files."""
    return not sys.platform.startswith("linux") or any(shutil.which(name) for name in HELPERS)


@dataclass(frozen=True)
class Dialog:
    """The desktop's own dialog, in a process of its own."""

    open: Any

    @staticmethod
    def opened(folder: bool) -> "Dialog":
        """Ask for a file, or a folder."""
        dialogs = importlib.import_module("imgui_bundle").portable_file_dialogs
        title = "Open a folder of photographs" if folder else "Open a model, a mesh or a camera path"
        return Dialog(dialogs.select_folder(title) if folder else dialogs.open_file(title))

    def answer(self) -> str | None:
        """The path; empty where none was chosen; None while it is still open."""
        if not self.open.ready(0):
            return None
        result = self.open.result()
        return result if isinstance(result, str) else next(iter(result), "")
