"""A teacher as edits leave it: a crop, erased boxes and a density threshold, cut out before anything learns from it."""

import math
from dataclasses import replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from distill.conversion.edits import Edits, spelled
from fields.base import Architecture, Head, Volume
from fields.field import Field
from fields.files import ModelError
from fields.space import Space
from render.model import LoadedModel
from render.occupancy import OccupancyGrid, cascades_for, coarsen, pack, unpack
from render.precision import precision

GONE = -30.0  # log-density of what was removed: sigma = 1e-13 per scene unit, and finite, so that losses stay so
TOUCH = 1e-6  # scene units; boxes that overlap by less only touch
CHUNK = 1 << 17  # cells looked at together
OCTANTS = 8  # points that a threshold asks in every cell, one in each octant


def corners(boxes: list[tuple[float, ...]], device: torch.device) -> Tensor:
    """Low and high corners (B, 2, 3) float64."""
    return torch.tensor(boxes, dtype=torch.float64, device=device).view(-1, 2, 3)


@final
class Edited(Architecture):
    """Another network, with one feature more: 1 where the edits remove what is there, else 0, for `Cut` to read. It
    stands for a teacher and is never saved.

    Places are worked out in float64 and without matrix products: autocast would take those in 8 bits.
    """

    linear: Tensor  # (3, 3) float64, from offsets in scene units to offsets in input coordinates
    shift: Tensor  # (3,) float64, input coordinates of the scene's origin
    crop: Tensor  # (0 or 1, 2, 3) float64, input coordinates, before it is turned
    unturn: Tensor  # (4, 4) float64, input coordinates to those in which the crop is not turned
    erased: Tensor  # (E, 2, 3)

    def __init__(self, teacher: Field, space: Space, transform: Tensor, edits: Edits) -> None:
        """`space` is that of the field that this is for; transform (4, 4) float64, input to scene units."""
        super().__init__()
        self.inner, device = teacher.architecture, transform.device
        self.config, self.rate, self.width = self.inner.config, self.inner.rate, self.inner.width + 1
        self.outer, self.within = space.to(torch.float64), teacher.space.to(torch.float64)
        back = torch.linalg.inv(transform)
        self.register_buffer("linear", back[:3, :3], persistent=False)
        self.register_buffer("shift", back[:3, 3], persistent=False)
        self.register_buffer("crop", corners([edits.crop] if edits.crop else [], device), persistent=False)
        turn = turning(edits, device) if edits.crop else torch.eye(4, dtype=torch.float64, device=device)
        self.register_buffer("unturn", torch.linalg.inv(turn), persistent=False)
        self.register_buffer("erased", corners(list(edits.erase), device), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        place = self.outer.scene(x.double())
        features = self.inner.features(self.within.unit(place).to(x.dtype))
        removed = self.removed((place[:, None] * self.linear).sum(-1) + self.shift)
        return torch.cat([features, removed[:, None].to(features.dtype)], -1)

    def removed(self, points: Tensor) -> Tensor:
        """(N, 3) float64 input coordinates -> (N,) bool: outside the crop, or in an erased box."""
        result = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for low, high in self.crop:
            own = (points[:, None] * self.unturn[:3, :3]).sum(-1) + self.unturn[:3, 3]
            result |= ((own < low) | (own > high)).any(-1)
        for low, high in self.erased:
            result |= ((points >= low) & (points <= high)).all(-1)
        return result


@final
class Cut(Volume):
    """Another head, whose log-density is GONE where the last feature is 1, and where it is less than `faintest`."""

    def __init__(self, inner: Volume, faintest: float) -> None:
        super().__init__()
        self.inner, self.faintest = inner, faintest

    def log_density(self, features: Tensor) -> Tensor:
        """See Volume."""
        found = self.inner.log_density(features[:, :-1])
        return found.masked_fill((features[:, -1] > 0) | (found < self.faintest), GONE)

    def color(self, features: Tensor, d: Tensor) -> Tensor:
        """See Volume."""
        return self.inner.color(features[:, :-1], d)

    def appearance(self, features: Tensor) -> Tensor:
        """See Volume."""
        return self.inner.appearance(features[:, :-1])


def uncut(head: Head) -> Head:
    """The head that was cut, or the one given."""
    return head.inner if isinstance(head, Cut) else head


def edited(model: LoadedModel, edits: Edits) -> LoadedModel:
    """The model without what the edits remove: a field that says so at every point, fewer occupied cells, a box that
    the crop bounds, as few cascades as that needs. It shares the given model's weights, and leaves that as it is.

    ValueError where a box lies outside the model, or where nothing is left.
    """
    if not edits:
        return model
    transform = model.transform.to(model.grid.box.device)
    for flag, numbers in edits.boxes():
        carry = transform @ turning(edits, transform.device) if flag == "--crop" else transform
        check_inside(spelled(flag, numbers), corners([numbers], transform.device), model, carry)
    box = cropped(model.grid.box, edits, transform)
    space = replace(model.field.space, box=box)
    kept = remaining(model.grid, edits, transform)[: cascades_for(box)]
    largest = math.inf
    if edits.min_density:
        boxes_only = Field(Edited(model.field, space, transform, edits), Cut(model.field.volume, -math.inf), space)
        highest = densest(boxes_only, kept, model.grid.resolution)
        largest = float(highest.max().exp())
        kept = coarsen(highest >= math.log(edits.min_density), model.grid.resolution) & kept
    if not bool(kept.any()):
        found = f"; the densest point that was found has {largest:.3g} per scene unit" if 0 < largest < math.inf else ""
        raise ValueError(f"{edits}: nothing of the model is left{found}")
    faintest = math.log(edits.min_density) if edits.min_density else -math.inf
    field = Field(Edited(model.field, space, transform, edits), Cut(model.field.volume, faintest), space)
    grid = OccupancyGrid(pack(kept), box, model.grid.resolution)
    header = replace(model.header, box=box.tolist())
    return replace(model, field=field.train(model.field.training), grid=grid, header=header)


def require_something(model: LoadedModel, path: Path) -> None:
    """ModelError where no cell of a teacher is occupied."""
    if not bool(model.grid.bits.any()):
        raise ModelError(f"{path}: its occupancy is empty: nothing to learn from")


def bounds(box: Tensor, transform: Tensor) -> Tensor:
    """Bounds (2, 3) of a box (2, 3) after a similarity (4, 4), all float64."""
    center, half = box.mean(0), (box[1] - box[0]) / 2
    moved = transform[:3, :3] @ center + transform[:3, 3]
    reach = transform[:3, :3].abs() @ half
    return torch.stack([moved - reach, moved + reach])


def turning(edits: Edits, device: torch.device) -> Tensor:
    """(4, 4) float64, what turns the crop: input coordinates about +Z through its middle. It must have one."""
    middle, angle = corners([edits.crop], device)[0].mean(0), math.radians(edits.crop_turn)
    result = torch.eye(4, dtype=torch.float64, device=device)
    if angle:
        c, s = math.cos(angle), math.sin(angle)
        result[:2, :2] = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        result[:3, 3] = middle - result[:3, :3] @ middle
    return result


def check_inside(words: str, boxes: Tensor, model: LoadedModel, carry: Tensor) -> None:
    """ValueError unless a box (1, 2, 3), which `carry` (4, 4) takes to scene units, meets the model's."""
    box, transform = model.grid.box.double(), model.transform.to(boxes.device)
    if not bool(meets(box.mean(0)[None], (box[1] - box[0]) / 2, boxes[0], carry)):
        low, high = bounds(box, torch.linalg.inv(transform)).tolist()
        place = f"{spelled('', tuple(low)).strip()} to {spelled('', tuple(high)).strip()}"
        raise ValueError(f"{words} lies outside the model's box, which is {place} in input coordinates")


def cropped(box: Tensor, edits: Edits, transform: Tensor) -> Tensor:
    """The box (2, 3) float32 of what a crop leaves, scene units."""
    if not edits.crop:
        return box
    carry = transform @ turning(edits, box.device)
    low, high = bounds(corners([edits.crop], box.device)[0], carry).to(box.dtype)
    return torch.stack([torch.maximum(box[0], low), torch.minimum(box[1], high)])


def meets(centers: Tensor, half: Tensor, box: Tensor, transform: Tensor) -> Tensor:
    """Whether boxes along the scene's axes, centers (N, 3) and half sides (3,), overlap a box (2, 3) of input
    coordinates: (N,) bool. All float64.

    Two boxes are apart where their shadows on one of 15 lines are: along an edge of either, or across an edge of each
    (Gottschalk et al. 1996, section 5).
    """
    turned = transform[:3, :3].T  # rows: one unit along each input axis, in scene units
    scene = torch.eye(3, dtype=turned.dtype, device=turned.device)
    across = torch.linalg.cross(scene[:, None], turned[None]).flatten(0, 1)
    lines = torch.cat([scene, turned, across])
    lengths = lines.norm(dim=-1)
    lines = lines[lengths > 1e-6 * lengths.max()]  # edges that are parallel have no line across both
    lines = lines / lines.norm(dim=-1, keepdim=True)
    middle = transform[:3, :3] @ box.mean(0) + transform[:3, 3]
    reach = lines.abs() @ half + (lines @ turned.T).abs() @ ((box[1] - box[0]) / 2)
    return (((centers - middle) @ lines.T).abs() < reach - TOUCH).all(-1)


def without(box: Tensor, hole: Tensor) -> list[Tensor]:
    """A box (2, 3) less a hole (2, 3), as boxes that share no more than faces: up to six."""
    if bool((hole[1] <= box[0]).any() | (hole[0] >= box[1]).any()):
        return [box]
    parts, rest = [], box.clone()
    for axis in range(3):
        if hole[0, axis] > rest[0, axis]:
            parts.append(rest.clone())
            parts[-1][1, axis] = rest[0, axis] = hole[0, axis]
        if hole[1, axis] < rest[1, axis]:
            parts.append(rest.clone())
            parts[-1][0, axis] = rest[1, axis] = hole[1, axis]
    return parts


def remaining(grid: OccupancyGrid, edits: Edits, transform: Tensor) -> Tensor:
    """Occupied cells (K, G^3) bool of which crop and erased boxes leave some part."""
    occupied, g = unpack(grid.bits), grid.resolution
    widest = 2.0 ** (len(occupied) - 1)
    everything = torch.tensor([[0.5 - widest / 2] * 3, [0.5 + widest / 2] * 3], device=occupied.device).double()
    crop = corners([edits.crop], transform.device)[0] if edits.crop else None
    straight = crop is not None and not edits.crop_turn
    kept = [crop if crop is not None and straight else bounds(everything, torch.linalg.inv(transform))]
    for hole in corners(list(edits.erase), transform.device):
        kept = [part for box in kept for part in without(box, hole)]
    for cascade, cells in enumerate(occupied):
        side = 2.0**cascade / g
        half = torch.full((3,), side / 2, dtype=torch.float64, device=cells.device)
        for part in cells.nonzero()[:, 0].split(CHUNK):
            centers = (places(part, g).double() + 0.5) * side + 0.5 - 2.0**cascade / 2
            cells[part] = False
            for box in kept:
                cells[part] |= meets(centers, half, box, transform)
            if crop is not None and not straight:
                cells[part] &= meets(centers, half, crop, transform @ turning(edits, transform.device))
    return occupied


def places(cells: Tensor, resolution: int) -> Tensor:
    """Numbers (M,) of cells in a cascade -> (M, 3), their places along the axes."""
    g = resolution
    return torch.stack([cells % g, cells // g % g, cells // (g * g)], -1)


@torch.no_grad()
def densest(field: Field, occupied: Tensor, resolution: int) -> Tensor:
    """Highest log-density (K, G^3) found at a random point in each octant of every occupied cell; -inf in others.
    The same on every call."""
    generator = torch.Generator(occupied.device).manual_seed(0)
    highest = torch.full(occupied.shape, -math.inf, device=occupied.device)
    for cascade, cells in enumerate(occupied):
        side = 2.0**cascade / resolution
        for part in cells.nonzero()[:, 0].split(CHUNK):
            for octant in range(OCTANTS):
                corner = torch.tensor([octant & 1, octant >> 1 & 1, octant >> 2], device=part.device)
                jitter = torch.rand(len(part), 3, generator=generator, device=part.device)
                points = (places(part, resolution) + (corner + jitter) / 2) * side + 0.5 - 2.0**cascade / 2
                with precision(part.device):
                    found = field.volume.log_density(field.density(points)[1])
                highest[cascade, part] = torch.maximum(highest[cascade, part], found)
    return highest
