"""nerfacc's marching and compositing behind our contracts, on a stand-in with its signatures that walks as its source
does, ray by ray. Only a GPU can show that the real one does."""

import sys
from types import SimpleNamespace

import pytest
import torch

from render import nvidia
from render.kernels.composite import composite
from render.occupancy import OccupancyGrid, pack
from render.rays import RayBatch

G = 16


def traverse_grids(  # noqa: PLR0913
    rays_o, rays_d, binaries, aabbs, near_planes=None, far_planes=None, step_size=1e-3, cone_angle=0.0,
    traverse_steps_limit=None, over_allocate=False, rays_mask=None,
):  # fmt: skip
    """One grid; the middle of every step decides, steps begin at the near plane."""
    assert len(binaries) == 1 and cone_angle == 0
    low, high, ray, counts = [], [], [], []
    for r in range(len(rays_o)):
        found, k = 0, 0
        while k < 4000 and found < (traverse_steps_limit or 1 << 30):
            begin = near_planes[r] + k * step_size
            middle, k = begin + step_size / 2, k + 1
            point = (rays_o[r] + rays_d[r] * middle - aabbs[0, :3]) / (aabbs[0, 3:] - aabbs[0, :3])
            if middle >= far_planes[r]:
                break
            if not bool(((point >= 0) & (point < 1)).all()):
                continue
            i, j, l = (point * G).long().tolist()  # noqa: E741
            if bool(binaries[0, i, j, l]):
                low, high, ray, found = [*low, begin], [*high, begin + step_size], [*ray, r], found + 1
        counts.append(found)
    edges = torch.tensor([v for pair in zip(low, high, strict=True) for v in pair])
    left = torch.arange(len(edges)) % 2 == 0
    counts = torch.tensor(counts)
    packed = torch.stack([counts.cumsum(0) - counts, counts], -1)
    samples = SimpleNamespace(ray_indices=torch.tensor(ray, dtype=torch.int64), packed_info=packed)
    return SimpleNamespace(vals=edges, is_left=left, is_right=~left), samples, None


def render_weight_from_density(  # noqa: PLR0913
    t_starts, t_ends, sigmas, packed_info=None, ray_indices=None, n_rays=None, prefix_trans=None
):
    alpha, weights, light = 1 - torch.exp(-sigmas * (t_ends - t_starts)), [], []
    for first, count in packed_info.tolist():
        before = torch.cumprod(torch.cat([torch.ones(1), 1 - alpha[first : first + count]]), 0)[:count]
        light.append(before)
        weights.append(before * alpha[first : first + count])
    return torch.cat(weights), torch.cat(light), alpha


def render_visibility_from_density(t_starts, t_ends, sigmas, packed_info=None, early_stop_eps=1e-4, **_):
    return render_weight_from_density(t_starts, t_ends, sigmas, packed_info)[1] >= early_stop_eps


def accumulate_along_rays(weights, values=None, ray_indices=None, n_rays=None):
    source = weights[:, None] * (1 if values is None else values)
    return torch.zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)


@pytest.fixture
def stand_in(monkeypatch):
    names = (traverse_grids, render_weight_from_density, render_visibility_from_density, accumulate_along_rays)
    monkeypatch.setitem(sys.modules, "nerfacc", SimpleNamespace(**{f.__name__: f for f in names}))


@pytest.fixture
def grid(generator):
    bits = pack(torch.rand(1, G**3, generator=generator) < 0.4)
    return OccupancyGrid(bits, torch.tensor([[0.1, 0.0, 0.2], [0.9, 1.0, 0.8]]), G)


@pytest.fixture
def rays(generator):
    origins = torch.nn.functional.normalize(torch.randn(12, 3, generator=generator), dim=-1) + 0.5
    origins[-1] = 0.5  # inside
    target = torch.rand(12, 3, generator=generator) * 0.8 + 0.1
    return RayBatch(origins, torch.nn.functional.normalize(target - origins, dim=-1))


@pytest.mark.parametrize("options", [{}, {"jitter": 0.7}, {"near": 0.9}, {"limit": 3}, {"jitter": 0.3, "near": 0.6}])
def test_it_finds_our_samples(stand_in, grid, rays, options):
    given = {k: v if k == "limit" else torch.full((12,), v) for k, v in options.items()}
    want = grid.march(rays, 0.05, 0.0, **given)
    got = nvidia.Walked.through(grid).march(rays, 0.05, 0.0, **given)
    assert len(want)
    torch.testing.assert_close(got.offsets, want.offsets)
    torch.testing.assert_close(got.ray, want.ray)
    torch.testing.assert_close(got.t, want.t)
    torch.testing.assert_close(got.dt, want.dt, rtol=1e-4, atol=1e-6)


def test_growing_steps_are_refused(stand_in, grid, rays):
    with pytest.raises(ValueError, match="another law"):
        nvidia.Walked.through(grid).march(rays, 0.05, 1 / 256)


def test_it_composites_as_we_do(stand_in, generator):
    offsets = torch.tensor([0, 3, 3, 10])
    sigma, rgb = torch.rand(10, generator=generator) * 30, torch.rand(10, 3, generator=generator)
    t, dt = torch.rand(10, generator=generator), torch.full((10,), 0.05)
    for got, want in zip(
        nvidia.composite(sigma, rgb, t, dt, offsets), composite(sigma, rgb, t, dt, offsets), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_a_missing_library_names_its_command(grid, rays, monkeypatch):
    monkeypatch.setitem(sys.modules, "nerfacc", None)
    with pytest.raises(ValueError, match=r"pip install 'polyfield\[nvidia\]'"):
        nvidia.Walked.through(grid).march(rays, 0.05, 0.0)
