"""A film drawn between other work: frame by frame by the worker, encoded by a thread that takes them as they come."""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from render.command import one_line
from render.films import FILMS, check_rate, write_film
from render.units import MOST_FRAMES, MOST_PIXELS
from viewer.messages import DrawFilm, FilmProgress

AHEAD = 4  # frames that may wait for the encoder
PATIENCE = 10.0  # seconds that the encoder may take to end


class FilmWriter:
    """One film in the making. ValueError where it cannot be written."""

    def __init__(self, film: DrawFilm, draw: Callable[[int], Tensor | None]) -> None:
        """`draw` gives the picture (H, W, 3) of a frame by its number; None where something else came between."""
        self.film, self.draw, self.path = film, draw, Path(film.path)
        check_film(film, self.path)
        self.beside = self.path.with_name(f".{self.path.stem}-part{self.path.suffix}")  # until it is whole
        self.done, self.error, self.began = 0, "", time.monotonic()
        self.frames: queue.Queue[Tensor | None] = queue.Queue(AHEAD)
        self.thread = threading.Thread(target=self.encode, daemon=True)
        self.thread.start()

    def encode(self) -> None:
        """The thread: write what comes."""
        try:
            write_film(self.beside, iter(self.frames.get, None), self.film.fps)
        except (OSError, ValueError, RuntimeError) as error:
            self.error = one_line(error)

    def advance(self) -> bool:
        """Draw one frame; False once all are drawn and the file is there. ValueError where it could not be written."""
        if self.error:
            raise ValueError(f"{self.path}: {self.error}")
        if self.done < len(self.film.cameras):
            if self.frames.full():  # the encoder is slower than we are
                self.thread.join(0.005)
                return True
            picture = self.draw(self.done)
            if picture is not None:
                self.frames.put(picture)
                self.done += 1
                if self.done == len(self.film.cameras):
                    self.end()
            return True
        self.thread.join(0.01)
        if self.thread.is_alive():
            return True
        if self.error:
            raise ValueError(f"{self.path}: {self.error}")
        self.beside.replace(self.path)
        return False

    def end(self) -> None:
        """Tell the thread that nothing more comes."""
        while self.thread.is_alive():
            try:
                self.frames.put(None, timeout=0.1)
                return
            except queue.Full:
                continue

    def stop(self) -> threading.Thread:
        """Give the film up; nothing of it stays. The encoder ends in its own way, as one that is cut off complains, and
        the thread with it, which nobody has to wait for."""

        def clear() -> None:
            self.end()
            self.thread.join(PATIENCE)
            self.beside.unlink(missing_ok=True)

        clearing = threading.Thread(target=clear, name="clearing")
        clearing.start()
        return clearing

    def report(self, *, final: bool = False) -> FilmProgress:
        """How far it is."""
        return FilmProgress(self.film.path, self.done, len(self.film.cameras), final, time.monotonic() - self.began)


def check_film(film: DrawFilm, path: Path) -> None:
    """ValueError for what is wrong before the first frame."""
    if path.suffix.lower() not in FILMS:
        raise ValueError(
            f"{path}: wanted a film's ending, {' or '.join(reversed(FILMS))}; found {path.suffix or 'none'}"
        )
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; wanted a file name")
    check_rate(path.suffix.lower(), film.fps)
    if not film.cameras:
        raise ValueError("a film wants at least one camera; add keyframes first")
    if len(film.cameras) > MOST_FRAMES:
        raise ValueError(f"{path}: {len(film.cameras)} frames; a film has at most {MOST_FRAMES}")
    if max(max(camera.size) for camera in film.cameras) > MOST_PIXELS:
        raise ValueError(f"{path}: a film's frames have at most {MOST_PIXELS} pixels along a side")
