"""Frames of whole fields by one kernel, interpreted, against the renderer that draws in waves."""

import math

import pytest
import torch
from analytic import UNIT_BOX, camera, full_grid

import fields
from fields.fused import Asking
from fields.shape import preset
from fields.space import CUBE
from render import fused_frame
from render.camera import Camera, Intrinsics
from render.fused_frame import Sampling, draw, of_batch, of_camera, suits
from render.looks import normal
from render.occupancy import OccupancyGrid
from render.renderer import Renderer, blank, color

HALF = [torch.float16, torch.float32]
TILES = {2: (16, 8, 4), 4: (16, 8, 4)}  # larger than on a GPU: the interpreter is slow


@pytest.fixture(autouse=True)
def larger(monkeypatch):
    monkeypatch.setattr(fused_frame, "TILES", TILES)


def random_field(name, size, generator):
    """One of every parameter's size, so that densities and colours differ from place to place."""
    field = preset(name, size).build(CUBE, generator)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 2 / max(parameter.shape[-1], 4) ** 0.5)
    return field.eval()


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("name", ["hashgrid", "triplane"])
def test_a_field_is_drawn_as_in_waves(name, half, generator):
    field, grid, view = random_field(name, "tiny", generator), full_grid(), camera((5, 4))
    renderer = Renderer(0.1 if half == torch.float16 else 0.2)
    sampling = Sampling(renderer.step, renderer.cone, renderer.stop)
    rgb, opacity, depth, counts = draw(field, grid, of_camera(view, torch.device("cpu")), sampling, Asking(half))
    want = renderer.image(field, grid, view)
    assert float(want.pixels.rgb.std()) > 0.02
    error = (rgb - want.pixels.rgb.view(-1, 3)).square().mean()
    assert -10 * math.log10(float(error)) > 45
    torch.testing.assert_close(opacity, want.pixels.opacity.flatten(), atol=5e-3, rtol=0)  # half: 1 % of log-density
    assert 0.5 * want.samples < int(counts.sum()) < 1.2 * want.samples
    seen = opacity > 0.1
    torch.testing.assert_close(depth[seen], want.pixels.depth.flatten()[seen], atol=2e-2, rtol=0)


def test_the_renderer_asks_for_it_where_it_suits(monkeypatch, generator):
    """Colour, and depth alone, in one piece; other looks in waves."""
    field, grid, view = random_field("hashgrid", "tiny", generator), full_grid(), camera((3, 2))
    asked = []
    real = fused_frame.draw
    monkeypatch.setattr(fused_frame, "suits", lambda field, grid: True)
    monkeypatch.setattr(fused_frame, "draw", lambda *a: asked.append((a[2].size, a[3])) or real(*a))
    renderer = Renderer(0.3, 1 / 256)
    frame = renderer.image(field, grid, view, near=0.25)
    assert (frame.pixels.rgb.shape, frame.counts.shape) == ((2, 3, 3), (2, 3))
    part = renderer.bunch(field, grid, view.rays()[:2], blank)
    assert not part.pixels.rgb.any()
    assert asked == [((3, 2), Sampling(0.3, 1 / 256, 1e-4, 0.25)), ((0, 0), Sampling(0.3, 1 / 256, 1e-4, 0.0, False))]
    renderer.image(field, grid, view, normal)
    renderer.image(field, grid, view, lambda *given: color(*given))
    assert len(asked) == 2


def test_it_suits_no_cpu(generator):
    assert not suits(random_field("hashgrid", "tiny", generator), full_grid())


def test_rays_of_a_camera_and_of_a_batch():
    view = camera((5, 4))
    assert of_batch(view.rays()[:7]).count == 7
    rays = of_camera(view, torch.device("cpu"))
    assert (rays.count, rays.size, rays.batch, len(rays.lens or ())) == (20, (5, 4), None, 16)
    assert fused_frame.places(rays) == 32  # two squares


def launches():
    """For tests/compiled.py: every architecture that has a fused form, as large as it is used."""
    grid = OccupancyGrid(torch.zeros(1, 128**3 // 8, dtype=torch.uint8), UNIT_BOX)
    rays = of_camera(Camera(torch.eye(4), Intrinsics(800.0, 800.0, 400.0, 400.0), (800, 800)), torch.device("cpu"))
    for name in fields.NAMES:
        field = preset(name, "base").build(CUBE, torch.Generator().manual_seed(0))
        if fused_frame.fused.fusible(field):
            draw(field, grid, rays, Sampling(0.0017, 0.0, 1e-4))
