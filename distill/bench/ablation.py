"""What the parts of a conversion are worth: the same one without them, in turn."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from distill.bench.architectures import write_record
from distill.bench.conversions import Match, compared, convert, label, number, shaped, teachers, tell_error

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


def ablate(match: Match, folder: Path, console: Console) -> dict[str, Any]:
    """Convert the first entry into the second in every variant; the table is written as it grows.

    A variant that fails stays in it with its reason. ValueError where all failed.
    """
    known = teachers(match, console)
    teacher, student = list(known)[:2]
    result = match.protocol() | {"teacher": known[teacher], "trained": known[student], "rows": []}
    for variant, flags in VARIANTS.items():
        console.rule(f"{' '.join(teacher)} into {' '.join(student)}, {variant}")
        out = folder / f"{label(teacher)}_to_{label(student)}_{variant.replace(': ', '_').replace(' ', '_')}"
        row = compared(convert(match, (teacher, student), out, console, flags), known[student])
        result["rows"].append({"variant": variant, "flags": " ".join(flags)} | row)
        tell_error(row, console)
        write_record(result, folder / "ablation.json")
    if all("error" in row for row in result["rows"]):
        raise ValueError(f"no variant could be converted: {result['rows'][0]['error']}")
    return result


def table(result: dict[str, Any]) -> Table:
    """For a person; differences are to the first row."""
    teacher, student = (
        " ".join((one["architecture"], one["preset"])) for one in (result["teacher"], result["trained"])
    )
    title = f"{teacher} into {student}: {result['data']}, {result['seconds']:g} s each"
    columns = "", "dB", "difference", "dB to the teacher", "gain", "steps", "s"
    shown = shaped(Table(*columns, title=title))
    shown.caption = "dB on photographs; gain: over the student trained from them"
    plain = result["rows"][0].get("psnr")
    for row in result["rows"]:
        shown.add_row(row["variant"], *(["failed"] if "error" in row else cells(row, plain)))
    return shown


def cells(row: dict[str, Any], plain: float | None) -> list[str]:
    """Of one variant; `plain` is the dB of the conversion as it is, None where it failed."""
    difference = None if plain is None else row["psnr"] - plain
    others = f"{float(row['psnr_teacher']):.2f}", number(row["gain"], "+.2f")
    took = str(row["steps"]), f"{row['train_seconds']:.0f}"
    return [f"{row['psnr']:.2f}", number(difference, "+.2f"), *others, *took]
