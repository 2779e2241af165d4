"""Fit: the only optimisation loop. It does not log, save, plot or open windows; its caller does, between steps."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from distill.optimizer import Optimizer
from fields.base import Field

WARMUP = 50  # steps over which the learning rate rises
PATIENCE = 4  # non-finite steps in a row after which the last good state comes back
KEEP = 256  # steps between good states
RETURNS = 5  # times the good state may come back before the run is given up


@dataclass(frozen=True)
class Loss:
    """What one batch gave."""

    value: Tensor  # () float32, differentiable
    mse: float  # mean squared error of the batch's colours, peak 1
    rays: int
    samples: int  # points that went through the field with gradients


@dataclass(frozen=True)
class Stage:
    """Part of a run. Its length is a share of the run, so that runs bounded by time pass through all stages too."""

    name: str
    share: float  # of the run, > 0; the shares of all stages sum to 1
    loss: Callable[[int], Loss]  # called with the step's index within the run
    begin: Callable[[], None] | None = None  # called as the run enters, never for its first stage; may change the field


@dataclass(frozen=True)
class Step:
    """One optimiser step, done or skipped."""

    index: int  # steps done before this one
    stage: str
    loss: float
    mse: float
    rays: int
    samples: int
    seconds: float  # spent training since the start of the run, pauses of the caller not counted
    progress: float  # 0 to 1, by steps or by time, whichever is further
    trouble: str  # empty, or why the step was skipped


@dataclass(frozen=True)
class Schedule:
    """How long, and how the learning rates go."""

    steps: int  # at most, >= 1
    seconds: float = math.inf  # training time at most
    last: float = 0.03  # share of each rate that is left at the end
    hold: float = 0.3  # share of the run before the rate begins to fall

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.seconds > 0 or not 0 < self.last <= 1 or not 0 <= self.hold < 1:
            raise ValueError(f"schedule wants steps >= 1, seconds > 0, 0 < last <= 1, 0 <= hold < 1; found {self}")

    def factor_at(self, index: int, progress: float) -> float:
        """What every rate is multiplied by: linear warm-up, then exponential decay once `hold` of the run is over."""
        fall = max(0.0, progress - self.hold) / (1 - self.hold)
        return min(1.0, (index + 1) / WARMUP) * self.last ** min(fall, 1.0)


class Optimization:
    """Field, optimiser and counters: all of a run's state that is not the loss's own."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.optimizer = Optimizer(field)
        self.index = 0  # steps taken, skipped ones too
        self.stage = 0  # number of the stage that the field has the shape of
        self.samples = 0  # points that went through the field with gradients
        self.seconds = 0.0  # spent training

    def renew(self) -> None:
        """Begin the optimiser anew: the field's parameters are no longer those that it knows."""
        self.optimizer = Optimizer(self.field)

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, as tensors that share no memory with the run."""
        tensors = {f"weights.{k}": v.detach().clone() for k, v in self.field.state_dict().items()}
        tensors |= self.optimizer.state()
        tensors["run.counts"] = torch.tensor([self.index, self.samples, self.stage])
        tensors["run.seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
        self.field.load_state_dict(weights)
        self.optimizer.restore(tensors)
        self.index, self.samples, self.stage = tensors["run.counts"].tolist()
        self.seconds = float(tensors["run.seconds"])


def fit(run: Optimization, stages: tuple[Stage, ...], schedule: Schedule) -> Iterator[Step]:
    """Optimise until the schedule's steps or seconds are over; continues where `run` stands.

    A step whose loss or gradient is not finite is skipped and says so; after several in a row the last good state
    comes back. ValueError when that does not help either.
    """
    good, bad, returns = run.state(), 0, 0
    while run.index < schedule.steps and run.seconds < schedule.seconds:
        begin = time.perf_counter()
        progress = min(1.0, max(run.index / schedule.steps, run.seconds / schedule.seconds))
        if enter(run, stages, progress):
            good = run.state()
        stage = stages[run.stage]
        loss = stage.loss(run.index)
        trouble = advance(run, loss, schedule.factor_at(run.index, progress))
        bad = bad + 1 if trouble else 0
        if bad > PATIENCE:
            returns += 1
            if returns > RETURNS:
                raise ValueError(f"training diverged at step {run.index}: {trouble}, again after {RETURNS} returns")
            trouble += f"; went back to the state of step {int(good['run.counts'][0])}"
            index, samples, seconds = run.index, run.samples, run.seconds
            run.restore(good)
            run.index, run.samples, run.seconds = index, samples, seconds
            bad = 0
        elif not trouble and run.index % KEEP == 0:
            good = run.state()
        run.index, run.samples = run.index + 1, run.samples + loss.samples
        run.seconds += time.perf_counter() - begin
        value = float(loss.value.detach())
        yield Step(
            run.index - 1, stage.name, value, loss.mse, loss.rays, loss.samples, run.seconds, progress, trouble
        )  # fmt: skip


def enter(run: Optimization, stages: tuple[Stage, ...], progress: float) -> bool:
    """Bring the run into the stage that `progress` belongs to; a stage that was jumped over begins too. True where
    the field may have changed."""
    ends = [end - 1e-9 for end in accumulate(stage.share for stage in stages)]
    now = min(sum(progress >= end for end in ends), len(stages) - 1)
    changed = False
    while run.stage < now:
        run.stage += 1
        prepare = stages[run.stage].begin
        if prepare is not None:
            prepare()
            run.renew()
            changed = True
    return changed


def advance(run: Optimization, loss: Loss, factor: float) -> str:
    """One optimiser step at `factor` times the rates. Returns why it was skipped, or nothing."""
    run.optimizer.clear()
    if not math.isfinite(float(loss.value.detach())):
        return "loss is not finite"
    if loss.value.requires_grad:
        loss.value.backward()
    grads = [p.grad for group in run.optimizer.groups() for p in group["params"] if p.grad is not None]
    if not math.isfinite(float(torch.nn.utils.get_total_norm(grads))):
        return "gradient is not finite"
    run.optimizer.step(factor)
    return ""
