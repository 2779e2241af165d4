"""How every command begins and ends: flags from a frozen dataclass, exit status, one line on stderr.

Nothing heavy is imported here nor by the files that flags stand in: what a person mistyped is answered before PyTorch
is there. The work of a command imports what it needs when it begins.
"""

import contextlib
import difflib
import importlib.metadata
import io
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import tyro

from fields.memory import address_space
from fields.numbers import printable
from render.streams import outlets

Config = TypeVar("Config")
LEAST = 1.8e9  # bytes of address space, with which PyTorch, LLVM and their threads come up; a picture took 1.7


def run(config: type[Config], main: Callable[[Config], None], examples: str = "") -> None:
    """Parse the command line into `config` and call `main`. Never returns. `examples` end the help.

    A ValueError (SceneError and ModelError among them) or OSError is the caller's mistake: its text on one line,
    exit status 2. Ctrl-C is 130, SIGTERM and SIGHUP 143 and 129; `main` has saved what it had by then. A reader of
    standard output that has left is 141, after the work. POLYFIELD_TRACEBACK=1 shows the traceback.
    """
    name = os.path.basename(sys.argv[0]) or "polyfield"  # noqa: PTH119
    with outlets() as out:
        with raised():
            status = attempt(name, lambda: begin(config, main, examples))
        out.flush()
        if status == 0 and out.error:
            status = 141 if isinstance(out.error, BrokenPipeError) else 2
            if status == 2:
                sys.stderr.write(f"{name}: standard output: {out.error.strerror}\n")
        sys.stderr.flush()
    sys.exit(status)


def begin(config: type[Config], main: Callable[[Config], None], examples: str) -> None:
    """Parse, and do the work where there is memory enough for libraries, which do not end in one line without it."""
    flags = parse(config, os.path.basename(sys.argv[0]) or "polyfield", examples)  # noqa: PTH119
    if address_space() < LEAST:
        raise MemoryError(f"{LEAST / 1e9:.1f} GB at least are wanted")
    main(flags)


def attempt(name: str, work: Callable[[], None]) -> int:
    """Exit status of work; what went wrong is told on one line."""
    try:
        work()
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        sys.stderr.write(f"{name}: {how}\n")
        return 128 + number
    except (ValueError, OSError, MemoryError, RuntimeError, ImportError, SystemError) as error:
        starved = is_starved(error)
        if os.environ.get("POLYFIELD_TRACEBACK") == "1" or not (starved or isinstance(error, ValueError | OSError)):
            raise  # as asked, or a defect of ours
        reason = " ".join(str(error).split())[:200]
        said = f"not enough memory{tell_limit()}: {reason or 'none is left'}" if starved else one_line(error)
        sys.stderr.write(f"{name}: {said}\n")
        return 2
    return 0


def is_starved(error: Exception) -> bool:
    """Whether there was not enough memory, which libraries say in many ways, also while they are loaded; our own words
    are left as they are."""
    if isinstance(error, ValueError):
        return False
    short = "allocate memory", "out of memory", "not enough memory", "failed to map", "new thread", "libllvmlite"
    lost = isinstance(error, SystemError | ImportError) and bool(tell_limit())  # as what failed is not always told
    return isinstance(error, MemoryError) or lost or any(words in str(error) for words in short)


def tell_limit() -> str:
    """The limit for a person; empty where there is none."""
    most = address_space()
    return "" if most == math.inf else f" under a limit of {most / 1e9:.1f} GB (ulimit -v)"


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP are raised as Ctrl-C is, with their number, so that all is cleared away and saved as
    after that; but for those that who started us has ignored, as `nohup` does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    mine = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def stop(number: int, _: object) -> None:
    """What a signal does."""
    raise KeyboardInterrupt(number)


def parse(config: type[Config], name: str, examples: str) -> Config:
    """The flags; help and version go to standard output, and what is wrong to the other, on one line."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"polyfield {importlib.metadata.version('polyfield')}\n")
        sys.exit(0)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(config, prog=name, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as end:
        if end.code:
            sys.stderr.write(f"{name}: {unboxed(said.getvalue())}; {name} --help shows all\n")
        elif examples and {"-h", "--help"} & set(sys.argv[1:]):
            lines = examples.strip("\n")
            sys.stdout.write(f"examples:\n{lines}\n")
        sys.stdout.flush()
        raise


def unboxed(text: str) -> str:
    """What a box of tyro's says before its first rule, on one line, and the flags that it thinks were meant. Where
    standard output is not UTF-8 the box has no sides, and a rule below its title."""
    lines = [line[2:].rstrip(" │") for line in text.splitlines()[1:]]
    if lines and is_rule(lines[0]):
        lines = lines[1:]
    end = next((n for n, line in enumerate(lines) if is_rule(line)), len(lines))
    what, meant = " ".join(" ".join(lines[:end]).split()).rstrip("."), list[str]()
    if what.startswith("Missing from"):
        what = "missing " + " and ".join(line.strip() for line in lines[:end] if re.match(r" {4}\S", line))
    for line in lines[end + 1 :]:
        if line.startswith("Perhaps you meant"):
            rest = lines[lines.index(line) :]
            last = next((n for n, one in enumerate(rest) if is_rule(one)), len(rest))
            meant = [flag for one in rest[:last] for flag in re.findall(r"^ {4}(--[\w-]+)", one)]
    return what[:1].lower() + what[1:] + (f"; did you mean {' or '.join(dict.fromkeys(meant))}?" if meant else "")


def is_rule(line: str) -> bool:
    """Whether a line is a rule across a box, its end, or empty."""
    return not line.strip("─-╰╯ ")


def announce(text: str) -> None:
    """The first word of a command's work, before what takes long to import: for a person at a terminal. Programs that
    read standard error find one line there, and only where something is wrong."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def one_line(error: Exception) -> str:
    """An error's text on one line of at most 300 characters that a terminal may show; an OSError as `FILE: reason`."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{error.strerror}")
    return printable(str(error))


def require_path(path: str | Path) -> None:
    """ValueError where there is nothing at a path."""
    if reason := missing(Path(path)):
        raise ValueError(f"{path}: {reason}")


def missing(path: Path) -> str:
    """Why there is nothing at a path, and what of a like name there is beside it; empty where there is something."""
    try:
        if path.exists():
            return ""
        near = difflib.get_close_matches(path.name, os.listdir(path.parent), 1)  # noqa: PTH208
    except (OSError, ValueError):
        near = []
    return "no such file or folder" + (f"; did you mean {str(path.with_name(near[0]))!r}?" if near else "")
