"""Shapes a ray can meet, in Numba: hollow sphere, box, drum, round rod, ring; and groups of them.

Lengths are input units of the scene that is drawn; directions have unit length. Vectors are tuples: Numba keeps them
in registers.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER

Vec = tuple[float, float, float]

SPHERE, BOX, DRUM, ROD, RING = range(5)  # kinds; dims: r top | x y z | r half | r half phase | R r
AXES, DIMS, KIND, PAINT = 3, 12, 15, 16  # columns of Geometry.shapes after the center
SKIP, FIRST, LAST = 6, 7, 8  # columns of Geometry.nodes after the corners
FAR = 1e9  # distance of a ray that meets nothing
NEAR = 1e-5  # hits closer than this belong to the surface a ray starts on
OFFSET = 2e-4  # secondary rays start this far off the surface
jit = njit(**INNER)


class Geometry(NamedTuple):
    """P shapes in a tree of J boxes. A shape lives in a frame of its own whose z is its axis.

    Few wide tables, since a call in Numba copies some eight words for every array that it passes on.
    """

    shapes: np.ndarray  # (P, 17) float64: center, three axes of the frame, dims, kind, row of `paint`
    nodes: np.ndarray  # (J, 9) float64, depth first: low and high corner, skip, first, last; see `nearest`
    paint: np.ndarray  # (M, 12) float64: RGB, RGB, pattern, scale, reflectance, shininess, mirror, metal


@jit
def dot(a: Vec, b: Vec) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@jit
def along(a: Vec, b: Vec, t: float) -> Vec:
    """a + t b."""
    return a[0] + t * b[0], a[1] + t * b[1], a[2] + t * b[2]


@jit
def times(a: Vec, b: Vec, s: float) -> Vec:
    """s a b, entry by entry."""
    return s * a[0] * b[0], s * a[1] * b[1], s * a[2] * b[2]


@jit
def unit(a: Vec) -> Vec:
    s = 1 / math.sqrt(dot(a, a))
    return a[0] * s, a[1] * s, a[2] * s


@jit
def length(x: float, y: float) -> float:
    """As math.hypot, without its guard against overflow."""
    return math.sqrt(x * x + y * y)


@jit
def row(table, i: int, j: int) -> Vec:  # noqa: ANN001
    """Three entries of row i from column j."""
    return table[i, j], table[i, j + 1], table[i, j + 2]


@jit
def inward(m, i: int, j: int, v: Vec) -> Vec:  # noqa: ANN001
    """A world direction in the frame whose three axes stand in row i of m from column j."""
    return dot(row(m, i, j), v), dot(row(m, i, j + 3), v), dot(row(m, i, j + 6), v)


@jit
def outward(m, i: int, j: int, v: Vec) -> Vec:  # noqa: ANN001
    """The inverse of `inward`."""
    x = m[i, j] * v[0] + m[i, j + 3] * v[1] + m[i, j + 6] * v[2]
    y = m[i, j + 1] * v[0] + m[i, j + 4] * v[1] + m[i, j + 7] * v[2]
    return x, y, m[i, j + 2] * v[0] + m[i, j + 5] * v[1] + m[i, j + 8] * v[2]


@jit
def hit_sphere(o: Vec, d: Vec, r: float, top: float) -> float:
    """Hollow sphere, open above z = top."""
    b = dot(o, d)
    h = b * b - dot(o, o) + r * r
    if h < 0:
        return FAR
    s = math.sqrt(h)
    if -b - s > NEAR and o[2] + (-b - s) * d[2] <= top:
        return -b - s
    return -b + s if -b + s > NEAR and o[2] + (-b + s) * d[2] <= top else FAR


@jit
def slab(o: float, d: float, half: float) -> tuple[float, float]:
    """Where a ray is between -half and half on one axis."""
    if d == 0:
        return (-FAR, FAR) if abs(o) <= half else (FAR, -FAR)
    inverse = 1 / d
    middle, reach = -o * inverse, half * abs(inverse)
    return middle - reach, middle + reach


@jit
def entry(near: float, far: float) -> float:
    """First end of the interval in front of the origin."""
    if near > far or far < NEAR:
        return FAR
    return near if near > NEAR else far


@jit
def hit_box(o: Vec, d: Vec, half: Vec) -> float:
    a, b = slab(o[0], d[0], half[0])
    e, f = slab(o[1], d[1], half[1])
    g, h = slab(o[2], d[2], half[2])
    return entry(max(a, e, g), min(b, f, h))


@jit
def tube(o: Vec, d: Vec, r: float) -> tuple[float, float]:
    """Where a ray is inside the endless cylinder around z."""
    a = d[0] * d[0] + d[1] * d[1]
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - r * r
    h = b * b - a * c
    if a < 1e-14:
        return (-FAR, FAR) if c <= 0 else (FAR, -FAR)
    if h < 0:
        return FAR, -FAR
    s, a = math.sqrt(h), 1 / a
    return (-b - s) * a, (-b + s) * a


@jit
def hit_drum(o: Vec, d: Vec, r: float, half: float) -> float:
    a, b = tube(o, d, r)
    e, f = slab(o[2], d[2], half)
    return entry(max(a, e), min(b, f))


@jit
def hit_rod(o: Vec, d: Vec, r: float, half: float) -> float:
    """A rod with round ends, met from outside."""
    t, end = tube(o, d, r)
    if t > end:
        return FAR
    z = o[2] + t * d[2] if t > -FAR else -math.copysign(FAR, d[2])
    if abs(z) > half:
        p = (o[0], o[1], o[2] - math.copysign(half, z))
        b = dot(p, d)
        h = b * b - dot(p, p) + r * r
        t = -b - math.sqrt(h) if h >= 0 else FAR
    return t if t > NEAR else FAR


@jit
def hit_ring(o: Vec, d: Vec, big: float, small: float) -> float:
    """Torus around z by sphere tracing: its distance is known in closed form."""
    a, b = tube(o, d, big + small)
    e, f = slab(o[2], d[2], small)
    hole = big - small
    t, end = max(a, e, NEAR), min(b, f)
    p, q = along(o, d, t), along(o, d, end)
    if max(p[0] * p[0] + p[1] * p[1], q[0] * q[0] + q[1] * q[1]) < hole * hole:
        return FAR  # the way between lies in the hole too, as discs are convex
    for _ in range(80):
        if t > end:
            return FAR
        p = along(o, d, t)
        gap = length(length(p[0], p[1]) - big, p[2]) - small
        if gap < 2e-5:
            return t
        t += gap
    return FAR


@jit
def misses(o: Vec, d: Vec, axis: Vec, r: float) -> bool:
    """Whether a ray's line passes the line along `axis` through the origin at more than r, without a root."""
    n = (d[1] * axis[2] - d[2] * axis[1], d[2] * axis[0] - d[0] * axis[2], d[0] * axis[1] - d[1] * axis[0])
    gap = dot(o, n)
    return gap * gap > r * r * dot(n, n)


