"""March on the CPU in Numba: one ray at a time, stepping over empty cells."""

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fields.kernels.options_cpu import INNER, KERNEL, LEAN
from fields.kernels.queue_cpu import share, stretch
from render.kernels.march import TINY, largest_step, march_count, march_fill

BLOCK = 8  # cells along a side of the blocks that are skipped as a whole where nothing in them is occupied
LONG = 2  # such intervals in a cell or fewer are looked at one by one
RAYS = 64  # that a thread takes at a time
FURTHEST = 1 << 22  # intervals that a ray looks at: more than the shortest steps through the widest box are
LATEST: list[tuple[np.ndarray, np.ndarray]] = []  # bits, and their blocks
SLACK = 0.01  # intervals: a skip stops this much before the cell's far side, so that rounding never loses a sample


@njit(**LEAN)
def boundary(u, step, cone, longest, end):
    """T(u); `end` is where the geometric part of the lattice ends."""
    if cone <= 0 or u * cone < 1:
        return u * step
    if u < end:
        return step / cone * math.exp((u - 1 / cone) * math.log1p(cone))
    return longest / cone + (u - end) * longest


@njit(**LEAN)
def lattice_place(t, step, cone, longest, end):
    """Inverse of `boundary`."""
    if cone <= 0 or t * cone < step:
        return t / step
    if t * cone < longest:
        return 1 / cone + math.log(t * cone / step) / math.log1p(cone)
    return end + (t - longest / cone) / longest


@njit(**LEAN)
def cascade_of(reach, dt, resolution, cascades):
    """Finest cascade that holds a point `reach` from the centre and whose cells are no shorter than dt."""
    cascade = 0
    side = 1.0
    while cascade < cascades - 1 and (reach >= 0.5 * side or dt * resolution > side):
        cascade += 1
        side *= 2
    return cascade, side


@njit(**LEAN)
def cell_of(x, per_unit, resolution):
    """Index along one axis of the cell that holds coordinate x, at `per_unit` cells per scene unit."""
    cell = math.floor((x - 0.5) * per_unit + 0.5 * resolution)
    return min(max(cell, 0), resolution - 1)


@njit(**LEAN)
def distance_out(x, inverse, cell, rings, length, resolution):
    """How far along the ray the far side of a cell of `length` scene units lies, for one axis; or that of so many rings
    of cells, itself the first."""
    face = (cell + (rings if inverse > 0 else 1 - rings) - 0.5 * resolution) * length + 0.5
    return (face - x) * inverse


@njit(**LEAN)
def way_out(x, y, z, ix, iy, iz, a, b, c, rings, length, resolution):
    """How far along the ray the point leaves its cell, or the rings around it."""
    out = min(distance_out(x, ix, a, rings, length, resolution), distance_out(y, iy, b, rings, length, resolution))
    return max(min(out, distance_out(z, iz, c, rings, length, resolution)), 0.0)


@njit(**LEAN)
def reciprocal(d):
    """1 / d, large and finite where the ray is parallel to the axis."""
    return 1 / (TINY if abs(d) < TINY else d)


