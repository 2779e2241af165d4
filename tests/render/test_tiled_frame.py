"""Frames of whole fields by one kernel on the CPU, against the renderer that draws in waves."""

from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec

import numba
import pytest
import torch
from analytic import UNIT_BOX, Ball, G, camera, full_grid
from numba.core.config import NUMBA_NUM_THREADS  # pyright: ignore[reportAttributeAccessIssue]

import fields
from fields import tiled
from fields.shape import preset
from fields.space import CUBE, Space
from render import tiled_frame
from render.kernels.frame_cpu import STEPS
from render.kernels.gather import SHARE
from render.looks import normal
from render.occupancy import OccupancyGrid
from render.rays import RayBatch
from render.renderer import Renderer, blank, color

NAMES = [name for name in fields.NAMES if find_spec(f"fields.arch.{name}_cpu")]


def varied(name, space=CUBE):
    """A field whose densities and colours differ from place to place, half of it nearly empty."""
    generator = torch.Generator().manual_seed(3)
    field = preset(name, "tiny").build(space, generator)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * 2.5 / max(parameter.shape[-1], 4) ** 0.5
            )
    return field.eval()


def some_cells(cascades=1, share=0.3):
    """A grid with some of its cells occupied, by itself in each cascade."""
    generator = torch.Generator().manual_seed(cascades)
    cells = torch.rand(cascades, G**3 // 8, 8, generator=generator) < share
    bits = (cells.to(torch.uint8) << torch.arange(8, dtype=torch.uint8)).sum(-1, dtype=torch.uint8)
    side = 2.0 ** (cascades - 1)
    return OccupancyGrid(bits, (UNIT_BOX - 0.5) * side + 0.5, G)


def agree(frame, waves, renderer, all_samples):
    """The same picture, but for looks that fall just before a threshold in one and just behind it in the other; and
    points of a ray are asked until it ends."""
    got, want = frame.pixels, waves.pixels
    torch.testing.assert_close(got.opacity, want.opacity, atol=renderer.stop + 3e-5, rtol=0)
    seen = want.opacity > 0.01
    torch.testing.assert_close(got.depth[seen], want.depth[seen], atol=5 * renderer.stop + 1e-4, rtol=1e-4)
    off = (got.rgb - want.rgb).abs().amax(-1)
    assert float(off.max()) < 2 * SHARE
    assert float((off > renderer.stop + 2e-5).float().mean()) < 0.03
    solid = got.opacity >= 1 - renderer.stop - 1e-6
    counts = frame.counts
    assert torch.equal(counts[~solid], all_samples[~solid])
    assert bool((counts <= all_samples).all())
    assert bool(((counts % STEPS == 0) | (counts == all_samples)).all())


def both(field, grid, rays, renderer, look=color, near=0.0):
    """By the kernel; in waves, of a field that is asked op by op, in float32; and how many samples each ray has."""
    frame = renderer.bunch(field, grid, rays, look, near)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "suits", lambda *given: False)
        patch.setattr("render.renderer.precision", lambda device: nullcontext())
        waves = renderer.waves(field, grid, rays, look, near)
    samples = grid.march(rays, renderer.step, renderer.cone, near=torch.full_like(rays.origins[:, 0], near))
    return frame, waves, samples.offsets.diff().int()


@pytest.mark.parametrize("stop", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_drawn_as_in_waves(name, stop):
    field, renderer = varied(name), Renderer(0.02, stop=stop)
    rays = camera((21, 13)).rays()
    assert tiled_frame.suits(field, some_cells())
    frame, waves, samples = both(field, some_cells(), rays, renderer)
    assert float(waves.pixels.rgb.std()) > 0.02
    assert float(waves.pixels.opacity.max()) > (0.999 if name == "hashgrid" else 0.3)
    assert bool((waves.pixels.opacity == 0).any())
    agree(frame, waves, renderer, samples)


@pytest.mark.parametrize(("cascades", "cone"), [(1, 1 / 64), (3, 0.0), (3, 1 / 64)])
def test_several_cascades_and_growing_steps(cascades, cone):
    field, renderer = varied("hashgrid", Space((UNIT_BOX - 0.5) * 4 + 0.5)), Renderer(0.02, cone)
    frame, waves, samples = both(field, some_cells(cascades), camera((17, 9)).rays(), renderer)
    agree(frame, waves, renderer, samples)


def test_a_contracted_space_and_a_cut():
    field, renderer = varied("hashgrid", Space(UNIT_BOX, "sphere")), Renderer(0.02)
    frame, waves, samples = both(field, some_cells(2), camera((17, 9)).rays(), renderer, near=1.4)
    agree(frame, waves, renderer, samples)
    assert float(frame.pixels.depth[frame.pixels.opacity > 0.01].min()) > 1.4


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (17, 25), (40, 7)])
def test_a_picture_is_its_rays(size):
    field, grid, view, renderer = varied("hashgrid"), some_cells(), camera(size), Renderer(0.02)
    frame, part = renderer.image(field, grid, view), renderer.bunch(field, grid, view.rays())
    width, height = size
    assert frame.pixels.rgb.shape == (height, width, 3)
    assert (frame.pixels.depth.shape, frame.counts.shape, frame.counts.dtype) == ((height, width),) * 2 + (torch.int32,)
    torch.testing.assert_close(frame.pixels.opacity.flatten(), part.pixels.opacity, atol=2e-3, rtol=0)
    torch.testing.assert_close(frame.pixels.rgb.view(-1, 3), part.pixels.rgb, atol=2 * SHARE, rtol=0)


