"""The worker's engine: it owns all fields, obeys commands, and shares its time between drawing and learning."""

import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numba.np.ufunc.parallel
import torch
from torch import Tensor

from fields.files import write_beside
from render.command import one_line, pick_device
from viewer.messages import (
    Close,
    Closed,
    Command,
    Control,
    Convert,
    Film,
    Learn,
    Open,
    Photographs,
    Quit,
    Report,
    Save,
    Score,
    Scores,
    Shot,
    Started,
    StopFilm,
    Told,
)
from viewer.worker.drawing import draw_pass
from viewer.worker.easel import Easel, never
from viewer.worker.film import Filmer
from viewer.worker.learner import Learner
from viewer.worker.pane import Pane
from viewer.worker.shelf import Shelf

IDLE = 0.5  # seconds to sleep where nothing is to be done
SMALL = 200  # pixels, longest side of pictures drawn only to be scored
SUFFIX = ".safetensors"


class Inbox(Protocol):
    """Where commands come from and reports go (viewer.worker.link.Inbox)."""

    closed: bool

    def take(self) -> Iterator[Command]:
        """All that has come."""
        ...

    def interrupts(self) -> bool:
        """Whether something has come."""
        ...

    def wait(self, seconds: float) -> None:
        """Sleep until something comes, at most so long."""
        ...

    def report(self, report: Report) -> None:
        """Send a report."""
        ...


