"""March on the CPU in Numba: one ray at a time, stepping over empty cells."""

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from render.kernels.march import TINY, largest_step, march_count, march_fill

SLACK = 0.01  # intervals: a skip stops this much before the cell's far side, so that rounding never loses a sample


@njit(inline="always")
def boundary(u, step, cone, longest, end):
    """T(u); `end` is where the geometric part of the lattice ends."""
    if cone <= 0 or u * cone < 1:
        return u * step
    if u < end:
        return step / cone * math.exp((u - 1 / cone) * math.log1p(cone))
    return longest / cone + (u - end) * longest


@njit(inline="always")
def lattice_place(t, step, cone, longest, end):
    """Inverse of `boundary`."""
    if cone <= 0 or t * cone < step:
        return t / step
    if t * cone < longest:
        return 1 / cone + math.log(t * cone / step) / math.log1p(cone)
    return end + (t - longest / cone) / longest


@njit(inline="always")
def cascade_of(reach, dt, resolution, cascades):
    """Finest cascade that holds a point `reach` from the centre and whose cells are no shorter than dt."""
    cascade = 0
    side = 1.0
    while cascade < cascades - 1 and (reach >= 0.5 * side or dt * resolution > side):
        cascade += 1
        side *= 2
    return cascade, side


@njit(inline="always")
def cell_of(x, per_unit, resolution):
    """Index along one axis of the cell that holds coordinate x, at `per_unit` cells per scene unit."""
    cell = math.floor((x - 0.5) * per_unit + 0.5 * resolution)
    return min(max(cell, 0), resolution - 1)


@njit(inline="always")
def distance_out(x, inverse, cell, length, resolution):
    """How far along the ray the far side of a cell of `length` scene units lies, for one axis."""
    face = (cell + (1 if inverse > 0 else 0) - 0.5 * resolution) * length + 0.5
    return (face - x) * inverse


@njit(inline="always")
def reciprocal(d):
    """1 / d, large and finite where the ray is parallel to the axis."""
    return 1 / (TINY if abs(d) < TINY else d)


@njit(nogil=True, cache=True, error_model="numpy")
def walk(origin, direction, near, jitter, bits, box, resolution, step, cone, longest, end, limit, t_out, dt_out):
    """One ray. Returns its number of samples; writes them where the output arrays have room."""
    ox, oy, oz = float(origin[0]), float(origin[1]), float(origin[2])
    dx, dy, dz = float(direction[0]), float(direction[1]), float(direction[2])
    ix, iy, iz = reciprocal(dx), reciprocal(dy), reciprocal(dz)
    enter, leave = max(float(near), 0.0), np.inf
    for axis, o, i in ((0, ox, ix), (1, oy, iy), (2, oz, iz)):
        one, two = (box[0, axis] - o) * i, (box[1, axis] - o) * i
        enter, leave = max(enter, min(one, two)), min(leave, max(one, two))
    if not enter < leave:
        return 0
    count, per_cell = 0, 1.0 / resolution
    k = max(math.floor(lattice_place(enter, step, cone, longest, end) - jitter - 0.5 - SLACK), 0.0)
    upper = boundary(k + jitter, step, cone, longest, end)
    while count < limit:
        lower, upper = upper, boundary(k + 1 + jitter, step, cone, longest, end)
        t, dt = 0.5 * (lower + upper), upper - lower
        if t >= leave:
            break
        if t < enter:
            k += 1
            continue
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        reach = max(abs(x - 0.5), abs(y - 0.5), abs(z - 0.5))
        cascade, side = cascade_of(reach, dt, resolution, bits.shape[0])
        per_unit, length = resolution / side, side * per_cell
        a, b, c = cell_of(x, per_unit, resolution), cell_of(y, per_unit, resolution), cell_of(z, per_unit, resolution)
        n = a + resolution * (b + resolution * c)
        if bits[cascade, n >> 3] >> (n & 7) & 1:
            if count < t_out.shape[0]:
                t_out[count], dt_out[count] = t, dt
            count += 1
            k += 1
            continue
        out = min(distance_out(x, ix, a, length, resolution), distance_out(y, iy, b, length, resolution))
        out = t + max(min(out, distance_out(z, iz, c, length, resolution)), 0.0)
        following = math.ceil(lattice_place(out, step, cone, longest, end) - jitter - 0.5 - SLACK)
        if following > k + 1:
            k = following
            upper = boundary(k + jitter, step, cone, longest, end)
        else:
            k += 1
    return count


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count_rays(origins, directions, near, jitter, bits, box, resolution, step, cone, longest, end, limit, out):
    """Samples of every ray."""
    nowhere = np.empty(0, near.dtype)
    for r in prange(out.shape[0]):
        out[r] = walk(
            origins[r], directions[r], near[r], jitter[r], bits, box, resolution, step, cone, longest, end, limit,
            nowhere, nowhere,
        )  # fmt: skip


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fill_rays(origins, directions, near, jitter, bits, box, resolution, step, cone, longest, end, offsets, ray, t, dt):
    """Samples of every ray, written to its own stretch of the buffers."""
    for r in prange(near.shape[0]):
        first, last = offsets[r], offsets[r + 1]
        if last > first:
            walk(
                origins[r], directions[r], near[r], jitter[r], bits, box, resolution, step, cone, longest, end,
                last - first, t[first:last], dt[first:last],
            )  # fmt: skip
            ray[first:last] = r


def lattice_end(step: float, cone: float, longest: float) -> float:
    """Where, in intervals, the geometric part of the lattice ends."""
    return 1 / cone + math.log(longest / step) / math.log1p(cone) if cone > 0 else math.inf


def arrays(*tensors: Tensor) -> list[np.ndarray]:
    """NumPy views, contiguous so that one compiled form serves all callers."""
    return [t.detach().contiguous().numpy() for t in tensors]


@march_count.register_kernel("cpu")
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, limit):
    longest = largest_step(bits, resolution, step)
    out = torch.empty(len(origins), dtype=torch.int64)
    inputs = arrays(origins, directions, near, jitter, bits, box)
    end = lattice_end(step, cone, longest)
    count_rays(*inputs, resolution, step, float(cone), longest, end, limit, out.numpy())
    return out


@march_fill.register_kernel("cpu")
def _(origins, directions, near, jitter, bits, box, resolution, step, cone, offsets, capacity):
    longest = largest_step(bits, resolution, step)
    ray = torch.zeros(capacity, dtype=torch.int64)
    t, dt = torch.zeros(capacity, dtype=origins.dtype), torch.zeros(capacity, dtype=origins.dtype)
    inputs = arrays(origins, directions, near, jitter, bits, box)
    end = lattice_end(step, cone, longest)
    places = offsets.contiguous().numpy()
    fill_rays(*inputs, resolution, step, float(cone), longest, end, places, ray.numpy(), t.numpy(), dt.numpy())
    return ray, t, dt
