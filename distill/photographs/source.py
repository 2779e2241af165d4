"""Photographs teach a field: random pixels, random backgrounds, a fixed budget of samples per step.

A step is written once. With `Exact` buffers the host knows how many rays and samples there are. With `Fixed` ones it
waits for nothing: see distill/device/captured.py, which wraps this from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from distill.learning.budget import FEWEST_RAYS, FIRST_RAYS, bounded_rays, restored_rays
from distill.learning.fit import Loss, Phase
from distill.learning.learnables import Learnables
from distill.learning.run import opacity
from distill.photographs.loss import Targets, error
from distill.photographs.pixels import PixelSource
from fields.field import Field
from render.buffers import FAR, Buffers, Exact, Fitted
from render.occupancy import OccupancyEstimate
from render.renderer import Renderer

REFRESH = 16  # steps between occupancy updates, once training is under way
FULL = 0.9  # share of the marched samples' buffer that is aimed at
REPORT = ("loss", "mse", "rays", "samples", "wanted", "marched")  # numbers of a step: samples with gradients, those
# that there would have been with more room, and those that were marched


def twice(batch: int) -> Exact:
    """Buffers as samples need them; a batch far over budget loses its last rays."""
    return Exact(2 * batch)


@dataclass(frozen=True)
class Batching:
    """How photographs are turned into batches."""

    batch: int = 1 << 16  # samples per step that carry gradients, 2^10 to 2^20
    buffers: Callable[[int], Buffers] = twice  # of a step with such a batch

    def __post_init__(self) -> None:
        if not 1 << 10 <= self.batch <= 1 << 20:
            raise ValueError(f"batch must be 1024 to 1048576 samples, found {self.batch}")


def due(index: int) -> bool:
    """Whether the occupancy is updated before this step: every step at first, then less and less often."""
    return index % min(REFRESH, index // 16 + 1) == 0


class Photographs:
    """The loss of training: call it with the step's index. Holds the occupancy estimate and the number of rays."""

    def __init__(
        self,
        pixels: PixelSource,
        field: Field,
        renderer: Renderer,
        occupancy: OccupancyEstimate,
        config: Batching,
        seed: int,
    ) -> None:
        self.pixels, self.field, self.renderer, self.occupancy = pixels, field, renderer, occupancy
        self.device = occupancy.values.device
        self.generator = torch.Generator(self.device).manual_seed(seed)  # draws all but what `pixels` draw themselves
        self.grid = occupancy.grid
        self.rays = torch.full((), FIRST_RAYS, device=self.device)  # () int64, that count in the next step
        self.lay_out(config)

    def lay_out(self, config: Batching) -> None:
        """Buffers of other sizes from the next step on."""
        self.config, self.buffers = config, config.buffers(config.batch)

    def __call__(self, index: int) -> Loss:
        """One batch's loss. Updates the occupancy first, where it is due."""
        if due(index):
            cells = self.occupancy.begin()
            self.update(self.occupancy.chosen(self.generator) if cells is None else cells)
        self.pixels.prepare()
        value, report = self.loss()
        _, mse, rays, samples, _, _ = report.cpu().tolist()
        return Loss(value, mse, round(rays), round(samples))

    def update(self, cells: Tensor) -> None:
        """Ask the field about these cells of the occupancy."""
        self.occupancy.update(self.field, self.generator, cells)

    def loss(self) -> tuple[Tensor, Tensor]:
        """() differentiable, of new pixels, and its report (6,) float64, see REPORT. Says how many rays come next."""
        buffers, renderer = self.buffers, self.renderer
        count = buffers.batch(self.rays)
        pixels = self.pixels.draw(count, self.generator)
        background = torch.rand(count, 3, generator=self.generator, device=self.device)
        live = torch.arange(count, device=self.device) < self.rays
        near = torch.where(live, 0.0, FAR)
        marched = renderer.march(self.grid, pixels.rays, self.generator, buffers, near)
        kept = renderer.visible(self.field, pixels.rays, marched, buffers)
        shown = replace(pixels, valid=pixels.valid & live & kept.fits)
        error, mse = self.error(Targets(shown, background), kept)
        value = error + self.field.architecture.penalty(self.generator)
        with torch.no_grad():
            numbers = (value, mse, self.rays, kept.count, kept.wanted, marched.count)
            report = torch.stack([number.double() for number in numbers])
            asked = (live & marched.fits).sum()  # rays that the kept samples are of
            self.rays.copy_(self.next_rays(asked, kept.wanted, marched.wanted))
        return value, report

    def error(self, targets: Targets, kept: Fitted) -> tuple[Tensor, Tensor]:
        """Error () and mean squared error () of what is seen by the samples that were kept."""
        return error(self.field, self.renderer, targets, kept)

    def next_rays(self, asked: Tensor, kept: Tensor, marched: Tensor) -> Tensor:
        """() int64: rays for the next batch, where `asked` rays gave `kept` samples, and all that there were `marched`
        ones."""
        wanted = asked * self.config.batch / kept.double().clamp(min=1)
        room = self.rays * (FULL * self.buffers.marched / marched.double().clamp(min=1))
        return bounded_rays(self.rays, torch.minimum(wanted, room), self.config.batch)

    def phases(self) -> tuple[Phase, ...]:
        """One, for the whole run."""
        return (Phase("photographs", 1.0, self, halve=self.halve),)

    def learnables(self) -> Learnables:
        """See Source: nothing but the field."""
        return Learnables()

    def opacity(self, x: Tensor) -> Tensor:
        """See Source: by the field as it stands."""
        return opacity(self.field, self.grid, self.renderer.step, x)

    def origin(self) -> dict[str, Any]:
        """See Source: the recipe says it all."""
        return {}

    def halve(self) -> int:
        """See Phase."""
        if self.config.batch < 2 << 10:
            return 0
        self.lay_out(replace(self.config, batch=self.config.batch // 2))
        self.rays.copy_((self.rays // 2).clamp(min=FEWEST_RAYS))
        return self.config.batch

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs."""
        return {
            "photographs.rays": self.rays.clone(),
            "photographs.batch": torch.tensor(self.config.batch),
            "photographs.host": self.pixels.state(),
            "photographs.generator": self.generator.get_state(),
        } | {f"photographs.{name}": value for name, value in self.occupancy.state().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        own = {name.removeprefix("photographs."): value for name, value in tensors.items()}
        self.lay_out(replace(self.config, batch=int(own["batch"])))
        self.rays.copy_(restored_rays(own["rays"], self.config.batch))
        self.pixels.restore(own["host"])
        self.generator.set_state(own["generator"])
        self.occupancy.restore(own)
