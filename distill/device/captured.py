"""Photographs teach a field on a GPU: the step of distill/photographs/loss.py with all sizes fixed, so that the host
waits for nothing and a CUDA graph can hold it. Everywhere else it runs as it is, step by step.

A step draws a fixed number of pixels, of which as many count as a number on the device says; marches into a buffer of
`Sizes.marched` samples; keeps those that light reaches, at most `Sizes.kept` of them; and moves the field. The host
reads what came of it some steps later, and makes the first buffer larger or smaller where it does not fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from torch import Tensor

from distill.device.pixels import pixels_of
from distill.device.replay import Mailbox, Replay
from distill.learning.budget import FEWEST_RAYS, FIRST_RAYS
from distill.learning.fit import Loss, Mover, Optimization, Phase, Taken
from distill.photographs.loss import Config, difference, due
from fields.field import Field
from render import buffers as fixed
from render.occupancy import EVERYWHERE_UPDATES, OccupancyEstimate, coarsen, pack
from render.renderer import Renderer
from scenes.scene import Scene

MOST_RAYS = 1 << 17
SLACK, SPREAD = 1 / 8, 32.0  # room for kept samples over those that are aimed at, and that of small batches, by their
# root: rays behind it are lost. At 2048 samples from 70 rays, room for 1/8 cost 0.28 dB, room for 3/4 nothing
FULL = 0.9  # share of the first buffer that is aimed at
FIRST_ROOM, MOST_ROOM = 4, 32  # samples in the first buffer for each that is aimed at; powers of two
PATIENCE = 64  # steps in which the first buffer must be too large before it is halved
LAG = 16  # steps that the host may be ahead of what it knows
REPORT = ("loss", "mse", "rays", "kept", "marched", "row")  # numbers that a step sends to the host


@dataclass(frozen=True)
class Sizes:
    """Of the buffers."""

    marched: int  # samples before those are dropped that no light reaches
    kept: int  # samples that carry gradients

    @staticmethod
    def of(batch: int, room: int) -> "Sizes":
        """For `batch` samples with gradients and `room` times as many marched ones."""
        kept = -(-round(batch * (1 + max(SLACK, SPREAD / batch**0.5))) // 128) * 128
        return Sizes(room * batch, kept)


class Guarded(Mover, Protocol):
    """Moves nothing where a gradient is not finite, and the host need not ask: see DeviceOptimizer."""

    row: Tensor  # () int64, steps in a row that were skipped
    halves: Mapping[Tensor, Tensor]  # copies of parameters in float16, as they stand; of all or of none


class Captured:
    """What Photographs are, and a queue of steps (see distill/learning/fit.py)."""

    def __init__(
        self, scene: Scene, field: Field, renderer: Renderer, occupancy: OccupancyEstimate, config: Config, seed: int
    ) -> None:
        device = occupancy.values.device
        self.field, self.renderer, self.occupancy, self.config = field, renderer, occupancy, config
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)  # draws everything but what HostPixels draw
        self.grid = occupancy.grid  # whose bits stay where they are and change
        self.factor = torch.zeros((), device=device)  # of the rates
        self.rays = torch.full((), FIRST_RAYS, device=device)  # () int64, that count in the next step
        self.report = torch.zeros(len(REPORT), dtype=torch.float64, device=device)
        self.mailbox = Mailbox(len(REPORT), device, LAG + 2)
        self.room, self.roomy, self.begun = FIRST_ROOM, 0, False
        self.told = ""  # what the next report has to say besides
        self.replays: tuple[Replay, ...] = ()
        self.most_rays = min(config.batch, MOST_RAYS)
        self.pixels = pixels_of(scene.train, device, self.most_rays, seed)
        self.lay_out()

    def lay_out(self) -> None:
        """Buffers of other sizes from the next step on."""
        self.sizes = Sizes.of(self.config.batch, self.room)
        self.forget()

    def forget(self) -> None:
        """Throw graphs away: what they were recorded of has changed."""
        for replay in self.replays:
            replay.drop()
        self.mover: object = None  # the optimiser that the graphs hold
        self.replays: tuple[Replay, ...] = ()  # the step, and the update of the occupancy

    def phases(self) -> tuple[Phase, ...]:
        """One, for the whole run."""
        return (Phase("photographs", 1.0, self, queue=self, halve=self.halve),)

    def __call__(self, index: int) -> Loss:
        """The loss of a step that someone else takes: the host waits for it."""
        self.pixels.prepare()
        value = self.loss()
        _, mse, rays, kept, _, _ = self.report.tolist()
        return Loss(value, mse, round(rays), round(kept))

    def take(self, run: Optimization, factor: float) -> None:
        """See Queue."""
        if self.mover is not run.optimizer:
            self.forget()
            self.mover = run.optimizer
            works = (lambda: self.moved(run), lambda: self.update(self.occupancy.drawn(self.generator)))
            self.replays = tuple(Replay(work, self.generator) for work in works)
        if due(run.index):
            self.told = self.refreshed() or self.told
        self.factor.fill_(factor)
        self.pixels.prepare()
        self.told = self.replays[0]() or self.told
        self.mailbox.post(run.index, self.report)

    def taken(self, run: Optimization, *, all_of_them: bool = False) -> list[Taken]:
        """See Queue. The first step is waited for: it compiles, and there is nothing else to show."""
        news = self.mailbox.fetch(LAG if self.begun and not all_of_them else 0)
        self.begun, result = True, []
        for index, (loss, mse, rays, kept, marched, row) in news:
            bad = "" if not row else "gradient is not finite" if abs(loss) < torch.inf else "loss is not finite"
            result.append(Taken(index, loss, mse, round(rays), round(kept), bad, self.told))
            self.told = ""
            self.fit_room(kept, marched)
        return result

    def fit_room(self, kept: float, marched: float) -> None:
        """Double the buffer of marched samples where it is too small for a whole batch, halve it where it has been
        too large for long."""
        wanted = marched / max(kept, 1.0) / FULL  # marched samples for each that is kept
        self.roomy = self.roomy + 1 if wanted < 0.4 * self.room else 0
        short = wanted > self.room and self.room < MOST_ROOM
        if short or (self.roomy > PATIENCE and self.room > 1):
            self.room, self.roomy = (2 * self.room if short else self.room // 2), 0
            self.lay_out()

    def halve(self) -> int:
        """See Phase."""
        self.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.config.batch < 2 << 10:
            return 0
        self.config = replace(self.config, batch=self.config.batch // 2)
        self.rays.copy_(self.rays // 2)
        self.lay_out()
        return self.config.batch

    def moved(self, run: Optimization) -> None:
        """A step. The host waits for nothing in it."""
        optimizer = cast(Guarded, run.optimizer)
        optimizer.clear()
        with self.field.copied(optimizer.halves):
            value = self.loss()
        value.backward(torch.where(value.isfinite(), 1.0, torch.nan).to(value.dtype))
        optimizer.step(self.factor)
        self.report[-1].copy_(optimizer.row)

    def loss(self) -> Tensor:
        """() of new pixels, as Photographs have it; fills the report, and says how many rays come next."""
        pixels, sizes = self.pixels.draw(self.generator), self.sizes
        background = torch.rand(self.most_rays, 3, generator=self.generator, device=self.device)
        jitter = torch.rand(self.most_rays, generator=self.generator, device=self.device)
        live = torch.arange(self.most_rays, device=self.device) < self.rays
        marched = fixed.march(self.renderer, self.grid, pixels.rays, jitter, live, sizes.marched)
        kept = fixed.visible(self.renderer, self.field, pixels.rays, marched, sizes.kept)
        pixels = replace(pixels, valid=pixels.valid & live & kept.fits)
        error, mse = difference(fixed.shade(self.renderer, self.field, pixels.rays, kept), pixels, background)
        value = error + self.field.architecture.penalty(self.generator)
        with torch.no_grad():
            asked = (live & marched.fits).sum()  # rays that the kept samples are of
            numbers = (value, mse, self.rays, kept.wanted, marched.samples.offsets[-1])
            self.report[:5].copy_(torch.stack([number.double() for number in numbers]))
            self.rays.copy_(self.next_rays(asked, kept.wanted, marched.wanted))
        return value

    def next_rays(self, asked: Tensor, kept: Tensor, marched: Tensor) -> Tensor:
        """() int64: rays for the next batch, see distill/learning/budget.py, where `asked` rays gave `kept`
        samples, and all that there were `marched` ones."""
        wanted = asked * (self.config.batch / kept.double().clamp(min=1))
        room = self.rays * (FULL * self.sizes.marched / marched.double().clamp(min=1))
        wanted = torch.minimum(wanted, room)
        wanted = torch.minimum(torch.maximum(wanted, self.rays / 2), self.rays * 2.0)
        return wanted.clamp(FEWEST_RAYS, self.most_rays).long()

    def update(self, cells: Tensor) -> None:
        """The occupancy in place, asked at these cells."""
        guess = self.occupancy
        with self.field.copied(cast(Guarded, self.mover).halves if self.mover else {}):
            guess.update_in_place(self.field, self.generator, cells)
        self.grid.bits.copy_(pack(coarsen(guess.occupied, guess.resolution)))

    def refreshed(self) -> str:
        """Update the occupancy where it stands; of all cells at first, then of some, as a graph. Returns as Replay."""
        self.occupancy.updates += 1
        if self.occupancy.updates > EVERYWHERE_UPDATES:
            return self.replays[1]()
        self.update(self.occupancy.allowed)
        return ""

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, as Photographs have it."""
        return {
            "photographs.rays": self.rays.clone(),
            "photographs.host": self.pixels.state(),
            "photographs.generator": self.generator.get_state(),
            "photographs.values": self.occupancy.values.clone(),
            "photographs.occupied": self.occupancy.occupied.clone(),
            "photographs.updates": torch.tensor(self.occupancy.updates),
            "photographs.room": torch.tensor([self.room, self.roomy, self.config.batch]),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        if "photographs.room" in tensors:  # Photographs have none
            self.room, self.roomy, batch = tensors["photographs.room"].tolist()
            self.config = replace(self.config, batch=batch)
        self.lay_out()
        self.rays.copy_(tensors["photographs.rays"])
        self.pixels.restore(tensors["photographs.host"])
        self.generator.set_state(tensors["photographs.generator"])
        self.occupancy.values.copy_(tensors["photographs.values"])
        self.occupancy.occupied.copy_(tensors["photographs.occupied"].bool())
        self.occupancy.updates = int(tensors["photographs.updates"])
        self.grid.bits.copy_(self.occupancy.grid.bits)
