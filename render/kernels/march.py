"""March: where along each ray the field must be asked, in packed form.

Every ray carries a fixed lattice of intervals, anchored at its origin: boundary k lies at distance T(k + jitter), where
T(u) = u step up to T = step / cone, then grows by (1 + cone) per unit of u, then by the largest step per unit
(Mueller et al. 2022, appendix E; cone = 0 keeps the step constant). A sample is the midpoint of an interval that lies
in the box, in front of `near`, and in an occupied cell. As the lattice does not depend on the cells, skipping over
empty cells only saves time. The largest step is a cell of the coarsest cascade.

Occupancy: cascade c of K is a grid of G^3 cells over the cube of side 2^c centred at (1/2, 1/2, 1/2); cell (i, j, k) is
bit n = i + G (j + G k) of bits[c], that is bits[c, n // 8] >> n % 8. A point is looked up in the finest cascade that
holds it and whose cells are no shorter than the sample's interval.

Two ops share one walk: `march_count` says how many samples each ray has; `march_fill` writes them where `offsets` says,
into buffers of a size that the caller chooses, so that a captured graph can keep its buffers.
"""

import math

import torch
from torch import Tensor

from fields.backend import TRITON

TINY = 1e-12


def largest_step(bits: Tensor, resolution: int, step: float) -> float:
    """Where the lattice stops growing: a cell of the coarsest cascade, and never less than `step`."""
    return max(step, 2.0 ** (bits.shape[0] - 1) / resolution)


def boundary(u: Tensor, step: float, cone: float, longest: float) -> Tensor:
    """T(u), distance along the ray."""
    if cone <= 0:
        return u * step
    growth = math.log1p(cone)
    first, last = step / cone, longest / cone
    turn, end = 1 / cone, 1 / cone + math.log(longest / step) / growth
    curved = first * ((u - turn) * growth).exp()
    return torch.where(u < turn, u * step, torch.where(u < end, curved, last + (u - end) * longest))


def lattice_place(t: float, step: float, cone: float, longest: float) -> float:
    """Inverse of `boundary` for one distance."""
    if cone <= 0 or t < step / cone:
        return t / step
    growth = math.log1p(cone)
    if t < longest / cone:
        return 1 / cone + math.log(t * cone / step) / growth
    return 1 / cone + math.log(longest / step) / growth + (t - longest / cone) / longest


