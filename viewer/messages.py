"""What a front end (window, browser) and the worker say to each other: plain frozen data, and nothing else crosses.

World: the scene units of whatever was opened first. Panes are numbered in the order in which they were opened; a number
is never used again. Lengths are scene units of the world and angles radians, pictures are uint8 RGB.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from render.camera import Camera
from render.legends import Legend
from scenes.options import Axis, Poses

RunState = Literal["running", "paused", "scoring", "done", "failed"]
WorldBox = tuple[float, float, float, float, float, float]  # x0 y0 z0 x1 y1 z1
PixelSize = tuple[int, int]  # width, height
SMALL = 96  # pixels along the longer side of a small photograph, at most


@dataclass(frozen=True)
class FrameRequest:
    """A picture that a front end wants. It replaces the one wanted before; frames name its number."""

    number: int  # ascending
    camera: Camera  # of one pane, at full resolution
    panes: tuple[int, ...]  # what is drawn, in this order
    mode: str = "color"  # one of render.looks.MODES
    moving: bool = False  # the person is moving: a coarse frame soon, rather than a fine one later
    view: int | None = None  # the view that `camera` looks through, unmoved
    near: float = 0.0  # nothing nearer is drawn
    aperture: float = 0.0  # radius of the thin lens; 0: everything is sharp
    focus: float = 1.0  # distance along the axis at which a thin lens is sharp, > 0
    exposure: float = 0.0  # stops
    background: tuple[float, float, float] | None = None  # None: the model's own
    crop: WorldBox | None = None  # nothing outside is drawn
    crop_turn: float = 0.0  # radians, of that box about the upright axis (+Z of the world) through its middle
    passes: int = 16  # samples per pixel to stop at, >= 1; the first goes through pixel centres


def are_same(one: FrameRequest, other: FrameRequest | None) -> bool:
    """Whether two requests would give the same picture. (Tensors have no truth value, so == does not do.)"""
    if other is None or replace(one, camera=other.camera) != other:
        return False
    a, b = one.camera, other.camera
    return a is b or (a.size == b.size and a.intrinsics == b.intrinsics and bool((a.pose == b.pose).all()))


# ---- commands: front end to worker


@dataclass(frozen=True)
class OpenModel:
    """Open a model file in a new pane."""

    path: str


@dataclass(frozen=True)
class LearnFrom:
    """Read a data set or mesh and train a field on it in a new pane."""

    data: str
    settings: Any  # distill.photographs.settings.Settings


@dataclass(frozen=True)
class CompareWith:
    """Read a data set only to compare with: its views take the place of those before."""

    data: str
    downscale: int = 1
    poses: Poses = "auto"  # as in ReadOptions
    up: Axis = "auto"  # of a mesh, as in ReadOptions


@dataclass(frozen=True)
class Convert:
    """Convert what a pane shows into another architecture, live in a new pane."""

    pane: int
    to: str
    preset: str = "auto"
    steps: int = 0  # 0: the command's default
    crop: WorldBox | None = None  # world; baked into the result
    out: str = ""  # folder or model file; see `folder`
    crop_turn: float = 0.0  # radians, as in FrameRequest

    def folder(self, name: str) -> str:
        """Where the result of converting the pane of this name goes."""
        return self.out or f"runs/{name}_{self.to}"


@dataclass(frozen=True)
class ControlRun:
    """Steer a pane's learning."""

    pane: int
    action: Literal["pause", "resume", "step", "reset"]


@dataclass(frozen=True)
class SaveModel:
    """Write a pane's field as a model file; under the next free name where there is one already."""

    pane: int
    path: str


@dataclass(frozen=True)
class CloseField:
    """Forget a pane. What it was learning is saved first."""

    pane: int


@dataclass(frozen=True)
class ScoreViews:
    """Draw every photograph from a pane, small, and say how far off each is."""

    pane: int


@dataclass(frozen=True)
class DrawFilm:
    """Draw cameras one after the other into a .mp4 or .gif, as `render-scene` does."""

    pane: int
    path: str
    cameras: tuple[Camera, ...]  # world, all of one size
    fps: float
    mode: str = "color"  # one of render.looks.MODES


@dataclass(frozen=True)
class StopFilm:
    """Give the film up; nothing of it stays."""


@dataclass(frozen=True)
class ShowPhotographs:
    """Send every view's photograph, small, to be shown where its camera stands."""


