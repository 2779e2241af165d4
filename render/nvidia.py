"""Marching and compositing by nerfacc, with the contracts of `OccupancyGrid.march` and `composite`: a cross-check of
values, and the peer that `bench-scene --against nvidia` measures. Never needed otherwise, imported only when asked for.
"""

import importlib
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

import render.renderer
from fields.field import Field
from render.buffers import Buffers, Fitted
from render.camera import Camera
from render.kernels.march import cross_box
from render.occupancy import OccupancyGrid, unpack
from render.precision import precision
from render.rays import RayBatch, Samples, rows
from render.renderer import Frame, Look, Pixels, color

MISSING = "nerfacc is not installed: pip install 'polyfield[nvidia]' (its first use compiles it, with CUDA's compiler)"


def library() -> Any:
    """nerfacc. ValueError, with what installs it, where it is missing."""
    try:
        return importlib.import_module("nerfacc")
    except ImportError:
        raise ValueError(MISSING) from None


@final
@dataclass(frozen=True)
class Walked:
    """An occupancy grid through which nerfacc walks."""

    grid: OccupancyGrid
    cells: Tensor  # (K, G, G, G) bool, by x, y, z
    cubes: Tensor  # (K, 6) float32, low and high corner of every cascade

    @staticmethod
    def through(grid: OccupancyGrid) -> "Walked":
        """The same cells in nerfacc's order."""
        count, g = len(grid.bits), grid.resolution
        cells = unpack(grid.bits).view(count, g, g, g).permute(0, 3, 2, 1).contiguous()
        half = torch.exp2(torch.arange(count, device=grid.bits.device).float())[:, None].expand(-1, 3) / 2
        return Walked(grid, cells, torch.cat([0.5 - half, 0.5 + half], -1))

    @property
    def bits(self) -> Tensor:
        """As OccupancyGrid's."""
        return self.grid.bits

    def march(
        self,
        rays: RayBatch,
        step: float,
        cone: float,
        *,
        jitter: Tensor | None = None,
        near: Tensor | None = None,
        limit: int = 1 << 30,
    ) -> Samples:
        """See OccupancyGrid.march. ValueError for steps that grow: nerfacc's grow by another law."""
        if cone:
            raise ValueError("nerfacc's steps grow by another law than ours: compare on a scene within the unit cube")
        zeros = torch.zeros_like(rays.origins[:, 0])
        jitter = zeros if jitter is None else jitter
        enter, leave = cross_box(rays.origins, rays.directions, self.grid.box)
        first = torch.maximum(enter, zeros if near is None else near)
        number = torch.ceil(first / step - jitter - 0.5).clamp(min=0)  # first interval whose middle is not before it
        intervals, samples, _ = library().traverse_grids(
            rays.origins,
            rays.directions,
            self.cells,
            self.cubes,
            near_planes=(number + jitter) * step,
            far_planes=leave.clamp(min=0),
            step_size=step,
            cone_angle=0.0,
            traverse_steps_limit=limit if limit < 1 << 30 else None,
        )
        low, high = intervals.vals[intervals.is_left], intervals.vals[intervals.is_right]
        offsets = torch.nn.functional.pad(samples.packed_info[:, 1].long().cumsum(0), (1, 0))
        return Samples(samples.ray_indices.long(), (low + high) / 2, high - low, offsets)


def composite(sigma: Tensor, rgb: Tensor, t: Tensor, dt: Tensor, offsets: Tensor) -> tuple[Tensor, ...]:
    """See render/kernels/composite.py: colour (R, 3), opacity (R,), distance (R,), weights (N,)."""
    nerfacc, rays = library(), len(offsets) - 1
    counts = offsets.diff()
    packed = torch.stack([offsets[:-1], counts], -1)  # (R, 2): first sample and how many
    ray = torch.repeat_interleave(torch.arange(rays, device=sigma.device), counts, output_size=len(sigma))
    low, high = t - dt / 2, t + dt / 2
    weights, _, _ = nerfacc.render_weight_from_density(
        low, high, sigma, packed_info=packed, ray_indices=ray, n_rays=rays
    )
    seen = nerfacc.accumulate_along_rays(weights, rgb, ray_indices=ray, n_rays=rays)
    solid = nerfacc.accumulate_along_rays(weights, None, ray_indices=ray, n_rays=rays)[:, 0]
    far = nerfacc.accumulate_along_rays(weights, t[:, None], ray_indices=ray, n_rays=rays)[:, 0]
    return seen, solid, far, weights


@final
@dataclass(frozen=True)
class NerfaccRenderer:
    """Stands where render/renderer.py's does; asks the field op by op."""

    step: float  # scene units
    cone: float
    stop: float = 1e-4  # light left at which a ray ends

    @torch.no_grad()
    def march(
        self, grid: OccupancyGrid, rays: RayBatch, generator: torch.Generator, buffers: Buffers,
        near: Tensor | None = None,
    ) -> Fitted:  # fmt: skip
        """Jittered samples. The cells are put in nerfacc's order every time: 2 MB of them."""
        jitter = torch.rand(len(rays), generator=generator, device=rays.origins.device)
        samples = Walked.through(grid).march(rays, self.step, self.cone, jitter=jitter, near=near)
        return Fitted(samples, torch.ones_like(jitter, dtype=torch.bool), samples.offsets[-1])

    @torch.no_grad()
    def visible(self, field: Field, rays: RayBatch, marched: Fitted, buffers: Buffers) -> Fitted:
        """Those that light reaches."""
        samples = marched.samples
        if not len(samples):
            return marched
        with precision(rays.origins.device):
            sigma = field.thickness(samples.positions(rays))
        packed = torch.stack([samples.offsets[:-1], samples.offsets.diff()], -1)
        low, high = samples.t - samples.dt / 2, samples.t + samples.dt / 2
        mask = library().render_visibility_from_density(low, high, sigma, packed_info=packed, early_stop_eps=self.stop)
        return buffers.keep(marched, mask)

    def shade(self, field: Field, rays: RayBatch, samples: Samples, recall: None = None) -> Pixels:
        """Differentiable pixels (R,) of given samples."""
        with precision(rays.origins.device):
            sigma, rgb = field.radiance(samples.positions(rays), rows(rays.directions, samples.ray))
        seen, opacity, distance, _ = composite(sigma, rgb, samples.t, samples.dt, samples.offsets)
        return Pixels(seen, opacity, distance / opacity.clamp(min=1e-6))

    def image(
        self, field: Field, grid: OccupancyGrid, camera: Camera, look: Look = color, near: float = 0.0
    ) -> Frame:  # fmt: skip
        """A picture in our waves of samples, which nerfacc finds."""
        ours, walked = render.renderer.Renderer(self.step, self.cone, self.stop), Walked.through(grid)
        return ours.image(field, walked, camera, look, near)  # type: ignore[arg-type]
