"""What Windows has not, or has otherwise: modules and calls of Unix, letters of its consoles, drives and back-slashes.
Nothing of it can be run here; what is blocked, written in its ways and read off the sources can."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import drawn
import pytest

from scenes.assemble import load
from scenes.eval_scene import picture_name
from scenes.naming import strip
from scenes.options import ReadOptions, SceneError
from scenes.paths import look

HOUSE = Path(__file__).parents[1]
FOLDERS = ("fields", "render", "scenes", "distill", "viewer")
SOURCES = [HOUSE / "polyfield.py", *(path for folder in FOLDERS for path in sorted((HOUSE / folder).rglob("*.py")))]
MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "curses", "readline", "posix")
CALLS = {
    "os": "fork forkpty getuid geteuid getgid getegid wait wait3 wait4 waitid killpg setsid getpgid setpgid getpgrp "
    "sched_getaffinity sched_setaffinity getloadavg nice mkfifo mknod chown fchown statvfs fstatvfs sysconf confstr "
    "uname ttyname openpty setuid getgroups pipe2 memfd_create eventfd register_at_fork posix_fallocate execv execvp",
    "signal": "SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGALRM SIGWINCH SIGTSTP SIGCONT SIGSTOP alarm "
    "setitimer pause sigwait pthread_kill pthread_sigmask siginterrupt",
}
GUARDED = {  # on Windows the way does not lead there
    ("fields/waiting.py", "sched_getaffinity"),  # for GNU's OpenMP, on Linux
    ("distill/train_scene.py", "execv"),
    ("distill/bench/opensplat.py", "SIGKILL"),
    ("distill/bench/opensplat.py", "wait4"),
}
IMPORTS = f"""
import contextlib, importlib, importlib.util, pkgutil, sys
import multiprocessing, numba, psutil, rich, torch, tyro  # who have ways of their own for Windows
for name in ("imageio.v2", "matplotlib", "pyglet", "trimesh", "viser"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
for name in {MODULES!r}:
    sys.modules[name] = None
for folder in {FOLDERS!r}:
    for module in pkgutil.walk_packages(importlib.import_module(folder).__path__, folder + "."):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            print(module.name, type(error).__name__, getattr(error, "name", "-"))
"""


def test_every_module_imports_without_those_of_unix():
    command = [sys.executable, "-c", IMPORTS]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HOUSE), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    failed = [line.split() for line in done.stdout.splitlines()]
    assert [module for module, _, missing in failed if missing in MODULES] == []
    # The window's own modules want a display, and kernels for a GPU Triton.
    assert all(module.startswith("viewer.window.") or module.endswith("_cuda") for module, *_ in failed)


def at_import(tree):
    """Imports that run as soon as a module is imported."""
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)


def test_no_module_of_unix_is_imported_at_once():
    found = {path.name: {*at_import(ast.parse(path.read_text(encoding="utf-8")))} & {*MODULES} for path in SOURCES}
    assert not {name: modules for name, modules in found.items() if modules}


def attributes(path):
    """(name, attribute) of all that is taken from a name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_calls_of_unix_are_behind_a_question():
    found = {
        (path.relative_to(HOUSE).as_posix(), name)
        for path in SOURCES
        for module, name in attributes(path)
        if name in CALLS.get(module, "").split()
    }
    assert found == GUARDED


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_text_is_read_and_written_as_utf_8(path):
    """On Windows the console's letters are taken for a file's where nobody says."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if getattr(node.func, "attr", "") in ("read_text", "write_text")]
    assert all("encoding" in [keyword.arg for keyword in call.keywords] for call in calls)


@pytest.mark.parametrize("text", ["C:\\data\\chair", "C:/data/chair", "c:chair", "D:\\", "\\\\server\\share\\chair"])
def test_a_drive_is_no_format_of_ours(text):
    found = look(text)
    assert (found.kind, found.path) == ("nothing", text)
    assert found.reason.startswith(f"{text}: ")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///C:/my data/chair", "C:/my data/chair"),
        ('"C:\\my data\\chair"', "C:\\my data\\chair"),
        ("file:///home/chair", "/home/chair"),
        ("/c/chair", "/c/chair"),
    ],
)
def test_addresses_of_files_on_drives(text, path):
    assert strip(text) == path


@pytest.mark.parametrize("written", ["C:\\photos\\000.png", "C:/photos/000.png", "\\\\server\\photos\\000.png"])
def test_pictures_that_lie_on_a_drive_of_another_computer_are_missing_in_one_line(written, tmp_path):
    content = drawn.transforms(tmp_path)
    content["frames"][3]["file_path"] = written
    drawn.write(tmp_path / "transforms.json", content)
    with pytest.raises(SceneError, match="000") as caught:
        load(str(tmp_path), ReadOptions())
    assert "\n" not in str(caught.value)
    assert len(load(str(tmp_path), ReadOptions(skip_missing=True)).train) == 7


def test_pictures_on_a_drive_are_written_under_names_that_windows_takes():
    assert picture_name("C:/data/images/001.jpg") == "C_data_images_001.png"
    assert picture_name("images/001.jpg") == "images_001.png"
    assert picture_name("/data/001.jpg") == "data_001.png"
