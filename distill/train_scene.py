"""`train-scene [DATA]`: photographs to field."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from distill.photographs.settings import Settings
from render.command import announce, run
from scenes.naming import require_named

LISTING = 140  # columns of --list where the output is no terminal
EXAMPLES = """
  train-scene                                        the built-in scene: two minutes, nothing to download
  train-scene captures/chair --max-seconds 120       a folder with transforms.json: two minutes of training
  train-scene model.glb --arch triplane --viewer     a mesh, as another neural field, in a window while it learns
  train-scene captures/chair --resume                go on where Ctrl-C or a power cut ended it
"""


@dataclass(frozen=True)
class Flags:
    """Train a neural field from photographs with known cameras. Without DATA: the built-in scene."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = "builtin"
    """folder with transforms.json or transforms_train.json, a JSON file, a mesh (.glb .gltf .obj .ply .stl .off), or
    builtin[:SIZE]"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how it is trained"""
    list: bool = False
    """show all architectures, when to take which, and presets with their sizes and what they gave; train nothing"""
    all: bool = False
    """with --list: presets too that were never measured"""
    viewer: bool = False
    """watch it learn in a window: view-scene with the same flags"""
    half: bool = False
    """write weights as float16: half the bytes; what is scored are the rounded weights"""
    json: bool = False
    """print the metrics as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, train, EXAMPLES)


def train(flags: Flags) -> None:
    """Read, train, score, save, show."""
    if flags.list:
        announce("looking up what is known of the architectures")
        from distill.learning.profiles import listing

        Console(width=None if sys.stdout.isatty() else LISTING).print(listing(everything=flags.all))
        return
    if flags.viewer and flags.half:
        raise ValueError("--half: the window saves float32; train without --viewer")
    flags.settings.check()
    require_named(flags.data, "a data set or a mesh")
    if flags.viewer:
        open_viewer(flags.data, sys.argv[1:])
    console = Console(stderr=flags.json)
    console.print(f"reading {flags.data}", highlight=False, markup=False, soft_wrap=True)
    from distill.learning.monitor import Status, told, watch
    from distill.photographs.job import begin
    from scenes.progress import heard_by

    with Status(console, "reading ...") as shown, heard_by(lambda what, share: shown.say(f"{what} ...", share or 0.0)):
        job = begin(flags.data, flags.settings, told(console), half=flags.half)
        shown.say("pictures read", 1.0)
    metrics = watch(job, console).metrics
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


def open_viewer(data: str, arguments: list[str]) -> None:
    """Become `view-scene`, which takes the same flags. Nothing here may import the viewer."""
    named = [] if data in arguments else [data]  # view-scene opens nothing where nothing is named
    rest = [a for a in arguments if a not in ("--viewer", "--json")]
    from fields.programs import program

    words = program("viewer.view_scene", *named, *rest)
    if os.name == "nt":  # there the shell would go on at once, and words with blanks would come apart
        sys.exit(subprocess.call(words))
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
