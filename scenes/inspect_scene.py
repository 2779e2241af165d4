"""`inspect-scene DATA`: what a data set or a model holds, what looks wrong with it, and what training it will take."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from render.command import announce, run
from scenes.naming import require_named
from scenes.options import Axis, Poses, ReadOptions

EXAMPLES = """
  inspect-scene captures/chair              before training: pictures, cameras, what looks wrong
  inspect-scene bunny.obj                   triangles, holes, size and colours of a mesh
  inspect-scene chair.safetensors           what a model file is, and what it was made from
  inspect-scene captures/chair --json       the same for programs
"""


@dataclass(frozen=True)
class Flags:
    """What a data set or a model holds, what looks wrong, and what training it will take."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA|MODEL")]
    """folder, transforms.json, a mesh, builtin[:SIZE], or a model file"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """folder for cameras.png and contact_sheet.png; runs/NAME where not given"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    max_resolution: int = 1920
    """longest side of a picture in pixels; larger ones are shrunk"""
    poses: Poses = "auto"
    """how poses are written; auto: as the format has it, refused where the pictures disagree; w2c: world to camera"""
    up: Axis = "auto"
    """axis of a mesh that is up; auto: as its format or the program that wrote it has it, else z"""
    pictures: bool = False
    """draw the pictures of a mesh, and examine these as training will see them"""
    json: bool = False
    """print JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, inspect, EXAMPLES)


def inspect(flags: Flags) -> None:
    """Look, and tell."""
    options = ReadOptions(flags.downscale, flags.max_resolution, skip_missing=True, poses=flags.poses, up=flags.up)
    require_named(flags.data, "a model file, a data set or a mesh")
    announce(f"reading {flags.data}")
    from scenes import inspection

    inspection.inspect(flags.data, flags.out, options, as_json=flags.json, drawn=flags.pictures)


if __name__ == "__main__":
    sys.exit(main())
