"""What all conversions gave: the matrix of teachers and students, its tables, its JSON and its heat maps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from distill.bench.architectures import Entrant, Standing
from distill.bench.charts import plot_pairs
from distill.bench.results import Failure, condense, tabulate, write_number
from distill.bench.timing import Machine
from distill.learning.metrics import Metrics
from fields.files import write_json
from render.metrics import plain

Pair = tuple[Entrant, Entrant]  # teacher and student
KNOWN = "psnr", "train_seconds", "steps", "scored_on", "device"  # of a teacher's metrics, in the matrix's JSON


@dataclass(frozen=True)
class Graduate:
    """A field that learnt from photographs: it teaches, and conversions into its shape are held against it."""

    standing: Standing
    digest: str | None = None  # of its model file; None where it could not be trained

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.standing.to_record(KNOWN) | ({"digest": self.digest} if self.digest else {})


@dataclass(frozen=True)
class Figures:
    """Of a conversion."""

    psnr: float  # dB, the student's against held-out photographs
    teacher_psnr: float  # dB, the teacher's against the same
    psnr_teacher: float  # dB, the student's against the teacher's pictures
    seconds: float
    steps: int
    model_bytes: int
    frame_ms: float
    scored_on: str
    device: str

    @property
    def difference(self) -> float:
        """Student minus teacher in dB."""
        return self.psnr - self.teacher_psnr

    @staticmethod
    def of(metrics: Metrics) -> "Figures":
        """Of a conversion that was scored on photographs. ValueError where it was not."""
        teacher, effort = metrics.teacher, metrics.effort
        if teacher is None or teacher.photographs is None:
            raise ValueError("a conversion is to be scored on photographs")
        return Figures(
            metrics.quality.psnr, teacher.photographs.psnr, teacher.psnr, effort.seconds, effort.steps,
            effort.model_bytes, metrics.frame_ms, str(metrics.quality.protocol), effort.device,
        )  # fmt: skip

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "psnr": plain(self.psnr),
            "teacher_psnr": plain(self.teacher_psnr),
            "difference": plain(self.difference),
            "train_seconds": self.seconds,
            "steps": self.steps,
            "model_bytes": self.model_bytes,
            "frame_ms_median": self.frame_ms,
            "psnr_teacher": plain(self.psnr_teacher),
            "scored_on": self.scored_on,
            "device": self.device,
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Figures":
        """Inverse of `to_record`. KeyError, TypeError or ValueError where an entry is missing or has another form."""
        return Figures(
            psnr=float(record["psnr"]),
            teacher_psnr=float(record["teacher_psnr"]),
            psnr_teacher=float(record["psnr_teacher"]),
            seconds=float(record["train_seconds"]),
            steps=int(record["steps"]),
            model_bytes=int(record["model_bytes"]),
            frame_ms=float(record["frame_ms_median"]),
            scored_on=str(record["scored_on"]),
            device=str(record["device"]),
        )


@dataclass(frozen=True)
class Advantage:
    """A conversion beside the same student trained from photographs."""

    psnr: float  # dB, of the trained one
    seconds: float  # that it took
    gain: float  # dB that the conversion is better
    speed_up: float | None  # ratio of learning times, without the teacher's; None where it is not as good


@dataclass(frozen=True)
class Converted:
    """One pair."""

    teacher: Entrant
    student: Entrant
    found: Figures | Failure

    def to_record(self, trained: Graduate) -> dict[str, Any]:
        """Plain JSON values, beside the student as trained from photographs."""
        names = {
            "teacher": self.teacher.architecture,
            "teacher_preset": self.teacher.preset,
            "student": self.student.architecture,
            "student_preset": self.student.preset,
        }
        record = names | self.found.to_record()
        if isinstance(self.found, Failure):
            return record
        beside = compare_with_trained(self.found, trained)
        return record | {
            "photographs_psnr": beside and beside.psnr,
            "photographs_seconds": beside and beside.seconds,
            "gain": beside and beside.gain,
            "speed_up": beside and beside.speed_up,
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Converted":
        """Inverse of `to_record` of one that did not fail. KeyError, TypeError or ValueError as for `Figures`."""
        teacher = Entrant(str(record["teacher"]), str(record["teacher_preset"]))
        return Converted(
            teacher, Entrant(str(record["student"]), str(record["student_preset"])), Figures.from_record(record)
        )


def compare_with_trained(figures: Figures, trained: Graduate) -> Advantage | None:
    """dB gained, and how much faster it was as good; None where the trained one is missing or was scored under another
    protocol."""
    known = trained.standing.found
    if isinstance(known, Failure) or str(known.quality.protocol) != figures.scored_on:
        return None
    gain = figures.psnr - known.quality.psnr
    faster = known.effort.seconds / max(figures.seconds, 1e-9) if gain >= 0 else None
    return Advantage(known.quality.psnr, known.effort.seconds, gain, faster)


@dataclass(frozen=True)
class Best:
    """A student's best conversion."""

    student: Entrant
    teacher: Entrant
    figures: Figures
    beside: Advantage | None


