"""A step of distill/photographs/source.py for a GPU: with buffers of fixed size, as a CUDA graph, so that the host
waits for nothing. Everywhere else it runs as it is, step by step.

A step draws a fixed number of pixels, of which as many count as a number on the device says; marches into a buffer of
`Fixed.marched` samples; keeps those that light reaches, at most `Fixed.kept` of them; and moves the field. The host
reads what came of it some steps later, and makes the first buffer larger or smaller where it does not fit.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from distill.device.graph import Replay
from distill.device.mailbox import Mailbox
from distill.learning.budget import most_rays
from distill.learning.fit import Optimization, Phase, Taken
from distill.learning.learnables import Learnables
from distill.photographs.pixels import unwaiting_pixels
from distill.photographs.source import FULL, REPORT, Batching, Photographs, due
from fields.field import Field
from render.buffers import Fixed
from render.occupancy import OccupancyEstimate
from render.renderer import Renderer
from scenes.scene import Scene

SLACK, SPREAD = 1 / 8, 32.0  # room for kept samples over those that are aimed at, and that of small batches, by their
# root: rays behind it are lost. At 2048 samples from 70 rays, room for 1/8 cost 0.28 dB, room for 3/4 nothing
FIRST_ROOM, MOST_ROOM = 4, 32  # samples in the first buffer for each that is aimed at; powers of two
PATIENCE = 64  # steps in which the first buffer must be too large before it is halved
LAG = 16  # steps that the host may be ahead of what it knows


def fixed(batch: int, room: int = FIRST_ROOM) -> Fixed:
    """Buffers for `batch` samples with gradients and `room` times as many marched ones."""
    kept = -(-round(batch * (1 + max(SLACK, SPREAD / batch**0.5))) // 128) * 128
    return Fixed(room * batch, kept, most_rays(batch))


def captured(
    scene: Scene, field: Field, renderer: Renderer, occupancy: OccupancyEstimate, batch: int, seed: int
) -> "Captured":
    """Photographs whose steps a graph takes."""
    pixels = unwaiting_pixels(scene.train, occupancy.values.device, most_rays(batch), seed)
    return Captured(Photographs(pixels, field, renderer, occupancy, Batching(batch, fixed), seed))


class Captured:
    """What photographs are whose buffers are `fixed`, and a queue of their steps (see distill/learning/fit.py)."""

    def __init__(self, source: Photographs) -> None:
        self.source, self.grid, device = source, source.grid, source.device
        self.factor = torch.zeros((), device=device)  # of the rates
        self.report = torch.zeros(len(REPORT) + 1, dtype=torch.float64, device=device)  # and the optimiser's row
        self.mailbox = Mailbox(len(self.report), device, LAG + 2)
        self.room, self.roomy, self.begun = FIRST_ROOM, 0, False
        self.told = ""  # what the next report has to say besides
        self.mover: object = None  # the optimiser that the graphs hold
        self.replays: tuple[Replay, ...] = ()  # the step, and the update of the occupancy

    def phases(self) -> tuple[Phase, ...]:
        """Those of the photographs, taken here."""
        return tuple(replace(phase, queue=self, halve=self.halve) for phase in self.source.phases())

    def learnables(self) -> Learnables:
        """See Source."""
        return self.source.learnables()

    def opacity(self, x: Tensor) -> Tensor:
        """See Source."""
        return self.source.opacity(x)

    def origin(self) -> dict[str, Any]:
        """See Source."""
        return self.source.origin()

    def forget(self) -> None:
        """Throw graphs away: what they were recorded of has changed."""
        for replay in self.replays:
            replay.drop()
        self.mover, self.replays = None, ()

    def take(self, run: Optimization, factor: float) -> None:
        """See Queue."""
        source, occupancy = self.source, self.source.occupancy
        if self.mover is not run.optimizer:
            self.forget()
            self.mover = run.optimizer
            works = (lambda: self.moved(run), lambda: self.update(run, occupancy.drawn(source.generator)))
            self.replays = tuple(Replay(work, source.generator) for work in works)
        if due(run.index):
            cells = occupancy.begin()
            if cells is None:
                self.told = self.replays[1]() or self.told
            else:
                self.update(run, cells)
        self.factor.fill_(factor)
        source.pixels.prepare()
        self.told = self.replays[0]() or self.told
        self.mailbox.post(run.index, self.report)

    def taken(self, run: Optimization, *, all_of_them: bool = False) -> list[Taken]:
        """See Queue. The first step is waited for: it compiles, and there is nothing else to show."""
        news = self.mailbox.fetch(LAG if self.begun and not all_of_them else 0)
        self.begun, result = True, []
        for index, (loss, mse, rays, samples, wanted, marched, row) in news:
            bad = "" if not row else "gradient is not finite" if abs(loss) < torch.inf else "loss is not finite"
            result.append(Taken(index, loss, mse, round(rays), round(samples), bad, self.told))
            self.told = ""
            self.fit_room(wanted, marched)
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

    def lay_out(self) -> None:
        """Buffers with as much room from the next step on."""
        self.source.lay_out(replace(self.source.config, buffers=partial(fixed, room=self.room)))
        self.forget()

    def halve(self) -> int:
        """See Phase."""
        self.forget()
        if self.source.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.source.halve()

    def moved(self, run: Optimization) -> None:
        """A step. The host waits for nothing in it."""
        optimizer = run.optimizer
        optimizer.clear()
        with self.source.field.copied(optimizer.halves):
            value, report = self.source.loss()
        value.backward(torch.where(value.isfinite(), 1.0, torch.nan).to(value.dtype))
        optimizer.step(self.factor)
        self.report.copy_(torch.cat([report, optimizer.row.double()[None]]))

    def update(self, run: Optimization, cells: Tensor) -> None:
        """The occupancy, asked at these cells."""
        with self.source.field.copied(run.optimizer.halves):
            self.source.update(cells)

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs: that of the photographs, and the room."""
        return self.source.state() | {"photographs.room": torch.tensor([self.room, self.roomy])}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        if "photographs.room" in tensors:  # photographs without a graph have none
            self.room, self.roomy = tensors["photographs.room"].tolist()
        self.source.restore(tensors)
        self.lay_out()