class Engine:
    """The worker, but for its process and its pipe."""

    def __init__(self, device: str, inbox: Inbox) -> None:
        self.device, self.inbox = pick_device(device), inbox
        self.shelf = Shelf(self.device, inbox.report)
        self.easel = Easel(self.shelf, inbox.report, inbox.interrupts)
        self.filmer: Filmer | None = None
        self.errands: list[Iterator[None]] = []  # work in slices that ends by itself
        self.slices = 0  # of work so far
        self.turn = 0  # slices of learning so far, so that learners take turns
        self.over = False

    # ---- the loop

    def run(self) -> None:
        """Until the front end asks to quit or is gone; what is being learnt is saved then."""
        self.warm()
        layer = self.guarded(numba.np.ufunc.parallel.threading_layer, "threads") or "unknown"
        self.inbox.report(Started(device_name(self.device), f"{layer}, {torch.get_num_threads()} threads"))
        while not self.over and not self.inbox.closed:
            for command in self.inbox.take():
                self.guarded(lambda command=command: self.obey(command), "")
            if not self.over and not self.guarded(self.work, ""):
                self.inbox.wait(IDLE)
        for pane in self.shelf.panes.values():
            self.guarded(lambda pane=pane: self.keep(pane), pane.name)
        if self.filmer:
            self.filmer.stop()

    def warm(self) -> None:
        """Let Numba choose its threads: it only tells of them once a parallel kernel has run."""
        from render.kernels.composite import composite

        one = torch.ones(1, device=self.device)
        composite(one, torch.ones(1, 3, device=self.device), one, one, torch.tensor([0, 1], device=self.device))

    def guarded(self, act: Callable[[], Any], who: str, pane: int | None = None) -> Any:
        """Do it; whatever goes wrong is told in one line, and everything else goes on."""
        try:
            return act()
        except Exception as error:  # the worker outlives whatever one field, file or command does
            expected = isinstance(error, ValueError | OSError)
            text = one_line(error) if expected else f"{type(error).__name__}: {one_line(error)}"
            if os.environ.get("POLYFIELD_TRACEBACK") == "1":
                traceback.print_exc()
            self.inbox.report(Told(f"{who}: {text}" if who else text, True, pane))
            return None

    def work(self) -> bool:
        """One slice of work; False where there is nothing to do."""
        learners = [pane for pane in self.shelf.panes.values() if pane.busy]
        begin = time.perf_counter()
        self.slices += 1
        if self.filmer and self.slices % 2 and not self.easel.moving:  # a film takes turns with all else
            self.film_on(self.filmer)
            return True
        if self.easel.due(learning=bool(learners)):
            self.draw_on(learning=bool(learners))
            self.easel.account(drawn=time.perf_counter() - begin)
            return True
        if learners:
            self.turn += 1
            self.learn_on(learners[self.turn % len(learners)])
            self.easel.account(learnt=time.perf_counter() - begin)
            return True
        if self.filmer:
            self.film_on(self.filmer)
            return True
        if self.errands:
            self.errand_on()
            return True
        return False

    def draw_on(self, *, learning: bool) -> None:
        """One picture. Where that fails, none follows until something else is wanted: once is enough to be told."""
        try:
            self.easel.draw(learning=learning)
        except Exception:
            self.easel.shot = None
            raise

    def learn_on(self, pane: Pane) -> None:
        """One slice of a pane's learning."""
        assert pane.learner
        before = pane.learner.life
        try:
            pane.learner.advance()
        finally:
            changed = pane.learner.life != before
            self.tell_progress(pane, due=changed)
        if before == "running":
            self.easel.stale(pane.number)
        if pane.learner.life == "done":
            self.inbox.report(Told(f"{pane.name}: wrote {pane.learner.job.files.model}", pane=pane.number))
            self.inbox.report(pane.described())

    def tell_progress(self, pane: Pane, *, due: bool) -> None:
        """Report how a pane learns, where it is time."""
        if pane.learner and (report := pane.learner.progress(pane.number, due=due)):
            self.inbox.report(report)

    def film_on(self, filmer: Filmer) -> None:
        """One frame of the film."""
        try:
            going = filmer.advance()
        except ValueError:
            self.filmer = None
            self.inbox.report(replace(filmer.report(), final=True))
            raise
        self.inbox.report(filmer.report(final=not going))
        if not going:
            self.filmer = None
            self.inbox.report(Told(f"wrote {filmer.path}"))

    def errand_on(self) -> None:
        """One slice of the oldest errand."""
        errand = self.errands[0]
        try:
            next(errand)
        except StopIteration:
            self.errands.remove(errand)
        except Exception:
            self.errands.remove(errand)
            raise

    # ---- commands

    def obey(self, command: Command) -> None:
        """Do what a front end asks. ValueError or OSError where that cannot be."""
        match command:
            case Shot():
                self.easel.want(command)
            case Open():
                self.shelf.open(command.path)
            case Learn():
                self.tell_progress(self.shelf.learn(command), due=True)
            case Photographs():
                self.shelf.photographs(command)
            case Convert():
                self.tell_progress(self.shelf.convert(command), due=True)
            case Control():
                self.control(command)
            case Save():
                self.save(command)
            case Close():
                self.close(command.pane)
            case _:
                self.obey_small(command)

    def obey_small(self, command: Command) -> None:
        """The rest of them."""
        match command:
            case Score():
                self.errands.append(self.scoring(self.shelf.pane(command.pane)))
            case Film():
                self.film(command)
            case StopFilm():
                if self.filmer:
                    self.filmer.stop()
                    self.inbox.report(replace(self.filmer.report(), final=True))
                    self.filmer = None
            case Quit():
                self.over = True

    def control(self, command: Control) -> None:
        """Steer a pane's learning."""
        pane = self.shelf.pane(command.pane)
        _ = pane.learning
        assert pane.learner
        if command.action == "pause":
            pane.learner.pause()
        elif command.action == "resume":
            pane.learner.resume()
        elif command.action == "step":
            pane.learner.step()
        else:
            pane.learner.work.close()
            pane.learner = Learner(pane.learner.job.again())
            self.easel.stale(pane.number)
        self.tell_progress(pane, due=True)

    def save(self, command: Save) -> None:
        """Write a pane's field as a model file."""
        pane, path = self.shelf.pane(command.pane), Path(command.path)
        path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        if pane.learner:
            pane.learning.save_model(path, {}, b"")
        else:
            write_beside(path, Path(pane.path).read_bytes())
        self.inbox.report(Told(f"wrote {path}", pane=pane.number))

    def close(self, number: int) -> None:
        """Forget a pane."""
        pane = self.shelf.pane(number)
        self.keep(pane)
        del self.shelf.panes[number]
        self.easel.forget(number)
        self.inbox.report(Closed(number))

    def keep(self, pane: Pane) -> None:
        """Save what a pane has learnt."""
        if pane.learner and (text := pane.learner.save()):
            self.inbox.report(Told(text, pane=pane.number))
        if pane.learner:
            pane.learner.work.close()

    def scoring(self, pane: Pane) -> Iterator[None]:
        """Draw every photograph of the album from a pane, small, and say how far off each is."""
        if not any(entry.view for entry in self.shelf.entries):
            raise ValueError("there are no photographs to compare with: open their data set first")
        entries, found = self.shelf.entries, [float("nan")] * len(self.shelf.entries)
        for number, entry in enumerate(entries):
            if entry.view is None:
                continue
            if pane.number not in self.shelf.panes or self.shelf.entries is not entries:
                return
            factor = min(1.0, SMALL / max(entry.camera.size))
            camera = entry.camera.resized(*(max(1, round(n * factor)) for n in entry.camera.size))
            wanted = Shot(0, camera, (pane.number,))
            drawn = draw_pass(pane.subject, wanted, camera, 0, entry.truth(camera.size, pane.background), never)
            if drawn is not None and drawn.psnr is not None:
                found[number] = drawn.psnr
            self.inbox.report(Scores(pane.number, tuple(found), False))
            yield
        self.inbox.report(Scores(pane.number, tuple(found), True))

    def film(self, command: Film) -> None:
        """Begin a film."""
        if self.filmer:
            raise ValueError(f"{self.filmer.path}: is still being drawn; stop it first")
        pane = self.shelf.pane(command.pane)

        def frame(number: int) -> Tensor | None:
            camera = command.cameras[number]
            shot = Shot(0, camera, (pane.number,), command.mode)
            drawn = draw_pass(pane.subject, shot, camera, 0, None, self.inbox.interrupts)
            return drawn.picture if drawn else None

        self.filmer = Filmer(command, frame)


def device_name(device: torch.device) -> str:
    """A device, for a person."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
