"""A model file, opened: everything that drawing needs, on one device."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fields.base import Volume
from fields.field import Field
from fields.files import Header, Model, ModelError, load, save
from fields.numbers import brief
from render.camera import Camera, moved
from render.occupancy import OccupancyGrid, cascades_for
from render.precision import precision
from render.renderer import Frame, Look, Renderer, color

PART = 1 << 17  # points asked at once
SINGULAR = 1e-40  # determinant of a transform that has no inverse: inputs may be as long as numbers.LENGTH


@dataclass(frozen=True)
class LoadedModel:
    """A field, the grid that says where it is, and how its rays are sampled."""

    field: Field
    grid: OccupancyGrid
    renderer: Renderer
    header: Header
    train_cameras: tuple[Camera, ...]
    test_cameras: tuple[Camera, ...]
    source: str = "the model"  # the file that messages name

    @property
    def transform(self) -> torch.Tensor:
        """(4, 4) float64 similarity, input coordinates to scene units."""
        return torch.tensor(self.header.transform, dtype=torch.float64)

    @property
    def unit(self) -> float:
        """Length of one scene unit in input units."""
        return float(1 / torch.linalg.det(self.transform[:3, :3]).abs() ** (1 / 3))

    def image(self, camera: Camera, look: Look = color, near: float = 0.0) -> Frame:
        """A picture from this camera (scene units), of what lies `near` scene units or further along each ray.
        ModelError where the field's weights give numbers that are not finite."""
        frame = self.renderer.image(self.field, self.grid, camera, look, near)
        if not bool(torch.isfinite(frame.pixels.rgb).all() & torch.isfinite(frame.pixels.depth).all()):
            raise ModelError(f"{self.source}: damaged: its weights give colours or densities that are not finite")
        return frame

    @property
    def bounds(self) -> Tensor:
        """(2, 3) float64, low and high corner in input coordinates of all that the field's box may hold."""
        corners = torch.cartesian_prod(*self.grid.box.cpu().double().T)  # (8, 3)
        back = torch.linalg.inv(self.transform)
        found = corners @ back[:3, :3].T + back[:3, 3]
        return torch.stack([found.amin(0), found.amax(0)])

    def save(self, path: Path) -> int:
        """Write the model; returns its bytes."""
        return save(path, Model(self.field, self.grid.bits, self.header))

    def to_scene(self, camera: Camera) -> Camera:
        """A camera whose pose is in input coordinates, in scene units."""
        return replace(camera, pose=moved(camera.pose, self.transform))

    def to_input(self, camera: Camera) -> Camera:
        """Inverse of `to_scene`."""
        return replace(camera, pose=moved(camera.pose, torch.linalg.inv(self.transform)))

    @torch.no_grad()
    def ask(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (N,) per input unit and RGB (N, 3) in [0, 1] at points (N, 3) in input coordinates, seen along unit
        directions (N, 3) in input axes; zeros where rays find nothing: outside the box, and in empty cells."""
        transform, device = self.transform, self.grid.bits.device
        x = (points.double() @ transform[:3, :3].T + transform[:3, 3]).float().to(device)
        d = (directions.double() @ transform[:3, :3].T * self.unit).float().to(device)
        density, rgb = torch.zeros(len(x), device=device), torch.zeros(len(x), 3, device=device)
        for part in self.grid.contains(x).nonzero()[:, 0].split(PART):
            with precision(device):
                sigma, features = self.field.density(x[part])
                density[part], rgb[part] = sigma.float() / self.unit, self.field.color(features, d[part]).float()
        return density.cpu(), rgb.cpu()


def open_model(path: Path, device: torch.device) -> LoadedModel:
    """Read a model. ModelError where it is none; FileNotFoundError where nothing is there."""
    model = load(path)
    header = model.header
    if not isinstance(model.field.head, Volume):
        raise ModelError(f"{path}: holds a signal (head {header.shape.head!r}), no volume that could be rendered")
    box = torch.tensor(header.box, dtype=torch.float32)
    if len(model.occupancy) != cascades_for(box):
        raise ModelError(f"{path}: {len(model.occupancy)} occupancy cascades do not fit its box {brief(header.box)}")
    try:
        train, test = (
            tuple(Camera.from_record(r) for r in records) for records in (header.train_cameras, header.test_cameras)
        )
        renderer = Renderer(header.step, header.cone)
        if len(header.background) != 3:
            raise ValueError(f"background must be 3 numbers, found {header.background}")
        if abs(float(torch.linalg.det(torch.tensor(header.transform, dtype=torch.float64)))) < SINGULAR:
            raise ValueError("transform is no similarity: it has no inverse")
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: {error}") from None
    grid = OccupancyGrid(model.occupancy, box, header.resolution).to(device)
    return LoadedModel(model.field.to(device).eval(), grid, renderer, header, train, test, str(path))
