"""March in Triton: one lane is one ray, which steps over empty cells and over empty blocks of cells."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from render.kernels import march

LANES = 32  # rays of a program: one warp, so that its end is agreed on without a barrier
TAIL = 256  # entries behind the last sample that one program clears
BLOCK = tl.constexpr(8)  # cells along a side of the blocks that are skipped as a whole where all are empty
SLACK = tl.constexpr(0.01)  # intervals: a skip stops this much before the far side, so that rounding loses no sample
COUNTABLE = tl.constexpr(16777216.0)  # 2^24: intervals that float32 can count; no ray is followed further
TINY = tl.constexpr(march.TINY)


@triton.jit
def boundary(u, lattice, CONE: tl.constexpr):
    """T(u), distance along the ray; `lattice` as `lattice_of` gives it."""
    straight = u * lattice[0]
    if CONE:
        curved = lattice[1] * tl.exp((tl.minimum(u, lattice[4]) - lattice[3]) * lattice[5])
        outer = lattice[6] + (u - lattice[4]) * lattice[2]
        straight = tl.where(u < lattice[3], straight, tl.where(u < lattice[4], curved, outer))
    return straight


@triton.jit
def place(t, lattice, CONE: tl.constexpr):
    """Inverse of `boundary`."""
    straight = t / lattice[0]
    if CONE:
        curved = lattice[3] + tl.log(tl.maximum(t, lattice[1]) / lattice[1]) / lattice[5]
        outer = lattice[4] + (t - lattice[6]) / lattice[2]
        straight = tl.where(t < lattice[1], straight, tl.where(t < lattice[6], curved, outer))
    return straight


@triton.jit
def reciprocal(d):
    """1 / d, large and finite where the ray is parallel to the axis."""
    return 1.0 / tl.where(tl.abs(d) < TINY, TINY, d)


@triton.jit
def cross_box(ox, oy, oz, ix, iy, iz, box):
    """Distances at which rays with the reciprocal directions i enter (0 when inside) and leave the box (2, 3)."""
    ax, ay, az = (tl.load(box) - ox) * ix, (tl.load(box + 1) - oy) * iy, (tl.load(box + 2) - oz) * iz
    bx, by, bz = (tl.load(box + 3) - ox) * ix, (tl.load(box + 4) - oy) * iy, (tl.load(box + 5) - oz) * iz
    enter = tl.maximum(tl.maximum(tl.minimum(ax, bx), tl.minimum(ay, by)), tl.minimum(az, bz))
    leave = tl.minimum(tl.minimum(tl.maximum(ax, bx), tl.maximum(ay, by)), tl.maximum(az, bz))
    return tl.maximum(enter, 0.0), leave


@triton.jit
def first_interval(enter, jitter, lattice, CONE: tl.constexpr):
    """Number of the interval, or of the one before, whose midpoint is the first behind the distance `enter`."""
    return tl.maximum(tl.floor(place(enter, lattice, CONE) - jitter - 0.5 - SLACK), 0.0)


@triton.jit
def interval(k, jitter, lattice, CONE: tl.constexpr):
    """Midpoint t and length dt of interval k."""
    low, high = boundary(k + jitter, lattice, CONE), boundary(k + jitter + 1.0, lattice, CONE)
    return 0.5 * (low + high), high - low


@triton.jit
def cascade_of(x, y, z, dt, G: tl.constexpr, CASCADES: tl.constexpr):
    """Finest cascade that holds the point and whose cells are no shorter than dt, and the side of its cube."""
    reach = tl.maximum(tl.maximum(tl.abs(x - 0.5), tl.abs(y - 0.5)), tl.abs(z - 0.5))
    cascade, side = tl.zeros_like(x).to(tl.int32), tl.zeros_like(x) + 1.0
    for _ in tl.static_range(CASCADES - 1):
        further = (reach >= 0.5 * side) | (dt * G > side)
        cascade, side = tl.where(further, cascade + 1, cascade), tl.where(further, 2.0 * side, side)
    return cascade, side


@triton.jit
def cell_of(x, per_unit, G: tl.constexpr):
    """Index along one axis of the cell that holds coordinate x, at `per_unit` cells per scene unit."""
    cell = tl.floor((x - 0.5) * per_unit + 0.5 * G)
    return tl.minimum(tl.maximum(cell, 0.0), G - 1.0).to(tl.int32)


@triton.jit
def occupied(x, y, z, dt, live, bits, G: tl.constexpr, CASCADES: tl.constexpr):
    """Bit of each point whose interval has length dt, its cascade and that one's side, and its cell; no bit is read
    where not `live`. Any shape of block."""
    cascade, side = cascade_of(x, y, z, dt, G, CASCADES)
    per_unit = G / side
    a, b, c = cell_of(x, per_unit, G), cell_of(y, per_unit, G), cell_of(z, per_unit, G)
    n = a + G * (b + G * c)
    byte = tl.load(bits + cascade * (G * G * G // 8) + (n >> 3), live, 0).to(tl.int32)
    return ((byte >> (n & 7)) & 1) != 0, cascade, side, a, b, c


@triton.jit
def distance_out(x, inverse, cell, length, G: tl.constexpr):
    """How far along the ray the far side of a cell of `length` scene units lies, for one axis."""
    face = (cell + tl.where(inverse > 0, 1, 0)).to(tl.float32) - 0.5 * G
    return (face * length + 0.5 - x) * inverse


@triton.jit
def way_out(x, y, z, ix, iy, iz, a, b, c, length, G: tl.constexpr):
    """How far along the ray the point leaves its cell."""
    out = tl.minimum(distance_out(x, ix, a, length, G), distance_out(y, iy, b, length, G))
    return tl.maximum(tl.minimum(out, distance_out(z, iz, c, length, G)), 0.0)


@triton.jit
def behind_empty(
    k, t, x, y, z, ix, iy, iz, cascade, side, a, b, c, live, jitter, blocks, lattice,
    G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr,
):  # fmt: skip
    """The next interval to look at, k + 1 at least, where interval k at distance t lies in the empty cell (a, b, c) of
    a cascade: the first one behind the far side of the cell, or of its block where that is empty."""
    length = side / G
    out = t + way_out(x, y, z, ix, iy, iz, a, b, c, length, G)
    if BLOCKS:  # B = G / BLOCK blocks along a side
        wide: tl.constexpr = G // BLOCK
        a, b, c = a // BLOCK, b // BLOCK, c // BLOCK
        filled = tl.load(blocks + cascade * (wide * wide * wide) + a + wide * (b + wide * c), live, 1)
        far = t + way_out(x, y, z, ix, iy, iz, a, b, c, length * BLOCK, wide)
        clear = filled.to(tl.int32) == 0
        if CONE:  # all intervals on the way must be looked up in this cascade, if they lie in its cells
            growing = tl.maximum(lattice[0], lattice[7] * far) * G <= side
            clear = clear & (growing | (cascade == CASCADES - 1))
        out = tl.where(clear, far, out)
    following = tl.ceil(place(out, lattice, CONE) - jitter - 0.5 - SLACK)
    return tl.maximum(following, k + 1.0)


@triton.jit
def walk(
    lane, live, origins, directions, near, jitter, bits, blocks, box, lattice, room, start, t_out, dt_out, ray_out,
    G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr, WRITE: tl.constexpr,
):  # fmt: skip
    """Rays `lane` (LANES,), each as far as `room` (LANES,) samples: how many it has, and a distance before the first.
    With WRITE, samples are written from `start` (LANES,) on, and what is missing there as samples of no length."""
    ox, oy = tl.load(origins + 3 * lane, live, 0.0), tl.load(origins + 3 * lane + 1, live, 0.0)  # (LANES,)
    oz, dx = tl.load(origins + 3 * lane + 2, live, 0.0), tl.load(directions + 3 * lane, live, 1.0)
    dy, dz = tl.load(directions + 3 * lane + 1, live, 1.0), tl.load(directions + 3 * lane + 2, live, 1.0)
    ix, iy, iz = reciprocal(dx), reciprocal(dy), reciprocal(dz)
    shift = tl.load(jitter + lane, live, 0.0)
    enter, leave = cross_box(ox, oy, oz, ix, iy, iz, box)
    enter = tl.maximum(enter, tl.load(near + lane, live, 0.0))
    alive = live & (enter < leave) & (room > 0)
    k = first_interval(enter, shift, lattice, CONE)
    count, first = tl.zeros_like(room), tl.zeros_like(ox)
    while tl.max(alive.to(tl.int32)) > 0:
        t, dt = interval(k, shift, lattice, CONE)
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        alive = alive & (t < leave) & (k < COUNTABLE)
        asked = alive & (t >= enter)
        full, cascade, side, a, b, c = occupied(x, y, z, dt, asked, bits, G, CASCADES)
        hit = asked & full
        if WRITE:
            tl.store(t_out + start + count, t, hit)
            tl.store(dt_out + start + count, dt, hit)
            tl.store(ray_out + start + count, lane, hit)
        first = tl.where(hit & (count == 0), t - 0.25 * dt, first)
        count += hit.to(count.dtype)
        empty = asked & (full == 0)
        following = behind_empty(
            k, t, x, y, z, ix, iy, iz, cascade, side, a, b, c, empty, shift, blocks, lattice, G, CASCADES, BLOCKS, CONE
        )
        k = tl.where(empty, following, k + 1.0)
        alive = alive & (count < room)
    if WRITE:
        short = live & (count < room)  # two compilations of one walk may round differently
        while tl.max(short.to(tl.int32)) > 0:
            tl.store(t_out + start + count, leave, short)
            tl.store(dt_out + start + count, tl.zeros_like(leave), short)
            tl.store(ray_out + start + count, lane, short)
            count += short.to(count.dtype)
            short = live & (count < room)
    return count, first


@triton.jit
def count_rays(
    origins, directions, near, jitter, bits, blocks, box, lattice, rays, limit, out, first_out,
    G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One program takes LANES rays."""
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    live = lane < rays
    room = tl.zeros_like(lane) + limit
    count, first = walk(
        lane, live, origins, directions, near, jitter, bits, blocks, box, lattice, room, room, out, out, out,
        G, CASCADES, BLOCKS, CONE, False,
    )  # fmt: skip
    tl.store(out + lane, count, live)
    tl.store(first_out + lane, first, live)


