"""A model file, opened: everything that drawing needs, on one device."""

from dataclasses import dataclass
from pathlib import Path

import torch

from fields.base import Volume
from fields.field import Field
from fields.files import Header, ModelError, load
from render.camera import Camera
from render.occupancy import OccupancyGrid, cascades_for
from render.renderer import Frame, Look, Renderer, color


@dataclass(frozen=True)
class LoadedModel:
    """A field, the grid that says where it is, and how its rays are sampled."""

    field: Field
    grid: OccupancyGrid
    renderer: Renderer
    header: Header
    train_cameras: tuple[Camera, ...]
    test_cameras: tuple[Camera, ...]

    @property
    def transform(self) -> torch.Tensor:
        """(4, 4) float64 similarity, input coordinates to scene units."""
        return torch.tensor(self.header.transform, dtype=torch.float64)

    @property
    def unit(self) -> float:
        """Length of one scene unit in input units."""
        return float(1 / torch.linalg.det(self.transform[:3, :3]).abs() ** (1 / 3))

    def image(self, camera: Camera, look: Look = color, near: float = 0.0) -> Frame:
        """A picture from this camera (scene units), of what lies `near` scene units or further along each ray."""
        return self.renderer.image(self.field, self.grid, camera, look, near)


def open_model(path: Path, device: torch.device) -> LoadedModel:
    """Read a model. ModelError where it is none; FileNotFoundError where nothing is there."""
    model = load(path)
    header = model.header
    if not isinstance(model.field.head, Volume):
        raise ModelError(f"{path}: holds a signal (head {header.shape.head!r}), no volume that could be rendered")
    box = torch.tensor(header.box, dtype=torch.float32)
    if len(model.occupancy) != cascades_for(box):
        raise ModelError(f"{path}: {len(model.occupancy)} occupancy cascades do not fit its box {header.box}")
    try:
        train, test = (
            tuple(Camera.from_record(r) for r in records) for records in (header.train_cameras, header.test_cameras)
        )
        renderer = Renderer(header.step, header.cone)
        if len(header.background) != 3:
            raise ValueError(f"background must be 3 numbers, found {header.background}")
        if abs(float(torch.linalg.det(torch.tensor(header.transform, dtype=torch.float64)))) < 1e-30:
            raise ValueError("transform is no similarity: it has no inverse")
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: {error}") from None
    grid = OccupancyGrid(model.occupancy, box, header.resolution).to(device)
    return LoadedModel(model.field.to(device).eval(), grid, renderer, header, train, test)
