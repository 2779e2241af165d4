"""The parts of a training step on the CPU, taken from outside: the methods that a step calls are timed while it runs,
and nothing in the training code knows of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from distill.bench.ceilings import Ceilings
from distill.bench.field import count_products
from distill.learning.memory import faults
from distill.learning.optimizer import Optimizer
from distill.learning.run import Run
from distill.photographs.source import due
from fields.field import Field

# "forward" is all of distill/photographs/loss.py: colours and the error, and where one kernel gives both with the
# gradients of the networks, these; "backward" is then those of the tables and what else is left.
PARTS: tuple[str, ...] = ("pixels", "march", "prune", "forward", "loss", "backward", "optimiser", "occupancy", "rest")
CALLED = (  # by a step of distill/photographs/source.py: object below the source, method, part while it runs and after
    ("pixels", "draw", "pixels", "loss"),
    ("renderer", "march", "march", "loss"),
    ("renderer", "visible", "prune", "loss"),
    ("", "error", "forward", "loss"),
    ("", "loss", "loss", "rest"),
    ("occupancy", "chosen", "occupancy", "rest"),
    ("", "update", "occupancy", "rest"),
)
ADAM = 32  # bytes of a parameter in a step: gradient looked through, then read; weight and moments read and written


@dataclass(frozen=True)
class StepWork:
    """Counted of a step, not measured: the least, nothing read or worked out twice."""

    marched: float  # points whose density is asked
    kept: float  # points that carry gradients
    networks: float  # FLOP: density of the marched, colour of the kept, gradients of the kept
    rows_read: float  # of the grid's tables, where there is one: of the marched
    rows_added: float  # of its gradient
    optimiser: float  # bytes

    def at_ceilings(self, ceilings: Ceilings) -> dict[str, float]:
        """Milliseconds that the work would take at the machine's ceilings."""
        return {
            "networks": round(self.networks / ceilings.multiply_adds * 1e3, 2),
            "table_rows_read": round(self.rows_read * ceilings.read_ns / 1e6, 2),
            "table_rows_added": round(self.rows_added * ceilings.add_ns / 1e6, 2),
            "optimiser": round(self.optimiser / ceilings.copy * 1e3, 2),
        }


def count_work(field: Field, marched: float, kept: float) -> StepWork:
    """Of a field as it stands."""
    shape, head = count_products(field.architecture), count_products(field.head)
    levels = getattr(field.architecture.config, "levels", 0)  # a grid's: others have no tables of single rows
    rows = levels * 2**field.space.dims
    flop = 2 * shape * marched + (2 * head + 4 * (shape + head)) * kept
    return StepWork(marched, kept, flop, rows * marched, rows * kept, ADAM * field.parameter_count())


