"""`render-scene MODEL OUT`: stills, turntables and camera paths; colour, depth, normals, opacity and more."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import Progress

from render.command import announce, require_path, run
from render.mode_names import VALUES, DrawableName
from render.units import FORMATS, MOST_FRAMES, MOST_PIXELS, RATES

EXAMPLES = """
  render-scene chair.safetensors chair.png                    one picture
  render-scene chair.safetensors chair.mp4 --frames 120       a turntable
  render-scene chair.safetensors depth.npy --mode depth --camera test:0   numbers, in the units of your cameras
"""


@dataclass(frozen=True)
class Flags:
    """Draw a model. OUT's ending is the format: .png .gif .mp4 .npy."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """model file"""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """.png: one frame; .gif or .mp4: a film; .npy: float32 values, (H, W), of normals (H, W, 3), or frames of them"""
    camera: str = "orbit"
    """orbit, spiral, train:N, test:N (cameras in the model), or a camera path in JSON"""
    frames: int = 0
    """of an orbit or spiral; 0: 1 for .png and .npy, 60 for films"""
    size: int = 0
    """pixels of the shorter side; 0: as the training pictures"""
    mode: DrawableName = "color"
    """what is drawn"""
    depth: Literal["ray", "z"] = "ray"
    """depth along the ray, or along the camera's axis; input units"""
    fps: float = 24.0
    """frames per second of a film"""
    background: Literal["auto", "white", "black", "transparent"] = "auto"
    """behind the scene; auto: the one that the model was scored on; transparent: .png only"""
    bare: bool = False
    """leave out the scale with numbers that pictures of depth, opacity, cost and occupancy bear"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not 0 <= self.frames <= MOST_FRAMES or not 0 <= self.size <= MOST_PIXELS:
            limits = f"--frames must be 0 to {MOST_FRAMES}, --size 0 to {MOST_PIXELS}"
            raise ValueError(f"{limits}, found {self.frames} and {self.size}")
        low, high = RATES
        if not low <= self.fps <= high:
            raise ValueError(f"--fps must be {low:g} to {high:g}, found {self.fps:g}")


def main() -> None:
    """Entry point."""
    run(Flags, render, EXAMPLES)


def render(flags: Flags) -> None:
    """Open, draw, write."""
    flags.check()
    kind = check_out(flags)
    require_path(flags.model)
    announce(f"reading {flags.model}")
    from fields.files import sweep, write_beside
    from render.device import pick_device
    from render.films import Drawing, Route, check_rate, choose_cameras, draw_frames, write_film, write_npy
    from render.looks import MODES
    from render.model import open_model
    from render.pictures import encode_png

    model = open_model(flags.model, pick_device(flags.device))
    route = Route(flags.camera, flags.frames, flags.size, flags.fps)
    cameras, fps = choose_cameras(route, model, flags.model, kind, lambda line: sys.stderr.write(f"{line}\n"))
    check_rate(kind, fps)
    if kind == ".png" and len(cameras) > 1:
        raise ValueError(f"{flags.out}: {len(cameras)} frames do not fit one .png; use .mp4 or .gif, or --frames 1")
    frames = draw_frames(
        model, cameras, Drawing(MODES[flags.mode], flags.depth, flags.background, legend=not flags.bare)
    )
    sweep(flags.out.parent)
    with Progress(console=Console(stderr=True)) as bar:
        shown = bar.track(frames, len(cameras), description="drawing")
        if kind == ".npy":
            write_npy(flags.out, [still.values for still in shown])
        elif kind == ".png":
            [still] = shown
            write_beside(flags.out, encode_png(still.picture))
        else:
            write_film(flags.out, (still.picture for still in shown), fps)
    count, (width, height) = len(cameras), cameras[0].size
    odd = kind == ".mp4" and (width % 2 or height % 2)
    film = f", in a film of {width + width % 2} x {height + height % 2}, as .mp4 has even sides" if odd else ""
    sys.stderr.write(f"{flags.out}: {count} frame{'s' * (count > 1)}, {width} x {height} pixels{film}\n")


def check_out(flags: Flags) -> str:
    """The format of OUT, one of FORMATS. ValueError where it cannot be written, before any work."""
    kind = flags.out.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"{flags.out}: wanted an ending among {' '.join(FORMATS)}, found {kind or 'none'}")
    if flags.out.is_dir():
        raise ValueError(f"{flags.out}: is a folder; wanted a file name")
    if flags.out.parent.exists() and not flags.out.parent.is_dir():
        raise ValueError(f"{flags.out}: {flags.out.parent} is a file; wanted a folder")
    if flags.background == "transparent" and (kind != ".png" or flags.mode != "color"):
        raise ValueError("--background transparent goes with --mode color and a .png only")
    if kind == ".npy" and flags.mode not in VALUES:
        *first, last = VALUES
        raise ValueError(f"{flags.out}: .npy holds {', '.join(first)} or {last}; add --mode {first[0]} (or another)")
    return kind


if __name__ == "__main__":
    main()
