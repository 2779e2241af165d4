"""The frame on the CPU, in Numba: a thread marches rays, asks the field, weighs and shows, in memory of its own.

A thread holds up to SLOTS rays. It goes through them and takes the next samples of each, STEPS at most, until POINTS
samples have come together; then the field is asked for all of them, tile by tile, and each ray goes on by what it sees.
A ray that has ended makes room for another at once, so that tiles are nearly always full. Samples that are to be looked
at (gather.py) wait until they fill a tile. What a ray shows does not depend on who is beside it.

The kernel knows no architecture and no head, as those of fields/kernels/fused_cpu.py.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.fused_cpu import color, decode, density, encode
from fields.kernels.options_cpu import KERNEL, LEAN
from fields.kernels.queue_cpu import ended, take
from fields.kernels.space_cpu import unit
from fields.kernels.tiles_cpu import TILE
from render.kernels.gather_cpu import threshold
from render.kernels.march_cpu import advance, crossed, first_interval, ray_of

POINTS = 10 * TILE  # asked together: what is known of them stays in the cache
STEPS = 4  # samples of a ray asked together: those behind a surface are asked for nothing
SLOTS = 2 * POINTS // STEPS  # rays of a thread at most
SIDE = 8  # pixels along a side of the squares in which a picture's rays are taken
GROUP = SIDE * SIDE
LOOKS = POINTS + 2 * TILE  # that wait: what is left of a tile, those of a time, and room for the last tile's zeros


class RayArrays(NamedTuple):
    """Where rays come from."""

    count: int
    width: int  # of a picture, which is taken in squares; 0: rays are taken one after the other
    height: int
    lens: np.ndarray  # (16,) float32 of a pinhole camera: focal lengths, centre, pose row by row; or (0,)
    origins: np.ndarray  # (R, 3) float32, where there is no lens
    directions: np.ndarray  # (R, 3) float32


class MarchArrays(NamedTuple):
    """How rays are followed, and through what."""

    near: float  # scene units
    opaque: np.float32  # opacity at which a ray ends
    colored: bool
    faint: float  # see render/kernels/gather.py
    share: float
    bits: np.ndarray  # see render/kernels/march.py
    blocks: np.ndarray
    box: np.ndarray
    resolution: int
    lattice: tuple[float, float, float, float]


class SpaceArrays(NamedTuple):
    """The field's space."""

    center: np.ndarray  # (3,) float32
    side: np.float32
    sphere: bool  # contracted


class Canvas(NamedTuple):
    """What is drawn, of zeros in the beginning."""

    rgb: np.ndarray  # (R, 3) float32, multiplied by `looked`
    opacity: np.ndarray  # (R,) float32
    looked: np.ndarray  # (R,) float32, how much of the opacity has been looked at
    far: np.ndarray  # (R,) float32, sum of w t
    asked: np.ndarray  # (R,) int32


class Bundle(NamedTuple):
    """The rays that a thread holds, S of them at most."""

    pixel: np.ndarray  # (S,) int64
    origins: np.ndarray  # (S, 3) float32
    directions: np.ndarray  # (S, 3) float32
    way: np.ndarray  # (S, 3) where it enters and leaves the box, and its next interval
    seen: np.ndarray  # (S, 3) opacity, sum of w t, how much has been looked at
    samples: np.ndarray  # (S, 3) int64, the first of this time, their number, and that of all times


class Known(NamedTuple):
    """The samples that are asked together, P of them."""

    x: np.ndarray  # (P, 3) float32
    t: np.ndarray  # (P,) float32
    dt: np.ndarray  # (P,) float32
    read: np.ndarray  # (P, E) float32, what tables say
    features: np.ndarray  # (P, W) float32
    sigma: np.ndarray  # (P,) float32


class Looks(NamedTuple):
    """The samples that wait until their colours are asked."""

    features: np.ndarray  # (LOOKS, W) float32
    d: np.ndarray  # (LOOKS, 3) float32
    kept: np.ndarray  # float32, see fields/kernels/fused_cpu.py
    rgb: np.ndarray  # (TILE, 3) float32
    weight: np.ndarray  # (LOOKS,) float32
    pixel: np.ndarray  # (LOOKS,) int64


@njit(**LEAN)
def pixel_at(place, count, width, height):
    """Which ray comes at a place of the queue, -1 where there is none."""
    if width == 0:
        return place if place < count else -1
    across = (width + SIDE - 1) // SIDE
    square, inner = place // GROUP, place % GROUP
    x, y = square % across * SIDE + inner % SIDE, square // across * SIDE + inner // SIDE
    return x + width * y if x < width and y < height else -1


