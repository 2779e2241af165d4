"""Random pixels of photographs for a step that a CUDA graph repeats: drawn on the device where the photographs fit
there, else on the host, ahead of the step that needs them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from distill.memory import free, images_fit
from distill.pixels import PixelBatch, PixelPool
from render.camera import CameraBank
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


class DevicePixels:
    """Photographs on the device, uint8."""

    def __init__(self, views: tuple[View, ...], device: torch.device, count: int) -> None:
        self.count, self.device = count, device
        self.bank = CameraBank.of([v.camera for v in views]).to(device)
        self.colors = torch.cat([v.image.reshape(-1, 4) for v in views]).to(device)  # (P, 4) of all, one after another
        whole = all(bool(v.valid.all()) for v in views)
        masks = torch.ones(1, dtype=torch.bool) if whole else torch.cat([v.valid.reshape(-1) for v in views])
        self.masks = masks.to(device)  # (P,) bool, or one where nothing is masked out
        sizes = torch.tensor([v.camera.size[0] * v.camera.size[1] for v in views])
        self.widths = torch.tensor([v.camera.size[0] for v in views]).to(device)
        self.ends = sizes.cumsum(0).to(device)
        self.begins = (sizes.cumsum(0) - sizes).to(device)

    def prepare(self) -> None:
        """See Pixels: nothing is to be done."""

    def draw(self, generator: torch.Generator) -> PixelBatch:
        """See Pixels; the generator lives on the device."""
        place = torch.randint(len(self.colors), (self.count,), generator=generator, device=self.device)
        view = torch.searchsorted(self.ends, place, right=True)
        within, width = place - self.begins[view], self.widths[view]
        rays = self.bank.rays(view, torch.stack([within % width, within // width], -1))
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
        self.bank = CameraBank.of([v.camera for v in views]).to(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.after = self.generator.get_state()  # of the last step's draw
        self.numbers = torch.zeros(count, 3, dtype=torch.int64, device=device)  # view, column, row
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
        rays = self.bank.rays(self.numbers[:, 0], self.numbers[:, 1:])
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
