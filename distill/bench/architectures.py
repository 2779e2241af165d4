"""Every architecture trained under one protocol and one time budget: a table, its JSON, and a Pareto plot."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import fields
from distill.bench.charts import plot_costs
from distill.bench.process import run_command
from distill.bench.results import Failure, tabulate
from distill.bench.timing import Machine
from distill.learning.metrics import Metrics
from fields.files import write_json
from fields.shape import preset

STORED = (  # of the metrics, in a row of the table
    "psnr", "ssim", "model_bytes", "parameters", "train_seconds", "frame_ms_median", "steps", "samples_per_second",
    "peak_memory_bytes", "scored_on", "device",
)  # fmt: skip


@dataclass(frozen=True)
class Entrant:
    """Who takes part."""

    architecture: str
    preset: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.architecture} {self.preset}"

    @property
    def label(self) -> str:
        """As folders are named."""
        return f"{self.architecture}-{self.preset}"


@dataclass(frozen=True)
class Standing:
    """One that learnt from photographs, or could not."""

    entrant: Entrant
    found: Metrics | Failure

    def to_record(self, keys: tuple[str, ...] = STORED) -> dict[str, Any]:
        """Plain JSON values: these of its metrics."""
        record, who = self.found.to_record(), {"architecture": self.entrant.architecture, "preset": self.entrant.preset}
        return who | (record if isinstance(self.found, Failure) else {key: record[key] for key in keys})


@dataclass(frozen=True)
class Contest:
    """What every architecture is given."""

    data: str
    seconds: float  # of training, each
    downscale: int
    device: str
    size: str  # preset that stands for the device: small or base
    only: tuple[str, ...] = ()  # NAME or NAME:PRESET; empty: all names

    @property
    def title(self) -> str:
        """The data, as tables name it."""
        name = Path(self.data).name
        return name if self.downscale == 1 else f"{name} --downscale {self.downscale}"

    def entrants(self) -> list[Entrant]:
        """The named ones, or for every name the size and the variants that end in it."""
        if self.only:
            pairs = [one.partition(":") for one in self.only]
            chosen = [Entrant(name, size or self.size) for name, _, size in pairs]
        else:
            chosen = [
                Entrant(name, size)
                for name in fields.NAMES
                for size in fields.module(name).PRESETS
                if size == self.size or size.endswith("-" + self.size)
            ]
        for one in chosen:
            preset(one.architecture, one.preset)
        return chosen


@dataclass(frozen=True)
class Standings:
    """Of a contest."""

    data: str  # title
    seconds: float
    rows: tuple[Standing, ...]  # at least one was trained

    def trained(self) -> list[tuple[Entrant, Metrics]]:
        """Those that could be, best first."""
        done = [(row.entrant, row.found) for row in self.rows if isinstance(row.found, Metrics)]
        return sorted(done, key=lambda one: -one[1].quality.psnr)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        first = next(row.found for row in self.rows if isinstance(row.found, Metrics))
        return {
            "data": self.data,
            "seconds": self.seconds,
            "scored_on": str(first.quality.protocol),
            "device": first.effort.device,
            "rows": [row.to_record() for row in self.rows],
        }

    def to_table(self) -> Table:
        """For a person, best first."""
        columns: dict[str, Callable[[tuple[Entrant, Metrics]], str]] = {
            "architecture": lambda one: str(one[0]),
            "dB": lambda one: f"{one[1].quality.psnr:.2f}",
            "SSIM": lambda one: f"{one[1].quality.ssim:.3f}",
            "MB": lambda one: f"{one[1].effort.model_bytes / 1e6:.2f}",
            "M par.": lambda one: f"{one[1].effort.parameters / 1e6:.2f}",
            "train s": lambda one: f"{one[1].effort.seconds:,.0f}",
            "ms/frame": lambda one: f"{one[1].frame_ms:,.0f}",
        }
        done = self.trained()
        title = f"{self.data}, {self.seconds:g} s each; {done[0][1].quality.protocol}"
        shown = tabulate(title, columns, done)
        for column in shown.columns:
            column.no_wrap = True
        for row in self.rows:
            if isinstance(row.found, Failure):
                shown.add_row(str(row.entrant), row.found.reason)
        return shown


def compete(contest: Contest, folder: Path, console: Console) -> Standings:
    """Train and score every entrant as `train-scene` does, each in a process of its own; keep their files in `folder`.

    One that fails stays in the table with its reason. ValueError where all failed; KeyboardInterrupt after the one
    that was running has saved itself.
    """
    rows: list[Standing] = []
    for entrant in contest.entrants():
        console.rule(str(entrant))
        found = train_entrant(contest, entrant, folder / entrant.label, console)
        rows.append(Standing(entrant, found))
        if isinstance(found, Failure):
            console.print(found.reason, style="red", highlight=False, markup=False)
    if all(isinstance(row.found, Failure) for row in rows):
        reasons = [row.found.reason for row in rows if isinstance(row.found, Failure)]
        raise ValueError(f"no architecture could be trained: {(reasons or ['none was named'])[0]}")
    return Standings(contest.title, contest.seconds, tuple(rows))


def train_entrant(contest: Contest, entrant: Entrant, out: Path, console: Console) -> Metrics | Failure:
    """One of them."""
    flags = {"--arch": entrant.architecture, "--preset": entrant.preset, "--max-seconds": contest.seconds}
    flags |= {"--downscale": contest.downscale, "--device": contest.device, "--out": out}
    words = [str(word) for pair in flags.items() for word in pair]
    return run_command("distill.train_scene", [contest.data, *words], out / "log.jsonl", contest.seconds, console)


def save_standings(standings: Standings, machine: Machine, folder: Path) -> dict[str, Path]:
    """The table as JSON and the plot, PSNR against the file's size and against a frame's time; where they are."""
    record, picture, done = folder / "architectures.json", folder / "architectures.png", standings.trained()
    write_json(record, standings.to_record() | {"machine": machine.to_record()})
    costs = {
        "model file, MB": [metrics.effort.model_bytes / 1e6 for _, metrics in done],
        "ms per frame": [metrics.frame_ms for _, metrics in done],
    }
    title = f"{standings.data}: {standings.seconds:g} s of training each, {done[0][1].effort.device}"
    plot_costs(title, [str(entrant) for entrant, _ in done], [m.quality.psnr for _, m in done], costs, picture)
    return {"table": record, "plot": picture}
