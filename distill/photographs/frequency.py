"""Frequency choice before training: the encoding whose untrained output has the photographs' spectrum (FreSh 2024).

A photograph and the untrained field are compared on the same window: the pixels around the box's centre, and the plane
through that centre that they look at, point by point. A spectrum is the mass of Fourier magnitudes at each radial
frequency, the mean left out; two spectra differ by the Wasserstein-1 distance, here in cycles per box side.
The publication bins by u + v over non-negative u and v, which sees half of all orientations; radial bins see them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import fields
from fields.field import Field
from fields.shape import Shape
from fields.space import Space
from render.camera import Camera, project
from scenes.scene import Scene, View

VIEWS = 5  # photographs looked at
DRAWS = 3  # untrained networks per candidate
LARGEST = 128  # pixels along a window
SMALLEST = 16  # windows below this are left out
INSIDE = 0.7  # of the box's longest side: a square of it, however turned, stays inside the unit box


@dataclass(frozen=True)
class Window:
    """A square of a photograph, and where its pixels lie on the plane through the box's centre."""

    rgb: Tensor  # (n, n, 3) float32, over the scene's background
    points: Tensor  # (n * n, 3) float32, scene units, row by row
    direction: Tensor  # (3,) float32, unit, from the camera to the box's centre
    cycle: float  # cycles per box side of one cycle per window


@dataclass(frozen=True)
class BandwidthChoice:
    """What was chosen, and how far every candidate's spectrum was from the photographs'."""

    bandwidth: float  # cycles per box side
    distances: dict[float, float]  # candidate -> mean Wasserstein-1 distance in cycles per box side

    def __str__(self) -> str:
        each = ", ".join(f"{b:g}: {d:.2f}" for b, d in self.distances.items())
        return f"frequency {self.bandwidth:g} cycles per box side (spectra differ by {each})"


def choose(shape: Shape, scene: Scene, seed: int) -> BandwidthChoice:
    """The bandwidth among the architecture's candidates. ValueError where it has none, or no picture shows the box."""
    candidates = fields.module(shape.name).Network.bandwidths
    if not candidates:
        having = [n for n in fields.NAMES if fields.module(n).Network.bandwidths]
        raise ValueError(f"--frequency: {shape.name} has no frequency to choose (those that have: {', '.join(having)})")
    seen = list(windows(scene))
    if not seen:
        raise ValueError("--frequency auto: no training picture shows the middle of the box; give a number instead")
    wanted = [spectrum(window.rgb) for window in seen]
    distances = {b: 0.0 for b in candidates}
    for bandwidth in candidates:
        for draw in range(DRAWS):
            generator = torch.Generator().manual_seed(seed + draw)
            tried = replace(shape, config=replace(shape.config, bandwidth=bandwidth))
            field = tried.build(Space(scene.box), generator)
            for window, want in zip(seen, wanted, strict=True):
                far = distance(want, spectrum(untrained(field, window))) * window.cycle
                distances[bandwidth] += far / (DRAWS * len(seen))
    return BandwidthChoice(min(distances, key=lambda b: distances[b]), distances)


@torch.no_grad()
def untrained(field: Field, window: Window) -> Tensor:
    """(n, n, 3) What the field shows on the window. From one direction, so that only the place counts, and in float32:
    what a grid shows before training is too faint for bf16."""
    _, features = field.density(window.points)
    return field.color(features, window.direction.expand(len(features), 3)).view(window.rgb.shape)


def spectrum(picture: Tensor) -> Tensor:
    """(n, n, C) -> (n // 2,) float64 that sum to 1: Fourier magnitudes over all channels at 1, 2, ... n // 2 cycles
    per window, by rounded radial frequency. A Hann window fades the edges, since no picture is periodic."""
    count = len(picture)
    hann = torch.hann_window(count, periodic=False, dtype=torch.float64, device=picture.device)
    fade = (hann[:, None] * hann)[..., None]
    values = picture.double()
    values = (values - (values * fade).sum((0, 1)) / fade.sum()) * fade
    magnitude = torch.fft.fft2(values, dim=(0, 1)).abs().sum(-1)
    cycles = torch.fft.fftfreq(count, 1 / count, dtype=torch.float64, device=picture.device)
    radius = torch.hypot(cycles[:, None], cycles).round().long().flatten()
    mass = torch.zeros(int(radius.max()) + 1, dtype=torch.float64, device=picture.device)
    mass = mass.index_add(0, radius, magnitude.flatten())[1 : count // 2 + 1]
    return mass / mass.sum().clamp(min=1e-12)


def distance(one: Tensor, other: Tensor) -> float:
    """Wasserstein-1 distance of two spectra (s,), in cycles per window: the area between their cumulative sums."""
    return float((one.cumsum(0) - other.cumsum(0)).abs().sum())


def windows(scene: Scene) -> Iterator[Window]:
    """Windows of photographs spread over the training set, those that show too little of the box left out."""
    stride = max(1, len(scene.train) // VIEWS)
    for view in scene.train[::stride][:VIEWS]:
        window = window_of(view, scene.box, torch.tensor(scene.background, dtype=torch.float32))
        if window is not None:
            yield window


def window_of(view: View, box: Tensor, background: Tensor) -> Window | None:
    """The square around the box's centre in one photograph. None where too little of it is in the picture."""
    camera, center, side = view.camera, box.float().mean(0), float((box[1] - box[0]).max())
    place, depth = project(camera, center[None])
    if not bool(torch.isfinite(place).all()) or float(depth) <= 0:
        return None
    pitch = float(depth) / camera.intrinsics.fx  # scene units per pixel on the plane
    (column, row), (width, height) = place[0].round().long().tolist(), camera.size
    half = int(min(INSIDE * side / pitch / 2, LARGEST // 2, column, width - column, row, height - row))
    if 2 * half < SMALLEST:
        return None
    rgba = view.image[row - half : row + half, column - half : column + half].float() / 255
    rgb = torch.lerp(background, rgba[..., :3], rgba[..., 3:])
    points = plane(camera, center, half, pitch)
    direction = torch.nn.functional.normalize(center - camera.pose[:3, 3], dim=0)
    return Window(rgb, points, direction, side / (2 * half * pitch))


def plane(camera: Camera, center: Tensor, half: int, pitch: float) -> Tensor:
    """(4 half^2, 3) points `pitch` apart on the plane through `center` that faces the camera, row by row downwards."""
    offset = (torch.arange(-half, half) + 0.5) * pitch
    right, up = camera.pose[:3, 0], camera.pose[:3, 1]
    return (center + offset[None, :, None] * right - offset[:, None, None] * up).reshape(-1, 3)
