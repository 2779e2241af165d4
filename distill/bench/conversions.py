"""Every architecture converted into every other: dB lost and gained, seconds, a JSON file, and two heat maps."""

import json
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from rich.console import Console

import fields
from distill.bench.architectures import Contest, Entrant, Standing, train_entrant
from distill.bench.matrix import ConversionMatrix, Converted, Figures, Graduate, Pair
from distill.bench.process import run_command
from distill.bench.results import Failure
from distill.conversion.job import digest, origin
from distill.learning.files import Files
from distill.learning.metrics import Metrics
from fields.files import read_header, write_json


@dataclass(frozen=True)
class Match:
    """What every pair is given."""

    contest: Contest  # data, device and who takes part; its seconds are those of a teacher
    seconds: float  # of every conversion
    teachers: Path  # holds NAME-PRESET/model.safetensors and metrics.json of each, as a contest leaves them
    trained: bool  # whether the teachers that are there already are taken as they are
    resume: bool = False  # whether conversions that are in the folder already are taken as they are

    def entrants(self) -> list[Entrant]:
        """The named ones, else every architecture at the device's size, without variants. ValueError below two."""
        chosen = replace(self.contest, only=self.contest.only or fields.NAMES).entrants()
        different = list(dict.fromkeys(chosen))
        if len(different) < 2:
            raise ValueError(f"--distill wants two architectures or more in --only, found {len(different)}")
        return different

    def protocol(self) -> dict[str, Any]:
        """What must be equal for two conversions to stand in one table."""
        return {"data": self.contest.title, "seconds": self.seconds, "on": self.contest.device}


Graduates = dict[Entrant, Graduate]


def train_teachers(match: Match, console: Console) -> Graduates:
    """Train those that are not there yet, each for the contest's seconds; what is known of all.

    ValueError where all failed, or where one that is there was trained on something else.
    """
    entrants = match.entrants()
    there = {one: match.trained and is_there(match.teachers / one.label) for one in entrants}
    known = {one: read_teacher(match, one) for one in entrants if there[one]}
    for one in entrants:
        if not there[one]:
            console.rule(f"train {one}")
            known[one] = train_teacher(match, one, console)
            tell_failure(known[one].standing.found, console)
    failed = [one.standing.found.reason for one in known.values() if isinstance(one.standing.found, Failure)]
    if len(failed) == len(known):
        raise ValueError(f"no teacher could be trained: {failed[0]}")
    return {one: known[one] for one in entrants}


def is_there(folder: Path) -> bool:
    """Whether a run has ended well in this folder."""
    files = Files.within(folder)
    return files.model.is_file() and files.metrics.is_file()


def train_teacher(match: Match, entrant: Entrant, console: Console) -> Graduate:
    """From the photographs, as `train-scene` does."""
    folder = match.teachers / entrant.label
    Files.within(folder).metrics.unlink(missing_ok=True)  # of an earlier run, in case that this one ends early
    found = train_entrant(match.contest, entrant, folder, console)
    return Graduate(Standing(entrant, found)) if isinstance(found, Failure) else read_teacher(match, entrant)


def read_teacher(match: Match, entrant: Entrant) -> Graduate:
    """What a finished run says of itself. ValueError where it was trained on something else."""
    files, given = Files.within(match.teachers / entrant.label), match.contest
    data, downscale = origin(read_header(files.model).provenance)
    if (Path(data).name, downscale) != (Path(given.data).name, given.downscale):
        raise ValueError(
            f"{files.model}: was trained on {data or 'unknown data'} --downscale {downscale}; "
            f"a teacher of {given.data} --downscale {given.downscale} is wanted"
        )
    try:
        metrics = Metrics.from_record(json.loads(files.metrics.read_text(encoding="utf-8")))
    except ValueError:
        raise ValueError(f"{files.metrics}: are not the metrics that train-scene writes") from None
    return Graduate(Standing(entrant, metrics), digest(files.model))


def convert_all(match: Match, folder: Path, console: Console) -> ConversionMatrix:
    """Train the teachers, convert every ordered pair, each in a process of its own; the table is written as it grows.

    A pair that fails stays in it with its reason. ValueError where all failed; KeyboardInterrupt after the conversion
    that was running has saved itself.
    """
    record = folder / "distill.json"
    done = read_earlier(record, match) if match.resume else []
    known = train_teachers(match, console)
    pairs = list(permutations(known, 2))
    rows = {pair: row for pair in pairs if (row := find_earlier(done, pair, known[pair[0]]))}
    result = ConversionMatrix(match.contest.title, match.seconds, match.contest.device, tuple(known.values()), ())
    try:
        for count, pair in enumerate(pairs, 1):
            if pair not in rows:
                console.rule(f"{count} of {len(pairs)}: {pair[0]} into {pair[1]}")
                out = folder / f"{pair[0].label}_to_{pair[1].label}"
                rows[pair] = Converted(*pair, convert_entrant(match, pair, out, console))
                tell_failure(rows[pair].found, console)
            result = replace(result, rows=tuple(rows[pair] for pair in pairs if pair in rows))
            write_json(record, result.to_record())
    except KeyboardInterrupt:
        text = f"{len(rows)} of {len(pairs)} conversions are done; --resume goes on with the others"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        raise
    failed = result.failures()
    if len(failed) == len(pairs):
        raise ValueError(f"no pair could be converted: {next(iter(failed.values())).reason}")
    return result


def read_earlier(record: Path, match: Match) -> list[tuple[Converted, str]]:
    """Conversions of an earlier run under the same protocol, with their teachers' digests; none where there was none,
    or it was another."""
    try:
        result = json.loads(record.read_text(encoding="utf-8"))
        same = all(result[key] == value for key, value in match.protocol().items())
        rows = [row for row in result["rows"] if "error" not in row] if same else []
        return [(Converted.from_record(row), row["digest"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def find_earlier(done: list[tuple[Converted, str]], pair: Pair, teacher: Graduate) -> Converted | None:
    """A pair's earlier row, None where there is none or its teacher was another file."""
    return next((row for row, file in done if (row.teacher, row.student) == pair and file == teacher.digest), None)


def convert_entrant(
    match: Match, pair: Pair, out: Path, console: Console, more: tuple[str, ...] = ()
) -> Figures | Failure:
    """One conversion as `convert-scene` does it, with `more` flags."""
    teacher, student = pair
    folder = match.teachers / teacher.label
    if not is_there(folder):
        return Failure(f"{teacher} could not be trained")
    given = match.contest
    flags = {"--to": student.architecture, "--preset": student.preset, "--max-seconds": match.seconds}
    flags |= {"--data": given.data, "--downscale": given.downscale, "--device": given.device, "--out": out}
    words = [str(Files.within(folder).model), *(str(word) for flag in flags.items() for word in flag), *more]
    found = run_command("distill.convert_scene", words, Files.within(out).log, match.seconds, console)
    return found if isinstance(found, Failure) else Figures.of(found)


def tell_failure(found: Metrics | Figures | Failure, console: Console) -> None:
    """The reason, where something failed."""
    if isinstance(found, Failure):
        console.print(found.reason, style="red", highlight=False, markup=False, soft_wrap=True)
