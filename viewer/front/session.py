"""A front end's memory: what is open, from where and how it is shown. Frozen state, pure updates; `Session` sends them.

Window and browser keep all they know in one `State`; widgets read it and answer with a new one.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from distill.learning.files import Files
from render.camera import Camera
from viewer.front import navigation
from viewer.front.arrangement import Arrangement
from viewer.front.controls import EXPOSURE, GAIN, PHOTOGRAPH, SAMPLES, WIPE
from viewer.front.navigation import Eye
from viewer.messages import (
    Activity,
    Command,
    CompareWith,
    FieldClosed,
    FieldOpened,
    FilmProgress,
    FrameDrawn,
    FrameRequest,
    LearnFrom,
    Notice,
    OpenModel,
    Photograph,
    RunProgress,
    SmallPhotographs,
    ViewCamera,
    Views,
    ViewScores,
    WorkerReport,
    WorkerStarted,
    WorldBox,
    are_same,
)

HISTORY = 2000  # points of a curve; more are thinned to half
NOTICES = 50  # lines that are remembered
SETTLE = 0.1  # seconds without a change after which the eye counts as still


@dataclass(frozen=True)
class DisplaySettings:
    """How it is shown: all that a person sets besides the eye."""

    mode: str = "color"
    layout: Arrangement = "split"
    wipe: float = WIPE.usual  # share of the width left of the divider
    gain: float = GAIN.usual  # of differences
    exposure: float = EXPOSURE.usual  # stops
    background: tuple[float, float, float] | None = None  # None: the models' own
    crop: WorldBox | None = None  # world
    crop_turn: float = 0.0  # radians, of the crop box about the upright axis through its middle
    truth: float = PHOTOGRAPH.usual  # how much of the photograph lies over the frame, 0 to 1
    blink: bool = False  # the photograph comes and goes
    show_box: bool = False
    show_cameras: bool = False
    fly: bool = False  # drags turn the head instead of the scene
    passes: int = int(SAMPLES.usual)  # samples per pixel when still


@dataclass(frozen=True)
class Curve:
    """How a run went: equally long lists, thinned as they grow."""

    seconds: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    psnr: tuple[float, ...] = ()

    def with_point(self, seconds: float, loss: float, psnr: float) -> "Curve":
        """One more point; every second one is dropped where there are too many."""
        both = Curve((*self.seconds, seconds), (*self.loss, loss), (*self.psnr, psnr))
        if len(both.seconds) <= HISTORY:
            return both
        return Curve(both.seconds[::2], both.loss[::2], both.psnr[::2])


@dataclass(frozen=True)
class Pane:
    """One field, as the front end knows it."""

    opened: FieldOpened
    shown: bool = True
    frame: FrameDrawn | None = None  # the last one
    progress: RunProgress | None = None  # None: it does not learn
    curve: Curve = field(default_factory=Curve)
    scores: tuple[float, ...] = ()  # dB by view
    psnr: float | None = None  # dB against the photograph of the view that is looked through


@dataclass(frozen=True)
class State:
    """Everything."""

    eye: Eye | None = None  # None: nothing is open yet
    display: DisplaySettings = field(default_factory=DisplaySettings)
    panes: tuple[Pane, ...] = ()
    views: tuple[ViewCamera, ...] = ()
    photograph: Photograph | None = None  # of the view that is looked through
    notices: tuple[Notice, ...] = ()
    film: FilmProgress | None = None
    activity: Activity | None = None  # what the worker does while nothing else can be done
    photographs: tuple[np.ndarray | None, ...] = ()  # small ones, by view
    worker: Literal["starting", "ready", "gone"] = "starting"
    device: str = ""
    first: int | None = None  # view to begin with

    @property
    def shown(self) -> tuple[Pane, ...]:
        """The panes that are drawn."""
        return tuple(pane for pane in self.panes if pane.shown)

    def pane(self, number: int) -> Pane | None:
        """A pane by its number."""
        return next((pane for pane in self.panes if pane.opened.pane == number), None)


def apply_report(state: State, report: WorkerReport) -> State:
    """The state after a report."""
    match report:
        case WorkerStarted():
            return replace(state, worker="ready", device=report.device)
        case FieldOpened():
            return add_pane(state, report)
        case FieldClosed():
            return replace(state, panes=tuple(p for p in state.panes if p.opened.pane != report.pane))
        case Views():
            return replace(state, views=report.views, photographs=())
        case Photograph() | FilmProgress():
            return replace(state, **{"film" if isinstance(report, FilmProgress) else "photograph": report})
        case Activity():
            return replace(state, activity=report if report.text else None)
        case SmallPhotographs():
            return replace(state, photographs=report.images)
        case Notice():
            return replace(state, notices=(*state.notices, report)[-NOTICES:])
        case FrameDrawn() | RunProgress() | ViewScores():
            panes = tuple(update_pane(p, report) if p.opened.pane == report.pane else p for p in state.panes)
            return replace(state, panes=panes)


def add_pane(state: State, report: FieldOpened) -> State:
    """A new pane, or news of one that is there."""
    if state.pane(report.pane):
        panes = tuple(replace(p, opened=report) if p.opened.pane == report.pane else p for p in state.panes)
        return replace(state, panes=panes)
    cameras = tuple(spot.camera for spot in state.views)
    eye = state.eye
    if eye is None:
        eye = navigation.start(report.box, cameras)
        if state.first is not None and state.first < len(cameras):
            eye = navigation.look_through(eye, cameras[state.first], state.first, navigation.find_center(report.box))
    return replace(state, panes=(*state.panes, Pane(report)), eye=eye)


def update_pane(pane: Pane, report: FrameDrawn | RunProgress | ViewScores) -> Pane:
    """A pane after a report of its own."""
    match report:
        case FrameDrawn():
            psnr = report.psnr if report.psnr is not None else pane.psnr
            return replace(pane, frame=report, psnr=psnr)
        case ViewScores():
            return replace(pane, scores=report.psnr)
        case RunProgress():
            curve = pane.curve
            if report.step < (pane.progress.step if pane.progress else 0):
                curve = Curve()  # it was reset
            if not curve.seconds or report.seconds > curve.seconds[-1]:
                curve = curve.with_point(report.seconds, report.loss, report.psnr)
            return replace(pane, progress=report, curve=curve)


def request_frame(state: State, size: tuple[int, int], number: int, moving: bool) -> FrameRequest | None:
    """The picture that is wanted of each shown pane, `size` pixels; None where there is nothing to see."""
    if state.eye is None or not state.shown:
        return None
    eye, look = state.eye, state.display
    view = eye.view if eye.view is not None and eye.view < len(state.views) else None
    camera = fit_camera(state.views[view].camera, size) if view is not None else navigation.make_camera(eye, size)
    return FrameRequest(
        number, camera, tuple(p.opened.pane for p in state.shown), look.mode, moving, view, eye.near, eye.aperture,
        eye.focus or eye.distance, look.exposure, look.background, look.crop, look.crop_turn, look.passes,
    )  # fmt: skip


def fit_camera(camera: Camera, size: tuple[int, int]) -> Camera:
    """A view's camera at the largest size of its own aspect that fits into `size`."""
    factor = min(size[0] / camera.size[0], size[1] / camera.size[1])
    width, height = (max(1, round(n * factor)) for n in camera.size)
    return camera.resized(width, height)


