"""Fit: the only optimisation loop. It does not log, save, plot or open windows; its caller does, between steps."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from distill.learning.learnables import Learnables, of_field
from distill.learning.optimizer import Optimizer, copied
from fields import numbers
from fields.field import Field
from fields.kernels.options_cpu import COMPILING

WARMUP = 50  # steps over which the learning rate rises
PATIENCE = 4  # non-finite steps in a row after which the last good state comes back
KEEP = 256  # steps between good states
RETURNS = 5  # times the good state may come back before the run is given up
NOTHING = Learnables()


@dataclass(frozen=True)
class Loss:
    """What one batch gave."""

    value: Tensor  # () float32, differentiable
    mse: float  # mean squared error of the batch's colours, peak 1
    rays: int
    samples: int  # points that went through the field with gradients


@dataclass(frozen=True)
class Taken:
    """What is known of a step that was taken."""

    index: int  # steps before this one
    loss: float
    mse: float
    rays: int
    samples: int
    trouble: str  # empty, or why the step was skipped
    note: str = ""  # what else there is to tell


class Queue(Protocol):
    """Steps that a device takes while the host goes on. It moves the field with `run.optimizer` itself."""

    def take(self, run: "Optimization", factor: float) -> None:
        """Have step `run.index` taken at `factor` times the rates."""
        ...

    def taken(self, run: "Optimization", *, all_of_them: bool = False) -> list[Taken]:
        """What has become known since the last call, in the order of the steps: of as many as there is an answer from,
        or of all. Waits where the device is many steps behind."""
        ...


@dataclass(frozen=True)
class Phase:
    """Part of a run. Its length is a share of the run, so that runs bounded by time pass through all phases too."""

    name: str
    share: float  # of the run, > 0; the shares of all phases sum to 1
    loss: Callable[[int], Loss]  # called with the step's index within the run
    begin: Callable[[], None] | None = None  # called as the run enters, never for its first phase; may change the field
    queue: Queue | None = None  # takes the steps in place of `loss`
    halve: Callable[[], int] | None = None  # halves the batch and returns its samples, 0 where it cannot


@dataclass(frozen=True)
class Step:
    """One optimiser step, done or skipped. Where a queue takes the steps, what is known of the latest."""

    index: int  # steps done before this one
    phase: str
    loss: float
    mse: float
    rays: int
    samples: int  # of all steps that became known with this one
    seconds: float  # spent training since the start of the run, pauses of the caller not counted
    progress: float  # 0 to 1, by steps or by time, whichever is further
    trouble: str  # empty, or why a step was skipped, or what else happened


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
    """Field, all that is learnt beside it, optimiser and counters: all of a run's state that is not the loss's own."""

    def __init__(
        self, field: Field, mover: Callable[[Learnables], Optimizer] = Optimizer, others: Learnables = NOTHING
    ) -> None:
        """`mover` makes the optimiser, whenever the field has new parameters; `others` are learnt beside the field's,
        and saved in a run's state, but belong to no model."""
        self.field, self.mover, self.others = field, mover, others
        self.optimizer = mover(of_field(field) + others)
        self.index = 0  # steps taken, skipped ones too
        self.phase = 0  # number of the phase that the field has the shape of
        self.samples = 0  # points that went through the field with gradients
        self.seconds = 0.0  # spent training

    def renew(self) -> None:
        """Begin the optimiser anew: the field's parameters are no longer those that it knows."""
        self.optimizer = self.mover(of_field(self.field) + self.others)

    def state(self, device: torch.device | None = None) -> dict[str, Tensor]:
        """Everything that an exact continuation needs, as tensors that share no memory with the run; on `device`, one
        after the other, or where they lie."""
        tensors = {f"weights.{k}": copied(v, device) for k, v in self.field.state_dict().items()}
        tensors |= {f"learnt.{name}": copied(p, device) for name, p in self.others.named()}
        tensors |= self.optimizer.state(device)
        tensors["run.counts"] = torch.tensor([self.index, self.samples, self.phase])
        tensors["run.seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`. ValueError, KeyError or RuntimeError where it is another run's."""
        weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
        self.field.load_state_dict(weights)
        with torch.no_grad():
            for name, parameter in self.others.named():
                parameter.copy_(tensors[f"learnt.{name}"])
        self.optimizer.restore(tensors)
        counts = numbers.array(tensors["run.counts"].tolist(), "run.counts", (3,)).tolist()
        self.index, self.samples, self.phase = (numbers.whole(n, "run.counts", 0, 10**12) for n in counts)
        self.seconds = numbers.number(tensors["run.seconds"].item(), "run.seconds", 0, 1e9)


class Guard:
    """The last good state of a run, and when to go back to it."""

    def __init__(self, run: Optimization) -> None:
        self.run, self.returns = run, 0
        self.renew()

    def renew(self) -> None:
        """The run stands well as it is: the field may have another shape than before."""
        self.good, self.bad, self.begin = self.run.state(), 0, self.run.index
        self.new: tuple[int, dict[str, Tensor]] | None = None  # a state that is good if its step was

    def judge(self, news: list[Taken]) -> str:
        """Take note of steps, the latest last, and go back where too many in a row were skipped; returns what there is
        to say. ValueError where going back has not helped."""
        trouble = ""
        for step in news:
            if step.index < self.begin:  # taken before the run went back
                continue
            trouble = step.trouble or step.note or trouble
            self.bad = self.bad + 1 if step.trouble else 0
            if self.new is not None and step.index >= self.new[0]:
                self.good, self.new = self.good if step.trouble else self.new[1], None
        if self.bad > PATIENCE:
            trouble += self.back(trouble)
        return trouble

    def keep(self) -> None:
        """Remember the state behind step `run.index`, where it is time to, until that step is known."""
        if self.run.index % KEEP == 0 and not self.bad:
            self.new = (self.run.index, self.run.state())

    def back(self, trouble: str) -> str:
        """Return to the good state; says so."""
        run, self.returns = self.run, self.returns + 1
        if self.returns > RETURNS:
            raise ValueError(f"training diverged at step {run.index}: {trouble}, again after {RETURNS} returns")
        index, samples, seconds = run.index, run.samples, run.seconds
        run.restore(self.good)
        run.index, run.samples, run.seconds = index, samples, seconds
        self.bad, self.new, self.begin = 0, None, index + 1
        return f"; went back to the state of step {int(self.good['run.counts'][0])}"


def fit(run: Optimization, phases: tuple[Phase, ...], schedule: Schedule) -> Iterator[Step]:
    """Optimise until the schedule's steps or seconds are over; continues where `run` stands.

    A step whose loss or gradient is not finite is skipped and says so; after several in a row the last good state
    comes back. ValueError when that does not help either, or when memory runs out again after the batch was halved.
    """
    guard, halved, known = Guard(run), False, Taken(-1, math.nan, math.nan, 0, 0, "")
    while run.index < schedule.steps and run.seconds < schedule.seconds:
        watch = Stopwatch()
        progress = min(1.0, max(run.index / schedule.steps, run.seconds / schedule.seconds))
        before = run.phase
        if enter(run, phases, progress):
            guard.renew()
        phase, news, trouble = phases[run.phase], list[Taken](), ""
        jumped = [one.name for one in phases[before + 1 : run.phase]] if math.isfinite(schedule.seconds) else []
        try:
            news = take(run, phase, schedule.factor_at(run.index, progress), guard)
        except torch.OutOfMemoryError:
            trouble, halved = halve(run, phase, halved=halved), True
        trouble = guard.judge(news) or trouble
        trouble = "; ".join(filter(None, (trouble, f"there was no time for {', '.join(jumped)}" if jumped else "")))
        known, samples = news[-1] if news else known, sum(step.samples for step in news)
        run.index, run.samples = run.index + 1, run.samples + samples
        run.seconds += watch.seconds()
        yield Step(
            run.index - 1, phase.name, known.loss, known.mse, known.rays, samples, run.seconds, progress, trouble
        )  # fmt: skip
    finish(run, phases[run.phase], guard)


def take(run: Optimization, phase: Phase, factor: float, guard: Guard) -> list[Taken]:
    """One step at `factor` times the rates. Returns what is known: of this step, or of earlier ones."""
    if phase.queue is not None:
        phase.queue.take(run, factor)
        guard.keep()
        return phase.queue.taken(run)
    loss = phase.loss(run.index)
    trouble = advance(run, loss, factor)
    if not trouble:
        guard.keep()
    return [Taken(run.index, float(loss.value.detach()), loss.mse, loss.rays, loss.samples, trouble)]


def finish(run: Optimization, phase: Phase, guard: Guard) -> None:
    """Wait for steps that are still under way."""
    if phase.queue is not None:
        watch = Stopwatch()
        news = phase.queue.taken(run, all_of_them=True)
        guard.judge(news)
        run.samples += sum(step.samples for step in news)
        run.seconds += watch.seconds()


class Stopwatch:
    """Time spent training since it was made: kernels that are compiled meanwhile, on a first run, are no training."""

    def __init__(self) -> None:
        self.begun, self.compiled = time.perf_counter(), COMPILING.seconds

    def seconds(self) -> float:
        """Until now."""
        return time.perf_counter() - self.begun - (COMPILING.seconds - self.compiled)


def halve(run: Optimization, phase: Phase, *, halved: bool) -> str:
    """Go on with half the batch after memory ran out; says so. ValueError where that was done before or cannot be."""
    run.optimizer.clear()
    samples = 0 if halved or phase.halve is None else phase.halve()
    if not samples:
        again = " again, with half the batch" if halved else ""
        raise ValueError(f"out of memory{again} at step {run.index}: take a smaller --batch or a smaller preset")
    return f"out of memory: the batch is halved, to {samples} samples"


def enter(run: Optimization, phases: tuple[Phase, ...], progress: float) -> bool:
    """Bring the run into the phase that `progress` belongs to; a phase that was jumped over begins too. True where
    the field may have changed."""
    ends = [end - 1e-9 for end in accumulate(phase.share for phase in phases)]
    now = min(sum(progress >= end for end in ends), len(phases) - 1)
    changed = False
    while run.phase < now:
        run.phase += 1
        prepare = phases[run.phase].begin
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
    run.optimizer.step(factor)
    return "gradient is not finite" if int(run.optimizer.row) else ""
