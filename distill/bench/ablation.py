"""What the parts of a conversion are worth: the same one without them, in turn."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from distill.bench.conversions import Match, convert_entrant, tell_failure, train_teachers
from distill.bench.matrix import Converted, Figures, Graduate, compare_with_trained
from distill.bench.results import Failure, condense, tabulate, write_number
from fields.files import write_json

VARIANTS = {
    "as it is": (),
    "another seed": ("--seed", "1"),  # how much chance alone changes
    "without features": ("--phases", "samples", "rays"),
    "rays only": ("--phases", "rays"),
    "active: none": ("--active", "none"),
    "active: poses": ("--active", "poses"),
    "active: rays": ("--active", "rays"),
    "active: points": ("--active", "points"),
    "active: all": ("--active", "poses", "rays", "points"),
}
PAIR = "hashgrid", "mlp"  # where --only names none


@dataclass(frozen=True)
class Variant:
    """A conversion with flags of its own."""

    name: str
    flags: tuple[str, ...]
    row: Converted

    def show(self, figure: Callable[[Figures], str]) -> str:
        """A cell."""
        found = self.row.found
        return "" if isinstance(found, Failure) else figure(found)


@dataclass(frozen=True)
class Ablation:
    """All variants of one conversion."""

    data: str  # title
    seconds: float  # of each
    device: str  # kind
    teacher: Graduate
    trained: Graduate  # the student's shape, from photographs
    variants: tuple[Variant, ...]  # the first is the conversion as it is

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        both = {"teacher": self.teacher.to_record(), "trained": self.trained.to_record()}
        rows = [
            {"variant": one.name, "flags": " ".join(one.flags)} | one.row.to_record(self.trained)
            for one in self.variants
        ]
        return {"data": self.data, "seconds": self.seconds, "on": self.device, **both, "rows": rows}

    def to_table(self) -> Table:
        """For a person; differences are to the first row."""
        first = self.variants[0].row.found
        plain = None if isinstance(first, Failure) else first.psnr

        def gained(found: Figures) -> str:
            beside = compare_with_trained(found, self.trained)
            return write_number(beside and beside.gain, "+.2f")

        def differs(found: Figures) -> str:
            return write_number(None if plain is None else found.psnr - plain, "+.2f")

        columns: dict[str, Callable[[Variant], str]] = {
            "variant": lambda one: one.name,
            "dB": lambda one: one.show(lambda found: f"{found.psnr:.2f}") or "failed",
            "difference": lambda one: one.show(differs),
            "dB to the teacher": lambda one: one.show(lambda found: f"{found.psnr_teacher:.2f}"),
            "gain": lambda one: one.show(gained),
            "steps": lambda one: one.show(lambda found: str(found.steps)),
            "s": lambda one: one.show(lambda found: f"{found.seconds:.0f}"),
        }
        pair = f"{self.teacher.standing.entrant} into {self.trained.standing.entrant}"
        caption = "dB on photographs; gain: over the student trained from them"
        return condense(tabulate(f"{pair}: {self.data}, {self.seconds:g} s each", columns, self.variants, caption))


def ablate(match: Match, path: Path, console: Console) -> Ablation:
    """Convert the first entrant into the second in every variant; the table is written to `path` as it grows.

    A variant that fails stays in it with its reason. ValueError where all failed.
    """
    known = train_teachers(match, console)
    teacher, student = list(known)[:2]
    contest, done = match.contest, list[Variant]()
    result = Ablation(contest.title, match.seconds, contest.device, known[teacher], known[student], ())
    for name, flags in VARIANTS.items():
        console.rule(f"{teacher} into {student}, {name}")
        out = path.parent / f"{teacher.label}_to_{student.label}_{name.replace(': ', '_').replace(' ', '_')}"
        found = convert_entrant(match, (teacher, student), out, console, flags)
        tell_failure(found, console)
        done.append(Variant(name, flags, Converted(teacher, student, found)))
        result = replace(result, variants=tuple(done))
        write_json(path, result.to_record())
    failed = [one.row.found.reason for one in done if isinstance(one.row.found, Failure)]
    if len(failed) == len(done):
        raise ValueError(f"no variant could be converted: {failed[0]}")
    return result
