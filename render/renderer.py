"""The renderer: rays to samples, samples to pixels. It never asks which architecture it is looking at."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from fields.field import Field
from fields.tiled import Recall
from render import fused_frame, tiled_frame
from render.buffers import Buffers, Exact, Fitted
from render.camera import Camera
from render.kernels.composite import composite, reach
from render.kernels.gather import gather
from render.occupancy import Marchable, OccupancyGrid
from render.precision import precision
from render.rays import RayBatch, Samples, rows
from render.units import UNIT_STEP

WAVES = (8, 12, 16, 24, 32)  # samples of a ray asked at once: in the first wave, the second, ..., all later ones
BUNCH = 1 << 15  # rays drawn together; at most 2^20 samples are asked at once
EXACT = Exact()
LEAST_STEP = 1e-4  # scene units: an occupied unit cube gives a ray 17 000 samples
LEAST_CONE = 1e-6
PART = 1 << 15  # points asked together: with more, what lies between layers leaves the cache, in new memory each time


@dataclass(frozen=True)
class Pixels:
    """What rays saw. A picture has its shape (H, W) where a batch has (R,)."""

    rgb: Tensor  # (..., 3) float32, multiplied by opacity, without background
    opacity: Tensor  # (...) float32 in [0, 1]
    depth: Tensor  # (...) float32, mean distance along the ray in scene units; 0 where nothing was seen

    def over(self, background: Tensor) -> Tensor:
        """RGB (..., 3) in front of a background (3,) or (..., 3)."""
        return self.rgb + (1 - self.opacity)[..., None] * background


Look = Callable[[Field, Tensor, Tensor, Tensor], Tensor]  # field, points (N, 3), features (N, F), directions (N, 3)


def color(field: Field, points: Tensor, features: Tensor, directions: Tensor) -> Tensor:
    """What a sample shows by default: its RGB (N, 3) in [0, 1]."""
    return field.color(features, directions)


def blank(field: Field, points: Tensor, features: Tensor, directions: Tensor) -> Tensor:
    """Black (N, 3), where only opacity and depth are wanted."""
    return torch.zeros_like(points)


@dataclass(frozen=True)
class Frame:
    """A drawn picture, or a batch of rays, and what it took."""

    pixels: Pixels  # (H, W) or (R,)
    counts: Tensor  # (H, W) or (R,) int32, points of each ray at which the field's density was asked

    @property
    def samples(self) -> int:
        """Points at which the field's density was asked."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Renderer:
    """How rays are sampled."""

    step: float = UNIT_STEP  # scene units, shortest interval
    cone: float = 0.0  # growth of intervals with distance; 1/256 where the scene exceeds the unit cube
    stop: float = 1e-4  # light left at which a ray ends

    def __post_init__(self) -> None:
        cone = self.cone == 0 or LEAST_CONE <= self.cone < 0.1
        if not LEAST_STEP <= self.step < 1 or not cone or not 0 <= self.stop < 1:
            wanted = f"{LEAST_STEP} <= step < 1, cone 0 or {LEAST_CONE:g} to 0.1, 0 <= stop < 1"
            raise ValueError(f"renderer wants {wanted}; found {self}")

    def rays(self, field: Field, grid: OccupancyGrid, rays: RayBatch, generator: torch.Generator) -> Pixels:
        """Differentiable pixels (R,) with jittered samples."""
        seen = self.visible(field, rays, self.march(grid, rays, generator))
        return self.shade(field, rays, seen.samples, seen.recall)

    @torch.no_grad()
    def march(
        self, grid: OccupancyGrid, rays: RayBatch, generator: torch.Generator, buffers: Buffers = EXACT,
        near: Tensor | None = None,
    ) -> Fitted:  # fmt: skip
        """Jittered samples, none before `near` (R,), scene units."""
        jitter = torch.rand(len(rays), generator=generator, device=rays.origins.device)
        return buffers.march(grid.walk(rays, self.step, self.cone, jitter=jitter, near=near))

    @torch.no_grad()
    def visible(self, field: Field, rays: RayBatch, marched: Fitted, buffers: Buffers = EXACT) -> Fitted:
        """The marched samples that light reaches: the density of all is asked, without gradients, and those are dropped
        that less than `stop` of the light gets to."""
        samples = marched.samples
        if not len(samples):
            return marched
        with precision(rays.origins.device):
            sigma, recall = field.glance(samples.positions(rays))
        light = reach(sigma, samples.dt, samples.offsets)
        kept = ~(light <= self.stop)  # NaN stays: a field that has gone bad must reach the loss
        return buffers.keep(replace(marched, recall=recall), kept)

    def shade(self, field: Field, rays: RayBatch, samples: Samples, recall: Recall | None = None) -> Pixels:
        """Differentiable pixels (R,) of given samples, those of spare rays left out. `recall`: what there is of these
        samples since the field was asked for their density."""
        with precision(rays.origins.device):
            if recall:
                sigma, rgb = recall.radiance(rays.directions, samples.ray)
            else:
                sigma, rgb = field.radiance(samples.positions(rays), rows(rays.directions, samples.ray))
        every = composite(sigma, rgb, samples.t, samples.dt, samples.offsets)
        seen, opacity, distance = (values[: len(rays)] for values in every[:3])
        return Pixels(seen, opacity, distance / opacity.clamp(min=1e-6))

    @torch.no_grad()
    def image(self, field: Field, grid: Marchable, camera: Camera, look: Look = color, near: float = 0.0) -> Frame:
        """A picture, without jitter, on the device of the grid. `look` says what is shown as rgb. Nothing is drawn that
        lies nearer than `near`, scene units along the ray."""
        if draw := whole(field, grid, look):
            rays = fused_frame.of_camera(camera, grid.bits.device)
            return shaped(framed(*draw(field, grid, rays, self.sampling(look, near))), camera)
        rays = camera.rays().to(grid.bits.device)
        parts = [self.bunch(field, grid, rays[i : i + BUNCH], look, near) for i in range(0, len(rays), BUNCH)]
        return shaped(joined(parts), camera)

    @torch.no_grad()
    def bunch(self, field: Field, grid: Marchable, rays: RayBatch, look: Look = color, near: float = 0.0) -> Frame:
        """Rays (R,): by one kernel where there is one, else in waves. What a ray shows does not depend on the others:
        bunches of any size give the same picture, but for float rounding."""
        if draw := whole(field, grid, look):
            return framed(*draw(field, grid, fused_frame.of_batch(rays), self.sampling(look, near)))
        return self.waves(field, grid, rays, look, near)

    @torch.no_grad()
    def waves(self, field: Field, grid: Marchable, rays: RayBatch, look: Look, near: float) -> Frame:
        """Rays (R,) drawn in waves of a few samples each; rays that have ended leave the next wave."""
        device = rays.origins.device
        zeros, rgb = torch.zeros(len(rays), device=device), torch.zeros(3, len(rays), device=device)
        opacity, looked, distance, begin = zeros, zeros.clone(), zeros.clone(), torch.full_like(zeros, near)
        alive, asked = torch.arange(len(rays), device=device), torch.zeros(len(rays), dtype=torch.int32, device=device)
        for limit in chain(WAVES, repeat(WAVES[-1])):
            live = rays[alive]
            samples = grid.march(live, self.step, self.cone, near=rows(begin, alive), limit=limit)
            if not len(samples):
                break
            points = samples.positions(live)
            sigma, features = answers(field, points)
            spans = (samples.t, samples.dt, samples.offsets)
            weights, solid, far, shown = gather(sigma, *spans, rows(opacity, alive), rows(looked, alive))
            seen = weights.nonzero()[:, 0]
            ray = rows(samples.ray, seen)
            with precision(device):
                shade = look(field, rows(points, seen), rows(features, seen), rows(live.directions, ray)).float()
            shade, whose = shade * rows(weights, seen)[:, None], rows(alive, ray)
            for channel, values in zip(rgb, shade.T, strict=True):
                channel.index_add_(0, whose, values)  # one by one: rows of three take fifty times as long
            opacity[alive], looked[alive] = solid, shown
            distance[alive] += far
            counts = samples.offsets.diff()
            last = (samples.offsets[1:] - 1).clamp(min=0)
            begin[alive] = samples.t[last] + samples.dt[last] / 2
            asked[alive] += counts.int()
            alive = alive[(counts == limit) & (solid < 1 - self.stop)]
        rgb *= opacity / looked.clamp(min=1e-6)  # what was never looked at has the colour of the rest
        return Frame(Pixels(rgb.T.contiguous(), opacity, distance / opacity.clamp(min=1e-6)), asked)

    def sampling(self, look: Look, near: float) -> fused_frame.Sampling:
        """The same as the kernels want it."""
        return fused_frame.Sampling(self.step, self.cone, self.stop, near, look is color)


