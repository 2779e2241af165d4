"""The worker: it owns all fields, obeys commands, and shares its time between drawing and learning."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numba.np.ufunc.parallel
import torch
from torch import Tensor

from fields.files import find_free, write_beside
from fields.kernels.options_cpu import COMPILING
from render.command import one_line
from render.device import pick_device
from render.films import choose_few, join_spans, shrink
from render.legends import draw_legend
from render.looks import MODES
from render.pictures import bytes_of
from viewer.messages import (
    Activity,
    CloseField,
    Command,
    CompareWith,
    ControlRun,
    Convert,
    DrawFilm,
    FieldClosed,
    FrameRequest,
    LearnFrom,
    Notice,
    OpenModel,
    QuitWorker,
    SaveModel,
    ScoreViews,
    ShowPhotographs,
    SmallPhotographs,
    StopFilm,
    ViewScores,
    WorkerReport,
    WorkerStarted,
)
from viewer.worker.drawing import PassOrder, draw_pass
from viewer.worker.film import FilmWriter
from viewer.worker.frames import Frames, never
from viewer.worker.learner import Learner
from viewer.worker.open_field import OpenField
from viewer.worker.open_fields import OpenFields
from viewer.worker.views import shrink_photograph

GLANCE = 0.3  # seconds between looks at whether kernels are being compiled
IDLE = 0.5  # seconds to sleep where nothing is to be done
SMALL = 200  # pixels, longest side of pictures drawn only to be scored
SUFFIX = ".safetensors"


class Channel(Protocol):
    """Where commands come from and reports go (viewer.worker.process.PipeChannel)."""

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

    def report(self, report: WorkerReport) -> None:
        """Send a report."""
        ...


class Worker:
    """The worker, but for its process and its pipe."""

    def __init__(self, device: str, channel: Channel) -> None:
        self.device, self.channel = pick_device(device), channel
        self.fields = OpenFields(self.device, channel.report)
        self.frames = Frames(self.fields, channel.report, channel.interrupts)
        self.film_writer: FilmWriter | None = None
        self.clearing: list[threading.Thread] = []  # of films that were given up
        self.saving = False  # a model file that was asked for
        self.scorings: list[Iterator[None]] = []  # work in slices that ends by itself
        self.slices = 0  # of work so far
        self.turn = 0  # slices of learning so far, so that learners take turns
        self.over = False

    # ---- the loop

    def run(self) -> None:
        """Until the front end asks to quit or is gone; what is being learnt is saved then."""
        self.warm()
        threading.Thread(target=self.tell_compiling, name="compiling", daemon=True).start()
        layer = self.guard(numba.np.ufunc.parallel.threading_layer, "threads") or "unknown"
        self.channel.report(WorkerStarted(name_device(self.device), f"{layer}, {torch.get_num_threads()} threads"))
        while not self.over and not self.channel.closed:
            for command in self.channel.take():
                self.guard(lambda command=command: self.obey(command), "")
            if not self.over and not self.guard(self.work, ""):
                self.channel.wait(IDLE)
        for pane in self.fields.panes.values():
            self.guard(lambda pane=pane: self.keep(pane), pane.name)
        self.give_up_film()
        for thread in self.clearing:
            thread.join()

    @property
    def unsaved(self) -> bool:
        """Whether `run` has something to save at its end, or to clear away."""
        busy = self.saving or self.film_writer or any(thread.is_alive() for thread in self.clearing)
        return bool(busy) or any(pane.learner and pane.learner.unsaved for pane in self.fields.panes.values())

    def give_up_film(self) -> None:
        """Have nothing of the film stay, where one is being drawn."""
        if self.film_writer:
            self.clearing = [*(thread for thread in self.clearing if thread.is_alive()), self.film_writer.stop()]
            self.channel.report(replace(self.film_writer.report(), final=True))
            self.film_writer = None

    def tell_compiling(self) -> None:
        """In a thread of its own: say that kernels are being compiled, which no picture and no step comes through."""
        told = False
        while not self.over:
            if COMPILING.busy != told:
                told = not told
                self.channel.report(Activity("compiling kernels, once" if told else ""))
            time.sleep(GLANCE)

    def warm(self) -> None:
        """Let Numba choose its threads: it only tells of them once a parallel kernel has run."""
        from render.kernels.composite import composite

        one = torch.ones(1, device=self.device)
        composite(one, torch.ones(1, 3, device=self.device), one, one, torch.tensor([0, 1], device=self.device))

    def guard(self, act: Callable[[], Any], who: str, pane: int | None = None) -> Any:
        """Do it; whatever goes wrong is told in one line, and everything else goes on."""
        try:
            return act()
        except Exception as error:  # the worker outlives whatever one field, file or command does
            expected = isinstance(error, ValueError | OSError)
            text = one_line(error) if expected else f"{type(error).__name__}: {one_line(error)}"
            if os.environ.get("POLYFIELD_TRACEBACK") == "1":
                traceback.print_exc()
            self.channel.report(Notice(f"{who}: {text}" if who else text, True, pane))
            return None

    def work(self) -> bool:
        """One slice of work; False where there is nothing to do."""
        learners = [pane for pane in self.fields.panes.values() if pane.busy]
        begin = time.perf_counter()
        self.slices += 1
        if self.film_writer and self.slices % 2 and not self.frames.moving:  # a film takes turns with all else
            self.film_on(self.film_writer)
            return True
        if self.frames.due(learning=bool(learners)):
            self.draw_on(learning=bool(learners))
            self.frames.account(drawn=time.perf_counter() - begin)
            return True
        if learners:
            self.turn += 1
            self.learn_on(learners[self.turn % len(learners)])
            self.frames.account(learnt=time.perf_counter() - begin)
            return True
        if self.film_writer:
            self.film_on(self.film_writer)
            return True
        if self.scorings:
            self.score_on()
            return True
        return False

    def draw_on(self, *, learning: bool) -> None:
        """One picture. Where that fails, none follows until something else is wanted: once is enough to be told."""
        try:
            self.frames.draw(learning=learning)
        except Exception:
            self.frames.request = None
            raise

    def learn_on(self, pane: OpenField) -> None:
        """One slice of a pane's learning."""
        assert pane.learner
        before = pane.learner.life
        try:
            pane.learner.advance()
        finally:
            changed = pane.learner.life != before
            self.tell_progress(pane, due=changed)
        if before == "running":
            self.frames.stale(pane.number)
        if pane.learner.life == "done":
            self.channel.report(Notice(f"{pane.name}: wrote {pane.learner.job.model}", pane=pane.number))
            self.channel.report(pane.describe())

    def tell_progress(self, pane: OpenField, *, due: bool) -> None:
        """Report how a pane learns, where it is time."""
        if pane.learner and (report := pane.learner.progress(pane.number, due=due)):
            self.channel.report(report)

    def film_on(self, film_writer: FilmWriter) -> None:
        """One frame of the film."""
        try:
            going = film_writer.advance()
        except ValueError:
            self.film_writer = None
            self.channel.report(replace(film_writer.report(), final=True))
            raise
        self.channel.report(film_writer.report(final=not going))
        if not going:
            self.film_writer = None
            self.channel.report(Notice(f"wrote {film_writer.path}"))

    def score_on(self) -> None:
        """One slice of the oldest scoring."""
        scoring = self.scorings[0]
        try:
            next(scoring)
        except StopIteration:
            self.scorings.remove(scoring)
        except Exception:
            self.scorings.remove(scoring)
            raise

    # ---- commands

    def obey(self, command: Command) -> None:
        """Do what a front end asks. ValueError or OSError where that cannot be."""
        match command:
            case FrameRequest():
                self.frames.want(command)
            case OpenModel():
                self.fields.open(command.path)
            case LearnFrom():
                self.tell_progress(self.fields.learn(command), due=True)
            case CompareWith():
                self.fields.photographs(command)
            case Convert():
                self.tell_progress(self.fields.convert(command), due=True)
            case ControlRun():
                self.control(command)
            case SaveModel():
                self.save(command)
            case CloseField():
                self.close(command.pane)
            case _:
                self.obey_small(command)

    def obey_small(self, command: Command) -> None:
        """The rest of them."""
        match command:
            case ScoreViews():
                self.scorings.append(self.score_views(self.fields.pane(command.pane)))
            case DrawFilm():
                self.film(command)
            case StopFilm():
                self.give_up_film()
            case ShowPhotographs():
                shown = tuple(shrink_photograph(v.view) if v.view else None for v in self.fields.views)
                self.channel.report(SmallPhotographs(shown))
            case QuitWorker():
                self.over = True

    def control(self, command: ControlRun) -> None:
        """Steer a pane's learning."""
        pane = self.fields.pane(command.pane)
        _ = pane.learning
        assert pane.learner
        if command.action == "pause":
            pane.learner.pause()
        elif command.action == "resume":
            pane.learner.resume()
        elif command.action == "step":
            pane.learner.step()
        elif not pane.learner.fresh:
            pane.learner.work.close()
            pane.learner = Learner(pane.learner.job.again())
            self.frames.stale(pane.number)
        self.tell_progress(pane, due=True)

    def save(self, command: SaveModel) -> None:
        """Write a pane's field as a model file, under the next free name where there is one already."""
        pane, path = self.fields.pane(command.pane), Path(command.path)
        path = find_free(path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX), SUFFIX)
        self.saving = True  # so that a worker that has to end waits for it
        try:
            if pane.learner:
                pane.learning.save_model(path)
            else:
                write_beside(path, Path(pane.path).read_bytes())
        finally:
            self.saving = False
        self.channel.report(Notice(f"wrote {path}", pane=pane.number))

    def close(self, number: int) -> None:
        """Forget a pane."""
        pane = self.fields.pane(number)
        self.keep(pane)
        del self.fields.panes[number]
        self.frames.forget(number)
        self.channel.report(FieldClosed(number))

    def keep(self, pane: OpenField) -> None:
        """Save what a pane has learnt."""
        if pane.learner and (text := pane.learner.save()):
            self.channel.report(Notice(text, pane=pane.number))
        if pane.learner:
            pane.learner.work.close()

    def score_views(self, pane: OpenField) -> Iterator[None]:
        """Draw every photograph from a pane, small, and say how far off each is."""
        if not any(entry.view for entry in self.fields.views):
            raise ValueError("there are no photographs to compare with: open their data set first")
        views, found = self.fields.views, [float("nan")] * len(self.fields.views)
        for number, entry in enumerate(views):
            if entry.view is None:
                continue
            if pane.number not in self.fields.panes or self.fields.views is not views:
                return
            factor = min(1.0, SMALL / max(entry.camera.size))
            camera = entry.camera.resized(*(max(1, round(n * factor)) for n in entry.camera.size))
            wanted = FrameRequest(0, camera, (pane.number,))
            order = PassOrder(0, entry.truth(camera.size, pane.background))
            drawn = draw_pass(pane.source, wanted, camera, order, never)
            if drawn is not None and drawn.psnr is not None:
                found[number] = drawn.psnr
            self.channel.report(ViewScores(pane.number, tuple(found), False))
            yield
        self.channel.report(ViewScores(pane.number, tuple(found), True))

    def film(self, command: DrawFilm) -> None:
        """Begin a film."""
        if self.film_writer:
            raise ValueError(f"{self.film_writer.path}: is still being drawn; stop it first")
        pane = self.fields.pane(command.pane)
        span = self.film_span(pane, command)

        def frame(number: int) -> Tensor | None:
            camera = command.cameras[number]
            request = FrameRequest(0, camera, (pane.number,), command.mode)
            drawn = draw_pass(pane.source, request, camera, PassOrder(0, None, span), self.channel.interrupts)
            if drawn is None or drawn.legend is None:
                return drawn.picture if drawn else None
            return torch.from_numpy(draw_legend(bytes_of(drawn.picture), drawn.legend)) / 255

        self.film_writer = FilmWriter(command, frame)

    def film_span(self, pane: OpenField, film: DrawFilm) -> tuple[float, float] | None:
        """Distances that depth is shown between in all of a film's frames; None where its mode shows none."""
        if not MODES[film.mode].stretched or not film.cameras:
            return None
        spans = list[tuple[float, float]]()
        for camera in map(shrink, choose_few(film.cameras)):
            drawn = draw_pass(
                pane.source, FrameRequest(0, camera, (pane.number,), film.mode), camera, PassOrder(), never
            )
            assert drawn is not None
            spans.append(drawn.span)
        return join_spans(spans)


def name_device(device: torch.device) -> str:
    """A device, for a person."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
