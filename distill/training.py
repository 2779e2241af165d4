"""One training run as an object that can be begun, saved, resumed and written as a model."""

import base64
import json
import platform
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import fields
from distill.fit import Optimization, Stage
from distill.train import Config, Photographs
from fields.base import build
from fields.files import Header, Model, ModelError, config_record, save, write_beside
from render.occupancy import RESOLUTION, OccupancyEstimate, cascades_for
from render.precision import precision
from render.renderer import Renderer
from scenes.cells import possible_cells
from scenes.scene import Scene

CONE = 1 / 256  # growth of steps with distance, for scenes that exceed the unit cube
CHUNK = 1 << 17  # points asked at once
CHECKPOINT_KEY = "polyfield_checkpoint"


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


class Training:
    """Field, loss, optimiser and renderer of one run."""

    def __init__(self, scene: Scene, recipe: Recipe, device: torch.device) -> None:
        config = preset(recipe.architecture, recipe.preset)
        if recipe.bandwidth:
            config = replace(config, bandwidth=recipe.bandwidth)
        self.scene, self.recipe = scene, recipe
        generator = torch.Generator().manual_seed(recipe.seed)
        self.field = build(recipe.architecture, config, scene.box, generator).to(device)
        self.growth = self.field.architecture.growth
        cascades = cascades_for(scene.box)
        self.renderer = Renderer(recipe.step, CONE if cascades > 1 else 0.0)
        possible = possible_cells(scene, cascades, RESOLUTION)
        self.occupancy = OccupancyEstimate(scene.box.to(device), recipe.step, possible.to(device))
        config = Config(batch=recipe.batch)
        self.loss = Photographs(scene, self.field, self.renderer, self.occupancy, config, recipe.seed)
        self.run = Optimization(self.field)

    def stages(self) -> tuple[Stage, ...]:
        """The run: one stage, or one for every shape that the architecture goes through."""
        edges = (0.0, *self.growth, 1.0)
        shares = [end - start for start, end in pairwise(edges)]
        first = Stage("photographs", shares[0], self.loss)
        return first, *(Stage(f"growth {n}", s, self.loss, self.grow) for n, s in enumerate(shares[1:], 1))

    def grow(self) -> None:
        """Put the architecture's next shape in its place."""
        generator = torch.Generator().manual_seed(self.recipe.seed + self.run.stage)
        with torch.no_grad():
            self.field.architecture = self.field.architecture.grown(self.opacity, generator).to(self.device)

    @torch.no_grad()
    def opacity(self, x: Tensor) -> Tensor:
        """(M, 3) unit box of the architecture -> (M,) in [0, 1], of one sampling step; 0 in cells that rays skip."""
        points = (x - 0.5) * self.field.side + self.field.center
        result = torch.zeros(len(x), device=x.device)
        for part in self.loss.grid.contains(points).nonzero()[:, 0].split(CHUNK):
            with precision(x.device):
                sigma, _ = self.field.density(points[part])
            result[part] = -torch.expm1(-sigma * self.renderer.step)
        return result

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.occupancy.values.device

    def save_checkpoint(self, path: Path) -> None:
        """Everything that an exact continuation needs."""
        tensors = {k: v.contiguous() for k, v in {**self.run.state(), **self.loss.state()}.items()}
        shape = {"config": config_record(self.field.architecture.config)}
        record = {CHECKPOINT_KEY: json.dumps(asdict(self.recipe) | shape)}
        write_beside(path, safetensors.torch.save(tensors, record))

    def load_checkpoint(self, path: Path) -> None:
        """Continue from a checkpoint of the same recipe. ModelError where it is another's or damaged."""
        try:
            with safetensors.safe_open(str(path), framework="pt") as file:
                record = json.loads((file.metadata() or {}).get(CHECKPOINT_KEY, "{}"))
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, json.JSONDecodeError) as error:
            raise ModelError(f"{path}: damaged checkpoint: {error}") from None
        for name, value in asdict(self.recipe).items():
            if record.get(name) != value:
                raise ModelError(f"{path}: checkpoint has {name} {record.get(name)!r}, this run has {value!r}")
        module = fields.module(self.recipe.architecture)
        try:
            self.field.architecture = module.Network(module.Config(**record["config"]), 3, None).to(self.device)
            self.run.renew()
            on_device = {k: v.to(self.device) if k.startswith("weights.") else v for k, v in tensors.items()}
            self.run.restore(on_device)
            self.loss.restore(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: damaged checkpoint: {error}") from None

    def header(self, metrics: dict[str, Any], thumbnail: bytes) -> Header:
        """The model file's header."""
        scene = self.scene
        return Header(
            architecture=self.recipe.architecture,
            config=config_record(self.field.architecture.config),
            box=scene.box.tolist(),
            step=self.renderer.step,
            cone=self.renderer.cone,
            resolution=RESOLUTION,
            transform=scene.transform.tolist(),
            background=list(scene.background),
            train_cameras=[v.camera.to_record() for v in scene.train],
            test_cameras=[v.camera.to_record() for v in scene.test],
            provenance=self.provenance(),
            metrics=metrics,
            thumbnail=base64.b64encode(thumbnail).decode(),
        )

    def provenance(self) -> dict[str, Any]:
        """Where the model comes from."""
        packages = {name: version(name) for name in ("polyfield", "torch", "numba", "numpy")}
        return {
            "recipe": asdict(self.recipe),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), **packages},
            "steps": self.run.index,
            "train_seconds": round(self.run.seconds, 3),
        }

    def save_model(self, path: Path, metrics: dict[str, Any], thumbnail: bytes) -> int:
        """Write the field as it stands; returns its bytes."""
        return save(path, Model(self.field, self.loss.grid.bits, self.header(metrics, thumbnail)))


def preset(architecture: str, name: str) -> Any:
    """The Config of an architecture's preset. ValueError names the presets there are."""
    presets = fields.module(architecture).PRESETS
    if name not in presets:
        raise ValueError(f"{architecture} has no preset {name!r} (there are: {', '.join(presets)})")
    return presets[name]