@dataclass(frozen=True)
class ConversionMatrix:
    """All pairs that were converted."""

    data: str  # title
    seconds: float  # of every conversion
    device: str  # kind
    teachers: tuple[Graduate, ...]
    rows: tuple[Converted, ...]

    @property
    def entrants(self) -> list[Entrant]:
        """In order."""
        return [teacher.standing.entrant for teacher in self.teachers]

    def trained(self, entrant: Entrant) -> Graduate:
        """As it learnt from photographs."""
        return next(teacher for teacher in self.teachers if teacher.standing.entrant == entrant)

    def figures(self) -> dict[Pair, Figures]:
        """Of the pairs that did not fail."""
        return {(row.teacher, row.student): row.found for row in self.rows if isinstance(row.found, Figures)}

    def failures(self) -> dict[Pair, Failure]:
        """The others."""
        return {(row.teacher, row.student): row.found for row in self.rows if isinstance(row.found, Failure)}

    def gains(self) -> dict[Pair, Advantage]:
        """Over training from photographs, where that can be told."""
        beside = {pair: compare_with_trained(found, self.trained(pair[1])) for pair, found in self.figures().items()}
        return {pair: one for pair, one in beside.items() if one}

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [
            row.to_record(self.trained(row.student)) | {"digest": self.trained(row.teacher).digest} for row in self.rows
        ]
        teachers = [teacher.to_record() for teacher in self.teachers]
        return {"data": self.data, "seconds": self.seconds, "on": self.device, "teachers": teachers, "rows": rows}

    def name(self, entrant: Entrant) -> str:
        """How they are told apart: by architecture where each stands there once."""
        once = len({one.architecture for one in self.entrants}) == len(self.teachers)
        return entrant.architecture if once else entrant.label

    def to_table(self) -> Table:
        """Student minus teacher in dB on photographs; a row a teacher, a column a student."""
        title, names = f"student minus teacher in dB: {self.data}, {self.seconds:g} s each", self.entrants
        table = condense(Table("teacher", "dB", *(self.name(one) for one in names), title=title))
        failed = [f"{self.name(t)} into {self.name(s)}: {why.reason}" for (t, s), why in self.failures().items()]
        table.caption = "\n".join(escape(line) for line in failed) or None
        for teacher in names:
            own = (found.teacher_psnr for (one, _), found in self.figures().items() if one == teacher)
            cells = (self.cell((teacher, student)) for student in names)
            table.add_row(self.name(teacher), write_number(next(own, None), ".2f"), *cells)
        return table

    def cell(self, pair: Pair) -> str:
        """One of the table."""
        found = self.figures().get(pair)
        return "failed" if pair in self.failures() else write_number(found and found.difference, "+.2f")

    def bests(self) -> list[Best]:
        """For each student that could be converted into: its fastest conversion that was as good as training from
        photographs, else its best one."""
        gains, found = self.gains(), list[Best]()
        for student in self.entrants:
            its = [Best(s, t, figures, gains.get((t, s))) for (t, s), figures in self.figures().items() if s == student]
            if its:
                found.append(max(its, key=lambda one: ((one.beside and one.beside.speed_up) or 0.0, one.figures.psnr)))
        return found

    def bests_table(self) -> Table:
        """For each student: trained from photographs, and its best conversion."""
        columns: dict[str, Callable[[Best], str]] = {
            "student": lambda one: self.name(one.student),
            "trained dB": lambda one: write_number(one.beside and one.beside.psnr, ".2f"),
            "s": lambda one: write_number(one.beside and one.beside.seconds, ".0f"),
            "converted from": lambda one: self.name(one.teacher),
            "dB": lambda one: f"{one.figures.psnr:.2f}",
            "gain": lambda one: write_number(one.beside and one.beside.gain, "+.2f"),
            "took s": lambda one: f"{one.figures.seconds:.0f}",
            "speed-up": lambda one: f"{one.beside.speed_up:.1f} x" if one.beside and one.beside.speed_up else "-",
        }
        return condense(tabulate("from photographs, and the best conversion", columns, self.bests(), self.note()))

    def note(self) -> str:
        """What the second table counts, and whether both sides ran alike."""
        text = (
            "speed-up: seconds trained / seconds converted, without the teacher's; - where the student is not as good"
        )
        known = [teacher.standing.found for teacher in self.teachers]
        before = {metrics.effort.device for metrics in known if isinstance(metrics, Metrics)}
        now = {found.device for found in self.figures().values()}
        if before | now != before & now:
            text += f"\ntrained on {', '.join(sorted(before))}, converted on {', '.join(sorted(now))}"
        return text


def save_matrix(matrix: ConversionMatrix, machine: Machine, folder: Path) -> dict[str, Path]:
    """The table as JSON, and two heat maps: student minus teacher, and what conversion gains over training from
    photographs; where they are."""
    record, picture, entrants = folder / "distill.json", folder / "distill.png", matrix.entrants
    write_json(record, matrix.to_record() | {"machine": machine.to_record()})
    differences = {pair: found.difference for pair, found in matrix.figures().items()}
    gains = {pair: beside.gain for pair, beside in matrix.gains().items()}
    maps = {
        "student minus teacher, dB": [[differences.get((t, s)) for s in entrants] for t in entrants],
        "student minus the same one\ntrained from photographs, dB": [
            [gains.get((t, s)) for s in entrants] for t in entrants
        ],
    }
    failed = [(entrants.index(t), entrants.index(s)) for t, s in matrix.failures()]
    title = f"{matrix.data}: {matrix.seconds:g} s for every conversion"
    plot_pairs(title, [matrix.name(one) for one in entrants], maps, failed, picture)
    return {"table": record, "plot": picture}
