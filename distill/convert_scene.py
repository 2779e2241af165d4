"""`convert-scene MODEL --to ARCH`: any neural field into any other; a mesh or posed pictures can teach as well."""

import json
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from distill.conversion.choose import missed
from distill.conversion.job import begin
from distill.conversion.settings import ConversionSettings
from distill.learning.monitor import told, watch
from render.command import run


@dataclass(frozen=True)
class Flags:
    """Convert a model into another architecture. No data set is needed: the model teaches from random cameras."""

    model: Annotated[str, tyro.conf.Positional]
    """model file; or a mesh or data set as for train-scene, whose pictures then teach"""
    settings: tyro.conf.OmitArgPrefixes[ConversionSettings] = field(default_factory=ConversionSettings)
    """what becomes of it"""
    json: bool = False
    """print the report as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, convert)


def convert(flags: Flags) -> None:
    """Find out who teaches; learn; report."""
    console = Console(stderr=flags.json)
    metrics = watch(begin(flags.model, flags.settings, told(console)), console).metrics
    for line in missed(flags.settings.wanted(), metrics):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if flags.json:
        sys.stdout.write(json.dumps(metrics.to_record(), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
