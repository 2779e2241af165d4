"""Standard output and standard error of a command: what cannot be printed loses nothing of the work.

A console that has not all letters gets those that it lacks as escapes. Where a stream is closed, its reader has left or
its disk is full, what is printed is dropped from then on, and the command is told at its end.
"""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, final

ESCAPES = "polyfield"  # the name under which the codecs know `spell`


@final
class Outlet:
    """A text stream that never fails; the first reason why it should have is kept."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Print, or drop."""
        try:
            self.stream.write(text)
        except OSError as error:
            self.fail(error)
        return len(text)

    def flush(self) -> None:
        """Print what waits, or drop it."""
        try:
            self.stream.flush()
        except OSError as error:
            self.fail(error)

    def fail(self, error: OSError) -> None:
        """Keep the reason; what still waits goes nowhere, else the interpreter would try again as it ends."""
        self.error = self.error or error
        with contextlib.suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.stream.fileno())
            os.close(nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def outlets() -> Iterator[Outlet]:
    """Inside, both streams are outlets; gives that of standard output."""
    fill_closed()
    before = sys.stdout, sys.stderr
    for stream in before:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=ESCAPES)
    sys.stdout, sys.stderr = out, _ = Outlet(before[0]), Outlet(before[1])
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


def spell(error: UnicodeError) -> tuple[str, int]:
    """Letters that a console has not, as escapes; the dots at the end of what a table cut off as one dot, as wide."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join("." if c == "…" else c.encode("ascii", "backslashreplace").decode() for c in missing), error.end


codecs.register_error(ESCAPES, spell)


def fill_closed() -> None:
    """Open nothing in the place of standard streams that are closed (`>&-`), so that no file of ours takes it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # by number: the lowest free one is taken
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
