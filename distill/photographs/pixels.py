"""Random pixels of photographs, with the rays through them. What differs is where photographs lie: on the host, on the
device, or on the host where pixels are drawn ahead of the step that needs them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, final

import numpy as np
import torch
from numba import njit
from numba.typed.typedlist import List
from torch import Tensor

from distill.learning.memory import free, images_fit
from fields.compiled import kept
from render.camera import Camera, CameraBank, Intrinsics
from render.rays import RayBatch, rows
from scenes.scene import View

AHEAD = 3  # batches that are drawn on the host before they are needed


@dataclass(frozen=True)
class PixelBatch:
    """Pixels and their rays."""

    rays: RayBatch  # R rays
    rgb: Tensor  # (R, 3) float32 in [0, 1], straight alpha
    alpha: Tensor  # (R,) float32 in [0, 1]
    valid: Tensor  # (R,) bool, False where the photograph is masked out


class PixelSource(Protocol):
    """Where a step's pixels come from."""

    def prepare(self) -> None:
        """Called by the host before every step, outside of a graph."""
        ...

    def draw(self, count: int, generator: torch.Generator) -> PixelBatch:
        """The step's pixels, drawn uniformly, with replacement, over all photographs; by the generator, which lives on
        the device, where the host does not draw them."""
        ...

    def state(self) -> Tensor:
        """Of the random numbers that the host draws, as of the last step."""
        ...

    def restore(self, state: Tensor) -> None:
        """Inverse of `state`."""
        ...


def unwaiting_pixels(views: tuple[View, ...], device: torch.device, count: int, seed: int) -> PixelSource:
    """`count` pixels a step, without waiting for the device: of photographs that lie there where they take no more than
    a share of what is free."""
    fit = images_fit(sum(view.image.numel() for view in views), free(device))
    return DevicePixels(views, device) if fit else AheadPixels(views, device, count, seed)


@final
class Places:
    """The pixels of all photographs, counted through."""

    def __init__(self, views: tuple[View, ...], device: torch.device, *, host: bool = False) -> None:
        """`host`: NumPy searches, on the CPU, where PyTorch would wake its threads for two thousand places, which takes
        ten times as long."""
        self.host = host
        sizes = torch.tensor([v.camera.size[0] * v.camera.size[1] for v in views])
        ends = sizes.cumsum(0)
        self.total = int(ends[-1])
        self.ends, self.begins = ends.to(device), (ends - sizes).to(device)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers (count,) of pixels, the views that they are of, and their numbers in these, row by row."""
        place = torch.randint(self.total, (count,), generator=generator, device=self.ends.device)
        view = self.search(place)
        return place, view, place - rows(self.begins, view)

    def search(self, place: Tensor) -> Tensor:
        """The views (count,) that places are of."""
        if self.host:
            return torch.from_numpy(np.searchsorted(self.ends.numpy(), place.numpy(), side="right"))
        return torch.searchsorted(self.ends, place, right=True)


@final
class Lenses:
    """Where pixels look. Worked out once for every pixel of every different lens, where `whole` and where that does
    not take too much memory: on a GPU, undoing a lens's distortion takes longer than all else that is done for a ray.
    Else worked out as rays are needed: 0.1 ms for the 1200 rays of a step on the CPU (built-in scene)."""

    def __init__(self, views: tuple[View, ...], device: torch.device, *, whole: bool) -> None:
        cameras = [view.camera for view in views]
        kinds = {key(camera): Camera(torch.eye(4), *key(camera)) for camera in cameras}
        sizes = {kind: kind[1][0] * kind[1][1] for kind in kinds}
        begins = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
        self.bank = CameraBank.of(cameras).to(device)
        self.poses = torch.stack([camera.pose[:3] for camera in cameras]).to(device)  # (V, 3, 4)
        self.begins = torch.tensor([begins[key(camera)] for camera in cameras]).to(device)  # (V,) into directions
        self.widths = torch.tensor([camera.size[0] for camera in cameras]).to(device)
        self.whole = whole and images_fit(12 * sum(sizes.values()), free(device))
        local = [camera.rays().directions for camera in kinds.values()] if self.whole else [torch.zeros(1, 3)]
        self.directions = torch.cat(local).to(device)  # (D, 3) unit, in the axes of the camera

    def rays(self, view: Tensor, pixel: Tensor) -> RayBatch:
        """Rays of pixels (R,), counted row by row, of views (R,)."""
        if not self.whole:
            width = rows(self.widths, view)
            return self.bank.rays(view, torch.stack([pixel % width, pixel // width], -1))
        local, poses = self.directions.index_select(0, self.begins[view] + pixel), self.poses.index_select(0, view)
        return RayBatch(poses[:, :, 3], (poses[:, :, :3] * local[:, None]).sum(-1))


def key(camera: Camera) -> tuple[Intrinsics, tuple[int, int]]:
    """What cameras have in common whose pixels look the same way."""
    return camera.intrinsics, camera.size


@njit(nogil=True, cache=kept())
def gather(images, masks, view, pixel, colors):  # noqa: ANN001, ANN201
    """Copy pixel[r] of image view[r], counted row by row, to colors[r], and whether it is valid behind it. A mask of
    one pixel stands for its whole image."""
    for r in range(len(view)):
        image, mask = images[view[r]], masks[view[r]]
        row, column = pixel[r] // image.shape[1], pixel[r] % image.shape[1]
        for channel in range(4):
            colors[r, channel] = image[row, column, channel]
        colors[r, 4] = mask[min(row, mask.shape[0] - 1), min(column, mask.shape[1] - 1)]


@final
class Album:
    """Photographs as they lie in host memory, uint8, never copied."""

    def __init__(self, views: tuple[View, ...]) -> None:
        self.places = Places(views, torch.device("cpu"), host=True)
        self.images = List([np.ascontiguousarray(v.image.numpy()) for v in views])
        one = np.ones((1, 1), np.bool_)
        self.masks = List([one if bool(v.valid.all()) else v.valid.contiguous().numpy() for v in views])

    def pick(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Views and their pixels (2, count), and RGBA and valid (count, 5) uint8; the generator lives on the CPU."""
        _, view, pixel = self.places.draw(count, generator)
        colors = torch.empty(count, 5, dtype=torch.uint8)
        gather(self.images, self.masks, view.numpy(), pixel.numpy(), colors.numpy())
        return torch.stack([view, pixel]), colors


