"""What every bench gives: a record for programs, and a table for a person."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

Row = TypeVar("Row")


class Recorded(Protocol):
    """What programs can read."""

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        ...


class BenchResult(Recorded, Protocol):
    """Of one bench."""

    def to_table(self) -> Table:
        """The same for a person."""
        ...


@dataclass(frozen=True)
class Failure:
    """In place of a result."""

    reason: str  # one line

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"error": self.reason}


def tabulate(
    title: str, columns: Mapping[str, Callable[[Row], str]], rows: Iterable[Row], caption: str | None = None
) -> Table:
    """A line for each row; `columns` says by heading what a cell shows. Columns without any text are left out."""
    lines = [[cell(row) for cell in columns.values()] for row in rows]
    kept = [n for n in range(len(columns)) if not lines or any(line[n] for line in lines)]
    headings = list(columns)
    table = Table(*(headings[n] for n in kept), title=title, caption=caption)
    for line in lines:
        table.add_row(*(line[n] for n in kept))
    return table


def list_values(title: str, values: Mapping[str, Any]) -> Table:
    """Names and values of one record, a line each."""
    table = Table(title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    return table


def condense(table: Table) -> Table:
    """Numbers to the right, and as many columns in a line as go."""
    table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
    for place, column in enumerate(table.columns):
        column.no_wrap, column.justify = True, "right" if place else "left"
    return table


def write_number(value: float | None, shape: str) -> str:
    """Or a dash where there is none."""
    return "-" if value is None else format(value, shape)