def cross_box(origins: Tensor, directions: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (R,) at which rays enter (0 when inside) and leave a box (2, 3); no hit where enter >= leave."""
    safe = torch.where(directions.abs() < TINY, torch.full_like(directions, TINY), directions)
    low, high = (box[0] - origins) / safe, (box[1] - origins) / safe
    enter = torch.minimum(low, high).amax(-1).clamp(min=0)
    return enter, torch.maximum(low, high).amin(-1)


def occupied(points: Tensor, dt: Tensor, bits: Tensor, resolution: int) -> Tensor:
    """Bit of each point (..., 3) whose interval has length dt (...)."""
    reach = (points - 0.5).abs().amax(-1)
    by_place = torch.where(reach < 0.5, torch.zeros_like(reach), torch.frexp(reach).exponent + 1.0)
    by_length = torch.ceil(torch.log2((dt * resolution).clamp(min=1)))
    cascade = torch.maximum(by_place, by_length).clamp(max=bits.shape[0] - 1)
    cell = ((points - 0.5) * torch.exp2(-cascade)[..., None] + 0.5) * resolution
    i, j, k = cell.floor().long().clamp(0, resolution - 1).unbind(-1)
    index = i + resolution * (j + resolution * k)
    return (bits[cascade.long(), index >> 3].long() >> (index & 7) & 1).bool()


def candidates(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    jitter: Tensor,
    bits: Tensor,
    box: Tensor,
    resolution: int,
    step: float,
    cone: float,
    limit: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """All intervals of the lattice: midpoints (R, S), lengths (R, S), and which are samples (R, S). The reference."""
    enter, leave = cross_box(origins, directions, box)
    enter = torch.maximum(enter, near)
    longest = largest_step(bits, resolution, step)
    hit = leave > enter
    most = float(leave[hit].max()) if bool(hit.any()) else 0.0
    count = int(lattice_place(most, step, cone, longest)) + 2 if most > 0 else 0
    u = torch.arange(count, device=origins.device, dtype=origins.dtype) + jitter[:, None]
    low, high = boundary(u, step, cone, longest), boundary(u + 1, step, cone, longest)
    t, dt = (low + high) / 2, high - low
    inside = (t >= enter[:, None]) & (t < leave[:, None])
    points = origins[:, None] + directions[:, None] * t[..., None]
    live = inside & occupied(points, dt, bits, resolution)
    return t, dt, live & (live.cumsum(1) <= limit)


def count_reference(origins, directions, near, jitter, bits, box, resolution, step, cone, limit):
    """`march_count` in plain PyTorch."""
    t, dt, live = candidates(origins, directions, near, jitter, bits, box, resolution, step, cone, limit)
    if not t.shape[1]:
        return live.sum(1), torch.zeros_like(near)
    place = live.int().argmax(1, keepdim=True)
    first = (t - dt / 4).gather(1, place)[:, 0]
    return live.sum(1), torch.where(live.any(1), first, 0)


def fill_reference(origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity):
    """`march_fill` in plain PyTorch."""
    room = offsets[1:] - offsets[:-1]
    t, dt, live = candidates(
        origins, directions, near, jitter, bits, box, resolution, step, cone, int(room.max()) if len(room) else 1
    )
    live = live & (live.cumsum(1) <= room[:, None])
    rows = live.nonzero()[:, 0]
    pad = capacity - len(rows)
    ray, t, dt = (torch.nn.functional.pad(v, (0, pad)) for v in (rows, t[live], dt[live]))
    return ray, t, dt


@torch.library.custom_op("nf::march_count", mutates_args=())
def march_count(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    jitter: Tensor,
    bits: Tensor,
    box: Tensor,
    resolution: int,
    step: float,
    cone: float,
    limit: int,
) -> tuple[Tensor, Tensor]:
    """Samples per ray (R,) int64, and a distance (R,) between a ray's first sample and the interval before it.

    origins, directions (R, 3) float32, directions of unit length; near (R,) distance before which nothing is sampled;
    jitter (R,) in [0, 1), shift of the lattice; bits (K, G^3 / 8) uint8; box (2, 3); resolution G, a multiple of 2;
    step > 0 and cone >= 0 as above; limit >= 1, samples per ray at most.
    """
    return count_reference(origins, directions, near, jitter, bits, box, resolution, step, cone, limit)


@torch.library.custom_op("nf::march_fill", mutates_args=())
def march_fill(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    jitter: Tensor,
    bits: Tensor,
    box: Tensor,
    resolution: int,
    step: float,
    cone: float,
    offsets: Tensor,
    capacity: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The samples: ray (capacity,) int64, midpoint t (capacity,), length dt (capacity,); zeros past offsets[R].

    offsets (R + 1,) int64, ascending, at most `capacity`: ray r writes offsets[r + 1] - offsets[r] samples, its first
    ones. The other arguments are those of `march_count`, whose counts `offsets` must not exceed; `near` may be what
    that op says of the first sample, so that the way there is gone but once.
    """
    return fill_reference(origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity)


@march_count.register_fake
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, limit):
    return origins.new_empty(origins.shape[0], dtype=torch.int64), torch.empty_like(near)


@march_fill.register_fake
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity):
    return (
        origins.new_empty(capacity, dtype=torch.int64),
        origins.new_empty(capacity),
        origins.new_empty(capacity),
    )


import render.kernels.march_cpu  # noqa: E402  (last: it registers its kernels with the ops above)

if TRITON:
    import render.kernels.march_cuda  # noqa: F401
