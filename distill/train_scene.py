"""`train-scene [DATA]`: photographs to field."""

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from distill.learning.monitor import told, watch
from distill.learning.profiles import listing
from distill.photographs.job import begin
from distill.photographs.settings import Settings
from render.command import run

LISTING = 140  # columns of --list where the output is no terminal


@dataclass(frozen=True)
class Flags:
    """Train a neural field from photographs with known cameras. Without DATA: the built-in scene."""

    data: Annotated[str, tyro.conf.Positional] = "builtin"
    """folder with transforms.json or transforms_train.json, a JSON file, or builtin[:SIZE]"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how it is trained"""
    list: bool = False
    """show all architectures and presets with their sizes and what they gave, and train nothing"""
    viewer: bool = False
    """watch it learn in a window: view-scene with the same flags"""
    half: bool = False
    """write weights as float16: half the bytes; what is scored are the rounded weights"""
    json: bool = False
    """print the metrics as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, train)


def train(flags: Flags) -> None:
    """Read, train, score, save, show."""
    if flags.list:
        Console(width=None if sys.stdout.isatty() else LISTING).print(listing())
        return
    if flags.viewer and flags.half:
        raise ValueError("--half: the window saves float32; train without --viewer")
    if flags.viewer:
        open_viewer(flags.data, sys.argv[1:])
    console = Console(stderr=flags.json)
    job = begin(flags.data, flags.settings, told(console), half=flags.half)
    metrics = watch(job, console).metrics
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


def open_viewer(data: str, arguments: list[str]) -> None:
    """Become `view-scene`, which takes the same flags. Nothing here may import the viewer."""
    named = [] if data in arguments else [data]  # view-scene opens nothing where nothing is named
    rest = [a for a in arguments if a not in ("--viewer", "--json")]
    os.execv(sys.executable, [sys.executable, "-m", "viewer.view_scene", *named, *rest])


if __name__ == "__main__":
    main()