@triton.jit
def fill_rays(
    origins, directions, near, jitter, bits, blocks, box, lattice, rays, offsets, capacity, ray, t, dt,
    G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr, LANES: tl.constexpr,
    TAIL: tl.constexpr,
):  # fmt: skip
    """The first programs take LANES rays each, the others clear TAIL entries each, behind the last sample."""
    walking = tl.cdiv(rays, LANES)
    if tl.program_id(0) < walking:
        lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
        live = lane < rays
        start = tl.load(offsets + lane, live, 0)
        room = tl.load(offsets + lane + 1, live, 0) - start
        walk(
            lane, live, origins, directions, near, jitter, bits, blocks, box, lattice, room, start, t, dt, ray,
            G, CASCADES, BLOCKS, CONE, True,
        )  # fmt: skip
    else:
        i = (tl.program_id(0) - walking).to(tl.int64) * TAIL + tl.arange(0, TAIL)
        spare = (i >= tl.load(offsets + rays)) & (i < capacity)
        nothing = tl.zeros([TAIL], tl.float32)
        tl.store(t + i, nothing, spare)
        tl.store(dt + i, nothing, spare)
        tl.store(ray + i, tl.zeros([TAIL], tl.int64), spare)


def lattice_of(cascades: int, resolution: int, step: float, cone: float) -> tuple[float, ...]:
    """What `boundary` and its kin read: step, distance and interval at which the lattice begins to grow (1, 3), the
    same where that ends (6, 4), the longest step (2), growth per interval (5), and the longest interval within a
    distance, as a share of it (7)."""
    longest = max(step, 2.0 ** (cascades - 1) / resolution)
    if cone <= 0:
        return step, 0.0, longest, 0.0, 0.0, 1.0, 0.0, 0.0
    growth = math.log1p(cone)
    end = 1 / cone + math.log(longest / step) / growth
    return step, step / cone, longest, 1 / cone, end, growth, longest / cone, cone * (1 + cone)


