"""The fused frame's kernel with device functions of its own, against the renderer that draws in waves."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
import triton
import triton.language as tl

from fields import fused
from fields.kernels.fused_cuda import Parts
from fields.kernels.tiles_cuda import column
from fields.operands import Operands
from fields.space import Space
from render import fused_frame
from render.camera import Camera, Intrinsics, look_at
from render.fused_frame import Sampling, draw, of_batch, of_camera
from render.occupancy import OccupancyGrid, coarsen, pack
from render.rays import RayBatch
from render.renderer import Renderer

SIZE, G = (7, 6), 32  # pixels, no whole squares; cells along an axis


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """A soft ball of log-density SHAPE[0] in its middle, and the place."""
    n = tl.arange(0, 16)[None, :]
    away = (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5) + (z - 0.5) * (z - 0.5)
    density = SHAPE[0] - SHAPE[1] * away
    return tl.where(n == 0, density[:, None], tl.where(n == 1, x[:, None], y[:, None]))


@triton.jit
def density(f, live, weights, SHAPE: tl.constexpr):
    """Of the first feature, as usual."""
    return tl.exp(column(f, 0))


@triton.jit
def color(f, dx, dy, dz, live, weights, SHAPE: tl.constexpr):
    """Red and green tell the place, blue the direction."""
    n = tl.arange(0, 16)[None, :]
    return tl.sum(tl.where(n == 1, f, 0.0), 1), tl.sum(tl.where(n == 2, f, 0.0), 1), 0.5 + 0.5 * dx


@dataclass
class Blob:
    """The same in PyTorch."""

    middle: float
    fall: float
    space: Space
    architecture = head = None

    def parameters(self):
        return iter(())

    def density(self, x):
        place = self.space.unit(x)
        f = torch.cat([self.middle - self.fall * (place - 0.5).square().sum(1, keepdim=True), place[:, :2]], 1)
        return f[:, 0].exp(), f

    def color(self, f, d):
        return torch.stack([f[:, 1], f[:, 2], 0.5 + 0.5 * d[:, 0]], 1)


@pytest.fixture
def blob(monkeypatch):
    monkeypatch.setattr(fused_frame, "TILES", {2: (32, 8, 4)})  # fewer, larger tiles: the interpreter is slow

    def make(middle=4.0, fall=30.0):
        half = torch.zeros(1, dtype=torch.float16)
        network = Operands((half,), (), (), (middle, fall), 3)
        own = SimpleNamespace(features=features, density=density, color=color)
        monkeypatch.setattr(fused, "converted", lambda *_: ([], Parts(network, Operands((), (), (), (), 3), own, own)))
        center = torch.tensor([0.5, 0.45, 0.55])
        return Blob(middle, fall, Space(torch.stack([center - 0.45, center + 0.45])))

    return make


def scenery(cascades, share, generator):
    """A grid in which that share of the cells is occupied, of some blocks if less than all, and a camera."""
    cells = torch.rand(cascades, G, G, G, generator=generator) < share
    if share < 1:
        mask = torch.rand(cascades, 4, 4, 4, generator=generator) < 0.6
        cells &= mask.repeat_interleave(8, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)
    side = 2.0 ** (cascades - 1)
    box = torch.tensor([[-0.5] * 3, [0.5] * 3]) * side + 0.5
    pose = look_at(torch.tensor([1.6, 0.9, 1.1]), torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.0, 0.0, 1.0]))
    camera = Camera(pose, Intrinsics(8.0, 8.0, 3.5, 3.0), SIZE)
    return OccupancyGrid(pack(coarsen(cells.flatten(1), G)), box, G), camera


def compare(field, grid, camera, renderer, rays, near=0.0):
    """The kernel's picture and that in waves, flattened. A sample in thousands falls into another cell, by rounding."""
    sampling = Sampling(renderer.step, renderer.cone, renderer.stop, near)
    rgb, opacity, depth, counts = draw(field, grid, rays, sampling)
    want = renderer.image(field, grid, camera, near=near)
    bad = (opacity - want.pixels.opacity.flatten()).abs() > 2e-4
    assert int(bad.sum()) <= 2
    near_color = (rgb - want.pixels.rgb.view(-1, 3)).abs().amax(1)  # colours are asked once in 1/64 of the light there
    assert float(near_color[~bad].max()) < 0.02
    assert float(near_color[~bad].mean()) < 1e-3
    seen = ~bad & (opacity > 0.05)
    torch.testing.assert_close(depth[seen], want.pixels.depth.flatten()[seen], atol=2e-3, rtol=0)
    assert bool((counts[opacity == 0] == 0).all())
    return int(seen.sum()), int(counts.sum()), want.samples