Draw = Callable[[Field, Any, fused_frame.Rays, fused_frame.Sampling], tuple[Tensor, Tensor, Tensor, Tensor]]


def whole(field: Field, grid: Marchable, look: Look) -> Draw | None:
    """What draws rays by one kernel that shows this; None where nothing does."""
    kinds = (fused_frame, tiled_frame) if look in (color, blank) else ()
    return next((kind.draw for kind in kinds if kind.suits(field, grid)), None)


def framed(rgb: Tensor, opacity: Tensor, depth: Tensor, counts: Tensor) -> Frame:
    """What a kernel drew."""
    return Frame(Pixels(rgb, opacity, depth), counts)


def joined(parts: list[Frame]) -> Frame:
    """Batches of rays one after the other."""
    rgb, opacity = torch.cat([p.pixels.rgb for p in parts]), torch.cat([p.pixels.opacity for p in parts])
    depth = torch.cat([p.pixels.depth for p in parts])
    return Frame(Pixels(rgb, opacity, depth), torch.cat([p.counts for p in parts]))


def shaped(frame: Frame, camera: Camera) -> Frame:
    """All rays of a camera as a picture (H, W)."""
    (width, height), pixels = camera.size, frame.pixels
    rgb, opacity = pixels.rgb.view(height, width, 3), pixels.opacity.view(height, width)
    return Frame(Pixels(rgb, opacity, pixels.depth.view(height, width)), frame.counts.view(height, width))


def answers(field: Field, points: Tensor) -> tuple[Tensor, Tensor]:
    """Density (N,) and features (N, F) at points (N, 3), asked in parts that stay in cache."""
    with precision(points.device):
        parts = [field.density(part) for part in points.split(PART)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
