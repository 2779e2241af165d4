"""What a data set or a model holds, what looks wrong with it, and what training it will take, as a report."""

import io
import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from fields import files
from fields.numbers import printable
from scenes import compass, contact_sheet, formats, frusta, model_summary
from scenes.assemble import assemble
from scenes.checks import EXPOSED, Examination, examine
from scenes.coverage import describe
from scenes.options import ReadOptions
from scenes.paths import expect
from scenes.probe import SAMPLES, STEPS
from scenes.results import OWNER, digest, locate, result_folder
from scenes.scene import Fact, Scene
from scenes.verdict import Verdict, judge

SHOWN = 6  # sizes listed
LONGEST = 2000  # characters of a line
BUSY = 0.25  # share of the cores from which other work is told


def inspect(data: str, out: Path | None, options: ReadOptions, *, as_json: bool, drawn: bool) -> None:
    """Print the report; write cameras.png and contact_sheet.png for a data set. A mesh, whose pictures have to be made,
    is told of without them unless they are `drawn`. ValueError or OSError for what cannot be used."""
    lies = expect(data, "model", "scene")
    if lies.kind == "model":
        show_model(Path(lies.path), as_json=as_json)
        return
    if out and out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: expected a folder, found a file")
    reader = formats.module(lies.format)
    if hasattr(reader, "survey") and not drawn:
        show_survey(
            reader.survey(lies.path, options), Path(lies.path).name, _command(data, options, ()), as_json=as_json
        )
        return
    scene = assemble(reader.read(lies.path, options), options)
    report = examine(scene, lies.format, _command(data, options, scene.facts))
    folder = out or result_folder(data)
    cameras, sheet = folder / "cameras.png", folder / "contact_sheet.png"
    files.sweep(folder)
    if not out:
        files.write_beside(folder / OWNER, digest(locate(data)).encode())
    _save(cameras, _cameras(scene, report))
    _save(sheet, contact_sheet.draw(scene, report.photographs))
    if as_json:
        said = {"verdict": asdict(judge(report)), "picture": str(cameras), "contact_sheet": str(sheet)}
        print(json.dumps(report.to_record() | said, indent=2))
    else:
        show(report, folder)


def show_survey(found: Any, name: str, command: str, *, as_json: bool) -> None:
    """What a reader says of an input whose pictures were not made, then the next command."""
    if as_json:
        print(json.dumps(found.to_record() | {"command": command}, indent=2))
        return
    console = Console()
    console.print(_table(name, found.rows()))
    console.print(f"[bold]next[/]     {command}", highlight=False, soft_wrap=True)


def _cameras(scene: Scene, report: Examination) -> Image.Image:
    """The cameras in two views, and the map of their directions."""
    views, directions = frusta.draw(scene, report.photographs), compass.draw(report.coverage, report.photographs)
    picture = Image.new("RGB", (views.width + directions.width, views.height), "white")
    picture.paste(views, (0, 0))
    picture.paste(directions, (views.width, 0))
    return picture


def show(report: Examination, folder: Path) -> None:
    """Print a report as a table, then the verdict, then the next command. `folder` holds the pictures."""
    console = Console()
    drawn = [("cameras drawn in", str(folder / "cameras.png")), ("contact sheet", str(folder / "contact_sheet.png"))]
    console.print(_table(report.name, [*_rows(report), *drawn]))
    _show_verdict(console, judge(report))
    console.print(f"[bold]next[/]     {report.command}", highlight=False, soft_wrap=True)


def _show_verdict(console: Console, verdict: Verdict) -> None:
    """The answer, then a line for each reason with what to do about it."""
    colour = {"yes": "green", "yes, but": "yellow", "unlikely": "red"}[verdict.answer]
    against = any(reason.weight != "note" for reason in verdict.reasons)
    end = {"yes": "", "yes, but": " ...", "unlikely": ", because ..."}[verdict.answer] if against else ""
    console.print(f"[bold]will this work[/]  [bold {colour}]{verdict.answer}[/]{end}", highlight=False)
    for reason in verdict.reasons:
        mark = "note" if reason.weight == "note" else "  - "
        advice = f" -> {reason.advice}" if reason.advice else ""
        console.print(
            f"{mark}  {printable(reason.text + advice, LONGEST)}", highlight=False, markup=False, soft_wrap=True
        )


def _save(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    files.write_beside(path, content.getvalue())


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
    yield "sides", describe(report.coverage)
    typical, least = report.coverage.seen_typical, report.coverage.seen_least
    yield "seen by", f"the typical point by {typical} of the train views, the least seen one by {least}"
    yield (
        "exposure",
        f"{report.brightness_spread:.2f} stops from picture to picture; {len(report.named(*EXPOSED))} stand out",
    )
    yield "memory", f"about {report.memory_bytes / 2**30:.1f} GiB, {report.picture_bytes / 2**30:.2f} of it pictures"
    yield "time", f"about {duration(report.minutes)} for {STEPS} steps of {SAMPLES} samples on this CPU (rough)"
    if report.busy > BUSY:
        yield "", f"other programs keep it {report.busy:.0%} busy now: it may take longer"
    for k, fact in enumerate(report.facts):
        yield "found" if k == 0 else "", fact.text


def duration(minutes: float) -> str:
    """For a person."""
    return f"{minutes:.0f} min" if minutes >= 1.5 else f"{60 * minutes:.0f} s"


def show_model(path: Path, *, as_json: bool) -> None:
    """What a model file is: for a person, with its picture on a terminal that has colours, or all it says as JSON.
    OSError or ValueError where it is none."""
    model = files.load(path)
    if as_json:
        print(json.dumps(_record(model, path), indent=2))
        return
    console = Console()
    console.print(_table(path.name, model_summary.facts(model, path)))
    if console.is_terminal and console.color_system in ("256", "truecolor") and console.encoding == "utf-8":
        console.print(model_summary.thumbnail(model.header) or "")


def _record(model: files.Model, path: Path) -> dict[str, Any]:
    """All that a model file says, as JSON values."""
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


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=printable(title), show_header=False, box=None, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, printable(value, LONGEST).replace("[", r"\["))
    return table


def _command(data: str, options: ReadOptions, facts: Iterable[Fact]) -> str:
    """The train-scene command for this data, read the same way."""
    words = ["train-scene", data]
    if options.downscale != 1:
        words += ["--downscale", str(options.downscale)]
    if options.max_resolution != 1920:
        words += ["--max-resolution", str(options.max_resolution)]
    if any(fact.kind == "missing" for fact in facts):
        words.append("--skip-missing")
    if options.poses != "auto":
        words += ["--poses", options.poses]
    if options.up != "auto":
        words.append(f"--up={options.up}")
    return shlex.join(words)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
