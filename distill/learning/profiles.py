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


def measured() -> list[dict[str, Any]]:
    """The tables that were measured: {"machine", "data", "scored_on", "seconds", "rows"} each."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else []


def profiles() -> Iterator[Profile]:
    """Every preset of every architecture."""
    tables = measured()
    for name in fields.NAMES:
        for preset, config in fields.module(name).PRESETS.items():
            final = Shape(name, config).final
            lines = [line(t, row) for t in tables for row in t["rows"] if same(row, name, preset)]
            yield Profile(name, preset, final.parameters, final.stored_bytes, tuple(lines))


def same(row: dict[str, Any], name: str, preset: str) -> bool:
    """Whether a measured row is of this preset."""
    return row["architecture"] == name and row["preset"] == preset and "psnr" in row


def line(table: dict[str, Any], row: dict[str, Any]) -> str:
    """A measured row for a person."""
    return f"{row['psnr']:.2f} dB on {table['data']} after {row['train_seconds']:.0f} s ({table['device']})"


def listing() -> Table:
    """All presets, for a person."""
    table = Table("architecture", "preset", "parameters", "weights", "measured", title="architectures and presets")
    table.caption = "sizes are those after all growth and before pruning"
    before = ""
    for one in profiles():
        if before and one.architecture != before:
            table.add_section()
        name = one.architecture if one.architecture != before else ""
        sizes = f"{one.parameters / 1e6:.2f} M", f"{one.weight_bytes / 1e6:.2f} MB"
        table.add_row(name, one.preset, *sizes, "\n".join(one.measured) or "not yet")
        before = one.architecture
    return table
