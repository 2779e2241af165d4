"""A peer in the same run: tinycudann's encoding and networks, nerfacc's marching and compositing, beside ours. Same
scene, same weights to begin with, same batches; first the values are compared, then the times."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

import fields.nvidia
import render.nvidia
from distill.bench.field import POINT_LAYOUTS, prepare_evaluation, scatter_points
from distill.bench.results import tabulate
from distill.bench.run import Trial, begin_trial, read_pictures, time_frames, time_steps
from distill.bench.timing import measure_ms
from distill.learning.run import Run
from distill.photographs.job import STEPWISE, teach
from fields.field import Field
from render.metrics import psnr
from render.precision import precision
from scenes.scene import Scene

PEER_POINTS = 1 << 20


@dataclass(frozen=True)
class Pairing:
    """One figure of both."""

    what: str
    ours: float
    nvidia: float

    @property
    def ratio(self) -> float:
        """Theirs over ours."""
        return round(self.nvidia / max(self.ours, 1e-9), 3)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class Differences:
    """The largest ones at the same points."""

    log_density: float
    rgb: float


@dataclass(frozen=True)
class Comparison:
    """Ours and the peer's in one run."""

    data: str
    architecture: str
    values: Differences
    rows: tuple[Pairing, ...]
    picture_db: float | None  # our field drawn by both renderers; None where the pictures are equal

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "peer": "nvidia",
            "values": asdict(self.values),
            "picture_db": self.picture_db,
            "rows": [row.to_record() for row in self.rows],
            "data": self.data,
            "architecture": self.architecture,
        }

    def to_table(self) -> Table:
        """For a person."""
        columns: dict[str, Callable[[Pairing], str]] = {
            "what": lambda row: row.what,
            "ours": lambda row: f"{row.ours:,}",
            "nvidia": lambda row: f"{row.nvidia:,}",
            "nvidia / ours": lambda row: f"{row.ratio:.2f}",
        }
        off = f"values differ by {self.values.log_density} in log-density, {self.values.rgb} in colour at most"
        return tabulate(f"{self.data}, {self.architecture}", columns, self.rows, off)


def compare_engines(trial: Trial, device: torch.device, repeats: int, points: int = PEER_POINTS) -> Comparison:
    """Values, times and ratios. ValueError where a library is missing, or DATA or --arch is none that the peer has."""
    fields.nvidia.library()
    render.nvidia.library()
    scene = read_pictures(trial)
    ours, peer = begin_trial(trial, scene, device), begin_peer(trial, scene, device)
    values = compare_values(ours.field, peer.field, device)
    rows = compare_fields(ours.field, peer.field, device, points, repeats)
    own, other = time_steps(ours), time_steps(peer)
    rows += [
        Pairing("training step: mean_ms", own.mean_ms, other.mean_ms),
        Pairing("training step: samples_per_step", own.samples_per_step, other.samples_per_step),
        Pairing("training step: peak_memory_bytes", own.peak_memory_bytes, other.peak_memory_bytes),
    ]
    drawn = compare_pictures(ours, peer)
    for own, other in zip(*(time_frames(run, repeats).sizes for run in (ours, peer)), strict=True):
        rows.append(Pairing(f"frame: {own.width}x{own.height}_ms", own.ms, other.ms))
    return Comparison(trial.data, trial.architecture, values, tuple(rows), drawn)


def begin_peer(trial: Trial, scene: Scene, device: torch.device) -> Run:
    """A run of the peer's field and renderer, before its first step. Its steps are taken one by one, with Adam of
    PyTorch's, as nerfacc's own example does. ValueError as for `compare_engines`."""
    fields.nvidia.library()
    render.nvidia.library()
    ours = begin_trial(trial, scene, device)
    drawing: Any = render.nvidia.NerfaccRenderer(ours.renderer.step, ours.renderer.cone, ours.renderer.stop)
    return teach(scene, ours.recipe, fields.nvidia.peer(ours.field), drawing, STEPWISE)


def compare_values(ours: Field, peer: Field, device: torch.device) -> Differences:
    """Largest differences at the same points, of log-density and of colour, where both read the same vertices."""
    generator = torch.Generator().manual_seed(0)
    x, d = scatter_points(1 << 14, generator)
    x = (x * fields.nvidia.same_up_to(ours.architecture)).to(device)  # type: ignore[arg-type]
    x, d = ours.space.scene(x), d.to(device)
    with torch.no_grad(), precision(device):
        (sigma, rgb), (theirs, other) = ours.radiance(x, d), peer.radiance(x, d)
    off = (sigma.log() - theirs.log()).abs().max(), (rgb - other).abs().max()
    return Differences(round(float(off[0]), 5), round(float(off[1]), 5))


def compare_fields(ours: Field, peer: Field, device: torch.device, points: int, repeats: int) -> list[Pairing]:
    """Milliseconds of both, by what was asked."""
    generator, rows = torch.Generator().manual_seed(0), list[Pairing]()
    for layout, place in POINT_LAYOUTS.items():
        x, d = (value.to(device) for value in place(points, generator))
        x = ours.space.scene(x)
        own, other = time_evaluations(ours, x, d, repeats), time_evaluations(peer, x, d, repeats)
        rows += [Pairing(f"{points} points, {layout}: {what}, ms", own[what], other[what]) for what in own]
    return rows


def time_evaluations(field: Field, x: Tensor, d: Tensor, repeats: int) -> dict[str, float]:
    """Milliseconds of density, radiance, and radiance with gradients."""
    asked = prepare_evaluation(field, x, d)
    parameters = [p for p in field.parameters() if p.numel()]
    push = torch.ones(len(x), device=x.device), torch.ones_like(x)

    def learn() -> object:
        with precision(x.device):
            answer = asked.radiance()
        return torch.autograd.grad(answer, parameters, push)

    def quiet(ask: Callable[[], object]) -> float:
        with torch.no_grad():
            return measure_ms(ask, repeats, x.device)

    times = {"density": quiet(asked.density), "radiance": quiet(asked.radiance)}
    times["radiance with gradients"] = measure_ms(learn, repeats, x.device)
    return {name: round(spent, 3) for name, spent in times.items()}


def compare_pictures(ours: Run, peer: Run) -> float | None:
    """Our trained field drawn by our renderer and by the peer's: none where the pictures are equal."""
    camera = (ours.place.test or ours.place.train)[0]
    drawn = [run.renderer.image(ours.field, ours.source.grid, camera).pixels.rgb.clamp(0, 1) for run in (ours, peer)]
    found = psnr(*drawn)
    return round(found, 2) if math.isfinite(found) else None
