"""Samples in buffers of fixed size: the same as in buffers that fit, whole rays cut, nothing behind that counts."""

import pytest
import torch
from analytic import UNIT_BOX, Ball

from render.buffers import FAR, SPARE, Exact, Fitted, Fixed
from render.kernels.composite import transmittance
from render.occupancy import OccupancyGrid, pack
from render.rays import RayBatch, Samples
from render.renderer import Renderer

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
    near = torch.where(torch.arange(RAYS, device=jitter.device) < live, 0.0, FAR)
    walk = grid.walk(rays, RENDERER.step, RENDERER.cone, jitter=jitter, near=near)
    return Fixed(size, 0, RAYS).march(walk)


def alone(fitted):
    """The samples without what lies past the last."""
    s, count = fitted.samples, int(fitted.count)
    return Samples(s.ray[:count], s.t[:count], s.dt[:count], s.offsets[: RAYS + 1])


def kept(samples, mask):
    """Those of exact buffers."""
    rays = torch.ones(len(samples.offsets) - 1, dtype=torch.bool, device=mask.device)
    return Exact().keep(Fitted(samples, rays, samples.offsets[-1]), mask).samples


def test_what_fits_is_what_the_grid_marches(grid, rays, jitter):
    want = grid.march(rays, RENDERER.step, RENDERER.cone, jitter=jitter)
    got = marched(grid, rays, jitter)
    count = len(want)
    assert count == int(got.wanted) > 500
    assert bool(got.fits.all())
    assert torch.equal(got.samples.offsets[: RAYS + 1], want.offsets)
    assert int(got.count) == count
    for a, b in zip((got.samples.ray, got.samples.t, got.samples.dt), (want.ray, want.t, want.dt), strict=True):
        assert torch.equal(a[:count], b)
        assert not bool(a[count:].any())


def test_rays_that_are_not_live_have_no_samples(grid, rays, jitter):
    got = marched(grid, rays, jitter, live=7)
    want = grid.march(rays[:7], RENDERER.step, RENDERER.cone, jitter=jitter[:7])
    assert torch.equal(got.samples.offsets[:8], want.offsets)
    assert bool((got.samples.offsets[8 : RAYS + 1] == len(want)).all())
    assert int(got.wanted) == len(want)


@pytest.mark.parametrize("one_less", [0, 1])
def test_rays_over_the_buffer_are_cut_whole(one_less, grid, rays, jitter):
    whole = marched(grid, rays, jitter).samples.offsets[: RAYS + 1]
    size = int(whole[20]) - one_less
    got = marched(grid, rays, jitter, size)
    last = 20 if not one_less else int((whole <= size).sum()) - 1
    assert got.samples.t.shape == (size,)
    assert torch.equal(got.fits.cpu(), torch.arange(RAYS) < last)
    assert torch.equal(got.samples.offsets[: last + 1], whole[: last + 1])
    assert bool((got.samples.offsets[last : RAYS + 1] == whole[last]).all())
    assert int(got.samples.offsets[-1]) == size
    assert int(got.wanted) == int(whole[-1])


@pytest.mark.parametrize("size", [1, 4096, "exactly", "one less"])
def test_pruning_keeps_what_kept_keeps(size, grid, rays, jitter, generator):
    full = marched(grid, rays, jitter)
    count = int(full.count)
    keep = (torch.rand(4096, generator=generator) < 0.3).to(jitter.device)
    cut = Samples(
        full.samples.ray[:count], full.samples.t[:count], full.samples.dt[:count], full.samples.offsets[: RAYS + 1]
    )
    want = kept(cut, keep[:count])
    size = {"exactly": len(want), "one less": len(want) - 1}.get(size, size)
    got = Fixed(4096, size, RAYS).keep(full, keep)
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
    got = Fixed(300, 4096, RAYS).keep(part, torch.ones(300, dtype=torch.bool, device=jitter.device))
    assert 0 < int(part.fits.sum()) < RAYS
    assert torch.equal(got.fits, part.fits)
    assert int(got.wanted) == int(part.count)


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
    some = RENDERER.visible(field, rays, samples, Fixed(4096, 2048, RAYS))
    pixels = RENDERER.shade(field, rays, some.samples)
    (pixels.rgb.square().sum() + pixels.depth.sum()).backward()
    got, field.scale.grad = field.scale.grad.clone(), None
    count, used = int(samples.count), int(some.wanted)
    exact = alone(samples)
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
    got = RENDERER.visible(field, rays, marched(nowhere, rays, jitter, 64), Fixed(64, 32, RAYS))
    assert int(got.wanted) == 0
    pixels = RENDERER.shade(field, rays, got.samples)
    assert not bool(pixels.rgb.any())
    pixels.rgb.sum().backward()
    assert float(field.scale.grad) == 0


def test_exact_buffers_cut_whole_rays_only_over_their_limit(grid, rays, jitter, generator):
    walk = grid.walk(rays, RENDERER.step, RENDERER.cone, jitter=jitter)
    whole = Exact().march(walk)
    want = grid.march(rays, RENDERER.step, RENDERER.cone, jitter=jitter)
    assert torch.equal(whole.samples.t, want.t)
    assert torch.equal(whole.samples.offsets, want.offsets)
    assert bool(whole.fits.all())
    keep = (torch.rand(len(want), generator=generator) < 0.3).to(jitter.device)
    free, limit = Exact().keep(whole, keep), int(keep.sum()) // 2
    assert torch.equal(free.samples.t, want.t[keep])
    assert torch.equal(free.samples.ray, want.ray[keep])
    got = Exact(limit).keep(whole, keep)
    fixed = Fixed(4096, limit, RAYS).keep(
        marched(grid, rays, jitter), torch.nn.functional.pad(keep, (0, 4096 - len(keep)))
    )
    assert torch.equal(got.fits, fixed.fits)
    assert int(got.wanted) == int(fixed.wanted) == int(keep.sum())
    assert len(got.samples) == int(got.count) == int(fixed.count) <= limit
    assert torch.equal(got.samples.t, fixed.samples.t[: len(got.samples)])
    assert torch.equal(got.samples.offsets, fixed.samples.offsets[: RAYS + 1])
