"""Pictures of a model, one after the other: from which cameras, what of each, into which file."""

import errno
import io
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import imageio.v2 as imageio
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fields.files import part_name, write_beside
from fields.numbers import printable
from render import path_files, paths
from render.camera import Camera
from render.legends import Legend, draw_legend
from render.looks import Backdrop, Mode
from render.model import LoadedModel
from render.pictures import bytes_of, depth_range
from render.renderer import Frame, Pixels, shaped

FILMS = (".mp4", ".gif")
FULL = 1 << 20  # bytes that are free, below which a disk is full
LOOKS, SHORT = 5, 64  # frames of a film, and pixels of their shorter side, that say how far away things are
MOST_GIF = 50  # frames a second
COLORS = (  # what ffmpeg is told of them
    "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv",
    "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
)  # fmt: skip
BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}


@dataclass(frozen=True)
class Drawing:
    """What is drawn of each frame."""

    mode: Mode
    depth: Literal["ray", "z"] = "ray"  # distance along the ray, or along the camera's axis
    background: Literal["auto", "white", "black", "transparent"] = "auto"  # auto: the model's own
    legend: bool = True  # what colours mean is drawn into the picture


@dataclass(frozen=True)
class Still:
    """A drawn frame, with all that its picture or its values want."""

    frame: Frame  # (H, W) on the CPU
    camera: Camera  # scene units
    model: LoadedModel
    drawing: Drawing
    span: tuple[float, float]  # nearest and farthest distance that depth is shown between, scene units

    @property
    def backdrop(self) -> Backdrop:
        """What it is shown before and between."""
        r, g, b = BACKGROUNDS.get(self.drawing.background, tuple(self.model.header.background))
        return Backdrop((r, g, b), self.span, self.model.unit, self.model.grid.edges)

    @property
    def legend(self) -> Legend | None:
        """What its colours mean, where they are numbers."""
        return self.drawing.mode.legend(self.backdrop) if self.drawing.mode.legend else None

    @property
    def picture(self) -> Tensor:
        """(H, W, 3) or, on a transparent background, (H, W, 4), in [0, 1]."""
        if self.drawing.background == "transparent":
            solid = self.frame.pixels.opacity[..., None]
            return torch.cat([self.frame.pixels.rgb / solid.clamp(min=1e-6), solid], -1)
        picture = self.drawing.mode.picture(self.frame, self.backdrop)
        if not (self.drawing.legend and self.legend):
            return picture
        return torch.from_numpy(draw_legend(bytes_of(picture), self.legend)) / 255

    @property
    def values(self) -> Tensor:
        """Float32 (H, W) or (H, W, 3), in input units and axes. ValueError for a mode of which there are only
        pictures."""
        if self.drawing.mode.values is None:
            raise ValueError(f"there are only pictures of {self.drawing.mode.name}")
        return self.drawing.mode.values(self.frame, self.model.transform)


def draw_frames(model: LoadedModel, cameras: list[Camera], drawing: Drawing) -> Iterator[Still]:
    """A frame for each camera. Depth is shown between the same distances in all of them."""
    span = None
    if drawing.mode.stretched and len(cameras) > 1:
        span = join_spans(seen(draw_frame(model, shrink(camera), drawing)) for camera in choose_few(cameras))
    for camera in cameras:
        frame = draw_frame(model, camera, drawing)
        yield Still(frame, camera, model, drawing, span or seen(frame))