@pytest.mark.parametrize(("cascades", "cone", "step", "share"), [(1, 0.0, 0.025, 0.3), (3, 1 / 16, 0.03, 0.3)])
def test_a_ball_is_drawn_as_in_waves(cascades, cone, step, share, blob, generator):
    grid, camera = scenery(cascades, share, generator)
    renderer = Renderer(step, cone)
    seen, asked, waves = compare(blob(), grid, camera, renderer, of_camera(camera, grid.bits.device))
    assert seen > 10
    assert asked <= 1.1 * waves


def test_an_opaque_ball_ends_rays_early(blob, generator):
    grid, camera = scenery(1, 1.0, generator)
    rays, field = of_camera(camera, grid.bits.device), blob(6.0)
    _, asked, _ = compare(field, grid, camera, Renderer(0.05), rays)
    assert asked < 0.95 * int(draw(field, grid, rays, Sampling(0.05, 0.0, 0.0))[3].sum())


def test_what_is_near_is_cut_away(blob, generator):
    grid, camera = scenery(1, 1.0, generator)
    compare(blob(), grid, camera, Renderer(0.06), of_camera(camera, grid.bits.device), near=1.6)


def test_rays_in_any_number_and_a_bent_lens(blob, generator):
    grid, camera = scenery(1, 0.3, generator)
    bent = Camera(camera.pose, Intrinsics(8.0, 8.0, 3.5, 3.0, radial=(0.1, 0.0, 0.0, 0.0)), SIZE)
    compare(blob(), grid, bent, Renderer(0.05), of_camera(bent, grid.bits.device))
    rays, sampling = camera.rays(), Sampling(0.05, 0.0, 1e-4)
    whole = draw(blob(), grid, of_camera(camera, grid.bits.device), sampling)
    for count in (0, 17):
        part = draw(blob(), grid, of_batch(rays[20 : 20 + count]), sampling)
        for one, two in zip(part, whole, strict=True):
            torch.testing.assert_close(one, two[20 : 20 + count], atol=1e-4, rtol=1e-4)


def test_without_color_the_rest_is_the_same(blob, generator):
    grid, camera = scenery(1, 1.0, generator)
    rays = of_camera(camera, grid.bits.device)
    rgb, *rest = draw(blob(), grid, rays, Sampling(0.08, 0.0, 1e-4, colored=False))
    assert not rgb.any()
    torch.testing.assert_close(rest, list(draw(blob(), grid, rays, Sampling(0.08, 0.0, 1e-4))[1:]))


def test_rays_that_miss_everything(blob, generator):
    grid, camera = scenery(1, 0.0, generator)
    away = RayBatch(torch.full((3, 3), 5.0), torch.nn.functional.normalize(torch.rand(3, 3, generator=generator)))
    for rays in (of_batch(away), of_camera(camera, grid.bits.device)):
        assert not any(v.any() for v in draw(blob(), grid, rays, Sampling(0.05, 0.0, 1e-4)))


def launches():
    """For tests/compiled.py: what the kernel takes besides the field's own functions."""
    network = Operands((torch.zeros(1, dtype=torch.float16),), (), (), (4.0, 30.0), 3)
    own, given = SimpleNamespace(features=features, color=color), fused.converted
    fused.converted = lambda *_: ([], Parts(network, Operands((), (), (), (), 3), own, own))
    box, field = torch.tensor([[0.0] * 3, [1.0] * 3]), Blob(4.0, 30.0, torch.zeros(3), torch.ones(()))
    camera = Camera(torch.eye(4), Intrinsics(800.0, 800.0, 400.0, 400.0), (800, 800))
    for cascades, cone in ((1, 0.0), (5, 1 / 256)):
        grid = OccupancyGrid(torch.zeros(cascades, 128**3 // 8, dtype=torch.uint8), box)
        draw(field, grid, of_camera(camera, box.device), Sampling(0.0017, cone, 1e-4))
    draw(field, grid, of_batch(camera.rays()[:100]), Sampling(0.0017, cone, 1e-4))
    fused.converted = given
