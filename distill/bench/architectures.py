"""Every architecture trained under one protocol and one time budget: a table, its JSON, and a Pareto plot."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import fields
from fields.files import write_beside
from fields.shape import preset

COLUMNS = {
    "psnr": "dB",
    "ssim": "SSIM",
    "model_bytes": "MB",
    "parameters": "M par.",
    "train_seconds": "train s",
    "frame_ms_median": "ms/frame",
}
MARKS = "osD^vPX*"  # of the plot, since colours alone are not told apart by everybody
STORED = (*COLUMNS, "steps", "samples_per_second", "peak_memory_bytes", "scored_on", "device")
SCALES = {"model_bytes": 1e-6, "parameters": 1e-6}
DIGITS = {"psnr": 2, "ssim": 3, "model_bytes": 2, "parameters": 2}


@dataclass(frozen=True)
class Contest:
    """What every architecture is given."""

    data: str
    seconds: float  # of training, each
    downscale: int
    device: str
    size: str  # preset that stands for the device: small or base
    only: tuple[str, ...] = ()  # NAME or NAME:PRESET; empty: all names

    def entries(self) -> list[tuple[str, str]]:
        """(architecture, preset): the named ones, or for every name the size and the variants that end in it."""
        if self.only:
            pairs = [entry.partition(":") for entry in self.only]
            chosen = [(name, size or self.size) for name, _, size in pairs]
        else:
            chosen = [
                (name, size)
                for name in fields.NAMES
                for size in fields.module(name).PRESETS
                if size == self.size or size.endswith("-" + self.size)
            ]
        for name, size in chosen:
            preset(name, size)
        return chosen


def compete(contest: Contest, folder: Path, console: Console) -> dict[str, Any]:
    """Train and score every entry as `train-scene` does, each in a process of its own; keep their files in `folder`.

    An entry that fails stays in the table with its reason. ValueError where all failed; KeyboardInterrupt after the
    entry that was running has saved itself.
    """
    rows = []
    for name, size in contest.entries():
        console.rule(f"{name} {size}")
        rows.append(one(contest, name, size, folder / f"{name}-{size}", console))
        if "error" in rows[-1]:
            console.print(rows[-1]["error"], style="red", highlight=False, markup=False)
    done = [row for row in rows if "psnr" in row]
    if not done:
        raise ValueError(f"no architecture could be trained: {rows[0]['error'] if rows else 'none was named'}")
    name = Path(contest.data).name
    return {
        "data": name if contest.downscale == 1 else f"{name} --downscale {contest.downscale}",
        "seconds": contest.seconds,
        "scored_on": done[0]["scored_on"],
        "device": done[0]["device"],
        "rows": rows,
    }


def one(contest: Contest, name: str, size: str, out: Path, console: Console) -> dict[str, Any]:
    """One entry: its metrics, or why there are none."""
    flags = {"--arch": name, "--preset": size, "--max-seconds": contest.seconds, "--downscale": contest.downscale}
    flags |= {"--device": contest.device, "--out": out}
    words = [str(word) for pair in flags.items() for word in pair]
    metrics = outcome("distill.train_scene", [contest.data, *words], out / "log.jsonl", contest.seconds, console)
    row: dict[str, Any] = {"architecture": name, "preset": size}
    return row | (metrics if "error" in metrics else {key: metrics[key] for key in STORED})


def outcome(module: str, words: list[str], log: Path, seconds: float, console: Console) -> dict[str, Any]:
    """What a command printed as JSON, run in a process of its own; or its last line as `error` where it failed."""
    log.unlink(missing_ok=True)  # of an earlier run
    command = [sys.executable, "-m", module, *words, "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,  # else the terminal's Ctrl-C comes to it too, and the second one ends it without saving
    ) as process:  # fmt: skip
        try:
            printed, told = watched(process, log, seconds, console)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if process.returncode:
        return {"error": (told.strip().splitlines() or [f"ended with {process.returncode}"])[-1]}
    return json.loads(printed)


def watched(process: subprocess.Popen, log: Path, seconds: float, console: Console) -> tuple[str, str]:
    """What the process wrote to its two outputs; until it ends, a bar follows its log."""
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("starts ...", total=seconds)
        while True:
            try:
                return process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                last = last_record(log)
                if last:
                    quality = "" if last["batch_psnr"] is None else f"  {last['batch_psnr']:.2f} dB in batches"
                    bar.update(task, completed=last["seconds"], description=f"step {last['step']}{quality}")


def last_record(log: Path) -> dict[str, Any]:
    """The last whole line of a run's log, empty where there is none yet."""
    try:
        lines = log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return json.loads(lines[-1]) if lines else {}
    except (OSError, json.JSONDecodeError):
        return {}


def table(result: dict[str, Any]) -> Table:
    """The rows for a person, best first."""
    title = f"{result['data']}, {result['seconds']:g} s each; {result['scored_on']}"
    shown = Table("architecture", *COLUMNS.values(), title=title)
    for column in shown.columns:
        column.no_wrap = True
    for row in sorted(result["rows"], key=lambda r: -r.get("psnr", 0)):
        cells = [shaped(key, row[key]) for key in COLUMNS] if "psnr" in row else [row["error"]]
        shown.add_row(f"{row['architecture']} {row['preset']}", *cells)
    return shown


def shaped(key: str, value: float) -> str:
    """A number in the column's unit."""
    return f"{value * SCALES.get(key, 1):,.{DIGITS.get(key, 0)}f}"


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, quality) pairs those that no other beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or quality > best[-1][1]:
            best.append((cost, quality))
    return best


def plotting() -> Any:
    """matplotlib, with its figures and tickers. ValueError, with the command that installs it, where it is missing."""
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise ValueError("the plot wants matplotlib: pip install matplotlib") from None
    return matplotlib


def plot(result: dict[str, Any], path: Path) -> None:
    """Two panels, PSNR against the file's size and against a frame's time, with the front that nothing beats."""
    library = plotting()
    picture = library.figure.Figure(figsize=(12, 4.8), layout="constrained")
    rows = sorted((row for row in result["rows"] if "psnr" in row), key=lambda row: -row["psnr"])
    dots: list[Any] = []
    panels = (("model_bytes", "model file, MB"), ("frame_ms_median", "ms per frame"))
    for axes, (key, label) in zip(picture.subplots(1, 2), panels, strict=True):
        places = [(row[key] * SCALES.get(key, 1), row["psnr"]) for row in rows]
        axes.step(*zip(*front(places), strict=True), where="post", color="0.7", zorder=1)
        dots = [axes.scatter(x, y, marker=MARKS[n % len(MARKS)], zorder=2) for n, (x, y) in enumerate(places)]
        axes.set(xscale="log", xlabel=label, ylabel="PSNR, dB")
        axes.xaxis.set_major_locator(library.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(library.ticker.NullFormatter())
        axes.grid(alpha=0.3)
        axes.margins(0.08)
    names = [f"{row['architecture']} {row['preset']}" for row in rows]
    picture.legend(dots, names, loc="outside right center", title="best first")
    picture.suptitle(f"{result['data']}: {result['seconds']:g} s of training each, {result['device']}")
    picture.savefig(path, dpi=100)


def save(result: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """The table as JSON and the plot; where they are."""
    record, picture = folder / "architectures.json", folder / "architectures.png"
    write_record(result, record)
    plot(result, picture)
    return record, picture


def write_record(result: dict[str, Any], path: Path) -> None:
    """A result as a JSON file."""
    write_beside(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
