"""inspect-scene: what a data set or a model holds, what looks wrong with it, and what training it will take."""

import io
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from fields import files
from render.command import run
from scenes import formats, frusta
from scenes.assemble import assemble
from scenes.checks import SAMPLES, STEPS, Examination, examine
from scenes.paths import expect
from scenes.scene import Scene
from scenes.options import ReadOptions

SHOWN = 6  # names listed of suspicious pictures


@dataclass(frozen=True)
class Flags:
    """What a data set or a model holds, what looks wrong, and what training it will take."""

    data: Positional[str]  # folder, transforms.json, builtin[:SIZE], or a model.safetensors
    out: Path | None = None  # folder for cameras.png; default runs/NAME
    downscale: int = 1  # divide picture width and height by this
    max_resolution: int = 1920  # longest side of a picture in pixels, larger ones are shrunk
    json: bool = False  # print JSON and nothing else


def main() -> None:
    """The command."""
    run(Flags, inspect)


def inspect(flags: Flags) -> None:
    """Print the report; write cameras.png for a data set. ValueError or OSError for what cannot be used."""
    lies = expect(flags.data, "model", "scene")
    if lies.kind == "model":
        _print(flags, _model(Path(lies.path)))
        return
    if flags.out and flags.out.exists() and not flags.out.is_dir():
        raise ValueError(f"--out {flags.out}: expected a folder, found a file")
    options = ReadOptions(flags.downscale, flags.max_resolution, skip_missing=True)
    scene = assemble(formats.module(lies.format).read(lies.path, options), options)
    report = examine(scene, lies.format, _command(flags, scene))
    picture = (flags.out or Path("runs") / scene.name) / "cameras.png"
    content = io.BytesIO()
    frusta.draw(scene).save(content, "PNG")
    files.write_beside(picture, content.getvalue())
    if flags.json:
        print(json.dumps(report.to_record() | {"picture": str(picture)}, indent=2))
    else:
        show(report, picture)


def show(report: Examination, picture: Path) -> None:
    """Print a report as a table, then warnings, then the next command."""
    console = Console()
    console.print(_table(report.name, [*_rows(report), ("cameras drawn in", str(picture))]))
    for warning in warnings(report):
        console.print(f"[bold yellow]look at[/]  {warning}", highlight=False)
    console.print(f"[bold]next[/]     {report.command}", highlight=False, soft_wrap=True)


def warnings(report: Examination) -> list[str]:
    """What looks wrong, one line each."""
    found = [fact.text for fact in report.facts if fact.kind == "missing"]
    for names, what in ((report.blurred, "blurred"), (report.cameras_inside, "taken from inside the object or core")):
        if names:
            found.append(f"{what}: {_listed(names)}")
    if report.duplicates:
        found.append(f"duplicates: {_listed([' = '.join(pair) for pair in report.duplicates])}")
    if report.rays_core < 0.3:
        found.append(f"only {report.rays_core:.1%} of the rays cross the core; see the picture")
    if not report.test:
        found.append("no test views, so training cannot be scored")
    return found


def _rows(report: Examination) -> Iterable[tuple[str, str]]:
    """Name and value of each line of the table."""
    yield "format", report.format
    yield "views", f"{report.train} train, {report.test} test"
    yield "pictures", ", ".join(f"{width} x {height}" for width, height in report.sizes[:SHOWN])
    for lens in report.lenses:
        numbers = f"fx {lens.fx:.2f} fy {lens.fy:.2f} cx {lens.cx:.2f} cy {lens.cy:.2f}"
        yield f"lens, one of {report.lens_count}", f"{lens.model}  {numbers}"
        yield "", "k " + _numbers(lens.radial) + "  p " + _numbers(lens.tangential)
    yield "alpha", f"{report.empty_share:.1%} empty" if report.transparent else "opaque"
    yield "masks", f"{report.masked_share:.1%} ignored"
    low, high = report.box
    yield "box, scene units", f"{_numbers(low)}  to  {_numbers(high)}"
    low, high = report.box_input
    yield "box, input units", f"{_numbers(low)}  to  {_numbers(high)}"
    yield "", f"size {_numbers([b - a for a, b in zip(low, high, strict=True)])}; 1 scene unit is {report.unit:.4g}"
    yield "rays", f"{report.rays_core:.1%} cross the core, {report.rays_box:.1%} the box"
    yield "memory", f"about {report.memory_bytes / 2**30:.1f} GiB, {report.picture_bytes / 2**30:.2f} of it pictures"
    work = f"{STEPS} steps of {SAMPLES} samples"
    yield "time", f"about {report.minutes:.0f} min on this CPU for {work} (rough)"
    for k, fact in enumerate(report.facts):
        yield "found" if k == 0 else "", fact.text


def _model(path: Path) -> dict[str, Any]:
    """What a model file says, as JSON values. OSError or ValueError where it is none."""
    model = files.load(path)
    header = asdict(model.header) | model.header.record()
    header.pop("thumbnail")
    train, test = header.pop("train_cameras"), header.pop("test_cameras")
    return {
        "architecture": header.pop("architecture"),
        "head": header.pop("head"),
        "parameters": model.field.parameter_count(),
        "bytes": path.stat().st_size,
        "train_cameras": len(train),
        "test_cameras": len(test),
        **header,
    }


def _print(flags: Flags, values: dict[str, Any]) -> None:
    """A model's values as JSON or as a table."""
    if flags.json:
        print(json.dumps(values, indent=2))
        return
    rows = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()]
    Console().print(_table(Path(flags.data).name, rows))


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, show_header=False, box=None, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value.replace("[", r"\["))
    return table


def _command(flags: Flags, scene: Scene) -> str:
    """The train-scene command for this data, read the same way."""
    words = ["train-scene", flags.data]
    if flags.downscale != 1:
        words += ["--downscale", str(flags.downscale)]
    if flags.max_resolution != 1920:
        words += ["--max-resolution", str(flags.max_resolution)]
    if any(fact.kind == "missing" for fact in scene.facts):
        words.append("--skip-missing")
    return shlex.join(words)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{rest}"


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


if __name__ == "__main__":
    sys.exit(main())