@dataclass(frozen=True)
class StepParts:
    """Means over the steps that were counted."""

    parts_ms: dict[str, float]  # on the wall, by PARTS; occupancy on average, whether it was due or not
    parts_main_thread_ms: dict[str, float]  # its processor time: what is left of the wall's where others run too
    processor_ms: float  # of all threads
    main_thread_ms: float
    page_faults: float  # of the whole process: 4 KiB that were touched first, or a huge page
    occupancy_updates: int  # in those steps
    work: StepWork
    ceilings: Ceilings

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values, the milliseconds and shares at the ceilings among them."""
        least = self.work.at_ceilings(self.ceilings)
        return asdict(self) | {"at_ceilings_ms": least, "shares": self.shares()}

    def shares(self) -> dict[str, float]:
        """What the work would take at the ceilings, of what its parts took."""
        least, spent = self.work.at_ceilings(self.ceilings), self.parts_ms
        asked = spent["prune"] + spent["forward"] + spent["backward"]
        tables = least["table_rows_read"] + least["table_rows_added"]
        every = {"networks": (least["networks"], asked), "tables": (tables, asked)}
        every["optimiser"] = (least["optimiser"], spent["optimiser"])
        return {name: round(floor / max(took, 1e-9), 3) for name, (floor, took) in every.items()}

    def lines(self) -> dict[str, str]:
        """For a person: names and what was found."""
        whole, shares, work, most = sum(self.parts_ms.values()), self.shares(), self.work, self.ceilings
        busy = self.parts_main_thread_ms
        told = {part: f"{ms:.2f} ms, {ms / whole:.0%}; busy {busy[part]:.2f}" for part, ms in self.parts_ms.items()}
        told["forward"] += " (colours and error; with the networks' gradients where one kernel gives them)"
        told["occupancy"] += f" (average; due in {self.occupancy_updates} of these steps)"
        told["processor"] = f"{self.processor_ms} ms, of which the main thread {self.main_thread_ms}"
        told["page faults"] = f"{self.page_faults:,.0f}"
        told["points"] = f"{work.marched:,.0f} marched, {work.kept:,.0f} kept"
        told["ceilings"] = (
            f"{most.multiply_adds / 1e9:,.0f} GFLOP/s, copy {most.copy / 1e9:.1f} GB/s, random row of 16 bytes read "
            f"{most.read_ns} ns, added to {most.add_ns} ns, {most.threads} threads together"
        )
        least = work.at_ceilings(most)
        told["networks"] = f"{work.networks / 1e9:.2f} GFLOP: {least['networks']} ms at the ceiling"
        if work.rows_read:
            read, add = least["table_rows_read"], least["table_rows_added"]
            told["tables"] = f"{work.rows_read / 1e6:.1f} M rows read, {work.rows_added / 1e6:.1f} M added to: "
            told["tables"] += f"{read} and {add} ms at the ceiling"
        told["Adam"] = f"{work.optimiser / 1e6:,.0f} MB: {least['optimiser']} ms at the ceiling"
        told["shares"] = (
            f"of prune, forward and backward: networks {shares['networks']:.0%}, tables {shares['tables']:.0%}; "
            f"of the optimiser: {shares['optimiser']:.0%}"
        )
        return told


@dataclass(frozen=True)
class Moment:
    """All that was spent until then."""

    spent: dict[str, float]  # s on the wall, by part
    busy: dict[str, float]  # s of the main thread
    processor: float  # s of all threads
    page_faults: int
    marched: int  # points


class Watch:
    """Where the time of a run's steps goes. One part runs at any time; what calls change it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.busy: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.part, self.since, self.since_busy = "rest", time.perf_counter(), time.thread_time()
        self.marched = 0
        self.moments: list[Moment] = []

    def turn(self, part: str) -> None:
        """The part that runs from now on."""
        now, busy = time.perf_counter(), time.thread_time()
        self.spent[self.part] += now - self.since
        self.busy[self.part] += busy - self.since_busy
        self.part, self.since, self.since_busy = part, now, busy

    def note(self) -> None:
        """A step has ended."""
        self.turn("rest")
        self.moments.append(Moment(dict(self.spent), dict(self.busy), time.process_time(), faults(), self.marched))

    def timed(self, call: Callable[..., Any], part: str, after: str) -> Callable[..., Any]:
        """The call, which belongs to a part; behind it another runs."""

        def measured(*given: Any, **named: Any) -> Any:
            self.turn(part)
            try:
                result = call(*given, **named)
            finally:
                self.turn(after)
            self.marched += len(result.samples) if part == "march" else 0
            return result

        return measured

    def parts(self, run: Run, steps: int, kept: float, ceilings: Ceilings) -> StepParts:
        """Of the last so many steps, of which each kept so many samples."""
        begin, end, index = self.moments[-1 - steps], self.moments[-1], run.optimization.index
        spent = {part: round((end.spent[part] - begin.spent[part]) / steps * 1e3, 3) for part in PARTS}
        busy = {part: round((end.busy[part] - begin.busy[part]) / steps * 1e3, 3) for part in PARTS}
        return StepParts(
            spent,
            busy,
            round((end.processor - begin.processor) / steps * 1e3, 2),
            round(sum(busy.values()), 2),
            round((end.page_faults - begin.page_faults) / steps, 1),
            sum(map(due, range(index - steps, index))),
            count_work(run.field, (end.marched - begin.marched) / steps, kept),
            ceilings,
        )


@contextmanager
def watching(run: Run) -> Iterator[Watch]:
    """Time the calls of this run's steps, which photographs teach one by one. AttributeError where a step no longer has
    what is timed here."""
    watch, source, changed = Watch(), run.source, list[tuple[Any, str]]()

    def shadow(owner: Any, name: str, part: str, after: str) -> None:
        vars(owner)[name] = watch.timed(getattr(owner, name), part, after)
        changed.append((owner, name))

    def move(optimizer: Optimizer) -> Optimizer:
        shadow(optimizer, "clear", "optimiser", "backward")
        shadow(optimizer, "step", "optimiser", "rest")
        return optimizer

    optimization = run.optimization
    mover = optimization.mover
    try:
        for path, name, part, after in CALLED:
            shadow(getattr(source, path) if path else source, name, part, after)
        move(optimization.optimizer)
        optimization.mover = lambda learnables: move(mover(learnables))  # whenever the field takes a new shape
        yield watch
    finally:
        optimization.mover = mover
        for owner, name in changed:
            del vars(owner)[name]
