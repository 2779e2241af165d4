"""Random pixels of photographs for a step that a CUDA graph repeats: drawn on the device where the photographs fit
there, else on the host, ahead of the step that needs them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from distill.learning.memory import free, images_fit
from distill.photographs.pixels import PixelBatch, PixelPool
from render.camera import Camera, CameraBank, Intrinsics
from render.rays import RayBatch
from scenes.scene import View

AHEAD = 3  # batches that are drawn on the host before they are needed


class Pixels(Protocol):
    """Where a step's pixels come from."""

    def prepare(self) -> None:
        """Called by the host before every step, outside of a graph."""
        ...

    def draw(self, generator: torch.Generator) -> PixelBatch:
        """The step's pixels, drawn uniformly, with replacement, over all photographs. Never waits for the device."""
        ...

    def state(self) -> Tensor:
        """Of the random numbers that the host draws, as of the last step."""
        ...

    def restore(self, state: Tensor) -> None:
        """Inverse of `state`."""
        ...


def pixels_of(views: tuple[View, ...], device: torch.device, count: int, seed: int) -> Pixels:
    """`count` pixels a step, of photographs that lie on the device where they take no more than a share of what is free
    there."""
    fit = images_fit(sum(view.image.numel() for view in views), free(device))
    return DevicePixels(views, device, count) if fit else HostPixels(views, device, count, seed)


class Lenses:
    """Where every pixel of every different lens looks, worked out once: undoing a lens's distortion takes longer than
    all else that is done for a ray. Where they would take too much memory, rays are worked out as they are needed."""

    def __init__(self, views: tuple[View, ...], device: torch.device) -> None:
        cameras = [view.camera for view in views]
        kinds = {key(camera): Camera(torch.eye(4), *key(camera)) for camera in cameras}
        sizes = {kind: kind[1][0] * kind[1][1] for kind in kinds}
        begins = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
        self.bank = CameraBank.of(cameras).to(device)
        self.poses = torch.stack([camera.pose[:3] for camera in cameras]).to(device)  # (V, 3, 4)
        self.begins = torch.tensor([begins[key(camera)] for camera in cameras]).to(device)  # (V,) into directions
        self.widths = torch.tensor([camera.size[0] for camera in cameras]).to(device)
        self.whole = images_fit(12 * sum(sizes.values()), free(device))
        local = [camera.rays().directions for camera in kinds.values()] if self.whole else [torch.zeros(1, 3)]
        self.directions = torch.cat(local).to(device)  # (D, 3) unit, in the axes of the camera

    def rays(self, view: Tensor, pixel: Tensor) -> RayBatch:
        """Rays of pixels (R,), counted row by row, of views (R,)."""
        if not self.whole:
            width = self.widths[view]
            return self.bank.rays(view, torch.stack([pixel % width, pixel // width], -1))
        local, poses = self.directions.index_select(0, self.begins[view] + pixel), self.poses.index_select(0, view)
        return RayBatch(poses[:, :, 3], (poses[:, :, :3] * local[:, None]).sum(-1))


def key(camera: Camera) -> tuple[Intrinsics, tuple[int, int]]:
    """What cameras have in common whose pixels look the same way."""
    return camera.intrinsics, camera.size


class DevicePixels:
    """Photographs on the device, uint8."""

    def __init__(self, views: tuple[View, ...], device: torch.device, count: int) -> None:
        self.count, self.device = count, device
        self.lenses = Lenses(views, device)
        self.colors = torch.cat([v.image.reshape(-1, 4) for v in views]).to(device)  # (P, 4) of all, one after another
        whole = all(bool(v.valid.all()) for v in views)
        masks = torch.ones(1, dtype=torch.bool) if whole else torch.cat([v.valid.reshape(-1) for v in views])
        self.masks = masks.to(device)  # (P,) bool, or one where nothing is masked out
        sizes = torch.tensor([v.camera.size[0] * v.camera.size[1] for v in views])
        self.ends = sizes.cumsum(0).to(device)
        self.begins = (sizes.cumsum(0) - sizes).to(device)

    def prepare(self) -> None:
        """See Pixels: nothing is to be done."""

    def draw(self, generator: torch.Generator) -> PixelBatch:
        """See Pixels; the generator lives on the device."""
        place = torch.randint(len(self.colors), (self.count,), generator=generator, device=self.device)
        view = torch.searchsorted(self.ends, place, right=True)
        rays = self.lenses.rays(view, place - self.begins[view])
        rgba = self.colors.index_select(0, place) / 255
        valid = self.masks.index_select(0, place.clamp(max=len(self.masks) - 1))
        return PixelBatch(rays, rgba[:, :3], rgba[:, 3], valid)

    def state(self) -> Tensor:
        """See Pixels: the host draws nothing."""
        return torch.Generator().get_state()

    def restore(self, state: Tensor) -> None:
        """See Pixels."""


class HostPixels:
    """Photographs on the host: a thread draws some batches ahead, and each step's is copied to one place."""

    def __init__(self, views: tuple[View, ...], device: torch.device, count: int, seed: int) -> None:
        self.count, self.device = count, device
        self.pool = PixelPool(views, torch.device("cpu"))
        self.lenses = Lenses(views, device)
        self.generator = torch.Generator().manual_seed(seed)
        self.after = self.generator.get_state()  # of the last step's draw
        self.numbers = torch.zeros(count, 2, dtype=torch.int64, device=device)  # view, and pixel of it
        self.colors = torch.zeros(count, 5, dtype=torch.uint8, device=device)  # RGBA and valid
        self.thread = ThreadPoolExecutor(1)
        self.drawn: deque[Future[tuple[Tensor, Tensor, Tensor]]] = deque()

    def prepare(self) -> None:
        """See Pixels: the next batch goes to the device behind whatever that still has to do."""
        while len(self.drawn) < AHEAD:
            self.drawn.append(self.thread.submit(self.pick))
        numbers, colors, self.after = self.drawn.popleft().result()
        self.numbers.copy_(numbers, non_blocking=True)  # PyTorch keeps pinned memory until copies from it are over
        self.colors.copy_(colors, non_blocking=True)

    def pick(self) -> tuple[Tensor, Tensor, Tensor]:
        """In the thread: numbers and colours of a batch, pinned where a GPU reads them, and the generator's state
        behind it."""
        numbers, colors = self.pool.pick(self.count, self.generator)
        if self.device.type == "cuda":
            numbers, colors = numbers.pin_memory(), colors.pin_memory()
        return numbers, colors, self.generator.get_state()

    def draw(self, generator: torch.Generator) -> PixelBatch:
        """See Pixels; the numbers are drawn already."""
        rays = self.lenses.rays(self.numbers[:, 0], self.numbers[:, 1])
        rgba = self.colors[:, :4] / 255
        return PixelBatch(rays, rgba[:, :3], rgba[:, 3], self.colors[:, 4] > 0)

    def state(self) -> Tensor:
        """See Pixels."""
        return self.after

    def restore(self, state: Tensor) -> None:
        """See Pixels; what was drawn ahead is thrown away."""
        while self.drawn:
            self.drawn.popleft().result()
        self.generator.set_state(state)
        self.after = state.clone()
