"""What presets are known to give: their sizes, and what `bench-scene --architectures` measured of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

import fields
from fields.shape import Shape

MEASURED = Path(__file__).with_name("profiles.json")


@dataclass(frozen=True)
class Profile:
    """One preset. Sizes are those after all growth, before pruning."""

    architecture: str
    preset: str
    parameters: int
    weight_bytes: int  # in the model file, which holds cameras, occupancy and a thumbnail besides
    measured: tuple[str, ...]  # one line for every table that has it


@dataclass(frozen=True)
class MeasuredRow:
    """One preset, trained."""

    architecture: str
    preset: str
    psnr: float  # dB
    seconds: float  # of training
    frame_ms: float  # milliseconds of a frame
    model_bytes: int
    parameters: int

    @staticmethod
    def from_record(record: dict[str, Any]) -> "MeasuredRow":
        """Of a contest's table."""
        return MeasuredRow(
            architecture=record["architecture"],
            preset=record["preset"],
            psnr=float(record["psnr"]),
            seconds=record["train_seconds"],
            frame_ms=record["frame_ms_median"],
            model_bytes=record["model_bytes"],
            parameters=record["parameters"],
        )


@dataclass(frozen=True)
class MeasuredTable:
    """A contest that was published."""

    data: str  # title
    seconds: float  # of training, each
    scored_on: str
    device: str  # cpu and its threads, or a GPU as its maker names it
    rows: tuple[MeasuredRow, ...]  # without those that failed

    @property
    def kind(self) -> str:
        """cpu or cuda."""
        return "cpu" if self.device.startswith("cpu") else "cuda"

    def find(self, architecture: str, preset: str) -> MeasuredRow | None:
        """The row of a preset."""
        return next((row for row in self.rows if (row.architecture, row.preset) == (architecture, preset)), None)

    @staticmethod
    def from_record(record: dict[str, Any]) -> "MeasuredTable":
        """As `bench-scene --architectures` writes it."""
        rows = tuple(MeasuredRow.from_record(row) for row in record["rows"] if "psnr" in row)
        return MeasuredTable(record["data"], record["seconds"], record["scored_on"], record["device"], rows)


def read_tables() -> list[MeasuredTable]:
    """What was measured; the file comes with the package."""
    records = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else []
    return [MeasuredTable.from_record(record) for record in records]


def profiles() -> Iterator[Profile]:
    """Every preset of every architecture."""
    tables = read_tables()
    for name in fields.NAMES:
        for preset, config in fields.module(name).PRESETS.items():
            final = Shape(name, config).final
            lines = [describe_row(table, row) for table in tables if (row := table.find(name, preset))]
            yield Profile(name, preset, final.parameters, final.stored_bytes, tuple(lines))


def describe_row(table: MeasuredTable, row: MeasuredRow) -> str:
    """For a person."""
    return f"{row.psnr:.2f} dB on {table.data} after {row.seconds:.0f} s ({table.device})"


def listing(*, everything: bool = False) -> Table:
    """All presets, for a person, under when to take them; without `everything` those that were measured."""
    table = Table("architecture", "preset", "parameters", "weights", "measured", title="architectures and presets")
    table.caption = "sizes are those after all growth and before pruning" + (
        "" if everything else "; --list --all shows presets that were never measured too"
    )
    before = ""
    for one in profiles():
        if one.architecture != before:
            table.add_section()
            table.add_row(one.architecture, "", "", "", fields.module(one.architecture).WHEN, style="bold")
        if one.measured or everything:
            sizes = f"{one.parameters / 1e6:.2f} M", f"{one.weight_bytes / 1e6:.2f} MB"
            table.add_row("", one.preset, *sizes, "\n".join(one.measured) or "never")
        before = one.architecture
    return table
