"""The album: cameras that a person can look through, with the photographs that were taken there, if any."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from render.camera import Camera, moved
from render.model import LoadedModel
from scenes.evaluate import over_background
from scenes.scene import Scene, View
from viewer.messages import Album, Spot
from viewer.worker.modes import Truth

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Entry:
    """One view."""

    name: str
    split: Split
    camera: Camera  # world
    view: View | None  # the photograph

    def truth(self, size: tuple[int, int], background: tuple[float, float, float]) -> Truth | None:
        """The photograph over a background, at the size of a picture. None where there is none."""
        if self.view is None:
            return None
        image = over_background(self.view.image, torch.tensor(background))
        if size == self.camera.size:
            return Truth(image, self.view.valid, background)
        width, height = size
        planes = image.permute(2, 0, 1)[None]
        smaller = width < self.camera.size[0]
        mode = "area" if smaller else "bilinear"
        scaled = torch.nn.functional.interpolate(planes, (height, width), mode=mode)[0].permute(1, 2, 0)
        valid = torch.nn.functional.interpolate(self.view.valid.float()[None, None], (height, width), mode="area")
        return Truth(scaled, valid[0, 0] == 1, background)


def of_scene(scene: Scene, carry: Tensor) -> tuple[Entry, ...]:
    """A data set's views; `carry` (4, 4) float64 is the similarity from its scene units to the world."""
    splits: tuple[tuple[Split, tuple[View, ...]], ...] = (("train", scene.train), ("test", scene.test))
    return tuple(
        Entry(view.name, split, carried(view.camera, carry), view) for split, views in splits for view in views
    )


def of_model(model: LoadedModel, carry: Tensor) -> tuple[Entry, ...]:
    """The cameras that a model file names, without photographs."""
    splits: tuple[tuple[Split, tuple[Camera, ...]], ...] = (
        ("train", model.train_cameras),
        ("test", model.test_cameras),
    )
    return tuple(
        Entry(f"{split} {n}", split, carried(camera, carry), None)
        for split, cameras in splits
        for n, camera in enumerate(cameras)
    )


def carried(camera: Camera, carry: Tensor) -> Camera:
    """A camera in the units that `carry` leads to; itself where that changes nothing."""
    if torch.equal(carry, torch.eye(4, dtype=carry.dtype)):
        return camera
    return Camera(moved(camera.pose, carry), camera.intrinsics, camera.size)


def message(entries: tuple[Entry, ...]) -> Album:
    """What a front end has to know of it."""
    return Album(tuple(Spot(e.name, e.split, e.camera, e.view is not None) for e in entries))
