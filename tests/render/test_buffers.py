"""Samples in buffers of fixed size: the same as in buffers that fit, whole rays cut, nothing behind that counts."""

import pytest
import torch
from analytic import UNIT_BOX, Ball

from render.buffers import SPARE, march, prune, shade, visible
from render.kernels.composite import transmittance
from render.occupancy import OccupancyGrid, pack
from render.rays import RayBatch, Samples
from render.renderer import Renderer, kept

G = 16
RAYS = 40
RENDERER = Renderer(step=0.02)


@pytest.fixture
def grid(device, generator):
    bits = pack(torch.rand(1, G**3, generator=generator) < 0.5)
    return OccupancyGrid(bits.to(device), UNIT_BOX.to(device), G)


@pytest.fixture
def rays(device, generator):
    origins = torch.rand(RAYS, 3, generator=generator) * 4 - 1.5
    aims = torch.rand(RAYS, 3, generator=generator)
    aims[3] = origins[3] * 2 - 0.5  # looks away
    return RayBatch(origins, torch.nn.functional.normalize(aims - origins, dim=-1)).to(device)


@pytest.fixture
def jitter(device, generator):
    return torch.rand(RAYS, generator=generator).to(device)


def marched(grid, rays, jitter, size=4096, live=RAYS):
    return march(RENDERER, grid, rays, jitter, torch.arange(RAYS, device=jitter.device) < live, size)


def test_what_fits_is_what_the_grid_marches(grid, rays, jitter):
    want = grid.march(rays, RENDERER.step, RENDERER.cone, jitter=jitter)
    got = marched(grid, rays, jitter)
    count = len(want)
    assert count == int(got.wanted) > 500
    assert bool(got.fits.all())
    assert torch.equal(got.samples.offsets, want.offsets)
    for a, b in zip((got.samples.ray, got.samples.t, got.samples.dt), (want.ray, want.t, want.dt), strict=True):
        assert torch.equal(a[:count], b)
        assert not bool(a[count:].any())


def test_rays_that_are_not_live_have_no_samples(grid, rays, jitter):
    got = marched(grid, rays, jitter, live=7)
    want = grid.march(rays[:7], RENDERER.step, RENDERER.cone, jitter=jitter[:7])
    assert torch.equal(got.samples.offsets[:8], want.offsets)
    assert bool((got.samples.offsets[8:] == len(want)).all())
    assert int(got.wanted) == len(want)


@pytest.mark.parametrize("one_less", [0, 1])
def test_rays_over_the_buffer_are_cut_whole(one_less, grid, rays, jitter):
    whole = marched(grid, rays, jitter).samples.offsets
    size = int(whole[20]) - one_less
    got = marched(grid, rays, jitter, size)
    last = 20 if not one_less else int((whole <= size).sum()) - 1
    assert got.samples.t.shape == (size,)
    assert torch.equal(got.fits.cpu(), torch.arange(RAYS) < last)
    assert torch.equal(got.samples.offsets[: last + 1], whole[: last + 1])
    assert bool((got.samples.offsets[last:] == whole[last]).all())
    assert int(got.wanted) == int(whole[-1])


@pytest.mark.parametrize("size", [1, 4096, "exactly", "one less"])
def test_pruning_keeps_what_kept_keeps(size, grid, rays, jitter, generator):
    full = marched(grid, rays, jitter)
    count = int(full.samples.offsets[-1])
    keep = (torch.rand(4096, generator=generator) < 0.3).to(jitter.device)
    cut = Samples(full.samples.ray[:count], full.samples.t[:count], full.samples.dt[:count], full.samples.offsets)
    want = kept(cut, keep[:count])
    size = {"exactly": len(want), "one less": len(want) - 1}.get(size, size)
    got = prune(full, keep, size)
    assert int(got.wanted) == len(want)
    fitting = want.offsets[1:] <= size
    assert torch.equal(got.fits, fitting)
    used = int(want.offsets[1:][fitting].max()) if bool(fitting.any()) else 0
    offsets = got.samples.offsets
    assert offsets.shape == (RAYS + SPARE + 1,)
    assert torch.equal(offsets[: RAYS + 1], want.offsets.clamp(max=used))
    assert int(offsets[-1]) == size
    assert bool((offsets.diff() >= 0).all())
    assert int(offsets[RAYS:].diff().max()) <= size // SPARE + 1  # no spare ray is long
    for a, b in zip((got.samples.ray, got.samples.t, got.samples.dt), (want.ray, want.t, want.dt), strict=True):
        assert torch.equal(a[:used], b[:used])


def test_rays_that_were_cut_stay_cut(grid, rays, jitter):
    part = marched(grid, rays, jitter, 300)
    got = prune(part, torch.ones(300, dtype=torch.bool, device=jitter.device), 4096)
    assert 0 < int(part.fits.sum()) < RAYS
    assert torch.equal(got.fits, part.fits)
    assert int(got.wanted) == int(part.samples.offsets[-1])


class Bright(Ball):
    """A ball whose density and colour can learn."""

    def __init__(self, device):
        super().__init__(sigma=30.0, radius=0.4)
        self.to(device)
        self.middle = self.middle.to(device)
        self.scale = torch.ones((), device=device, requires_grad=True)

    def thickness(self, x):
        return self.density(x)[0]

    def radiance(self, x, d):
        return self.density(x)[0] * self.scale, torch.full_like(d, 0.5) + 0.1 * self.scale * d


def test_pixels_and_gradients_are_those_of_exact_buffers(grid, rays, jitter, device):
    field = Bright(device)
    samples = marched(grid, rays, jitter)
    some = visible(RENDERER, field, rays, samples, 2048)
    pixels = shade(RENDERER, field, rays, some)
    (pixels.rgb.square().sum() + pixels.depth.sum()).backward()
    got, field.scale.grad = field.scale.grad.clone(), None
    count, used = int(samples.samples.offsets[-1]), int(some.wanted)
    exact = Samples(*(v[:count] for v in (samples.samples.ray, samples.samples.t, samples.samples.dt)),
                    samples.samples.offsets)  # fmt: skip
    reached = transmittance(field.thickness(exact.positions(rays)) * exact.dt, exact.offsets) > RENDERER.stop
    want = kept(exact, reached)
    assert 0 < used == len(want) < count
    shown = RENDERER.shade(field, rays, want)
    (shown.rgb.square().sum() + shown.depth.sum()).backward()
    torch.testing.assert_close(pixels.rgb, shown.rgb)
    torch.testing.assert_close(pixels.depth, shown.depth)
    torch.testing.assert_close(got, field.scale.grad)


def test_no_samples_at_all(rays, jitter, device):
    nowhere = OccupancyGrid(torch.zeros(1, G**3 // 8, dtype=torch.uint8, device=device), UNIT_BOX.to(device), G)
    field = Bright(device)
    got = visible(RENDERER, field, rays, marched(nowhere, rays, jitter, 64), 32)
    assert int(got.wanted) == 0
    pixels = shade(RENDERER, field, rays, got)
    assert not bool(pixels.rgb.any())
    pixels.rgb.sum().backward()
    assert float(field.scale.grad) == 0
