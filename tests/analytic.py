"""Fields whose pictures are known in closed form: a ball, and a model file that holds a block of constant density."""

import math
from dataclasses import asdict, replace

import torch
from torch import nn

from fields.arch.hashgrid import Config
from fields.encodings import spherical_harmonics
from fields.files import Header, Model, save
from fields.shape import Shape
from fields.space import CUBE
from render.camera import Camera, Intrinsics, look_at
from render.model import LoadedModel
from render.occupancy import OccupancyGrid, cascades_for, pack
from render.rays import RayBatch
from render.renderer import Renderer

UNIT_BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
MIDDLE = torch.full((3,), 0.5)
UP = torch.tensor([0.0, 0.0, 1.0])
G = 32  # occupancy cells per axis

# a model whose input coordinates are turned, scaled and shifted against scene units
TURN = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
TRANSFORM = torch.eye(4, dtype=torch.float64)
TRANSFORM[:3, :3] = 0.25 * TURN
TRANSFORM[:3, 3] = torch.tensor([0.5, 0.4, 0.3])
BLOCK = torch.tensor([[10, 8, 12], [22, 24, 18]])  # cells that the block fills, low and high
BLOCK_SIGMA = 400.0  # per scene unit: opaque within a few samples
BLOCK_RGB = (0.8, 0.5, 0.2)


class Ball(nn.Module):
    """Constant density and colour inside a sphere; answers as a Field does."""

    architecture = head = None

    def __init__(self, sigma=3.0, radius=0.3, rgb=(0.9, 0.4, 0.1), center=(0.5, 0.5, 0.5)):
        super().__init__()
        self.sigma = nn.Parameter(torch.tensor(sigma))
        self.rgb = nn.Parameter(torch.tensor(rgb))
        self.middle, self.radius = torch.tensor(center), radius
        self.space = CUBE
        self.asked = 0

    def density(self, x):
        self.asked += len(x)
        inside = ((x - self.middle).norm(dim=-1) < self.radius).to(x)
        return self.sigma * inside, x

    def color(self, features, d):
        return self.rgb.expand(len(features), 3)

    def radiance(self, x, d):
        sigma, features = self.density(x)
        return sigma, self.color(features, d)

    def thickness(self, x):
        return self.density(x)[0]

    def glance(self, x):
        return self.thickness(x), None

    def chord(self, rays: RayBatch):
        """Distances (R,) at which rays enter and leave; equal where they miss."""
        toward = self.middle - rays.origins
        along = (toward * rays.directions).sum(-1)
        half = (self.radius**2 - (toward - along[:, None] * rays.directions).square().sum(-1)).clamp(min=0).sqrt()
        return along - half, along + half


def seen_through(sigma, enter, leave):
    """Opacity and mean distance of constant density between two distances; the mean of exp(-s x) in closed form."""
    length = (leave - enter).double()
    opacity = -torch.expm1(-sigma * length)
    mean = 1 / sigma - length * torch.exp(-sigma * length) / opacity.clamp(min=1e-12)
    return opacity.float(), torch.where(opacity > 0, enter + mean.float(), 0.0)


def full_grid(box=UNIT_BOX):
    """Every cell occupied."""
    cascades = cascades_for(box)
    return OccupancyGrid(torch.full((cascades, G**3 // 8), 255, dtype=torch.uint8), box, G)


def camera(size=(32, 24), distance=1.6, azimuth=0.5, elevation=0.3):
    """A pinhole that sees all of the unit cube's middle."""
    away = torch.tensor([math.cos(azimuth), math.sin(azimuth), 0.0]) * math.cos(elevation) + UP * math.sin(elevation)
    lens = Intrinsics(1.4 * size[1], 1.4 * size[1], size[0] / 2, size[1] / 2)
    return Camera(look_at(MIDDLE + distance * away, MIDDLE, UP), lens, size)


def loaded(field, grid=None, cameras=()):
    """An opened model around any field."""
    header = replace(block_header(), train_cameras=[], test_cameras=[])
    return LoadedModel(field, grid or full_grid(), Renderer(), header, tuple(cameras), tuple(cameras))


def block_bounds():
    """Low and high corner (2, 3) of the block, scene units."""
    return BLOCK / G


def block_header(cameras=None, **changes):
    """Header of the block's file."""
    cameras = [camera(azimuth=0.3 + 0.9 * i) for i in range(3)] if cameras is None else cameras
    config = asdict(Config(levels=1, channels=1, table_bits=8, coarsest=4, finest=4, width=16))
    records = [c.to_record() for c in cameras]
    header = Header("hashgrid", config, UNIT_BOX.tolist(), 1 / 1024, 0.0, G, TRANSFORM.tolist(), [1.0, 0.0, 1.0])
    return replace(header, train_cameras=records, test_cameras=records[:1], **changes)


def block_field():
    """A hash grid whose weights are set by hand: BLOCK_SIGMA and BLOCK_RGB everywhere."""
    header = block_header()
    field = Shape("hashgrid", Config(**header.config)).build(CUBE, torch.Generator().manual_seed(0))
    constant = float(spherical_harmonics(UP[None])[0, 0])  # the first harmonic is the same in all directions
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.architecture.table.fill_(1.0)
        first, last = field.architecture.decoder.layers
        first[0, 0], last[0, 0] = 1.0, math.log(BLOCK_SIGMA)
        one, two, three = field.head.network.layers
        one[0, 15], two[0, 0] = 1 / constant, 1.0
        three[:, 0] = torch.logit(torch.tensor(BLOCK_RGB))
    return field


def block_bits():
    """Only the block's cells."""
    cells = torch.zeros(1, G, G, G, dtype=torch.bool)
    (a, b, c), (d, e, f) = BLOCK.tolist()
    cells[0, c:f, b:e, a:d] = True
    return pack(cells.flatten(1))


def block_file(path, cameras=None, **changes):
    """Write the model file; returns its path."""
    save(path, Model(block_field(), block_bits(), block_header(cameras, **changes)))
    return path
