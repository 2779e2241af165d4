"""Marching in Triton against the float64 reference, which tests every interval of the lattice."""

import pytest
import torch

from render.kernels import march_cuda
from render.kernels.march import candidates
from render.kernels.march_cuda import count, fill, lattice_of
from render.occupancy import coarsen, pack

LANES = 64  # the interpreter takes as long for many lanes as for one


def problem(g, cascades, cone, rays, generator, blocks=1.0, step=0.05):
    """Float32 arguments. A third of the cells is occupied in this share of the blocks of 8^3 cells, and coarse cells
    where a finer one in them is, as in a grid."""
    side = 2.0 ** (cascades - 1)
    cells = torch.rand(cascades, g, g, g, generator=generator) < 0.3
    mask = torch.rand(cascades, g // 8, g // 8, g // 8, generator=generator) < blocks
    for axis in (1, 2, 3):
        mask = mask.repeat_interleave(8, axis)
    cells = (cells & mask).flatten(1)
    origins = torch.randn(rays, 3, generator=generator) * side + 0.5
    toward = (torch.rand(rays, 3, generator=generator) - 0.5) * side + 0.5
    box = torch.tensor([[-0.5] * 3, [0.45] * 3]) * side + 0.5
    near, jitter = torch.rand(2, rays, generator=generator)
    directions = torch.nn.functional.normalize(toward - origins, dim=-1)
    return origins, directions, near * 0.5, jitter, pack(coarsen(cells, g)), box, g, step, cone


def moved(arguments, device):
    return tuple(a.to(device) if torch.is_tensor(a) else a for a in arguments)


def doubled(arguments):
    return tuple(a.cpu().double() if torch.is_tensor(a) and a.is_floating_point() else a for a in arguments)


def run(arguments, limit=10**6, spare=0, lanes=LANES):
    counts, first = count(*arguments, limit, lanes=lanes)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    capacity = int(offsets[-1]) + spare
    result = fill(*arguments[:2], first, *arguments[3:], offsets, capacity, lanes=lanes)
    return offsets, *result


def compare(arguments, limit=10**6, lanes=LANES):
    """Rays with another number of samples than the reference, and the number of all samples. Float32 places a sample
    to within 1e-6, so that one in thousands lies on the other side of a cell's border; all others must agree."""
    offsets, ray, t, dt = (v.cpu() for v in run(arguments, limit, lanes=lanes))
    want_t, want_dt, live = candidates(*doubled(arguments), limit)
    other = offsets.diff() != live.sum(1)
    same, rows = ~other[ray], live & ~other[:, None]
    assert torch.equal(ray, torch.repeat_interleave(torch.arange(len(other)), offsets.diff()))
    torch.testing.assert_close(t[same].double(), want_t[rows], atol=2e-5, rtol=0)
    torch.testing.assert_close(dt[same].double(), want_dt[rows], atol=2e-5, rtol=0)
    assert bool((dt > 0).all())
    return int(other.sum()), len(t)


@pytest.mark.parametrize("rays", [0, 1, LANES, LANES + 1])
def test_samples_match_the_reference(rays, generator, device):
    arguments = moved(problem(16, 1, 0.0, rays, generator), device)
    others, samples = compare(arguments)
    assert others <= rays // 50
    assert samples >= rays // 2


@pytest.mark.parametrize(("g", "cascades", "cone"), [(64, 1, 0.0), (32, 3, 1 / 16), (16, 4, 1 / 256)])
def test_empty_cells_and_blocks_are_passed_without_losing_a_sample(g, cascades, cone, generator, device):
    arguments = moved(problem(g, cascades, cone, 2 * LANES, generator, blocks=0.3, step=0.04), device)
    if g > 16:
        assert float((march_cuda.blocks_of(arguments[4], g) == 0).float().mean()) > 0.5
    others, samples = compare(arguments, lanes=2 * LANES)
    assert samples > 100
    assert others <= 1


def test_an_empty_block_is_left_where_intervals_outgrow_its_cells(device):
    """The fine cascade is empty and the coarse one full: samples begin where intervals are as long as a fine cell."""
    bits = torch.zeros(2, 32**3 // 8, dtype=torch.uint8)
    bits[1] = 255
    origins, directions = torch.tensor([[0.01, 0.51, 0.52]]), torch.tensor([[1.0, 0.0, 0.0]])
    box, zeros = torch.tensor([[-0.5] * 3, [1.5] * 3]), torch.zeros(1)
    arguments = moved((origins, directions, zeros, zeros + 0.3, bits, box, 32, 0.01, 1 / 8), device)
    assert compare(arguments) == (0, 21)


def test_limit_keeps_the_first_samples_and_near_resumes_behind_them(generator, device):
    arguments = moved(problem(16, 2, 1 / 64, 40, generator), device)
    whole, _, t, _ = run(arguments)
    first, _, t1, dt1 = run(arguments, limit=7)
    assert int(first.diff().max()) == 7
    last = (first[1:] - 1).clamp(min=0)
    near = torch.where(first.diff() > 0, t1[last] + dt1[last] / 2, arguments[2])
    second, _, t2, _ = run((*arguments[:2], near, *arguments[3:]))
    full = first.diff() == 7
    assert torch.equal((first.diff() + second.diff())[full], whole.diff()[full])
    for r in full.nonzero()[:, 0].tolist():
        joined = torch.cat([t1[first[r] : first[r + 1]], t2[second[r] : second[r + 1]]])
        torch.testing.assert_close(joined, t[whole[r] : whole[r + 1]])


def test_buffers_of_any_size(generator, device):
    """Spare room holds zeros; where there is too little, rays keep their first samples."""
    arguments = moved(problem(16, 1, 0.0, 20, generator), device)
    offsets, ray, t, dt = run(arguments, spare=9)
    assert not any(v[-9:].any() for v in (ray, t, dt))
    assert len(t) == int(offsets[-1]) + 9
    tight = offsets.clamp(max=int(offsets[-1]) // 2)
    _, short, _ = fill(*arguments, tight, int(tight[-1]), lanes=LANES)
    torch.testing.assert_close(short, t[: len(short)])


def test_room_that_the_walk_does_not_fill_holds_samples_of_no_length(generator, device):
    arguments = moved(problem(16, 1, 0.0, 3, generator), device)
    offsets, _, _, dt = run(arguments)
    more = offsets + 2 * torch.arange(4, device=device)
    ray, _, longer = fill(*arguments, more, int(more[-1]), lanes=LANES)
    assert torch.equal(ray, torch.repeat_interleave(torch.arange(3, device=device), more.diff()))
    assert torch.equal(longer[longer > 0], dt)


def test_axes_misses_strides_and_what_float32_cannot_count(device):
    bits, box = torch.full((1, 16**3 // 8), 255, dtype=torch.uint8), torch.tensor([[0.0] * 3, [1.0] * 3])
    directions = torch.cat([torch.eye(3), -torch.eye(3), torch.eye(3)[:2]])
    origins = torch.full((8, 3), 0.5)
    origins[6], origins[7] = torch.tensor([0.5, 7.0, 0.5]), torch.tensor([0.5, -3e6, 0.5])
    zeros = torch.zeros(16)[::2]
    arguments = moved((origins.T.contiguous().T, directions, zeros, zeros, bits, box, 16, 0.013, 0.0), device)
    offsets, _, t, _ = run(arguments)
    assert offsets.diff().tolist() == [38] * 6 + [0] * 2  # 38 midpoints of 0.013 within half a unit
    assert float(t.min()) == pytest.approx(0.0065)


def test_float64_takes_the_reference(generator):
    arguments = doubled(problem(16, 1, 0.0, 4, generator))
    t = run(arguments)[2]
    assert t.dtype == torch.float64
    assert torch.equal(t, candidates(*arguments, 10**6)[0][candidates(*arguments, 10**6)[2]])


@pytest.mark.parametrize("cone", [0.0, 1 / 256])
def test_lattice(cone):
    step, *rest = lattice_of(3, 16, 0.01, cone)
    assert step == 0.01
    assert rest[1] == 0.25  # a cell of the coarsest of three cascades


def launches():
    """For tests/compiled.py."""
    many, zeros = torch.zeros(1000, 3), torch.zeros(1000)
    for cascades, cone in ((1, 0.0), (5, 1 / 256)):
        bits = torch.zeros(cascades, 128**3 // 8, dtype=torch.uint8)
        common = (many, many, zeros, zeros, bits, torch.zeros(2, 3), 128, 0.0017, cone)
        count(*common, 1024)
        fill(*common, torch.zeros(1001, dtype=torch.int64), 1 << 18)
