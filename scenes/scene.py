"""A scene: photographs with their cameras, and the box they show. `load` opens any format that a reader knows."""

import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from render.camera import Camera, moved

READERS = ("builtin", "blender", "transforms", "mesh")  # asked in this order; the file name is the reader's name


class SceneError(ValueError):
    """A data set that cannot be used: names the file, what was expected and what was found."""


@dataclass(frozen=True)
class ReadOptions:
    """How pictures are read."""

    downscale: int = 1  # divide width and height by this, 1 to 64
    max_resolution: int = 1920  # longest side in pixels after downscaling; larger pictures are shrunk
    skip_missing: bool = False  # go on without the pictures that are missing

    def __post_init__(self) -> None:
        if not 1 <= self.downscale <= 64:
            raise ValueError(f"--downscale must be 1 to 64, found {self.downscale}")
        if self.max_resolution < 16:
            raise ValueError(f"--max-resolution must be at least 16 pixels, found {self.max_resolution}")


@dataclass(frozen=True)
class View:
    """One photograph."""

    camera: Camera
    image: Tensor  # (H, W, 4) uint8 on the host, sRGB as stored, straight alpha; 255 where the picture has none
    valid: Tensor  # (H, W) bool; False: pixel is masked out, neither trained nor scored. May be an expanded scalar
    name: str  # file name within the data set


@dataclass(frozen=True)
class Scene:
    """All that training needs, in scene units (see render/camera.py)."""

    name: str
    train: tuple[View, ...]
    test: tuple[View, ...]
    box: Tensor  # (2, 3) float32, low and high corner: everything that is drawn lies inside
    transform: Tensor  # (4, 4) float64 similarity, input coordinates to scene units
    background: tuple[float, float, float]  # what pictures are scored on, RGB in [0, 1]
    transparent: bool  # pictures have empty (alpha 0) parts
    facts: tuple[str, ...]  # what the reader found and assumed, one line each

    @property
    def unit(self) -> float:
        """Length of one scene unit in input units."""
        return float(1 / torch.linalg.det(self.transform[:3, :3]).abs() ** (1 / 3))


def load(data: str, options: ReadOptions) -> Scene:
    """Read a data set: a folder, a JSON file, a mesh, or `builtin[:SIZE]`. SceneError where it cannot be used."""
    return importlib.import_module(f"scenes.formats.{format_of(data)}").read(data, options)


def carry_views(scene: Scene, transform: Tensor, split: str) -> tuple[View, ...]:
    """The views of a split, "train" or "test", with their cameras in the scene units that `transform` (4, 4) leads to,
    as a model has them: a data set read again, or another copy of it, may have found another box. ValueError for none.
    """
    views = scene.test if split == "test" else scene.train
    if not views:
        raise ValueError(f"{scene.name}: has no {split} pictures")
    carry = transform @ torch.linalg.inv(scene.transform)
    return tuple(replace(v, camera=replace(v.camera, pose=moved(v.camera.pose, carry))) for v in views)


def format_of(data: str) -> str:
    """The reader that knows this data set, one of READERS. SceneError where none does."""
    for name in READERS:
        if importlib.import_module(f"scenes.formats.{name}").matches(data):
            return name
    raise SceneError(unknown(Path(data)))


def unknown(path: Path) -> str:
    """Why no reader takes this path, and what to do."""
    if not path.exists():
        return f"{path}: no such file or folder; wanted a data set or 'builtin'"
    if path.is_file():
        return f"{path}: not a data set; wanted a folder, a transforms.json, or a mesh (.glb .gltf .obj .ply .stl .off)"
    names = [p for p in path.rglob("*") if p.is_file()]
    if not names:
        return f"{path}: folder is empty; wanted transforms.json or transforms_train.json with pictures"
    pictures = sum(p.suffix.lower() in (".png", ".jpg", ".jpeg") for p in names)
    if pictures:
        return (
            f"{path}: {pictures} pictures but no camera poses; wanted transforms.json beside them "
            "(COLMAP and instant-ngp's colmap2nerf.py, or nerfstudio's ns-process-data, make one)"
        )
    return f"{path}: found neither transforms.json nor transforms_train.json"