def lit(rays: RayBatch, colors: Tensor, valid: Tensor) -> PixelBatch:
    """Rays (R,), colours (R, 4) uint8, valid (R,)."""
    rgba = colors / 255
    return PixelBatch(rays, rgba[:, :3], rgba[:, 3], valid)


@final
class HostPixels:
    """Photographs on the host, drawn as they are asked for."""

    def __init__(self, views: tuple[View, ...], device: torch.device, seed: int) -> None:
        self.album, self.lenses, self.device = Album(views), Lenses(views, device, whole=False), device
        self.generator = torch.Generator().manual_seed(seed)

    def prepare(self) -> None:
        """See PixelSource: nothing is to be done."""

    def draw(self, count: int, generator: torch.Generator) -> PixelBatch:
        """See PixelSource; the host draws them."""
        numbers, colors = (values.to(self.device) for values in self.album.pick(count, self.generator))
        return lit(self.lenses.rays(*numbers), colors[:, :4], colors[:, 4] > 0)

    def state(self) -> Tensor:
        """See PixelSource."""
        return self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        """See PixelSource."""
        self.generator.set_state(state)


@final
class DevicePixels:
    """Photographs on the device, uint8."""

    def __init__(self, views: tuple[View, ...], device: torch.device) -> None:
        self.places, self.lenses = Places(views, device), Lenses(views, device, whole=True)
        self.colors = torch.cat([v.image.reshape(-1, 4) for v in views]).to(device)  # (P, 4) of all, one after another
        whole = all(bool(v.valid.all()) for v in views)
        masks = torch.ones(1, dtype=torch.bool) if whole else torch.cat([v.valid.reshape(-1) for v in views])
        self.masks = masks.to(device)  # (P,) bool, or one where nothing is masked out

    def prepare(self) -> None:
        """See PixelSource: nothing is to be done."""

    def draw(self, count: int, generator: torch.Generator) -> PixelBatch:
        """See PixelSource; the generator draws them."""
        place, view, pixel = self.places.draw(count, generator)
        valid = self.masks.index_select(0, place.clamp(max=len(self.masks) - 1))
        return lit(self.lenses.rays(view, pixel), self.colors.index_select(0, place), valid)

    def state(self) -> Tensor:
        """See PixelSource: the host draws nothing."""
        return torch.Generator().get_state()

    def restore(self, state: Tensor) -> None:
        """See PixelSource."""


@final
class AheadPixels:
    """Photographs on the host: a thread draws some batches ahead, and each step's is copied to one place."""

    def __init__(self, views: tuple[View, ...], device: torch.device, count: int, seed: int) -> None:
        self.album, self.lenses = Album(views), Lenses(views, device, whole=True)
        self.count, self.device = count, device
        self.generator = torch.Generator().manual_seed(seed)
        self.after = self.generator.get_state()  # of the last step's draw
        self.numbers = torch.zeros(2, count, dtype=torch.int64, device=device)  # view, and pixel of it
        self.colors = torch.zeros(count, 5, dtype=torch.uint8, device=device)  # RGBA and valid
        self.thread = ThreadPoolExecutor(1)
        self.drawn: deque[Future[tuple[Tensor, Tensor, Tensor]]] = deque()

    def prepare(self) -> None:
        """See PixelSource: the next batch goes to the device behind whatever that still has to do."""
        while len(self.drawn) < AHEAD:
            self.drawn.append(self.thread.submit(self.pick))
        numbers, colors, self.after = self.drawn.popleft().result()
        self.numbers.copy_(numbers, non_blocking=True)  # PyTorch keeps pinned memory until copies from it are over
        self.colors.copy_(colors, non_blocking=True)

    def pick(self) -> tuple[Tensor, Tensor, Tensor]:
        """In the thread: numbers and colours of a batch, pinned where a GPU reads them, and the generator's state
        behind it."""
        numbers, colors = self.album.pick(self.count, self.generator)
        if self.device.type == "cuda":
            numbers, colors = numbers.pin_memory(), colors.pin_memory()
        return numbers, colors, self.generator.get_state()

    def draw(self, count: int, generator: torch.Generator) -> PixelBatch:
        """See PixelSource; the first of those that are drawn already."""
        colors = self.colors[:count]
        return lit(self.lenses.rays(*self.numbers[:, :count]), colors[:, :4], colors[:, 4] > 0)

    def state(self) -> Tensor:
        """See PixelSource."""
        return self.after

    def restore(self, state: Tensor) -> None:
        """See PixelSource; what was drawn ahead is thrown away."""
        while self.drawn:
            self.drawn.popleft().result()
        self.generator.set_state(state)
        self.after = state.clone()