def choose_few(cameras: Sequence[Camera]) -> Sequence[Camera]:
    """Some of a film's cameras, evenly, that say how far away things are."""
    return cameras[:: -(-len(cameras) // LOOKS)]


def seen(frame: Frame) -> tuple[float, float]:
    """Distances between which the surfaces of a frame lie."""
    return depth_range(frame.pixels.depth, frame.pixels.opacity)


def join_spans(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The span of all of them."""
    low, high = zip(*spans, strict=True)
    return min(low), max(high)


def shrink(camera: Camera) -> Camera:
    """The same view as small as it needs to be, to see how far away things are."""
    factor = min(1.0, SHORT / min(camera.size))
    return camera.resized(*(max(1, round(n * factor)) for n in camera.size))


def draw_frame(model: LoadedModel, camera: Camera, drawing: Drawing) -> Frame:
    """A frame (H, W) on the CPU."""
    mode = drawing.mode
    if mode.trace:
        frame = shaped(mode.trace(model.grid, camera.rays().to(model.grid.bits.device), 0.0), camera)
    else:
        frame = model.image(camera, mode.look)
    pixels, depth = frame.pixels, frame.pixels.depth.cpu()
    if drawing.depth == "z":
        depth = depth * (camera.rays().directions @ -camera.pose[:3, 2]).view(depth.shape)
    return Frame(Pixels(pixels.rgb.cpu(), pixels.opacity.cpu(), depth), frame.counts.cpu())


@dataclass(frozen=True)
class Route:
    """Which cameras of a model: orbit, spiral, train:N, test:N, or a camera path in JSON."""

    camera: str
    frames: int = 0  # of an orbit or spiral; 0: 1 for pictures, 60 for films
    size: int = 0  # pixels of the shorter side; 0: as the training pictures
    fps: float = 24.0  # frames a second, where no path says another


def choose_cameras(
    route: Route, model: LoadedModel, path: Path, kind: str, tell: Callable[[str], object] = lambda line: None
) -> tuple[list[Camera], float]:
    """Cameras to draw, scene units, and frames per second. `path` is the model's, `kind` one of FORMATS; `tell` takes
    the lines that there are to say of a camera path. ValueError where there are none."""
    name, _, number = route.camera.partition(":")
    known = list(model.train_cameras or model.test_cameras)
    if name in ("train", "test"):
        cameras = model.train_cameras if name == "train" else model.test_cameras
        if not cameras:
            raise ValueError(f"--camera {route.camera}: {path} holds no {name} cameras")
        if not number.isascii() or not number.isdigit() or int(number[:9]) >= len(cameras):
            raise ValueError(f"--camera {printable(route.camera, 60)}: wanted {name}:0 to {name}:{len(cameras) - 1}")
        camera = cameras[int(number)]
        return [camera.resized(*scale_size(camera.size, route.size))], route.fps
    if name not in ("orbit", "spiral"):
        file = Path(route.camera)
        if not file.is_file():
            raise ValueError(f"--camera {route.camera}: wanted orbit, spiral, train:N, test:N or an existing JSON file")
        loaded = path_files.load(file, model.transform)
        for note in loaded.notes:
            tell(note)
        return [c.resized(*scale_size(c.size, route.size)) for c in loaded.cameras], loaded.fps
    if not known:
        raise ValueError(f"{path}: holds no cameras, so that there is no {name}; give a camera path in JSON")
    size = scale_size(known[0].size, route.size)
    frames = route.frames or (60 if kind in FILMS else 1)
    make = paths.orbit if name == "orbit" else paths.spiral
    return make(known, torch.tensor(model.header.box), frames, size), route.fps


def scale_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """A picture's size with its shorter side as wanted (0: unchanged)."""
    factor = shorter / min(size) if shorter else 1.0
    width, height = (max(1, round(n * factor)) for n in size)
    return width, height


def check_rate(kind: str, fps: float) -> None:
    """ValueError where a film of this kind cannot show so many frames a second."""
    if kind == ".gif" and fps > MOST_GIF:
        raise ValueError(
            f"{fps:g} frames per second: a .gif counts hundredths of a second, and browsers show for ten of them what "
            f"should stay for less than two; wanted at most {MOST_GIF}, or an .mp4"
        )


def write_npy(path: Path, frames: list[Tensor]) -> None:
    """One frame as it is, several stacked."""
    array = frames[0].numpy() if len(frames) == 1 else np.stack([f.numpy() for f in frames])
    content = io.BytesIO()
    np.save(content, array)
    write_beside(path, content.getvalue())


def write_film(path: Path, pictures: Iterator[Tensor], fps: float) -> None:
    """Pictures (H, W, 3) in [0, 1]. ValueError or OSError where that cannot be; nothing of it stays then."""
    kind = path.suffix.lower()
    check_rate(kind, fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".gif":
        write_beside(path, encode_gif(path, [Image.fromarray(bytes_of(picture)) for picture in pictures], fps))
    else:
        encode(path, pictures, fps)


def encode_gif(path: Path, frames: list[Image.Image], fps: float) -> bytes:
    """A GIF that repeats. ValueError without frames, and for one that stays too long."""
    if not frames:
        raise ValueError(f"{path}: a film wants at least one frame")
    content, times = io.BytesIO(), [10 * time for time in gif_times(len(frames), fps)]
    try:
        frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    except (OverflowError, struct.error):  # equal frames are stored as one
        raise ValueError(f"{path}: a picture stays longer than 655 s, the most in a .gif; use .mp4") from None
    return content.getvalue()


def gif_times(count: int, fps: float) -> list[int]:
    """How many hundredths of a second each frame is shown. All before a frame together are rounded, so that it never
    comes more than half of one early or late, however long the film."""
    ends = [round(100 * n / fps) for n in range(count + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def encode(path: Path, pictures: Iterator[Tensor], fps: float) -> None:
    """Frame by frame into a hidden folder beside, from where the film moves when it is whole. A folder, because an
    encoder that is being stopped may still make its file after we have removed it.

    Colours are those of BT.709 in the limited range, as players take what is not said otherwise, and said to be. With
    them at half resolution, which all players can show, H.264 has even sides only: pictures stay as they are, and the
    last column or row of an odd side comes twice.
    """
    how = {"fps": fps, "codec": "libx264", "quality": 8, "macro_block_size": 1, "output_params": [*COLORS]}
    with tempfile.TemporaryDirectory(*part_name(path), path.parent, ignore_cleanup_errors=True) as folder:
        beside = Path(folder) / path.name
        try:
            with imageio.get_writer(beside, "FFMPEG", **how) as writer:
                for image in pictures:
                    writer.append_data(evened(bytes_of(image)))  # pyright: ignore[reportAttributeAccessIssue]
        except OSError as error:  # the encoder has ended, and its whole command line is told
            if shutil.disk_usage(folder).free < FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise ValueError(f"{path}: the encoder failed: {str(error).partition('FFMPEG')[0].strip()}") from None
        beside.replace(path)


def evened(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) with even sides: an odd one's last column or row comes twice."""
    height, width = picture.shape[:2]
    return np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)], "edge") if height % 2 or width % 2 else picture