def blocks_of(bits: Tensor, resolution: int) -> Tensor:
    """(K, B, B, B) uint8, 0 where a block of cells is empty; the bits themselves, of no use, where a finer cascade's
    cube would cut blocks."""
    if not has_blocks(resolution):
        return bits
    side = resolution // BLOCK.value  # a byte of the bits is BLOCK cells along the first axis
    return bits.view(len(bits), side, BLOCK.value, side, BLOCK.value, side).amax((2, 4))


def has_blocks(resolution: int) -> bool:
    """Whether empty blocks can be skipped."""
    return resolution % (4 * BLOCK.value) == 0


def prepared(origins, directions, near, jitter, bits, box, resolution, step, cone):
    """The arguments that both kernels begin with, and the constants that they end with."""
    bits = bits.contiguous()
    rays = (v.contiguous() for v in (origins, directions, near, jitter))
    lattice = lattice_of(len(bits), resolution, step, cone)
    common = (*rays, bits, blocks_of(bits, resolution), box.contiguous(), lattice, len(origins))
    return common, (resolution, len(bits), has_blocks(resolution), cone > 0)


@march.march_count.register_kernel("cuda")
def count(origins, directions, near, jitter, bits, box, resolution, step, cone, limit, *, lanes: int = LANES):
    """See `march_count`."""
    if origins.dtype == torch.float64:
        return march.count_reference(origins, directions, near, jitter, bits, box, resolution, step, cone, limit)
    common, constants = prepared(origins, directions, near, jitter, bits, box, resolution, step, cone)
    out = torch.empty(len(origins), dtype=torch.int64, device=origins.device)
    first = torch.empty_like(out, dtype=torch.float32)
    count_rays[(triton.cdiv(len(out), lanes),)](*common, limit, out, first, *constants, lanes, num_warps=1)
    return out, first


@march.march_fill.register_kernel("cuda")
def fill(
    origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity, *, lanes: int = LANES
):
    """See `march_fill`."""
    if origins.dtype == torch.float64:
        return march.fill_reference(
            origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity
        )
    common, constants = prepared(origins, directions, near, jitter, bits, box, resolution, step, cone)
    ray = torch.empty(capacity, dtype=torch.int64, device=origins.device)
    t, dt = (torch.empty(capacity, dtype=torch.float32, device=origins.device) for _ in range(2))
    grid = (triton.cdiv(len(origins), lanes) + triton.cdiv(capacity, TAIL),)
    fill_rays[grid](*common, offsets.contiguous(), capacity, ray, t, dt, *constants, lanes, TAIL, num_warps=1)
    return ray, t, dt
