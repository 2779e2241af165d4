"""The frame on the CPU: which pictures one kernel draws, and what it is given. Same pictures as in waves, within
rounding."""

import numpy as np
import torch
from torch import Tensor

from fields import tiled
from fields.field import Field
from fields.kernels.queue_cpu import share_calmly
from render.fused_frame import Rays, Sampling
from render.kernels import frame_cpu as kernels
from render.kernels.gather import FAINT, SHARE
from render.kernels.march_cpu import arrays, blocks_of, lattice_of
from render.occupancy import Marchable, OccupancyGrid


def suits(field: Field, grid: Marchable) -> bool:
    """Whether one kernel draws this field."""
    return isinstance(grid, OccupancyGrid) and grid.bits.device.type == "cpu" and tiled.suits(field)


@torch.no_grad()
def draw(field: Field, grid: OccupancyGrid, rays: Rays, sampling: Sampling) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rgb (R, 3) multiplied by opacity, zeros where not `colored`; opacity (R,); mean distance (R,), 0 where nothing is
    seen; points asked (R,) int32."""
    network, head = tiled.both(field)
    rgb, asked = torch.zeros(rays.count, 3), torch.zeros(rays.count, dtype=torch.int32)
    opacity, looked, far = torch.zeros(3, rays.count)
    origins, directions = (rays.batch.origins, rays.batch.directions) if rays.batch else rgb.new_empty(2, 0, 3)
    (*given, bits, box) = arrays(rgb.new_tensor(rays.lens or ()), origins, directions, grid.bits, grid.box)
    space, resolution = field.space, grid.resolution
    share_calmly(
        kernels.draw,
        kernels.RayArrays(rays.count, *rays.size, *given),
        kernels.MarchArrays(
            float(sampling.near), np.float32(1 - sampling.stop), sampling.colored, FAINT, SHARE, bits,
            blocks_of(bits, resolution), box, resolution,
            lattice_of(grid.bits, resolution, sampling.step, sampling.cone),
        ),
        kernels.SpaceArrays(space.center.numpy(), np.float32(space.side), space.contraction == "sphere"),
        network.arrays(),
        head.arrays(),
        network.columns,
        network.width,
        kernels.Canvas(*(tensor.numpy() for tensor in (rgb, opacity, looked, far, asked))),
    )  # fmt: skip
    rgb *= (opacity / looked.clamp(min=1e-6))[:, None]  # what was never looked at has the colour of the rest
    return rgb, opacity, far / opacity.clamp(min=1e-6), asked