@njit(**KERNEL)
def join(bits, resolution, blocks):
    """blocks[c, a + B (b + B c)] (K, B^3) becomes 0 where any cell of the block is occupied, B = G / BLOCK; else 1, or
    where there is one cascade, the number of blocks to the nearest that is. A byte is BLOCK cells along the first
    axis."""
    side = resolution // BLOCK
    for cascade in range(bits.shape[0]):
        blocks[cascade] = side if bits.shape[0] == 1 else 1
        for k in range(resolution):
            for j in range(resolution):
                row, block = side * (j + resolution * k), side * (j // BLOCK + side * (k // BLOCK))
                for a in range(side):
                    if bits[cascade, row + a]:
                        blocks[cascade, block + a] = 0
    if bits.shape[0] == 1:
        approach(blocks[0].reshape((side, side, side))[::1, ::1, ::1], 1)  # of one type with the way back
        approach(blocks[0].reshape((side, side, side))[::-1, ::-1, ::-1], 1)


@njit(**INNER)
def approach(far, one):
    """far (B, B, B) becomes at most `one` more than those of its 26 neighbours that come before it have; after both
    ways it is the chessboard distance to the nearest zero (Rosenfeld and Pfaltz 1968)."""
    side = far.shape[0]
    for k in range(side):
        for j in range(side):
            for i in range(side):
                least = far[k, j, i]
                for n in range(13):
                    c, b, a = k + n // 9 - 1, j + n // 3 % 3 - 1, i + n % 3 - 1
                    if 0 <= a < side and 0 <= b < side and 0 <= c < side:
                        least = min(least, far[c, b, a] + one)
                far[k, j, i] = least


@njit(**LEAN)
def one_cascade(out, side, resolution, step, cone, last):
    """Whether all intervals as far as `out` are looked up in the cascade of this side, if they lie in its cells."""
    return last or cone <= 0 or max(step, cone * (1 + cone) * out) * resolution <= side


@njit(**LEAN)
def ray_of(origins, directions, n):
    """The n-th ray's origin, direction, and one over each of the direction's parts: nine numbers."""
    ox, oy, oz = float(origins[n, 0]), float(origins[n, 1]), float(origins[n, 2])
    dx, dy, dz = float(directions[n, 0]), float(directions[n, 1]), float(directions[n, 2])
    return ox, oy, oz, dx, dy, dz, reciprocal(dx), reciprocal(dy), reciprocal(dz)


@njit(**LEAN)
def crossed(ray, near, box):
    """Distances at which a ray enters the box, not before `near`, and leaves it."""
    ox, oy, oz, _, _, _, ix, iy, iz = ray
    enter, leave = max(float(near), 0.0), np.inf
    for axis, o, i in ((0, ox, ix), (1, oy, iy), (2, oz, iz)):
        one, two = (box[0, axis] - o) * i, (box[1, axis] - o) * i
        enter, leave = max(enter, min(one, two)), min(leave, max(one, two))
    return enter, leave


@njit(**LEAN)
def first_interval(enter, jitter, lattice):
    """An interval before which no sample lies."""
    step, cone, longest, end = lattice
    return max(math.floor(lattice_place(enter, step, cone, longest, end) - jitter - 0.5 - SLACK), 0.0)


@njit(**LEAN)
def advance(ray, span, k, jitter, bits, blocks, resolution, lattice, limit, at, t_out, dt_out):
    """One ray from interval k on. Returns its number of samples, at most `limit`, a distance just before the first, and
    the interval behind the last; writes the samples, from `at` on, where the output arrays have room."""
    (step, cone, longest, end), (enter, leave) = lattice, span
    ox, oy, oz, dx, dy, dz, ix, iy, iz = ray
    count, first, per_cell, per_step, wide = 0, 0.0, 1.0 / resolution, 1.0 / step, resolution // BLOCK
    alone = np.int64(1)  # ring
    cascade, side, nested, looks = 0, 1.0, bits.shape[0] > 1, 0
    upper = boundary(k + jitter, step, cone, longest, end)
    while count < limit and looks < FURTHEST:
        looks += 1
        lower, upper = upper, boundary(k + 1 + jitter, step, cone, longest, end)
        t, dt = 0.5 * (lower + upper), upper - lower
        if not t < leave:  # nor is NaN
            break
        if t < enter:
            k += 1
            continue
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        if nested:
            reach = max(abs(x - 0.5), abs(y - 0.5), abs(z - 0.5))
            cascade, side = cascade_of(reach, dt, resolution, bits.shape[0])
        per_unit, length = resolution / side, side * per_cell
        a, b, c = cell_of(x, per_unit, resolution), cell_of(y, per_unit, resolution), cell_of(z, per_unit, resolution)
        n = a + resolution * (b + resolution * c)
        if bits[cascade, n >> 3] >> (n & 7) & 1:
            if at + count < t_out.shape[0]:
                t_out[at + count], dt_out[at + count] = t, dt
            if count == 0:
                first = t - 0.25 * dt
            count += 1
            k += 1
            continue
        i, j, m = a // BLOCK, b // BLOCK, c // BLOCK
        rings = int(blocks[cascade, i + wide * (j + wide * m)]) if blocks.shape[1] > 0 else 0
        if rings > 0:
            out = t + way_out(x, y, z, ix, iy, iz, i, j, m, rings, length * BLOCK, wide)
            if not one_cascade(out, side, resolution, step, cone, cascade == bits.shape[0] - 1):
                out = t + way_out(x, y, z, ix, iy, iz, a, b, c, alone, length, resolution)
        elif dt * LONG > length:  # the next interval lies in another cell anyway, and need not wait for this one's
            k += 1
            continue
        else:
            out = t + way_out(x, y, z, ix, iy, iz, a, b, c, alone, length, resolution)
        place = out * per_step if cone <= 0 else lattice_place(out, step, cone, longest, end)
        following = math.ceil(place - jitter - 0.5 - SLACK)
        if following > k + 1:
            k = following
            upper = boundary(k + jitter, step, cone, longest, end)
        else:
            k += 1
    return count, first, k


@njit(**INNER)
def walk(ray, near, jitter, bits, blocks, box, resolution, lattice, limit, t_out, dt_out):
    """One ray. Returns its number of samples and a distance just before the first; writes the samples where the output
    arrays have room."""
    # Types as in a frame, so that what is called here is compiled once.
    span, jitter, begin = crossed(ray, np.float64(near), box), np.float64(jitter), np.int64(0)
    if not span[0] < span[1]:
        return 0, 0.0
    k = first_interval(span[0], jitter, lattice)
    count, first, _ = advance(ray, span, k, jitter, bits, blocks, resolution, lattice, limit, begin, t_out, dt_out)
    return count, first


@njit(**KERNEL)
def count_rays(queue, origins, directions, near, jitter, bits, blocks, box, resolution, lattice, limit, out, first):
    """Samples of every ray, and a distance just before the first."""
    nowhere = np.empty(0, near.dtype)
    begin, end = stretch(queue, RAYS, len(out))
    while begin < end:
        for r in range(begin, end):
            out[r], first[r] = walk(
                ray_of(origins, directions, r), near[r], jitter[r], bits, blocks, box, resolution, lattice, limit,
                nowhere, nowhere,
            )  # fmt: skip
        begin, end = stretch(queue, RAYS, len(out))


@njit(**KERNEL)
def fill_rays(queue, origins, directions, near, jitter, bits, blocks, box, resolution, lattice, offsets, ray, t, dt):
    """Samples of every ray, written to its own stretch of the buffers."""
    begin, end = stretch(queue, RAYS, len(near))
    while begin < end:
        for r in range(begin, end):
            first, last = offsets[r], offsets[r + 1]
            if last > first:
                walk(
                    ray_of(origins, directions, r), near[r], jitter[r], bits, blocks, box, resolution, lattice,
                    last - first, t[first:last], dt[first:last],
                )  # fmt: skip
                ray[first:last] = r
        begin, end = stretch(queue, RAYS, len(near))


def lattice_of(bits: Tensor, resolution: int, step: float, cone: float) -> tuple[float, float, float, float]:
    """Step, cone, longest step, and where, in intervals, the geometric part of the lattice ends."""
    longest = largest_step(bits, resolution, step)
    return step, float(cone), longest, 1 / cone + math.log(longest / step) / math.log1p(cone) if cone > 0 else math.inf


def blocks_of(bits: np.ndarray, resolution: int) -> np.ndarray:
    """(K, B^3) uint8, rings of blocks around each, itself the first, that are empty; 0 where it is not. Of several
    cascades one ring is told; nothing at all where a finer cascade's cube would cut blocks. Those of the latest bits
    are kept: a step marches twice, and bits change once in many steps."""
    for known, blocks in LATEST:
        if len(blocks[0]) == (resolution // BLOCK) ** 3 and np.array_equal(known, bits):
            return blocks
    blocks = np.zeros((len(bits), (resolution // BLOCK) ** 3 if resolution % (4 * BLOCK) == 0 else 0), np.uint8)
    if blocks.size:
        join(bits, resolution, blocks)
        LATEST[:] = [(bits.copy(), blocks)]
    return blocks


def arrays(*tensors: Tensor) -> list[np.ndarray]:
    """NumPy views, contiguous so that one compiled form serves all callers."""
    return [t.detach().contiguous().numpy() for t in tensors]


@march_count.register_kernel("cpu")
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, limit):
    out, first = torch.empty(len(origins), dtype=torch.int64), torch.empty_like(near)
    *rays, cells, bounds = arrays(origins, directions, near, jitter, bits, box)
    lattice = lattice_of(bits, resolution, step, cone)
    common = (*rays, cells, blocks_of(cells, resolution), bounds, resolution, lattice)
    share(count_rays, *common, limit, out.numpy(), first.numpy())
    return out, first


@march_fill.register_kernel("cpu")
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity):
    ray = torch.empty(capacity, dtype=torch.int64)
    t, dt = torch.empty(capacity, dtype=origins.dtype), torch.empty(capacity, dtype=origins.dtype)
    for values in (ray, t, dt):
        values[int(offsets[-1]) :] = 0
    *rays, cells, bounds = arrays(origins, directions, near, jitter, bits, box)
    lattice = lattice_of(bits, resolution, step, cone)
    common = (*rays, cells, blocks_of(cells, resolution), bounds, resolution, lattice)
    share(fill_rays, *common, offsets.contiguous().numpy(), ray.numpy(), t.numpy(), dt.numpy())
    return ray, t, dt
