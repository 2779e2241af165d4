"""Random pixels of photographs, with the rays through them."""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numba.typed.typedlist import List
from torch import Tensor

from render.camera import CameraBank
from render.rays import RayBatch
from scenes.scene import View


@dataclass(frozen=True)
class PixelBatch:
    """Pixels and their rays."""

    rays: RayBatch  # R rays
    rgb: Tensor  # (R, 3) float32 in [0, 1], straight alpha
    alpha: Tensor  # (R,) float32 in [0, 1]
    valid: Tensor  # (R,) bool, False where the photograph is masked out


@njit(nogil=True, cache=True)
def gather(images, masks, view, pixels, rgba, valid):  # noqa: ANN001, ANN201
    """Copy pixel (column, row) of image view[r] to rgba[r]. A mask of one pixel stands for its whole image."""
    for r in range(len(view)):
        image, mask = images[view[r]], masks[view[r]]
        column, row = pixels[r, 0], pixels[r, 1]
        for channel in range(4):
            rgba[r, channel] = image[row, column, channel]
        valid[r] = mask[min(row, mask.shape[0] - 1), min(column, mask.shape[1] - 1)]


class PixelPool:
    """Photographs as they lie in host memory, uint8, never copied."""

    def __init__(self, views: tuple[View, ...], device: torch.device) -> None:
        self.bank = CameraBank.of([v.camera for v in views]).to(device)
        self.device = device
        self.images = List([np.ascontiguousarray(v.image.numpy()) for v in views])
        whole = [bool(v.valid.all()) for v in views]
        one = np.ones((1, 1), np.bool_)
        self.masks = List([one if w else v.valid.contiguous().numpy() for v, w in zip(views, whole, strict=True)])
        self.widths = torch.tensor([v.camera.size[0] for v in views])
        self.ends = torch.tensor([v.camera.size[0] * v.camera.size[1] for v in views]).cumsum(0)

    def draw(self, count: int, generator: torch.Generator) -> PixelBatch:
        """Pixels drawn uniformly, with replacement, over all photographs; the generator lives on the CPU."""
        view, pixels, rgba, valid = self.chosen(count, generator)
        rays = self.bank.rays(view.to(self.device), pixels.to(self.device))
        rgba = rgba.to(self.device) / 255
        return PixelBatch(rays, rgba[:, :3], rgba[:, 3], valid.to(self.device))

    def chosen(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views (count,), pixels (count, 2), their RGBA (count, 4) from 0 to 255, whether each is valid (count,)."""
        place = torch.randint(int(self.ends[-1]), (count,), generator=generator)
        view = torch.searchsorted(self.ends, place, right=True)
        place = place - torch.nn.functional.pad(self.ends, (1, 0))[view]
        pixels = torch.stack([place % self.widths[view], place // self.widths[view]], -1)
        rgba, valid = torch.empty(count, 4), torch.empty(count, dtype=torch.bool)
        gather(self.images, self.masks, view.numpy(), pixels.numpy(), rgba.numpy(), valid.numpy())
        return view, pixels, rgba, valid

    def pick(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What `chosen` gives, for a way to a device: view, and pixel counted row by row, (count, 2), RGBA and valid
        (count, 5) uint8."""
        view, pixels, rgba, valid = self.chosen(count, generator)
        place = pixels[:, 0] + pixels[:, 1] * self.widths[view]
        return torch.stack([view, place], -1), torch.cat([rgba, valid[:, None].float()], -1).to(torch.uint8)
