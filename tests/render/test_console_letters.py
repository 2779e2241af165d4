"""What consoles that have not all letters show: tables and bars in ASCII, and nothing that ends a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINTS = """
import sys
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from render.streams import outlets
with outlets():
    table = Table("name", "value", width=20)
    table.add_row("path", "a" * 50)
    Console(width=30).print(table)
    console = Console(file=sys.stderr, width=80, force_terminal=True, legacy_windows=False)
    for text in ("b", "b" * 90):
        with Progress(BarColumn(), TextColumn("{task.description}"), console=console) as bar:
            bar.update(bar.add_task(text, total=2), completed=1, refresh=True)
    print("\u5834")
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "cp932"])
def test_tables_bars_and_names(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", PRINTS], env=environment, capture_output=True, check=True)
    shown, told = done.stdout.decode(encoding), done.stderr.decode(encoding)
    dots = "\u2026" if encoding in ("cp1252", "cp932") else "."
    assert f"aaaa{dots} |" in shown and "+--" in shown
    assert f"bbbb{dots}" in told and "---" in told
    assert "\\u" not in told
    assert shown.splitlines()[-1] == ("\u5834" if encoding == "cp932" else "\\u5834")
