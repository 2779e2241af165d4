"""Every architecture converted into every other: dB lost and gained, seconds, a JSON file, and two heat maps."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import fields
from distill.bench.architectures import Contest, one, outcome, plotting, write_record
from distill.conversion.conversion import digest, origin
from distill.learning.monitor import Files
from fields.files import read_header

LIMIT = 3.0  # dB at which the heat maps' colours end; the numbers in the cells go on
TAKEN = ("train_seconds", "steps", "model_bytes", "frame_ms_median", "psnr_teacher", "scored_on", "device")
Entry = tuple[str, str]  # architecture and preset
Pair = tuple[Entry, Entry]  # teacher and student


@dataclass(frozen=True)
class Match:
    """What every pair is given."""

    contest: Contest  # data, device and who takes part; its seconds are those of a teacher
    seconds: float  # of every conversion
    teachers: Path  # holds NAME-PRESET/model.safetensors and metrics.json of each, as a contest leaves them
    trained: bool  # whether the teachers that are there already are taken as they are
    resume: bool = False  # whether conversions that are in the folder already are taken as they are

    def entries(self) -> list[Entry]:
        """The named ones, else every architecture at the device's size, without variants. ValueError below two."""
        chosen = replace(self.contest, only=self.contest.only or fields.NAMES).entries()
        different = list(dict.fromkeys(chosen))
        if len(different) < 2:
            raise ValueError(f"--distill wants two architectures or more in --only, found {len(different)}")
        return different

    def protocol(self) -> dict[str, Any]:
        """What must be equal for two conversions to stand in one table."""
        given = self.contest
        name = Path(given.data).name
        title = name if given.downscale == 1 else f"{name} --downscale {given.downscale}"
        return {"data": title, "seconds": self.seconds, "on": given.device}


def label(entry: Entry) -> str:
    """As folders are named."""
    return "-".join(entry)


def teachers(match: Match, console: Console) -> dict[Entry, dict[str, Any]]:
    """Train those that are not there yet, each for the contest's seconds; what is known of all.

    One that fails has `error` in place of figures. ValueError where all failed, or where one that is there was trained
    on something else.
    """
    entries = match.entries()
    there = {entry: match.trained and is_there(match.teachers / label(entry)) for entry in entries}
    known = {entry: read_teacher(match, entry) for entry in entries if there[entry]}
    for entry in entries:
        if not there[entry]:
            console.rule(f"train {' '.join(entry)}")
            known[entry] = train_teacher(match, entry, console)
            tell_error(known[entry], console)
    if all("error" in teacher for teacher in known.values()):
        raise ValueError(f"no teacher could be trained: {known[entries[0]]['error']}")
    return {entry: known[entry] for entry in entries}


def is_there(folder: Path) -> bool:
    """Whether a run has ended well in this folder."""
    files = Files.within(folder)
    return files.model.is_file() and files.metrics.is_file()


def train_teacher(match: Match, entry: Entry, console: Console) -> dict[str, Any]:
    """From the photographs, as `train-scene` does; what is known of it, or its error."""
    folder = match.teachers / label(entry)
    Files.within(folder).metrics.unlink(missing_ok=True)  # of an earlier run, in case that this one ends early
    row = one(match.contest, *entry, folder, console)
    return row if "error" in row else read_teacher(match, entry)


def read_teacher(match: Match, entry: Entry) -> dict[str, Any]:
    """What a finished run says of itself. ValueError where it was trained on something else."""
    files, given = Files.within(match.teachers / label(entry)), match.contest
    data, downscale = origin(read_header(files.model).provenance)
    if (Path(data).name, downscale) != (Path(given.data).name, given.downscale):
        raise ValueError(
            f"{files.model}: was trained on {data or 'unknown data'} --downscale {downscale}; "
            f"a teacher of {given.data} --downscale {given.downscale} is wanted"
        )
    try:
        metrics = json.loads(files.metrics.read_text(encoding="utf-8"))
        figures = {key: metrics[key] for key in ("psnr", "train_seconds", "steps", "scored_on", "device")}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{files.metrics}: are not the metrics that train-scene writes") from None
    return {"architecture": entry[0], "preset": entry[1], **figures, "digest": digest(files.model)}


def convert_all(match: Match, folder: Path, console: Console) -> dict[str, Any]:
    """Train the teachers, convert every ordered pair, each in a process of its own; the table is written as it grows.

    A pair that fails stays in it with its reason. ValueError where all failed; KeyboardInterrupt after the conversion
    that was running has saved itself.
    """
    record = folder / "distill.json"
    done = earlier(record, match) if match.resume else []
    known = teachers(match, console)
    pairs = list(permutations(known, 2))
    rows = {pair: row for pair in pairs if (row := found(done, pair, known[pair[0]]))}
    result: dict[str, Any] = {}
    try:
        for count, pair in enumerate(pairs, 1):
            if pair not in rows:
                console.rule(f"{count} of {len(pairs)}: {' '.join(pair[0])} into {' '.join(pair[1])}")
                row = convert(match, pair, folder / "_to_".join(label(entry) for entry in pair), console)
                tell_error(row, console)
                rows[pair] = row | {"digest": known[pair[0]].get("digest")}
            table = [compared(rows[pair], known[pair[1]]) for pair in pairs if pair in rows]
            result = match.protocol() | {"teachers": list(known.values()), "rows": table}
            write_record(result, record)
    except KeyboardInterrupt:
        text = f"{len(rows)} of {len(pairs)} conversions are done; --resume goes on with the others"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        raise
    if all("error" in row for row in result["rows"]):
        raise ValueError(f"no pair could be converted: {result['rows'][0]['error']}")
    return result


