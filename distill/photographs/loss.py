"""Photographs teach a field: random pixels, random backgrounds, a fixed budget of samples per step."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from distill.learning.budget import FEWEST_RAYS, FIRST_RAYS, next_rays
from distill.learning.fit import Loss, Phase
from distill.photographs.pixels import PixelBatch, PixelPool
from fields.field import Field
from render.occupancy import OccupancyEstimate, OccupancyGrid
from render.renderer import Pixels, Renderer, kept
from scenes.scene import Scene

REFRESH = 16  # steps between occupancy updates, once training is under way
HUBER = 0.1  # error at which the loss turns from quadratic to linear


@dataclass(frozen=True)
class Config:
    """How photographs are turned into batches."""

    batch: int = 1 << 16  # samples per step that carry gradients, 2^10 to 2^20

    def __post_init__(self) -> None:
        if not 1 << 10 <= self.batch <= 1 << 20:
            raise ValueError(f"batch must be 1024 to 1048576 samples, found {self.batch}")


def due(index: int) -> bool:
    """Whether the occupancy is updated before this step: every step at first, then less and less often."""
    return index % min(REFRESH, index // 16 + 1) == 0


def difference(result: Pixels, pixels: PixelBatch, background: Tensor) -> tuple[Tensor, Tensor]:
    """Error () and mean squared error () without gradients of what rays saw, in front of a background (R, 3)."""
    target = torch.lerp(background, pixels.rgb, pixels.alpha[:, None])
    got = result.over(background)
    weight = pixels.valid.float()[:, None] / (3 * pixels.valid.sum().clamp(min=1))
    error = (torch.nn.functional.huber_loss(got, target, reduction="none", delta=HUBER) * weight).sum() / HUBER
    with torch.no_grad():
        return error, ((got - target).square() * weight).sum()


class Photographs:
    """The loss of training: call it with the step's index. Holds the occupancy estimate and the number of rays."""

    def __init__(
        self, scene: Scene, field: Field, renderer: Renderer, occupancy: OccupancyEstimate, config: Config, seed: int
    ) -> None:
        device = occupancy.values.device
        self.pool = PixelPool(scene.train, device)
        self.field, self.renderer, self.occupancy, self.config = field, renderer, occupancy, config
        self.host = torch.Generator().manual_seed(seed)  # draws pixels
        self.generator = torch.Generator(device).manual_seed(seed)  # draws jitter, backgrounds and cells
        self.grid: OccupancyGrid = occupancy.grid
        self.rays = FIRST_RAYS

    def __call__(self, index: int) -> Loss:
        """One batch's loss. Updates the occupancy first, where it is due."""
        if due(index):
            self.occupancy.update(self.field, self.generator)
            self.grid = self.occupancy.grid
        pixels = self.pool.draw(self.rays, self.host)
        background = torch.rand(len(pixels.rays), 3, generator=self.generator, device=pixels.alpha.device)
        samples = self.renderer.visible(self.field, self.grid, pixels.rays, self.generator, prune=index > 0)
        if len(samples) > 2 * self.config.batch:  # a batch far over budget loses its last rays
            fits = samples.offsets[1:] <= 2 * self.config.batch
            samples = kept(samples, fits[samples.ray])
            pixels.valid.logical_and_(fits)
        result = self.renderer.shade(self.field, pixels.rays, samples)
        error, mse = difference(result, pixels, background)
        rays, self.rays = self.rays, next_rays(self.rays, len(samples), self.config.batch)
        return Loss(error + self.field.architecture.penalty(self.generator), float(mse), rays, len(samples))

    def phases(self) -> tuple[Phase, ...]:
        """One, for the whole run."""
        return (Phase("photographs", 1.0, self, halve=self.halve),)

    def halve(self) -> int:
        """See Phase."""
        if self.config.batch < 2 << 10:
            return 0
        self.config, self.rays = replace(self.config, batch=self.config.batch // 2), max(self.rays // 2, FEWEST_RAYS)
        return self.config.batch

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs."""
        return {
            "photographs.rays": torch.tensor(self.rays),
            "photographs.host": self.host.get_state(),
            "photographs.generator": self.generator.get_state(),
            "photographs.values": self.occupancy.values.clone(),
            "photographs.occupied": self.occupancy.occupied.clone(),
            "photographs.updates": torch.tensor(self.occupancy.updates),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.rays = int(tensors["photographs.rays"])
        self.host.set_state(tensors["photographs.host"])
        self.generator.set_state(tensors["photographs.generator"])
        self.occupancy.values = tensors["photographs.values"].clone()
        self.occupancy.occupied = tensors["photographs.occupied"].bool().clone()
        self.occupancy.updates = int(tensors["photographs.updates"])
        self.grid = self.occupancy.grid