@jit
def hit(shapes, i: int, o: Vec, d: Vec) -> float:  # noqa: ANN001
    """Distance to shape i, or FAR."""
    kind, a, b = shapes[i, KIND], shapes[i, DIMS], shapes[i, DIMS + 1]
    o = along(o, row(shapes, i, 0), -1.0)
    if kind == SPHERE:
        return hit_sphere(o, d, a, b)
    if kind == ROD and misses(o, d, row(shapes, i, AXES + 6), a):
        return FAR
    o, d = inward(shapes, i, AXES, o), inward(shapes, i, AXES, d)
    if kind == ROD:
        return hit_rod(o, d, a, b)
    if kind == DRUM:
        return hit_drum(o, d, a, b)
    if kind == RING:
        return hit_ring(o, d, a, b)
    return hit_box(o, d, row(shapes, i, DIMS))


@jit
def reaches(nodes, j: int, o: Vec, inverse: Vec, limit: float) -> bool:  # noqa: ANN001
    """Whether a ray meets the box of node j before `limit`."""
    a, b = (nodes[j, 0] - o[0]) * inverse[0], (nodes[j, 3] - o[0]) * inverse[0]
    near, far = max(0.0, min(a, b)), min(limit, max(a, b))
    a, b = (nodes[j, 1] - o[1]) * inverse[1], (nodes[j, 4] - o[1]) * inverse[1]
    near, far = max(near, min(a, b)), min(far, max(a, b))
    a, b = (nodes[j, 2] - o[2]) * inverse[2], (nodes[j, 5] - o[2]) * inverse[2]
    return max(near, min(a, b)) <= min(far, max(a, b))


@jit
def nearest(shapes, nodes, o: Vec, d: Vec) -> tuple[float, int]:  # noqa: ANN001
    """Distance and index of the first shape, or FAR and -1.

    Node j holds the shapes FIRST to LAST; the walk goes on to node j + 1, or to node SKIP where the ray misses its box.
    """
    best, found, j = FAR, -1, 0
    inverse = (1 / d[0], 1 / d[1], 1 / d[2])
    while j < len(nodes):
        if not reaches(nodes, j, o, inverse, best):
            j = int(nodes[j, SKIP])
            continue
        for i in range(int(nodes[j, FIRST]), int(nodes[j, LAST])):
            t = hit(shapes, i, o, d)
            if t < best:
                best, found = t, i
        j += 1
    return best, found


@jit
def open_to(shapes, nodes, o: Vec, d: Vec, limit: float) -> bool:  # noqa: ANN001
    """Whether nothing stands within `limit`."""
    inverse, j = (1 / d[0], 1 / d[1], 1 / d[2]), 0
    while j < len(nodes):
        if not reaches(nodes, j, o, inverse, limit):
            j = int(nodes[j, SKIP])
            continue
        for i in range(int(nodes[j, FIRST]), int(nodes[j, LAST])):
            if hit(shapes, i, o, d) < limit:
                return False
        j += 1
    return True


@jit
def normal(kind: float, p: Vec, dims: Vec) -> Vec:
    """Outward unit normal of a shape at its local surface point."""
    if kind == SPHERE:
        return unit(p)
    if kind == ROD:
        return unit((p[0], p[1], p[2] - min(max(p[2], -dims[1]), dims[1])))
    rho = length(p[0], p[1])
    if kind == RING:
        s = 1 - dims[0] / rho
        return unit((p[0] * s, p[1] * s, p[2]))
    if kind == DRUM:
        if abs(p[2]) - dims[1] > rho - dims[0]:
            return 0.0, 0.0, math.copysign(1.0, p[2])
        return p[0] / rho, p[1] / rho, 0.0
    x, y, z = abs(p[0]) - dims[0], abs(p[1]) - dims[1], abs(p[2]) - dims[2]
    if x >= max(y, z):
        return math.copysign(1.0, p[0]), 0.0, 0.0
    return (0.0, math.copysign(1.0, p[1]), 0.0) if y >= z else (0.0, 0.0, math.copysign(1.0, p[2]))
