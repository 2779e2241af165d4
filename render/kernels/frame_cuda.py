"""The fused frame, in Triton: one launch marches, encodes, decodes and composites, and ends rays that are opaque.

A program holds RAYS rays. It looks along each of them, WINDOW intervals of the lattice at a time (march.py), until
each has STEPS samples in occupied cells to show, or no more; rays that have ended are handed back and others taken from
a queue at once, so that the tile of RAYS x STEPS points that is then asked is nearly always full. What is known of a
ray's next intervals are bits: bit b of `mask` tells whether interval k + b is a sample, for b below `known`.

The kernel knows no architecture and no head: it takes device functions as constants, as fields/kernels/fused_cuda.py
does. COLOR may be None: then only opacity and distance are drawn.
"""

import triton
import triton.language as tl

from fields.kernels.space_cuda import unit
from render.kernels.composite_cuda import alpha
from render.kernels.march_cuda import (
    COUNTABLE,
    behind_empty,
    cross_box,
    first_interval,
    interval,
    occupied,
    reciprocal,
)

DENSEST = tl.constexpr(40.0)  # optical thickness of a sample that lets nothing through: exp(-40) is 4e-18
TILE = tl.constexpr(4)  # pixels along a side of the squares in which a picture's rays are taken


@triton.jit
def lowest(bits):
    """Place of the lowest bit of bits > 0, below 31."""
    return ((bits & -bits).to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127


@triton.jit
def dropped(bits, COUNT: tl.constexpr):
    """Bits without the COUNT lowest that are set."""
    for _ in tl.static_range(COUNT):
        bits = bits & (bits - 1)
    return bits


@triton.jit
def pixel_of(index, rays, width, height):
    """Which ray comes at place `index` of the queue: that one, or where `width` is above 0 the pixel of a picture that
    is taken in squares; -1 where there is none. And its column and row."""
    across = tl.cdiv(tl.maximum(width, 1), TILE)
    square, inner = index // (TILE * TILE), index % (TILE * TILE)
    x = (square % across) * TILE + inner % TILE
    y = (square // across) * TILE + inner // TILE
    inside = (x < width) & (y < height)
    return tl.where(width > 0, tl.where(inside, x + width * y, -1), tl.where(index < rays, index, -1)), x, y


@triton.jit
def ray_of(pixel, x, y, fresh, origins, directions, lens):
    """Origins and unit directions, six blocks (RAYS,): of a pinhole camera where `lens` has its 16 numbers, focal
    lengths, centre and pose row by row; else as given, (R, 3) each. See render/camera.py."""
    if lens is None:
        at = pixel.to(tl.int64) * 3
        ox, oy = tl.load(origins + at, fresh, 0.0), tl.load(origins + at + 1, fresh, 0.0)
        oz, dx = tl.load(origins + at + 2, fresh, 0.0), tl.load(directions + at, fresh, 1.0)
        dy, dz = tl.load(directions + at + 1, fresh, 1.0), tl.load(directions + at + 2, fresh, 1.0)
    else:
        right, up = (x + 0.5 - lens[2]) / lens[0], -(y + 0.5 - lens[3]) / lens[1]
        dx, dy = lens[4] * right + lens[5] * up - lens[6], lens[8] * right + lens[9] * up - lens[10]
        dz = lens[12] * right + lens[13] * up - lens[14]
        scale = 1.0 / tl.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx * scale, dy * scale, dz * scale
        ox, oy, oz = tl.zeros_like(dx) + lens[7], tl.zeros_like(dx) + lens[11], tl.zeros_like(dx) + lens[15]
    return ox, oy, oz, dx, dy, dz


@triton.jit
def looked_ahead(
    want, k, known, mask, ended, ray, enter, leave, bits, blocks, lattice,
    G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Tests the next WINDOW intervals of the rays that `want` (RAYS,) it: k, known, mask and ended as they are then.
    k is the first sample, or the first interval that nothing is known of."""
    ox, oy, oz, dx, dy, dz = ray
    place = tl.arange(0, WINDOW)[None, :]
    u = k[:, None] + known[:, None].to(tl.float32) + place.to(tl.float32)  # (RAYS, WINDOW)
    t, dt = interval(u, 0.0, lattice, CONE)
    asked = want[:, None] & (t >= enter[:, None]) & (t < leave[:, None])
    x, y, z = ox[:, None] + t * dx[:, None], oy[:, None] + t * dy[:, None], oz[:, None] + t * dz[:, None]
    full, _, _, _, _, _ = occupied(x, y, z, dt, asked, bits, G, CASCADES)
    found = tl.where(asked & full, 1 << (known[:, None] + place), 0)
    mask = mask | tl.sum(found, 1)
    known = tl.where(want, known + WINDOW, known)

    last = k + known.to(tl.float32) - 1.0  # (RAYS,), the last interval that was tested
    t, dt = interval(last, 0.0, lattice, CONE)
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    ended = ended | (want & ((t < leave) == 0)) | (last >= COUNTABLE)
    passing = want & (mask == 0) & (t >= enter) & (ended == 0)
    full, cascade, side, a, b, c = occupied(x, y, z, dt, passing, bits, G, CASCADES)
    passing = passing & (full == 0)  # rounded otherwise than above, a point may lie in the next cell
    ix, iy, iz = reciprocal(dx), reciprocal(dy), reciprocal(dz)
    nothing = tl.zeros_like(last)
    further = behind_empty(
        last, t, x, y, z, ix, iy, iz, cascade, side, a, b, c, passing, nothing, blocks, lattice,
        G, CASCADES, BLOCKS, CONE,
    )  # fmt: skip
    k = tl.where(want & (mask == 0), tl.where(passing, further, last + 1.0), k)
    k, known, mask = begun(k, known, mask)
    return k, known, mask, ended


@triton.jit
def begun(k, known, mask):
    """The same, from the first sample on."""
    shift = tl.where(mask > 0, lowest(tl.maximum(mask, 1)), 0)
    return k + shift.to(tl.float32), tl.where(mask > 0, known - shift, 0), mask >> shift


@triton.jit
def picked(k, mask, lattice, CONE: tl.constexpr, STEPS: tl.constexpr):
    """The first STEPS samples of each ray: t, dt, and which of them there are, (RAYS, STEPS)."""
    place = tl.arange(0, STEPS)[None, :]
    bits = mask[:, None] + tl.zeros_like(place)
    for n in tl.static_range(STEPS - 1):
        bits = tl.where(place > n, bits & (bits - 1), bits)
    there = bits > 0
    t, dt = interval(k[:, None] + lowest(tl.maximum(bits, 1)).to(tl.float32), 0.0, lattice, CONE)
    return t, dt, there


@triton.jit
def moved(pointers, by):
    """Pointers, a tuple, so many entries further."""
    parts = ()
    for n in tl.static_range(len(pointers)):
        parts = parts + (pointers[n] + by,)  # noqa: RUF005
    return parts


@triton.jit
def spread(values, t):
    """One number of each ray (RAYS,) for each of its points (BLOCK,)."""
    return tl.reshape(values[:, None] + tl.zeros_like(t), [t.shape[0] * t.shape[1]])


@triton.jit
def hand_back(pixel, write, light, looked, red, green, blue, far, asked, rgb, opacity, distance, counts):
    """Stores what rays have seen. What was never looked at has the colour of the rest."""
    solid = alpha(light)
    scale = solid / tl.maximum(looked, 1e-6)
    at = rgb + pixel.to(tl.int64) * 3
    tl.store(at, red * scale, write)
    tl.store(at + 1, green * scale, write)
    tl.store(at + 2, blue * scale, write)
    tl.store(opacity + pixel, solid, write)
    tl.store(distance + pixel, far / tl.maximum(solid, 1e-6), write)
    tl.store(counts + pixel, asked, write)


@triton.jit(do_not_specialize=["rays", "places", "width", "height"])
def frame_kernel(
    rays, places, width, height, origins, directions, lens, near, opaque, queue, bits, blocks, box, lattice, center,
    side, tables, weights, fixed, head, rgb, opacity, distance, counts,
    FEATURES: tl.constexpr, DENSITY: tl.constexpr, COLOR: tl.constexpr, SPHERE: tl.constexpr, SHAPE: tl.constexpr,
    HEAD: tl.constexpr, G: tl.constexpr, CASCADES: tl.constexpr, BLOCKS: tl.constexpr, CONE: tl.constexpr,
    FAINT: tl.constexpr, RAYS: tl.constexpr, STEPS: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Takes rays from the queue, `places` of them, until there are none. `opaque` is the optical thickness at which a
    ray ends."""
    BLOCK: tl.constexpr = RAYS * STEPS
    zero, pixel = tl.zeros([RAYS], tl.float32), tl.full([RAYS], -1, tl.int32)
    ox, oy, oz, dx, dy, dz = zero, zero, zero, zero + 1.0, zero + 1.0, zero + 1.0
    enter, leave, k, thickness, looked = zero, zero, zero, zero, zero  # thickness: of what lies in front
    red, green, blue, far = zero, zero, zero, zero
    known, mask, asked, ended = pixel + 1, pixel + 1, pixel + 1, pixel < 0
    more, busy = places > 0, places > 0
    while busy:
        seeking = busy
        while seeking:
            done = ended & (mask == 0)  # (RAYS,)
            if tl.max((done & ((pixel >= 0) | more)).to(tl.int32)) > 0:
                write = done & (pixel >= 0)
                hand_back(pixel, write, thickness, looked, red, green, blue, far, asked, rgb, opacity, distance, counts)
                order = tl.cumsum(done.to(tl.int32), 0)
                taken = tl.where(more, tl.max(order), 0)
                base = tl.atomic_add(queue, taken, sem="relaxed")
                more = more & (base + taken < places)
                index = base + order - 1
                fresh = done & (index < tl.where(taken > 0, places, 0))
                into, x, y = pixel_of(index, rays, width, height)
                pixel = tl.where(fresh, into, tl.where(done, -1, pixel))
                fresh = fresh & (pixel >= 0)
                nx, ny, nz, ex, ey, ez = ray_of(pixel, x, y, fresh, origins, directions, lens)
                ox, oy, oz = tl.where(fresh, nx, ox), tl.where(fresh, ny, oy), tl.where(fresh, nz, oz)
                dx, dy, dz = tl.where(fresh, ex, dx), tl.where(fresh, ey, dy), tl.where(fresh, ez, dz)
                start, end = cross_box(ox, oy, oz, reciprocal(dx), reciprocal(dy), reciprocal(dz), box)
                enter, leave = tl.maximum(start, near), end
                ended = tl.where(fresh, (enter < leave) == 0, ended)
                k = tl.where(fresh, first_interval(enter, zero, lattice, CONE), k)
                thickness, looked = tl.where(fresh, 0.0, thickness), tl.where(fresh, 0.0, looked)
                red, green = tl.where(fresh, 0.0, red), tl.where(fresh, 0.0, green)
                blue, far, asked = tl.where(fresh, 0.0, blue), tl.where(fresh, 0.0, far), tl.where(fresh, 0, asked)
            want = (ended == 0) & (known + WINDOW < 32) & (dropped(mask, STEPS - 1) == 0)
            k, known, mask, ended = looked_ahead(
                want, k, known, mask, ended, (ox, oy, oz, dx, dy, dz), enter, leave, bits, blocks, lattice,
                G, CASCADES, BLOCKS, CONE, WINDOW,
            )  # fmt: skip
            want = (ended == 0) & (known + WINDOW < 32) & (dropped(mask, STEPS - 1) == 0)
            seeking = tl.max((want | (ended & (mask == 0) & more)).to(tl.int32)) > 0
        if tl.max(mask) > 0:
            t, dt, there = picked(k, mask, lattice, CONE, STEPS)  # (RAYS, STEPS)
            live = tl.reshape(there, [BLOCK])
            x, y, z = ox[:, None] + t * dx[:, None], oy[:, None] + t * dy[:, None], oz[:, None] + t * dz[:, None]
            x, y, z = unit(x, y, z, center, side, SPHERE)
            x, y, z = tl.reshape(x, [BLOCK]), tl.reshape(y, [BLOCK]), tl.reshape(z, [BLOCK])
            none = tl.minimum(tl.max(asked), 0)  # 0, as only the run knows: no address is kept from tile to tile
            f = FEATURES(x, y, z, live, moved(tables, none), moved(weights, none), moved(fixed, none), SHAPE)
            tau = tl.reshape(DENSITY(f, live, moved(head, none), HEAD), [RAYS, STEPS]) * dt
            tau = tl.where(there, tl.minimum(tau, DENSEST), 0.0)
            w = tl.exp(tl.cumsum(tau, 1) * -1.0 + tau - thickness[:, None]) * alpha(tau)
            far, asked = far + tl.sum(w * t, 1), asked + tl.sum(there.to(tl.int32), 1)
            thickness += tl.sum(tau, 1)
            if COLOR is not None:
                looking = alpha(thickness) - looked > FAINT  # (RAYS,), each by itself, whoever is in the tile
                if tl.max(looking.to(tl.int32)) > 0:
                    w = tl.where(looking[:, None], w, 0.0)
                    r, g, b = COLOR(f, spread(dx, t), spread(dy, t), spread(dz, t), live, moved(head, none), HEAD)
                    red += tl.sum(w * tl.reshape(r, [RAYS, STEPS]), 1)
                    green += tl.sum(w * tl.reshape(g, [RAYS, STEPS]), 1)
                    blue += tl.sum(w * tl.reshape(b, [RAYS, STEPS]), 1)
                    looked += tl.sum(w, 1)
            rest = dropped(mask, STEPS)
            k = tl.where((mask > 0) & (rest == 0), k + known.to(tl.float32), k)
            k, known, mask = begun(k, known, rest)
            opened = thickness < opaque
            ended, mask, known = ended | (opened == 0), tl.where(opened, mask, 0), tl.where(opened, known, 0)
        busy = more | (tl.max(pixel) >= 0)