def names(teacher: Entry, student: Entry) -> dict[str, str]:
    """Of a pair, as a row begins."""
    keys = "teacher", "teacher_preset", "student", "student_preset"
    return dict(zip(keys, (*teacher, *student), strict=True))


def earlier(record: Path, match: Match) -> list[dict[str, Any]]:
    """Conversions of an earlier run under the same protocol; none where there was none, or it was another."""
    try:
        result = json.loads(record.read_text(encoding="utf-8"))
        same = all(result[key] == value for key, value in match.protocol().items())
        return [row for row in result["rows"] if "error" not in row] if same else []
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return []


def found(done: list[dict[str, Any]], pair: Pair, teacher: dict[str, Any]) -> dict[str, Any]:
    """A pair's earlier row, empty where there is none or its teacher was another file."""
    wanted = names(*pair) | {"digest": teacher.get("digest", "")}
    return next((row for row in done if all(row.get(key) == value for key, value in wanted.items())), {})


def convert(match: Match, pair: Pair, out: Path, console: Console, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """One conversion as `convert-scene` does it, with `more` flags: its row, or why there is none."""
    teacher, student = pair
    folder = match.teachers / label(teacher)
    if not is_there(folder):
        return names(*pair) | {"error": f"{' '.join(teacher)} could not be trained"}
    given = match.contest
    flags = {"--to": student[0], "--preset": student[1], "--max-seconds": match.seconds, "--data": given.data}
    flags |= {"--downscale": given.downscale, "--device": given.device, "--out": out}
    words = [str(Files.within(folder).model), *(str(word) for flag in flags.items() for word in flag), *more]
    metrics = outcome("distill.convert_scene", words, Files.within(out).log, match.seconds, console)
    return names(*pair) | (metrics if "error" in metrics else figures(metrics))


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """A row's figures. `psnr` and `teacher_psnr` are against held-out photographs, `psnr_teacher` the student against
    the teacher's pictures; all in dB."""
    psnr, theirs = float(metrics["psnr"]), float(metrics["photographs"]["teacher_psnr"])
    kept = {key: metrics[key] for key in TAKEN}
    return {"psnr": psnr, "teacher_psnr": theirs, "difference": psnr - theirs, **kept}


def compared(row: dict[str, Any], trained: dict[str, Any]) -> dict[str, Any]:
    """The row beside the same student trained from photographs: dB gained, and how much faster it was as good.

    `speed_up` is a ratio of learning times, without those of the teacher; None where the student stays behind the
    trained one. Both are None where that one is missing or was scored under another protocol.
    """
    if "error" in row:
        return row
    if trained.get("scored_on") != row["scored_on"]:
        nothing = ("photographs_psnr", "photographs_seconds", "gain", "speed_up")
        return row | dict.fromkeys(nothing)
    psnr, seconds = float(trained["psnr"]), trained["train_seconds"]
    gain = row["psnr"] - psnr
    speed_up = seconds / max(row["train_seconds"], 1e-9) if gain >= 0 else None
    return row | {"photographs_psnr": psnr, "photographs_seconds": seconds, "gain": gain, "speed_up": speed_up}


def tell_error(row: dict[str, Any], console: Console) -> None:
    """The reason, where something failed."""
    if "error" in row:
        console.print(row["error"], style="red", highlight=False, markup=False, soft_wrap=True)


def title_of(entries: list[Entry]) -> Callable[[Entry], str]:
    """How entries are told apart: by architecture where each stands there once."""
    once = len({architecture for architecture, _ in entries}) == len(entries)
    return (lambda entry: entry[0]) if once else label


def sides(result: dict[str, Any]) -> tuple[list[Entry], dict[Pair, dict[str, Any]]]:
    """Who took part, in order; and the rows by pair."""
    entries = [(known["architecture"], known["preset"]) for known in result["teachers"]]
    rows = {
        ((row["teacher"], row["teacher_preset"]), (row["student"], row["student_preset"])): row
        for row in result["rows"]
    }
    return entries, rows


def matrix(result: dict[str, Any]) -> Table:
    """Student minus teacher in dB on photographs; a row a teacher, a column a student."""
    entries, rows = sides(result)
    name = title_of(entries)
    title = f"student minus teacher in dB: {result['data']}, {result['seconds']:g} s each"
    table = shaped(Table("teacher", "dB", *(name(entry) for entry in entries), title=title))
    failed = [f"{name(t)} into {name(s)}: {row['error']}" for (t, s), row in rows.items() if "error" in row]
    table.caption = "\n".join(escape(line) for line in failed) or None
    for teacher in entries:
        line = [rows.get((teacher, student), {}) for student in entries]
        score = next((row["teacher_psnr"] for row in line if "psnr" in row), None)
        table.add_row(name(teacher), number(score, ".2f"), *(cell(row) for row in line))
    return table


def shaped(table: Table) -> Table:
    """Numbers to the right, and as many columns in a line as go."""
    table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
    for place, column in enumerate(table.columns):
        column.no_wrap, column.justify = True, "right" if place else "left"
    return table


def cell(row: dict[str, Any]) -> str:
    """One of the matrix."""
    return "failed" if "error" in row else number(row.get("difference"), "+.2f")


def number(value: float | None, shape: str) -> str:
    """Or a dash where there is none."""
    return "-" if value is None else format(value, shape)


def bests(result: dict[str, Any]) -> Table:
    """For each student: trained from photographs, and its fastest conversion that was as good, else its best one."""
    entries, rows = sides(result)
    name = title_of(entries)
    columns = "student", "trained dB", "s", "converted from", "dB", "gain", "s", "speed-up"
    table = shaped(Table(*columns, title="from photographs, and the best conversion"))
    table.caption = note(result)
    for student in entries:
        its = [row for pair, row in rows.items() if pair[1] == student and "psnr" in row]
        if its:
            best = max(its, key=lambda row: (row["speed_up"] or 0.0, row["psnr"]))
            table.add_row(name(student), *best_cells(best, name))
    return table


def best_cells(row: dict[str, Any], name: Callable[[Entry], str]) -> list[str]:
    """Of a student's best conversion."""
    trained = number(row["photographs_psnr"], ".2f"), number(row["photographs_seconds"], ".0f")
    teacher = name((row["teacher"], row["teacher_preset"]))
    own = f"{row['psnr']:.2f}", number(row["gain"], "+.2f"), f"{row['train_seconds']:.0f}"
    return [*trained, teacher, *own, "-" if row["speed_up"] is None else f"{row['speed_up']:.1f} x"]


def note(result: dict[str, Any]) -> str:
    """What the second table counts, and whether both sides ran alike."""
    text = "speed-up: seconds trained / seconds converted, without the teacher's; - where the student is not as good"
    before = {known["device"] for known in result["teachers"] if "device" in known}
    now = {row["device"] for row in result["rows"] if "device" in row}
    if before | now != before & now:
        text += f"\ntrained on {', '.join(sorted(before))}, converted on {', '.join(sorted(now))}"
    return text


def plot(result: dict[str, Any], path: Path) -> None:
    """Two heat maps: student minus teacher, and what conversion gains over training from photographs."""
    library = plotting()
    entries, rows = sides(result)
    side = max(3.6, 1.6 + 0.75 * len(entries))  # inches
    picture = library.figure.Figure(figsize=(2 * side + 1.4, side + 0.6), layout="constrained")
    texts = "student minus teacher, dB", "student minus the same one\ntrained from photographs, dB"
    panels = zip(("difference", "gain"), texts, strict=True)
    name = title_of(entries)
    drawn: Any = None
    for axes, (key, text) in zip(picture.subplots(1, 2), panels, strict=True):
        drawn = heat(axes, [[rows.get((t, s), {}).get(key) for s in entries] for t in entries])
        axes.set_xticks(range(len(entries)), [name(entry) for entry in entries])
        axes.set_yticks(range(len(entries)), [name(entry) for entry in entries])
        axes.set(title=text, xlabel="student", ylabel="teacher")
        for (teacher, student), row in rows.items():
            if "error" in row:
                axes.text(entries.index(student), entries.index(teacher), "failed", ha="center", va="center", size=8)
    picture.colorbar(drawn, ax=picture.axes, extend="both", shrink=0.8, label="dB")
    picture.suptitle(f"{result['data']}: {result['seconds']:g} s for every conversion")
    picture.savefig(path, dpi=100)


def heat(axes: Any, values: list[list[float | None]]) -> Any:
    """Coloured cells with their numbers; those without one stay grey. Orange is a loss, purple a gain."""
    numbers = [[float("nan") if value is None else value for value in line] for line in values]
    axes.set_facecolor("0.9")
    drawn = axes.imshow(numbers, cmap="PuOr", vmin=-LIMIT, vmax=LIMIT)
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            if value is not None:
                color = "white" if abs(value) > 0.55 * LIMIT else "black"
                axes.text(j, i, f"{value:+.2f}", ha="center", va="center", color=color, size=10)
    return drawn


def save(result: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """The table as JSON and the heat maps; where they are."""
    record, picture = folder / "distill.json", folder / "distill.png"
    write_record(result, record)
    plot(result, picture)
    return record, picture
