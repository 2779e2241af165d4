"""What a window does besides drawing: open what a path names, write files, ask for paths."""

import importlib
import shutil
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields.files import find_free, write_beside
from render.pictures import encode_png
from scenes.paths import expect
from viewer.front import command_lines, keyframes
from viewer.front.session import State
from viewer.front.updates import OpenPath, Update, WindowRequest, WriteCameraPath, WriteScreenshot
from viewer.messages import Command, Convert, DrawFilm, OpenModel

HELPERS = ("zenity", "matedialog", "qarma", "kdialog")  # any one of them draws dialogs on Linux


def open_path(update: Update, text: str) -> Update:
    """Open what lies at a path; data wait for the choice between learning and comparing."""
    try:
        found = expect(text, "model", "scene", "camera path")
        if found.kind == "model":
            return update.send(OpenModel(found.path)).put(text="")
        if found.kind == "camera path":
            return load_camera_path(update, Path(found.path))
        return update.put(found=found, text="", visible=True)
    except (OSError, ValueError) as error:
        return update.tell(str(error), trouble=True)


def load_camera_path(update: Update, path: Path) -> Update:
    """A camera path from a file, in the units of what is open."""
    if not update.state.panes:
        raise ValueError(f"{path}: is a camera path; open a model first")
    to_input = torch.tensor(update.state.panes[0].opened.to_input, dtype=torch.float64)
    file = keyframes.read(path, torch.linalg.inv(to_input))
    update = update.put(path=file.keys, kept=file.keys, fps=file.fps, film_size=file.size, path_file=str(path), text="")
    return update.tell("; ".join((f"{path}: {len(file.keys.keys)} keyframes, {file.keys.seconds:.1f} s", *file.notes)))


def fulfil(update: Update, request: WindowRequest, image: np.ndarray | None) -> Update:
    """Files that a person asked for; trouble with them is told."""
    try:
        match request:
            case OpenPath():
                return open_path(update, request.text)
            case WriteScreenshot():
                return write_screenshot(update, image)
            case WriteCameraPath():
                return write_camera_path(update, Path(request.path))
    except (OSError, ValueError) as error:
        return update.tell(str(error), trouble=True)
    return update


def write_screenshot(update: Update, image: np.ndarray | None) -> Update:
    """The picture as a PNG under the next free name."""
    if image is None:
        return update.tell("there is no picture yet", trouble=True)
    name = update.state.panes[0].opened.name if update.state.panes else "view"
    path = next(p for i in range(1, 100_000) if not (p := Path(f"{name}-{i:03d}.png")).exists())
    write_beside(path, encode_png(torch.tensor(image) / 255))
    height, width = image.shape[:2]
    lines = command_lines.append_line(
        update.panel.lines, command_lines.repeat_screenshot(update.state, str(path), (width, height))
    )
    return update.tell(f"{path.absolute()}: {width} x {height} pixels").put(wrote=f"written: {path}", lines=lines)


def write_camera_path(update: Update, path: Path) -> Update:
    """The keyframes as a camera path file."""
    panel = update.panel
    keyframes.write(path, panel.path, panel.fps, panel.film_size, update.state.panes[0].opened.to_input)
    return update.put(kept=panel.path).tell(f"{path.absolute()}: {len(panel.path.keys)} keyframes")


def choose_place(command: Command, state: State) -> Command:
    """A command that writes, with a place where nothing is yet, so that the line that repeats it names it."""
    match command:
        case Convert(out=""):
            pane = state.pane(command.pane)
            return replace(command, out=str(find_free(Path(command.folder(pane.opened.name))))) if pane else command
        case DrawFilm():
            path = Path(command.path)
            return replace(command, path=str(find_free(path, path.suffix)))
        case _:
            return command


def note_command(update: Update, command: Command) -> Update:
    """A command that is being sent: the line that repeats it, with the path file that a film's line names."""
    if isinstance(command, DrawFilm):
        try:
            update = write_camera_path(update, command_lines.name_camera_path(command.path))
        except (OSError, ValueError) as error:
            update = update.tell(str(error), trouble=True)
    return update.put(lines=command_lines.append_line(update.panel.lines, command_lines.repeat(command, update.state)))


@cache
def has_dialogs() -> bool:
    """Whether the desktop has dialogs for files."""
    return not sys.platform.startswith("linux") or any(shutil.which(name) for name in HELPERS)


@dataclass(frozen=True)
class FileDialog:
    """The desktop's own dialog, in a process of its own."""

    open: Any

    @staticmethod
    def ask(folder: bool) -> "FileDialog":
        """Ask for a file, or a folder."""
        dialogs = importlib.import_module("imgui_bundle").portable_file_dialogs
        title = "Open a folder of photographs" if folder else "Open a model, a mesh or a camera path"
        return FileDialog(dialogs.select_folder(title) if folder else dialogs.open_file(title))

    def answer(self) -> str | None:
        """The path; empty where none was chosen; None while it is still open."""
        if not self.open.ready(0):
            return None
        result = self.open.result()
        return result if isinstance(result, str) else next(iter(result), "")
