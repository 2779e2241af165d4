"""`convert-scene MODEL --to ARCH`: any neural field into any other; a mesh or posed pictures can teach as well."""

import json
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from distill.conversion.settings import ConversionSettings
from render.command import run
from scenes.naming import require_named

EXAMPLES = """
  convert-scene chair.safetensors --to triplane              another neural field of the same scene
  convert-scene chair.safetensors --to auto --max-bytes 1MB  the best that fits a megabyte
  convert-scene chair.safetensors --to vm --crop -1 -1 0 1 1 2  only what is inside a box
"""


@dataclass(frozen=True)
class Flags:
    """Convert a model into another architecture. No data set is needed: the model teaches from random cameras."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """model file; or a mesh or data set as for train-scene, whose pictures then teach"""
    settings: tyro.conf.OmitArgPrefixes[ConversionSettings] = field(default_factory=ConversionSettings)
    """what becomes of it"""
    json: bool = False
    """print the report as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, convert, EXAMPLES)


def convert(flags: Flags) -> None:
    """Find out who teaches; learn; report."""
    flags.settings.check()
    require_named(flags.model, "a model file, a data set or a mesh")
    require_named(flags.settings.data, "a data set")
    console = Console(stderr=flags.json)
    console.print(f"reading {flags.model}", highlight=False, markup=False, soft_wrap=True)
    from distill.conversion.choose import missed
    from distill.conversion.job import begin
    from distill.learning.monitor import told, watch

    metrics = watch(begin(flags.model, flags.settings, told(console)), console).metrics
    for line in missed(flags.settings.wanted(), metrics):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
