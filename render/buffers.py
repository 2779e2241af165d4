"""Samples in buffers of fixed size, for a step that a CUDA graph repeats: nothing here has a size that depends on data,
and the host never waits.

Rays whose samples do not fit any more are cut whole, from the last one on. What lies past the last sample repeats it,
and belongs to spare rays behind the R ones, many, so that none is long: nobody looks at these, and so the gradients of
their samples are zero.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.field import Field
from render.kernels.composite import reach
from render.kernels.march import march_count, march_fill
from render.occupancy import OccupancyGrid
from render.precision import precision
from render.rays import RayBatch, Samples, rows
from render.renderer import Pixels, Renderer

SPARE = 256  # rays that own what lies past the last sample
FAR = 1e6  # scene units; a ray that begins there has no samples


@dataclass(frozen=True)
class Marched:
    """Samples of R rays in buffers of M, zeros past the last one."""

    samples: Samples  # M, offsets (R + 1,)
    fits: Tensor  # (R,) bool, False for rays that were cut
    wanted: Tensor  # () int64, samples that all rays together have, those that were cut included


@dataclass(frozen=True)
class Kept:
    """Samples of R rays in buffers of N, with spare rays."""

    samples: Samples  # N, offsets (R + SPARE + 1,), the last of which is N
    fits: Tensor  # (R,) bool, False for rays that were cut
    wanted: Tensor  # () int64, samples that were to be kept


def march(renderer: Renderer, grid: OccupancyGrid, rays: RayBatch, jitter: Tensor, live: Tensor, size: int) -> Marched:
    """Samples of the rays where `live` (R,) bool, in buffers of `size`; `jitter` as in OccupancyGrid.march."""
    common = (jitter, grid.bits, grid.box, grid.resolution, renderer.step, renderer.cone)
    near = torch.where(live, 0.0, FAR)
    counts, first = march_count(rays.origins, rays.directions, near, *common, 1 << 30)
    ends = torch.where(live, counts, 0).cumsum(0)
    fits, offsets = cut(ends, size)
    ray, t, dt = march_fill(rays.origins, rays.directions, first, *common, offsets, size)
    return Marched(Samples(ray, t, dt, offsets), fits, ends[-1])


def cut(ends: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where rays end that follow each other (R,) -> which of them end within `size` (R,), and offsets (R + 1,) of
    these alone."""
    fits = ends <= size
    return fits, torch.nn.functional.pad(torch.where(fits, ends, 0).cummax(0).values, (1, 0))


def spread(offsets: Tensor, size: int) -> Tensor:
    """Offsets (R + 1,) -> (R + SPARE + 1,): with spare rays that share what lies from the last sample to `size`."""
    part = torch.arange(1, SPARE + 1, device=offsets.device)
    return torch.cat([offsets, offsets[-1] + (size - offsets[-1]) * part // SPARE])


def prune(marched: Marched, keep: Tensor, size: int) -> Kept:
    """The samples where `keep` (M,) is true, whatever it says past the last, in buffers of `size`."""
    samples = marched.samples
    ends = keep.cumsum(0)  # (M,)
    before = rows(torch.nn.functional.pad(ends, (1, 0)), samples.offsets)  # (R + 1,)
    fits, offsets = cut(before[1:], size)
    slots = torch.arange(1, size + 1, device=keep.device)
    source = torch.searchsorted(ends, torch.minimum(slots, offsets[-1]))  # (N,) the n-th kept one
    ray, t, dt = (rows(values, source) for values in (samples.ray, samples.t, samples.dt))
    return Kept(Samples(ray, t, dt, spread(offsets, size)), fits & marched.fits, before[-1])


@torch.no_grad()
def visible(renderer: Renderer, field: Field, rays: RayBatch, marched: Marched, size: int) -> Kept:
    """The samples that light reaches, as Renderer.visible finds them, in buffers of `size`."""
    samples = marched.samples
    with precision(rays.origins.device):
        sigma = field.thickness(samples.positions(rays))
    light = reach(sigma, samples.dt, spread(samples.offsets, len(samples)))
    return prune(marched, ~(light <= renderer.stop), size)  # NaN stays, as there


def shade(renderer: Renderer, field: Field, rays: RayBatch, kept: Kept) -> Pixels:
    """Differentiable pixels (R,)."""
    pixels, count = renderer.shade(field, rays, kept.samples), len(rays)
    return Pixels(pixels.rgb[:count], pixels.opacity[:count], pixels.depth[:count])
