"""One training run: photographs, and a field that learns from them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from distill.device.captured import captured
from distill.learning.fit import Optimization
from distill.learning.run import Learning, Place, opacity
from distill.photographs.pixels import HostPixels
from distill.photographs.source import Config, Photographs
from fields.backend import TRITON, repeats
from fields.fused import fusible
from fields.shape import preset
from fields.space import Space
from render.occupancy import RESOLUTION, OccupancyEstimate, cascades_for
from render.renderer import Renderer
from scenes.placing.cells import possible_cells
from scenes.scene import Scene

CONE = 1 / 256  # growth of steps with distance, for scenes that exceed the unit cube


@dataclass(frozen=True)
class Recipe:
    """What must be equal for a run to be continued exactly."""

    data: str
    architecture: str
    preset: str
    seed: int
    steps: int
    batch: int
    downscale: int
    device: str
    step: float  # scene units, shortest sampling interval
    bandwidth: float = 0.0  # cycles per box side, in place of the preset's; 0: the preset's


class Training(Learning):
    """A field that learns from a scene's photographs."""

    recipe: Recipe

    def __init__(self, scene: Scene, recipe: Recipe, device: torch.device) -> None:
        shape = preset(recipe.architecture, recipe.preset)
        if recipe.bandwidth:
            shape = replace(shape, config=replace(shape.config, bandwidth=recipe.bandwidth))
        generator = torch.Generator().manual_seed(recipe.seed)
        field = shape.build(Space(scene.box), generator).to(device)
        cascades = cascades_for(scene.box)
        renderer = Renderer(recipe.step, CONE if cascades > 1 else 0.0)
        possible = possible_cells(scene, cascades, RESOLUTION)
        occupancy = OccupancyEstimate(scene.box.to(device), recipe.step, possible.to(device), RESOLUTION)
        graphs = TRITON and device.type == "cuda" and not repeats()
        if graphs:
            loss = captured(scene, field, renderer, occupancy, recipe.batch, recipe.seed)
        else:
            pixels = HostPixels(scene.train, device, recipe.seed)
            loss = Photographs(pixels, field, renderer, occupancy, Config(recipe.batch), recipe.seed)
        cameras = (tuple(view.camera for view in views) for views in (scene.train, scene.test))
        place = Place(scene.box, scene.transform, scene.background, *cameras)
        super().__init__(place, recipe, field, renderer, loss)
        self.scene = scene
        if graphs:
            from distill.device.optimizer import DeviceOptimizer  # asks for Triton

            self.run = Optimization(
                field, lambda learnables: DeviceOptimizer(learnables, torch.float16 if fusible(field) else None)
            )

    def opacity(self, x: Tensor) -> Tensor:
        """See Learning: by the field as it stands."""
        return opacity(self.field, self.loss.grid, self.renderer.step, self.field.space.scene(x))
