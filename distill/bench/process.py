"""A command in a process of its own: what it measured, or why it failed."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from distill.bench.results import Failure
from distill.learning.metrics import Metrics
from fields.programs import program


def run_command(module: str, words: list[str], log: Path, seconds: float, console: Console) -> Metrics | Failure:
    """The metrics that a command printed as JSON; or its last line where it failed."""
    log.unlink(missing_ok=True)  # of an earlier run
    with subprocess.Popen(
        program(module, *words, "--json", "--overwrite"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,  # else the terminal's Ctrl-C comes to it too, and the second one ends it without saving
    ) as process:  # fmt: skip
        try:
            printed, told = follow_log(process, log, seconds, console)
        except KeyboardInterrupt:
            if os.name == "posix":  # on Windows there are no such groups, and Ctrl-C has come to it
                process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if process.returncode:
        return Failure((told.strip().splitlines() or [f"ended with {process.returncode}"])[-1])
    return Metrics.from_record(json.loads(printed))


def follow_log(process: subprocess.Popen, log: Path, seconds: float, console: Console) -> tuple[str, str]:
    """What the process wrote to its two outputs; until it ends, a bar follows its log."""
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("starts ...", total=seconds)
        while True:
            try:
                return process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                last = read_last_record(log)
                if last:
                    quality = "" if last["batch_psnr"] is None else f"  {last['batch_psnr']:.2f} dB in batches"
                    bar.update(task, completed=last["seconds"], description=f"step {last['step']}{quality}")


def read_last_record(log: Path) -> dict[str, Any]:
    """The last whole line of a run's log, empty where there is none yet."""
    try:
        lines = log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return json.loads(lines[-1]) if lines else {}
    except (OSError, json.JSONDecodeError):
        return {}
