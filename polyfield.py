"""Polyfield as a library: the one documented Python surface. It names what the folders do, and works nothing out.

NumPy arrays go in and come out. Points, poses and boxes are in the input's own coordinates, those of the poses that a
data set or `scene` was given; lengths in its unit. Poses are camera-to-world, 4 x 4, with OpenGL axes: +X right, +Y up,
the camera looks along -Z. The centre of the first pixel is (0.5, 0.5). docs/library.md shows all of it at work.
"""

import fields  # noqa: F401  (sets how threads wait, before PyTorch is imported)

# isort: split
import html
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from distill.conversion.job import begin as begin_conversion
from distill.conversion.settings import ConversionSettings
from distill.learning.files import preview
from distill.learning.fit import Step
from distill.learning.job import Finished, Job
from distill.learning.metrics import Metrics
from distill.photographs.job import begin as begin_training
from distill.photographs.settings import Settings
from render.camera import Camera, Intrinsics
from render.device import pick_device
from render.model import LoadedModel, open_model
from scenes.assemble import assemble_memory
from scenes.scene import Scene

Device = Literal["auto", "cpu", "cuda"]


@final
class Model:
    """A field that can be asked and drawn. In a notebook it shows its thumbnail and figures."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded  # with everything in scene units, as the folders have it

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Those that it was trained from."""
        return tuple(self.loaded.to_input(camera) for camera in self.loaded.train_cameras)

    @property
    def box(self) -> NDArray[np.float64]:
        """(2, 3) low and high corner of all that it holds."""
        return self.loaded.bounds.numpy()

    def image(self, camera: Camera, background: Sequence[float] | None = None) -> NDArray[np.float32]:
        """(H, W, 3) sRGB in [0, 1], over `background`, RGB in [0, 1]; None: the one that the model was scored on."""
        pixels = self.loaded.image(self.loaded.to_scene(camera)).pixels
        shade = torch.tensor(background or self.loaded.header.background, device=pixels.rgb.device)
        return pixels.over(shade).clamp(0, 1).cpu().numpy()

    def depth(self, camera: Camera) -> NDArray[np.float32]:
        """(H, W) mean distance along each ray; 0 where nothing was seen."""
        return (self.loaded.image(self.loaded.to_scene(camera)).pixels.depth * self.loaded.unit).cpu().numpy()

    def density(self, points: ArrayLike) -> NDArray[np.float32]:
        """(N,) per unit of length at points (N, 3); 0 outside the box and where nothing is."""
        x = torch.as_tensor(np.asarray(points))
        return self.loaded.ask(x, torch.zeros_like(x))[0].numpy()

    def color(self, points: ArrayLike, directions: ArrayLike) -> NDArray[np.float32]:
        """(N, 3) sRGB in [0, 1] at points (N, 3), seen along unit directions (N, 3); 0 where nothing is."""
        return self.loaded.ask(torch.as_tensor(np.asarray(points)), torch.as_tensor(np.asarray(directions)))[1].numpy()

    def save(self, path: str | PathLike[str]) -> int:
        """Write the one file that holds it; returns its bytes. OSError where that cannot be."""
        return self.loaded.save(Path(path))

    def _repr_html_(self) -> str:
        header, field = self.loaded.header, self.loaded.field
        psnr = f", {float(header.metrics['psnr']):.2f} dB" if "psnr" in header.metrics else ""
        figures = html.escape(f"{header.architecture}, {field.parameter_count() / 1e6:.2f} M parameters{psnr}")
        picture = f"<img src='data:image/png;base64,{html.escape(header.thumbnail)}'><br>" if header.thumbnail else ""
        return f"{picture}{figures}"


@final
class Learning:
    """A field that learns while this is iterated over, step by step, to the end or as far as one likes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.scored: Metrics | None = None  # once it has been

    def __iter__(self) -> Iterator[Step]:
        for item in self.job.stream():
            if isinstance(item, Step):
                yield item
            elif isinstance(item, Finished):
                self.scored = item.metrics

    @property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says; empty before the pictures that were held out are scored."""
        return self.scored.to_record() if self.scored else {}

    @property
    def model(self) -> Model:
        """The field as it stands; it goes on learning where the iteration does."""
        run = self.job.run
        return Model(run.model(self.scored, preview(run)) if self.scored else run.model())

    def finish(self) -> Model:
        """Take all steps that are left, score held-out pictures, and give the model."""
        for _ in self:
            pass
        return self.model


def open(path: str | PathLike[str], device: Device = "auto") -> Model:
    """A model file. ModelError, a ValueError, says in a line why it is none; OSError where it cannot be read."""
    return Model(open_model(Path(path), pick_device(device)))


def camera(pose: ArrayLike, focal: float, size: tuple[int, int]) -> Camera:
    """A pinhole camera at `pose` (4, 4), its focal length in pixels, width and height in pixels."""
    lens = Intrinsics(focal, focal, size[0] / 2, size[1] / 2)
    return Camera(torch.as_tensor(np.asarray(pose, np.float32)), lens, size)


def scene(images: ArrayLike, poses: ArrayLike, intrinsics: Intrinsics | Sequence[Intrinsics] | float) -> Scene:
    """Photographs in memory: images (N, H, W, 3 or 4) uint8, or float in [0, 1], alpha straight; poses (N, 4, 4); one
    lens for all, one for each, or a focal length in pixels. Every 8th is held out. ValueError for what does not fit."""
    pictures = torch.as_tensor(np.asarray(images))
    if isinstance(intrinsics, int | float):
        height, width = pictures.shape[1:3]
        intrinsics = Intrinsics(intrinsics, intrinsics, width / 2, height / 2)
    return assemble_memory(pictures, torch.as_tensor(np.asarray(poses)), intrinsics, "memory")


def train(data: str | PathLike[str] | Scene, *, out: str | PathLike[str] | None = None, **settings: Any) -> Learning:
    """A field that learns from photographs: of a data set, mesh or `builtin[:SIZE]` as `train-scene` takes it, or of a
    `scene`. `settings` are the flags of `train-scene` with underscores (arch, preset, steps, max_seconds, ...); with
    `out` the same files are written, without it none. ValueError for what cannot be trained; TypeError for a flag that
    there is not."""
    flags = Settings(out=None if out is None else Path(out), **settings)
    name, found = (data.name, data) if isinstance(data, Scene) else (str(data), None)
    return Learning(begin_training(name, flags, quiet, scene=found, write=out is not None))


def convert(model: Model, to: str, *, out: str | PathLike[str] | None = None, **settings: Any) -> Learning:
    """Another field of architecture `to` that learns what `model` is, without photographs. `settings` as for `train`,
    those of `convert-scene`."""
    flags = ConversionSettings(to=to, out=None if out is None else Path(out), **settings)
    with tempfile.TemporaryDirectory() as folder:  # the teacher is read whole before the first step
        path = Path(folder) / "memory.safetensors"
        model.save(path)
        return Learning(begin_conversion(str(path), flags, quiet, write=out is not None, name="memory"))


def quiet(facts: Iterable[object]) -> None:
    """A library does not talk."""
