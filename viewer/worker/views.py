"""Views: cameras that a person can look through, with the photographs that were taken there, if any."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from render.camera import Camera, moved
from render.model import LoadedModel
from render.pictures import GroundTruth
from scenes.evaluate import over_background
from scenes.scene import Scene, View
from viewer.messages import SMALL, ViewCamera, Views


@dataclass(frozen=True)
class WorldView:
    """One view."""

    name: str
    split: Literal["train", "test"]
    camera: Camera  # world
    view: View | None  # the photograph

    def truth(self, size: tuple[int, int], background: tuple[float, float, float]) -> GroundTruth | None:
        """The photograph over a background, at the size of a picture. None where there is none."""
        if self.view is None:
            return None
        image = over_background(self.view.image, torch.tensor(background))
        if size == self.camera.size:
            return GroundTruth(image, self.view.valid, background)
        width, height = size
        planes = image.permute(2, 0, 1)[None]
        smaller = width < self.camera.size[0]
        mode = "area" if smaller else "bilinear"
        scaled = torch.nn.functional.interpolate(planes, (height, width), mode=mode)[0].permute(1, 2, 0)
        valid = torch.nn.functional.interpolate(self.view.valid.float()[None, None], (height, width), mode="area")
        return GroundTruth(scaled, valid[0, 0] == 1, background)


def shrink_photograph(view: View) -> np.ndarray:
    """A photograph (h, w, 3) uint8 on white, at most SMALL pixels along a side."""
    image = Image.fromarray(view.image.numpy(), "RGBA")
    image.thumbnail((SMALL, SMALL), Image.Resampling.BOX, reducing_gap=1.0)
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def list_scene_views(scene: Scene, carry: Tensor) -> tuple[WorldView, ...]:
    """A data set's views; `carry` (4, 4) float64 is the similarity from its scene units to the world."""
    train = [WorldView(view.name, "train", carry_camera(view.camera, carry), view) for view in scene.train]
    return (*train, *(WorldView(view.name, "test", carry_camera(view.camera, carry), view) for view in scene.test))


def list_model_views(model: LoadedModel, carry: Tensor) -> tuple[WorldView, ...]:
    """The cameras that a model file names, without photographs."""
    train = [WorldView(f"train {n}", "train", carry_camera(c, carry), None) for n, c in enumerate(model.train_cameras)]
    test = [WorldView(f"test {n}", "test", carry_camera(c, carry), None) for n, c in enumerate(model.test_cameras)]
    return (*train, *test)


def carry_camera(camera: Camera, carry: Tensor) -> Camera:
    """A camera in the units that `carry` leads to; itself where that changes nothing."""
    if torch.equal(carry, torch.eye(4, dtype=carry.dtype)):
        return camera
    return Camera(moved(camera.pose, carry), camera.intrinsics, camera.size)


def describe_views(views: tuple[WorldView, ...]) -> Views:
    """What a front end has to know of it."""
    return Views(tuple(ViewCamera(e.name, e.split, e.camera, e.view is not None) for e in views))
