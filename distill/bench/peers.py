"""A peer in the same run: tinycudann's encoding and networks, nerfacc's marching and compositing, beside ours. Same
scene, same weights to begin with, same batches; first the values are compared, then the times."""

import math
from collections.abc import Callable
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

import fields.nvidia
import render.nvidia
from distill.bench.field import along_rays, asking, scattered
from distill.bench.run import Wish, begun, frames, read, train_steps
from distill.bench.timing import median_ms
from distill.learning.fit import Optimization
from distill.photographs.pixels import HostPixels
from distill.photographs.source import Config, Photographs
from distill.photographs.training import Training
from fields.field import Field
from render.metrics import psnr
from render.occupancy import RESOLUTION, OccupancyEstimate, cascades_for
from render.precision import precision
from scenes.placing.cells import possible_cells

POINTS = 1 << 20


def against(wish: Wish, device: torch.device, repeats: int, points: int = POINTS) -> dict[str, Any]:
    """Values, times and ratios. ValueError where a library is missing, or DATA or --arch is none that the peer has."""
    fields.nvidia.library()
    render.nvidia.library()
    scene = read(wish)
    ours, peer = begun(wish, scene, device), begun(wish, scene, device)
    swap(peer)
    result: dict[str, Any] = {"peer": "nvidia", "values": values(ours.field, peer.field, device)}
    rows = field_times(ours.field, peer.field, device, points, repeats)
    steps = train_steps(ours), train_steps(peer)
    for name in ("mean_ms", "samples_per_step", "peak_memory_bytes"):
        rows[f"training step: {name}"] = (steps[0][name], steps[1][name])
    result["picture_db"] = picture_db(ours, peer)
    drawn = frames(ours, repeats), frames(peer, repeats)
    rows |= {f"frame: {name}": (drawn[0][name], drawn[1][name]) for name in drawn[0] if name.endswith("_ms")}
    result["rows"] = [
        {"what": k, "ours": a, "nvidia": b, "ratio": round(b / max(a, 1e-9), 3)} for k, (a, b) in rows.items()
    ]
    return result | {"data": wish.data, "architecture": wish.architecture}


def started(wish: Wish, device: torch.device) -> Training:
    """A run of the peer's alone, before its first step. ValueError as `against`."""
    fields.nvidia.library()
    render.nvidia.library()
    training = begun(wish, read(wish), device)
    swap(training)
    return training


def swap(training: Training) -> None:
    """Put the peer's field and renderer into a run that has not begun. Its steps are taken one by one, with Adam of
    PyTorch's, as nerfacc's own example does."""
    scene, recipe, device, own = training.scene, training.recipe, training.device, training.renderer
    drawing: Any = render.nvidia.Renderer(own.step, own.cone, own.stop)
    possible = possible_cells(scene, cascades_for(scene.box), RESOLUTION).to(device)
    occupancy = OccupancyEstimate(scene.box.to(device), own.step, possible, RESOLUTION)
    training.field, training.renderer = fields.nvidia.peer(training.field), drawing
    pixels = HostPixels(scene.train, device, recipe.seed)
    training.loss = Photographs(pixels, training.field, drawing, occupancy, Config(recipe.batch), recipe.seed)
    training.run = Optimization(training.field)


def values(ours: Field, peer: Field, device: torch.device) -> dict[str, float]:
    """Largest differences at the same points, of log-density and of colour, where both read the same vertices."""
    generator = torch.Generator().manual_seed(0)
    x, d = scattered(1 << 14, generator)
    x = (x * fields.nvidia.same_up_to(ours.architecture)).to(device)  # type: ignore[arg-type]
    x, d = ours.space.scene(x), d.to(device)
    with torch.no_grad(), precision(device):
        (sigma, rgb), (theirs, other) = ours.radiance(x, d), peer.radiance(x, d)
    off = (sigma.log() - theirs.log()).abs().max(), (rgb - other).abs().max()
    return {"log_density": round(float(off[0]), 5), "rgb": round(float(off[1]), 5)}


def field_times(ours: Field, peer: Field, device: torch.device, points: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of both, by what was asked."""
    generator, rows = torch.Generator().manual_seed(0), dict[str, Any]()
    for layout, place in (("random", scattered), ("along rays", along_rays)):
        x, d = (value.to(device) for value in place(points, generator))
        x = ours.space.scene(x)
        pair = timed(ours, x, d, repeats), timed(peer, x, d, repeats)
        rows |= {f"{points} points, {layout}: {what}, ms": (pair[0][what], pair[1][what]) for what in pair[0]}
    return rows


def timed(field: Field, x: Tensor, d: Tensor, repeats: int) -> dict[str, float]:
    """Milliseconds of density, radiance, and radiance with gradients."""
    density, radiance, _ = asking(field, x, d)
    parameters = [p for p in field.parameters() if p.numel()]
    push = torch.ones(len(x), device=x.device), torch.ones_like(x)

    def learn() -> object:
        with precision(x.device):
            answer = radiance()
        return torch.autograd.grad(answer, parameters, push)

    def quiet(ask: Callable[[], object]) -> float:
        with torch.no_grad():
            return median_ms(ask, repeats, x.device)

    times = {"density": quiet(density), "radiance": quiet(radiance)}
    times["radiance with gradients"] = median_ms(learn, repeats, x.device)
    return {name: round(spent, 3) for name, spent in times.items()}


def picture_db(ours: Training, peer: Training) -> float | None:
    """Our trained field drawn by our renderer and by the peer's: none where the pictures are equal."""
    camera = (ours.scene.test or ours.scene.train)[0].camera
    drawn = [run.renderer.image(ours.field, ours.loss.grid, camera).pixels.rgb.clamp(0, 1) for run in (ours, peer)]
    found = psnr(*drawn)
    return round(found, 2) if math.isfinite(found) else None


def table(result: dict[str, Any]) -> Table:
    """For a person."""
    shown = Table("what", "ours", "nvidia", "nvidia / ours", title=f"{result['data']}, {result['architecture']}")
    for row in result["rows"]:
        shown.add_row(row["what"], f"{row['ours']:,}", f"{row['nvidia']:,}", f"{row['ratio']:.2f}")
    off = result["values"]
    shown.caption = f"values differ by {off['log_density']} in log-density, {off['rgb']} in colour at most"
    return shown