class WorkerLink(Protocol):
    """The way to a worker."""

    def send(self, command: Command) -> None:
        """Queue a command; never blocks, never raises."""
        ...

    def reports(self) -> Iterator[WorkerReport]:
        """All that has come in; never blocks. A worker that died is told of once."""
        ...

    @property
    def alive(self) -> bool:
        """Whether there is still a worker."""
        ...

    def quit(self) -> None:
        """Ask it to save and quit; it is alive until then."""
        ...

    def close(self) -> list[str]:
        """The same, and wait for that; what it said meanwhile."""
        ...


class Session:
    """A state, kept up to date with a worker. Front ends call `tick` in their loop and `change` on input."""

    def __init__(
        self, link: WorkerLink, state: State | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.link, self.state, self.clock = link, state or State(), clock
        self.number = 0
        self.openings: list[Command] = []  # what was opened, in this order
        self.sent: tuple[FrameRequest | None, tuple[int, int]] = (None, (0, 0))
        self.turned = -1e9  # when the eye last changed

    def change(self, state: State) -> None:
        """Take over a new state."""
        if state.eye != self.state.eye:
            self.turned = self.clock()
            if state.eye is None or self.state.eye is None or state.eye.view != self.state.eye.view:
                panes = tuple(replace(p, psnr=None) for p in state.panes)
                state = replace(state, panes=panes, photograph=None)
        self.state = state

    def send(self, command: Command) -> None:
        """Ask the worker for something."""
        if isinstance(command, OpenModel | LearnFrom | CompareWith):
            self.openings.append(command)
        self.link.send(command)

    def renew(self, link: WorkerLink) -> None:
        """Go on with another worker: eye and look stay, what was opened is opened again, and a run that was watched
        goes on at its last checkpoint."""
        self.link, self.sent = link, (None, (0, 0))
        self.state = replace(
            self.state, panes=(), film=None, photograph=None, photographs=(), activity=None, worker="starting"
        )
        for command in self.openings:
            link.send(resume_run(command))

    def tick(self, size: tuple[int, int], *, held: bool = False) -> bool:
        """Take in reports and ask for the picture wanted now, of `size` pixels a pane; `held`: a button or key that
        moves the eye is down. True where the state changed."""
        before = self.state
        for report in self.link.reports():
            self.change(apply_report(self.state, report))
        if not self.link.alive and self.state.worker != "gone":
            self.state = replace(self.state, worker="gone")
        moving = held or self.clock() - self.turned < SETTLE
        wanted = request_frame(self.state, size, 0, moving) if min(size) > 0 else None
        if wanted is not None and not are_same(wanted, self.sent[0]):
            self.number += 1
            self.link.send(replace(wanted, number=self.number))
            self.sent = (wanted, size)
        return self.state is not before


def resume_run(command: Command) -> Command:
    """A command as it is given again: a run goes on at its last checkpoint, where there is one."""
    if not isinstance(command, LearnFrom):
        return command
    try:
        begun = Files.of(command.data, command.settings.out).checkpoint.is_file()
    except ValueError:  # nor could it be written when it was given first
        return command
    return replace(command, settings=replace(command.settings, resume=begun))