@njit(**LEAN)
def places_of(source):
    """Length of the queue: groups are whole."""
    if source.width == 0:
        return (source.count + GROUP - 1) // GROUP * GROUP
    return (source.width + SIDE - 1) // SIDE * ((source.height + SIDE - 1) // SIDE) * GROUP


@njit(**LEAN)
def make_ray(pixel, width, lens, slot, origins, directions):
    """Origin and unit direction of the ray through a pinhole camera's pixel, into their slot. See render/camera.py."""
    half = np.float32(0.5)
    right = (np.float32(pixel % width) + half - lens[2]) / lens[0]
    up = -(np.float32(pixel // width) + half - lens[3]) / lens[1]
    x, y = lens[4] * right + lens[5] * up - lens[6], lens[8] * right + lens[9] * up - lens[10]
    z = lens[12] * right + lens[13] * up - lens[14]
    length = np.sqrt(x * x + y * y + z * z)
    directions[slot, 0], directions[slot, 1], directions[slot, 2] = x / length, y / length, z / length
    origins[slot, 0], origins[slot, 1], origins[slot, 2] = lens[7], lens[11], lens[15]


@njit(**LEAN)
def hold(pixel, slot, source, bundle, course):
    """Puts a ray into a slot. False where it misses the box."""
    if len(source.lens):
        make_ray(pixel, source.width, source.lens, slot, bundle.origins, bundle.directions)
    else:
        for axis in range(3):
            bundle.origins[slot, axis] = source.origins[pixel, axis]
            bundle.directions[slot, axis] = source.directions[pixel, axis]
    enter, leave = crossed(ray_of(bundle.origins, bundle.directions, slot), course.near, course.box)
    bundle.way[slot, 0], bundle.way[slot, 1] = enter, leave
    bundle.way[slot, 2] = first_interval(enter, 0.0, course.lattice)
    bundle.pixel[slot], bundle.samples[slot, 2] = pixel, 0
    for n in range(3):
        bundle.seen[slot, n] = 0
    return enter < leave


@njit(**LEAN)
def release(slot, last, bundle, canvas):
    """Writes what a slot's ray has seen, and moves the last one's into its place."""
    pixel = bundle.pixel[slot]
    canvas.opacity[pixel], canvas.far[pixel] = bundle.seen[slot, 0], bundle.seen[slot, 1]
    canvas.looked[pixel], canvas.asked[pixel] = bundle.seen[slot, 2], bundle.samples[slot, 2]
    bundle.pixel[slot] = bundle.pixel[last]
    for n in range(3):
        bundle.origins[slot, n], bundle.directions[slot, n] = bundle.origins[last, n], bundle.directions[last, n]
        bundle.way[slot, n], bundle.seen[slot, n] = bundle.way[last, n], bundle.seen[last, n]
        bundle.samples[slot, n] = bundle.samples[last, n]


@njit(**LEAN)
def collect(queue, at, held, source, bundle, course, known, canvas):
    """The next samples of the rays that are held, and of others from the queue as long as there is room. Returns the
    number of samples, that of rays they are of, how many are held, and the queue's next place."""
    n, slot, places = np.int64(0), np.int64(0), places_of(source)
    while n + STEPS <= POINTS:
        if slot == held:
            if held == SLOTS or at >= places:
                break
            pixel = pixel_at(at, source.count, source.width, source.height)
            at = at + 1 if at % GROUP < GROUP - 1 else take(queue) * GROUP
            if pixel < 0 or not hold(pixel, slot, source, bundle, course):
                continue
            held += 1
        ray, span = ray_of(bundle.origins, bundle.directions, slot), (bundle.way[slot, 0], bundle.way[slot, 1])
        count, _, bundle.way[slot, 2] = advance(
            ray, span, bundle.way[slot, 2], 0.0, course.bits, course.blocks, course.resolution, course.lattice,
            np.int64(STEPS), n, known.t, known.dt,
        )  # fmt: skip
        if count == 0:
            held -= 1
            release(slot, held, bundle, canvas)
            continue
        bundle.samples[slot, 0], bundle.samples[slot, 1] = n, count
        bundle.samples[slot, 2] += count
        for i in range(n, n + count):
            for axis in range(3):
                known.x[i, axis] = bundle.origins[slot, axis] + bundle.directions[slot, axis] * known.t[i]
        n, slot = n + count, slot + 1
    return n, slot, held, at


@njit(inline="always")  # what it calls is compiled once less
def ask(known, n, place, network, head):
    """Features and sigma of the first n samples."""
    x, whole = known.x[:n], (n + TILE - 1) // TILE * TILE
    unit(x, place.center, place.side, place.sphere)
    encode(network, x, known.read[:n])
    known.read[n:whole] = 0
    for first in range(0, whole, TILE):
        features = known.features[first : first + TILE]
        decode(network, known.read[first : first + TILE], features)
        density(head, features, known.sigma[first : first + TILE])


@njit(**LEAN)
def weigh(rays, bundle, course, known, looks, waiting):
    """What the first rays see of their samples, and which of these are looked at: see render/kernels/gather.py. Returns
    how many looks wait."""
    faint, share, width = course.faint, course.share, known.features.shape[1]
    for slot in range(rays):
        total, far, last = bundle.seen[slot, 0], bundle.seen[slot, 1], bundle.seen[slot, 2]
        light, passed, first = 1 - total, threshold(total, faint, share), bundle.samples[slot, 0]
        for i in range(first, first + bundle.samples[slot, 1]):
            after = light * math.exp(-float(known.sigma[i]) * float(known.dt[i]))
            w = light - after  # in float64, where even tau = 1e-6 keeps ten digits
            light, total, far = after, total + w, far + w * known.t[i]
            now = threshold(total, faint, share)
            if now > passed:
                looks.weight[waiting], looks.pixel[waiting] = total - last, bundle.pixel[slot]
                for axis in range(3):
                    looks.d[waiting, axis] = bundle.directions[slot, axis]
                for n in range(width):
                    looks.features[waiting, n] = known.features[i, n]
                last, passed, waiting = total, now, waiting + 1
        bundle.seen[slot, 0], bundle.seen[slot, 1], bundle.seen[slot, 2] = total, far, last
    return waiting


@njit(inline="always")  # what it calls is compiled once less
def show(looks, waiting, least, head, rgb):
    """Adds the colours of those that wait to the rays' rgb (R, 3), tile by tile, while there are `least` left. Returns
    how many wait on."""
    begin = 0
    while waiting - begin >= least:
        end = min(begin + TILE, waiting)
        features, d = looks.features[begin : begin + TILE], looks.d[begin : begin + TILE]
        features[end - begin :], d[end - begin :] = 0, 0
        color(head, features, d, looks.kept, looks.rgb)
        for p in range(begin, end):
            for n in range(3):
                rgb[looks.pixel[p], n] += looks.weight[p] * looks.rgb[p - begin, n]
        begin = end
    for p in range(begin, waiting):
        looks.pixel[p - begin], looks.weight[p - begin] = looks.pixel[p], looks.weight[p]
        for n in range(3):
            looks.d[p - begin, n] = looks.d[p, n]
        for n in range(looks.features.shape[1]):
            looks.features[p - begin, n] = looks.features[p, n]
    return waiting - begin


@njit(**KERNEL)
def draw(queue, source, course, place, network, head, columns, width, canvas):
    """Takes rays from the queue until there are none. columns, width: E and W, as fields/tiled.py has them."""
    bundle = Bundle(
        np.empty(SLOTS, np.int64), np.empty((SLOTS, 3), np.float32), np.empty((SLOTS, 3), np.float32),
        np.empty((SLOTS, 3)), np.empty((SLOTS, 3)), np.empty((SLOTS, 3), np.int64),
    )  # fmt: skip
    known = Known(
        np.empty((POINTS, 3), np.float32), np.empty(POINTS, np.float32), np.empty(POINTS, np.float32),
        np.empty((POINTS, columns), np.float32), np.empty((POINTS, width), np.float32), np.empty(POINTS, np.float32),
    )  # fmt: skip
    looks = Looks(
        np.empty((LOOKS, width), np.float32), np.empty((LOOKS, 3), np.float32), np.empty(head.kept, np.float32),
        np.empty((TILE, 3), np.float32), np.empty(LOOKS, np.float32), np.empty(LOOKS, np.int64),
    )  # fmt: skip
    # Numba would compile for the constant 0 as well as for numbers.
    at, held, waiting, count = take(queue) * GROUP, np.int64(0), np.int64(0), 1
    while count and not ended(queue):
        count, rays, held, at = collect(queue, at, held, source, bundle, course, known, canvas)
        ask(known, count, place, network, head)
        waiting = weigh(rays, bundle, course, known, looks, waiting)
        waiting = show(looks, waiting, TILE if count else 1, head, canvas.rgb) if course.colored else 0
        for slot in range(rays - 1, -1, -1):
            if bundle.samples[slot, 1] < STEPS or not np.float32(bundle.seen[slot, 0]) < course.opaque:
                held -= 1
                release(slot, held, bundle, canvas)
