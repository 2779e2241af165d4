"""`render-scene MODEL OUT`: stills, turntables and camera paths; colour, depth, normals or opacity."""

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import imageio.v2 as imageio
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from fields.files import write_beside
from render import path_files, paths
from render.camera import Camera
from render.command import pick_device, run
from render.model import LoadedModel, open_model
from render.pictures import (
    SOLID,
    bytes_of,
    depth_picture,
    depth_span,
    encode_png,
    normal_picture,
    opacity_picture,
)
from render.renderer import Look, Pixels, blank, color, normal

Mode = Literal["color", "depth", "normal", "opacity"]
FORMATS = (".png", ".gif", ".mp4", ".npy")
LOOKS: dict[str, Look] = {"color": color, "normal": normal}  # by mode; of the others: blank
BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}


@dataclass(frozen=True)
class Flags:
    """Draw a model. OUT's ending is the format: .png .gif .mp4 .npy."""

    model: Annotated[Path, tyro.conf.Positional]
    """model file"""
    out: Annotated[Path, tyro.conf.Positional]
    """.png: one frame; .gif or .mp4: a film; .npy: float32 values, (H, W) or (frames, H, W)"""
    camera: str = "orbit"
    """orbit, spiral, train:N, test:N (cameras in the model), or a camera path in JSON"""
    frames: int = 0
    """of an orbit or spiral; 0: 1 for .png and .npy, 60 for films"""
    size: int = 0
    """pixels of the shorter side; 0: as the training pictures"""
    mode: Mode = "color"
    """what is drawn"""
    depth: Literal["ray", "z"] = "ray"
    """depth along the ray, or along the camera's axis; input units"""
    fps: float = 24.0
    """frames per second of a film"""
    background: Literal["auto", "white", "black", "transparent"] = "auto"
    """behind the scene; auto: the one that the model was scored on; transparent: .png only"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not 0 <= self.frames <= path_files.MOST_FRAMES or not 0 <= self.size <= path_files.MOST_PIXELS:
            limits = f"--frames must be 0 to {path_files.MOST_FRAMES}, --size 0 to {path_files.MOST_PIXELS}"
            raise ValueError(f"{limits}, found {self.frames} and {self.size}")
        if not 0.1 <= self.fps <= 240:
            raise ValueError(f"--fps must be 0.1 to 240, found {self.fps:g}")


def main() -> None:
    """Entry point."""
    run(Flags, render)


def render(flags: Flags) -> None:
    """Open, draw, write."""
    flags.check()
    kind = ending(flags)
    model = open_model(flags.model, pick_device(flags.device))
    cameras, fps = chosen(flags, model, kind)
    if kind == ".png" and len(cameras) > 1:
        raise ValueError(f"{flags.out}: {len(cameras)} frames do not fit one .png; use .mp4 or .gif, or --frames 1")
    look = LOOKS.get(flags.mode, blank)
    frames = (model.image(c, look).pixels for c in cameras)
    with Progress(console=Console(stderr=True)) as bar:
        shown = bar.track(zip(cameras, frames, strict=True), len(cameras), description="drawing")
        if kind == ".npy":
            write_npy(flags.out, [values(flags, model, c, p) for c, p in shown])
        elif kind == ".png":
            [(camera, pixels)] = shown
            write_beside(flags.out, encode_png(picture(flags, model, camera, pixels)))
        else:
            write_film(flags.out, (picture(flags, model, c, p) for c, p in shown), fps)
    count, (width, height) = len(cameras), cameras[0].size
    sys.stderr.write(f"{flags.out}: {count} frame{'s' * (count > 1)}, {width} x {height} pixels\n")


def ending(flags: Flags) -> str:
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
    if kind == ".npy" and flags.mode == "color":
        raise ValueError(f"{flags.out}: .npy holds depth, normal or opacity; add --mode depth (or another)")
    return kind


def chosen(flags: Flags, model: LoadedModel, kind: str) -> tuple[list[Camera], float]:
    """Cameras to draw, scene units, and frames per second."""
    name, _, number = flags.camera.partition(":")
    known = list(model.train_cameras or model.test_cameras)
    if name in ("train", "test"):
        cameras = model.train_cameras if name == "train" else model.test_cameras
        if not cameras:
            raise ValueError(f"--camera {flags.camera}: {flags.model} holds no {name} cameras")
        if not number.isascii() or not number.isdigit() or int(number[:9]) >= len(cameras):
            raise ValueError(f"--camera {flags.camera}: wanted {name}:0 to {name}:{len(cameras) - 1}")
        camera = cameras[int(number)]
        return [camera.resized(*scaled(camera.size, flags.size, kind))], flags.fps
    if name not in ("orbit", "spiral"):
        path = Path(flags.camera)
        if not path.is_file():
            raise ValueError(f"--camera {flags.camera}: wanted orbit, spiral, train:N, test:N or an existing JSON file")
        loaded = path_files.load(path, model.transform)
        return [c.resized(*scaled(c.size, flags.size, kind)) for c in loaded.cameras], loaded.fps
    if not known:
        raise ValueError(f"{flags.model}: holds no cameras, so that there is no {name}; give a camera path in JSON")
    size = scaled(known[0].size, flags.size, kind)
    frames = flags.frames or (60 if kind in (".gif", ".mp4") else 1)
    make = paths.orbit if name == "orbit" else paths.spiral
    box = torch.tensor(model.header.box)
    return make(known, box, frames, size), flags.fps


def scaled(size: tuple[int, int], shorter: int, kind: str) -> tuple[int, int]:
    """A picture's size with its shorter side as wanted (0: unchanged); both even for .mp4, whose codec needs it."""
    factor = shorter / min(size) if shorter else 1.0
    unit = 2 if kind == ".mp4" else 1
    width, height = (max(1, round(n * factor / unit)) * unit for n in size)
    return width, height