@dataclass(frozen=True)
class QuitWorker:
    """Save what is being learnt, and end."""


Command = (
    FrameRequest
    | OpenModel
    | LearnFrom
    | CompareWith
    | Convert
    | ControlRun
    | SaveModel
    | CloseField
    | ScoreViews
    | DrawFilm
    | StopFilm
    | ShowPhotographs
    | QuitWorker
)


# ---- reports: worker to front end


@dataclass(frozen=True)
class WorkerStarted:
    """The worker is ready."""

    device: str  # for a person
    threads: str  # Numba's threading layer


@dataclass(frozen=True)
class FrameDrawn:
    """A frame of one pane, over its background."""

    number: int  # of the request
    pane: int
    image: np.ndarray  # (h, w, 3) uint8; h <= height of the request's camera
    passes: int  # samples per pixel so far
    milliseconds: float  # that the last pass took
    samples: int  # points asked in the last pass
    psnr: float | None = None  # dB against the view's photograph, of a colour frame at full size through its view
    final: bool = False  # nothing better follows
    legend: Legend | None = None  # what its colours mean, where they are numbers
    depth: np.ndarray | None = None  # (h', w') float16, small: distance to what is seen, world units; infinite: nothing


@dataclass(frozen=True)
class FieldOpened:
    """A new pane."""

    pane: int
    name: str  # for a person: the file's stem or the data set's name
    path: str  # model file, or the data that it learns from
    architecture: str
    preset: str  # empty where unknown
    parameters: int
    model_bytes: int  # of the file, or of the file as it would be written now
    box: WorldBox  # world
    to_input: tuple[tuple[float, ...], ...]  # 4 x 4 similarity, world to input coordinates of the data set
    background: tuple[float, float, float]
    scored: float | None = None  # dB, as the file's header says; None where it does not, and of a field that learns


@dataclass(frozen=True)
class FieldClosed:
    """A pane is gone."""

    pane: int


@dataclass(frozen=True)
class ViewCamera:
    """A view: a camera that the person can look through."""

    name: str
    split: Literal["train", "test"]
    camera: Camera  # world
    photographed: bool  # there is a picture to compare with


@dataclass(frozen=True)
class Views:
    """Cameras that the person can look through: of the first data set, else of the first model that has any."""

    views: tuple[ViewCamera, ...]


@dataclass(frozen=True)
class Photograph:
    """The picture of a view, sent once when a request looks through it."""

    view: int
    image: np.ndarray  # (H, W, 3) uint8 over the background


@dataclass(frozen=True)
class SmallPhotographs:
    """The views' photographs, at most `SMALL` pixels along a side."""

    images: tuple[np.ndarray | None, ...]  # by view: (h, w, 3) uint8 on white; None where there is none


@dataclass(frozen=True)
class Activity:
    """What the worker is doing while nothing else can be done."""

    text: str  # for a person; empty: it is done
    share: float | None = None  # of it that is done, 0 to 1; None: nobody knows


@dataclass(frozen=True)
class RunProgress:
    """How a pane's learning goes; several a second."""

    pane: int
    life: RunState
    step: int  # steps done
    steps: int  # at most; 0: bounded by time only
    share: float  # of the run, 0 to 1
    phase: str
    loss: float
    psnr: float  # dB of the batches, smoothed; NaN before the first
    seconds: float  # spent learning
    samples_per_second: float


@dataclass(frozen=True)
class ViewScores:
    """How far off a pane is from each photograph."""

    pane: int
    psnr: tuple[float, ...]  # dB, by view; NaN where there is no photograph or not drawn yet
    done: bool


@dataclass(frozen=True)
class FilmProgress:
    """How far a film is."""

    path: str
    done: int
    frames: int
    final: bool = False  # the file is there, or it was given up where not all are done
    seconds: float = 0.0  # since it began


@dataclass(frozen=True)
class Notice:
    """Something a person may want to read: one line."""

    text: str
    trouble: bool = False  # something failed; everything else goes on
    pane: int | None = None


WorkerReport = (
    WorkerStarted
    | FrameDrawn
    | FieldOpened
    | FieldClosed
    | Views
    | Photograph
    | SmallPhotographs
    | Activity
    | RunProgress
    | ViewScores
    | FilmProgress
    | Notice
)