def test_a_lens_that_bends():
    field, grid, view, renderer = varied("hashgrid"), some_cells(), camera((17, 9)), Renderer(0.02)
    view = replace(view, intrinsics=replace(view.intrinsics, radial=(0.2, 0.0, 0.0, 0.0)))
    frame, part = renderer.image(field, grid, view), renderer.bunch(field, grid, view.rays())
    assert torch.equal(frame.pixels.rgb.view(-1, 3), part.pixels.rgb)
    assert torch.equal(frame.counts.flatten(), part.counts)


def test_opacity_alone():
    field, grid, rays, renderer = varied("hashgrid"), some_cells(), camera((17, 9)).rays(), Renderer(0.02)
    frame, whole = renderer.bunch(field, grid, rays, blank), renderer.bunch(field, grid, rays)
    assert not frame.pixels.rgb.any()
    assert torch.equal(frame.pixels.opacity, whole.pixels.opacity)
    assert torch.equal(frame.pixels.depth, whole.pixels.depth)


def test_pictures_repeat_whatever_the_number_of_threads_and_the_bunches():
    field, grid, rays, renderer = varied("hashgrid"), some_cells(), camera((50, 40)).rays(), Renderer(0.02)
    frames, before = [], numba.get_num_threads()
    for threads in (1, NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        frames.append(renderer.bunch(field, grid, rays))
    numba.set_num_threads(before)
    parts = [renderer.bunch(field, grid, rays[i : i + 333]) for i in range(0, len(rays), 333)]
    pixels = [f.pixels for f in frames]
    assert torch.equal(pixels[0].rgb, pixels[1].rgb)
    assert torch.equal(frames[0].counts, frames[1].counts)
    assert torch.equal(pixels[0].rgb, torch.cat([p.pixels.rgb for p in parts]))
    assert torch.equal(pixels[0].depth, torch.cat([p.pixels.depth for p in parts]))


def test_nothing_to_see():
    field, view, renderer = varied("hashgrid"), camera((9, 7)), Renderer(0.02)
    empty = OccupancyGrid(torch.zeros(1, G**3 // 8, dtype=torch.uint8), UNIT_BOX, G)
    away = RayBatch(view.rays().origins, -view.rays().directions)
    for frame in (
        renderer.image(field, empty, view),
        renderer.bunch(field, full_grid(), away),
        renderer.bunch(field, full_grid(), away[:0]),
    ):
        assert not frame.pixels.rgb.any()
        assert not frame.pixels.opacity.any()
        assert not frame.pixels.depth.any()
        assert frame.samples == 0


def test_a_field_that_has_gone_bad_is_seen():
    field, rays, renderer = varied("hashgrid"), camera((9, 7)).rays(), Renderer(0.02)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter.fill_(torch.nan)
    frame, waves, _ = both(field, full_grid(), rays, renderer)
    assert bool(waves.pixels.opacity.isnan().any())
    for got, want in zip(vars(frame.pixels).values(), vars(waves.pixels).values(), strict=True):
        assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(frame.counts > 0, waves.counts > 0)


def test_who_is_drawn_in_waves(monkeypatch):
    field, grid, rays, renderer = varied("hashgrid"), some_cells(), camera((3, 2)).rays(), Renderer(0.1)
    assert not tiled_frame.suits(field.double(), grid)
    field.float()
    assert not tiled_frame.suits(Ball(), grid)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(tiled_frame, "draw", lambda *given: pytest.fail("drawn by the kernel"))
    renderer.bunch(field, grid, rays, normal)
    renderer.bunch(field, grid, rays, lambda *given: color(*given))
    renderer.bunch(Ball(), grid, rays)  # pyright: ignore[reportArgumentType]