def picture(flags: Flags, model: LoadedModel, camera: Camera, pixels: Pixels) -> Tensor:
    """(H, W, 3) or, on a transparent background, (H, W, 4), in [0, 1]."""
    if flags.mode == "opacity":
        return opacity_picture(pixels.opacity)
    if flags.mode == "normal":
        return normal_picture(pixels.rgb, pixels.opacity)
    if flags.mode == "depth":
        return depth_picture(distances(flags, camera, pixels), pixels.opacity.cpu(), depth_span(model.grid.box, camera))
    if flags.background == "transparent":
        solid = pixels.opacity[..., None]
        return torch.cat([pixels.rgb / solid.clamp(min=1e-6), solid], -1)
    background = BACKGROUNDS.get(flags.background, model.header.background)
    return pixels.over(torch.tensor(background, device=pixels.rgb.device))


def values(flags: Flags, model: LoadedModel, camera: Camera, pixels: Pixels) -> Tensor:
    """Float32 on the CPU: opacity (H, W); unit normals (H, W, 3) in input axes, 0 where nothing is; or depth (H, W) in
    input units, infinite where nothing is."""
    solid = pixels.opacity.cpu() > SOLID
    if flags.mode == "opacity":
        return pixels.opacity.cpu()
    if flags.mode == "normal":
        turn = model.transform[:3, :3].float() * model.unit  # input axes to scene axes
        unit = torch.nn.functional.normalize(pixels.rgb.cpu() @ turn, dim=-1)
        return torch.where(solid[..., None], unit, torch.zeros(3))
    return torch.where(solid, distances(flags, camera, pixels) * model.unit, torch.inf)


def distances(flags: Flags, camera: Camera, pixels: Pixels) -> Tensor:
    """Depth (H, W) on the CPU in scene units, along the ray or the axis."""
    depth = pixels.depth.cpu()
    if flags.depth == "ray":
        return depth
    return depth * (camera.rays().directions @ -camera.pose[:3, 2]).view(depth.shape)


def write_npy(path: Path, frames: list[Tensor]) -> None:
    """One frame as it is, several stacked."""
    array = frames[0].numpy() if len(frames) == 1 else np.stack([f.numpy() for f in frames])
    handle, name = tempfile.mkstemp(suffix=".npy")
    os.close(handle)
    try:
        np.save(name, array)
        write_beside(path, Path(name).read_bytes())
    finally:
        Path(name).unlink(missing_ok=True)


def write_film(path: Path, pictures: Iterator[Tensor], fps: float) -> None:
    """Frame by frame into a hidden folder beside, from where the film moves when it is whole. A folder, because an
    encoder that is being stopped may still make its file after we have removed it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"duration": 1000 / fps, "loop": 0} if path.suffix.lower() == ".gif" else {
        "fps": fps, "codec": "libx264", "quality": 8, "macro_block_size": 2, "format": "FFMPEG"}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=".film-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        beside = Path(folder) / path.name
        with imageio.get_writer(beside, **how) as writer:
            for image in pictures:
                writer.append_data(bytes_of(image))  # pyright: ignore[reportAttributeAccessIssue]
        beside.replace(path)


if __name__ == "__main__":
    main()
