"""The worker's engine: it owns all fields, obeys commands, and shares its time between drawing and learning."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numba.np.ufunc.parallel
import torch
from torch import Tensor

from distill import convert_scene
from fields.files import write_beside
from render.command import one_line, pick_device
from render.loaded import LoadedModel, open_model
from scenes.scene import ReadOptions, load
from viewer import album, learner
from viewer.drawing import World, carried, draw_pass
from viewer.easel import Easel
from viewer.film import Filmer
from viewer.learner import Learner
from viewer.messages import (
    Box,
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
from viewer.pane import Pane

IDLE = 0.5  # seconds to sleep where nothing is to be done
SMALL = 200  # pixels, longest side of pictures drawn only to be scored
SUFFIX = ".safetensors"


class Inbox(Protocol):
    """Where commands come from and reports go (viewer.link.Inbox)."""

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
        self.panes: dict[int, Pane] = {}
        self.opened = 0  # panes so far
        self.world: World | None = None  # of what was opened first
        self.entries: tuple[album.Entry, ...] = ()
        self.easel = Easel(self.panes, inbox.report, inbox.interrupts)
        self.filmer: Filmer | None = None
        self.errands: list[Iterator[None]] = []  # work in slices that ends by itself
        self.turn = 0  # counts slices of learning, so that learners take turns
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
        for pane in self.panes.values():
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
            if not expected:
                traceback.print_exc()
            self.inbox.report(Told(f"{who}: {text}" if who else text, True, pane))
            return None

    def work(self) -> bool:
        """One slice of work; False where there is nothing to do."""
        learners = [p for p in self.panes.values() if p.learner and p.learner.busy]
        begin = time.perf_counter()
        if self.easel.due(learning=bool(learners)):
            self.easel.draw(learning=bool(learners))
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
                self.open(command.path)
            case Learn():
                self.learn(command)
            case Photographs():
                self.photographs(command)
            case Convert():
                self.convert(command)
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
                self.errands.append(self.scoring(self.pane(command.pane)))
            case Film():
                self.film(command)
            case StopFilm():
                if self.filmer:
                    self.filmer.stop()
                    self.inbox.report(replace(self.filmer.report(), final=True))
                    self.filmer = None
            case Quit():
                self.over = True

    def pane(self, number: int) -> Pane:
        """A pane. ValueError where there is none (any more)."""
        if number not in self.panes:
            raise ValueError(f"pane {number} is closed")
        return self.panes[number]

    def open(self, path: str) -> None:
        """A model file in a new pane."""
        model = open_model(Path(path), self.device)
        self.world = self.world or World.of_model(model)
        pane = self.add(named(Path(path)), path, self.world, model=model)
        if not self.entries and (model.train_cameras or model.test_cameras):
            self.show_album(album.of_model(model, torch.linalg.inv(pane.carry)))
        self.inbox.report(pane.described())

    def learn(self, command: Learn) -> None:
        """A field that learns from photographs, in a new pane."""
        self.inbox.report(Told(f"reading {command.data} ..."))
        job, scene = learner.training(command.data, command.settings, self.tell)
        self.world = self.world or World.of_learning(job.learning)
        pane = self.add(scene.name, command.data, self.world, learner=Learner(job))
        if not any(e.view for e in self.entries):
            self.show_album(album.of_scene(scene, torch.linalg.inv(pane.carry)))
        self.inbox.report(pane.described())
        self.tell_progress(pane, due=True)

    def photographs(self, command: Photographs) -> None:
        """A data set to compare with."""
        self.inbox.report(Told(f"reading {command.data} ..."))
        scene = load(command.data, ReadOptions(command.downscale))
        self.tell(scene.facts)
        self.world = self.world or World(scene.transform, scene.box)
        self.show_album(album.of_scene(scene, torch.linalg.inv(carried(self.world, scene.transform))))

    def convert(self, command: Convert) -> None:
        """A field that learns from another one, in a new pane."""
        teacher = self.pane(command.pane)
        path = teacher.path
        if teacher.learner:
            path = str(teacher.learner.job.files.model)
            if teacher.learner.life != "done":
                teacher.learning.save_model(Path(path), {}, b"")
        out = Path(command.out) if command.out else Path("runs") / f"{teacher.name}_{command.to}"
        crop = (self.in_input(command.crop),) if command.crop else ()
        device: Literal["cpu", "cuda"] = "cuda" if self.device.type == "cuda" else "cpu"
        flags = convert_scene.Flags(
            path, to=command.to, preset=command.preset, steps=command.steps, crop=crop, out=out, device=device
        )
        job = learner.conversion(flags, self.tell)
        name = f"{teacher.name} as {job.learning.recipe.architecture}"
        pane = self.add(name, path, teacher.world, learner=Learner(job))
        self.inbox.report(pane.described())
        self.tell_progress(pane, due=True)

    def control(self, command: Control) -> None:
        """Steer a pane's learning."""
        pane = self.pane(command.pane)
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
        pane, path = self.pane(command.pane), Path(command.path)
        path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        if pane.learner:
            pane.learning.save_model(path, {}, b"")
        else:
            write_beside(path, Path(pane.path).read_bytes())
        self.inbox.report(Told(f"wrote {path}", pane=pane.number))

    def close(self, number: int) -> None:
        """Forget a pane."""
        pane = self.pane(number)
        self.keep(pane)
        del self.panes[number]
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
        if not any(entry.view for entry in self.entries):
            raise ValueError("there are no photographs to compare with: open their data set first")
        entries, found = self.entries, [float("nan")] * len(self.entries)
        for number, entry in enumerate(entries):
            if entry.view is None:
                continue
            if pane.number not in self.panes or self.entries is not entries:
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
        pane = self.pane(command.pane)

        def frame(number: int) -> Tensor:
            camera = command.cameras[number]
            drawn = draw_pass(pane.subject, Shot(0, camera, (pane.number,), command.mode), camera, 0, None, never)
            assert drawn is not None
            return drawn.picture

        self.filmer = Filmer(command, frame)

    # ---- what commands share

    def add(
        self, name: str, path: str, world: World, *, model: LoadedModel | None = None, learner: Learner | None = None
    ) -> Pane:
        """A new pane."""
        pane = Pane(self.opened, name, path, world, model, learner)
        self.panes[self.opened] = pane
        self.opened += 1
        return pane

    def in_input(self, box: Box) -> Box:
        """A box of the world in input coordinates. ValueError where these are turned against each other."""
        assert self.world is not None
        back = torch.linalg.inv(self.world.transform)
        turn = back[:3, :3] / back[0, 0]
        if not torch.allclose(turn, torch.eye(3, dtype=torch.float64), atol=1e-6):
            raise ValueError("the crop box does not lie along the axes of the data set's own coordinates")
        low, high = (torch.tensor([*box[i : i + 3], 1.0], dtype=torch.float64) @ back.T for i in (0, 3))
        x0, y0, z0, x1, y1, z1 = (*low[:3].tolist(), *high[:3].tolist())
        return x0, y0, z0, x1, y1, z1

    def show_album(self, entries: tuple[album.Entry, ...]) -> None:
        """Put an album in the place of the one before."""
        self.entries = entries
        self.inbox.report(album.message(entries))
        self.easel.album(entries)

    def tell(self, lines: Iterable[str]) -> None:
        """Facts for the person."""
        for line in lines:
            self.inbox.report(Told(line))


def never() -> bool:
    """What is asked whether to give up a picture that is wanted whatever happens."""
    return False


def named(path: Path) -> str:
    """A model, for a person: its file's name, or its folder's where the file is called as all are."""
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem


def device_name(device: torch.device) -> str:
    """A device, for a person."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
