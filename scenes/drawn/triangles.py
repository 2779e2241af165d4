"""Ray caster for triangle meshes in Numba: a bounding volume hierarchy, and the first triangle along each ray.

A ray is tested against triangles as by Woop, Benthin and Wald ("Watertight Ray/Triangle Intersection", JCGT 2013): the
triangle is sheared into a frame in which the ray is the z axis, and the signs of three edge functions decide, where an
edge that two triangles share gives them opposite numbers bit for bit. So no ray slips through between neighbours. The
tree is split along its longest axis where the surface area heuristic over bins is least (Wald, "On fast construction
of SAH-based bounding volume hierarchies", 2007).

All kernels are in this file: Numba's cache renews them only when the file of their entry changes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from fields.compiled import kept

BINS = 16  # of the surface area heuristic
FEW, MANY = 2, 8  # a node of at most FEW triangles is a leaf, one of more than MANY never where it can be split
DEEP = 48  # levels after which nodes are halved by number, so that the walk's stack is bounded
STACK = 128  # nodes that wait: DEEP levels, then at most 63 halvings, and a few to spare
COST = 1.5  # of a visit to two boxes, in tests of a triangle
PAD = 1e-9  # boxes grow by this share of the longest side: far more than rounding, far less than a pixel
TINY = 1e-300  # stands in for a direction's zero, whose inverse would be no number
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": kept()}
jit = njit(**OPTIONS)


class Tree(NamedTuple):
    """T triangles in J nested boxes. Node 0 holds all; the first child of node j is node j + 1."""

    corners: np.ndarray  # (T, 3, 3) float64, in the order of the leaves: corner, then coordinate
    order: np.ndarray  # (T,) int32, which of the caller's triangles each one is
    boxes: np.ndarray  # (J, 6) float64, low and high corner
    links: np.ndarray  # (J, 2) int32: second child and 0, or for a leaf its first triangle and their number


class Hits(NamedTuple):
    """What R rays meet first."""

    t: np.ndarray  # (R,) float64, distance in lengths of the direction, inf where there is nothing
    face: np.ndarray  # (R,) int32, the caller's triangle, -1 where there is none
    weights: np.ndarray  # (R, 3) float32, barycentric: point = weights @ corners; 0 where there is nothing


def build(corners: np.ndarray) -> Tree:
    """The tree over triangles (T, 3, 3), finite. ValueError where there are none."""
    corners = np.ascontiguousarray(corners, dtype=np.float64)
    if not len(corners):
        raise ValueError("a tree needs at least 1 triangle, found none")
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)  # far faster than along axis 1
    pad = PAD * float((high.max(0) - low.min(0)).max())
    order = np.arange(len(corners), dtype=np.int32)
    boxes = np.empty((2 * len(corners), 6))
    links = np.zeros((2 * len(corners), 2), np.int32)
    count = grow(low - pad, high + pad, order, boxes, links)
    return Tree(corners[order], order, boxes[:count].copy(), links[:count].copy())


def cast(tree: Tree, origins: np.ndarray, directions: np.ndarray) -> Hits:
    """The first triangle in front of each ray (R, 3), (R, 3), seen from either side.

    A ray that starts on a triangle does not meet it. Of triangles at one distance the first in the tree is met.
    """
    count = len(origins)
    t, face, weights = np.full(count, np.inf), np.full(count, -1, np.int32), np.zeros((count, 3), np.float32)
    walk(tree, np.asarray(origins, dtype=np.float64), np.asarray(directions, dtype=np.float64), t, face, weights)
    return Hits(t, face, weights)


@jit
def half_surface(box: np.ndarray) -> float:
    """Half the surface of a box (6,), 0 for an empty one."""
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return x * y + y * z + z * x if x >= 0 else 0.0


@jit
def clear(box: np.ndarray) -> None:
    """Make a box (6,) empty."""
    box[:3], box[3:] = math.inf, -math.inf


@jit
def widen(box: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Let a box (6,) hold another one, whose corners are (3,)."""
    for k in range(3):
        box[k], box[3 + k] = min(box[k], low[k]), max(box[3 + k], high[k])


@jit
def fill_bins(low, high, members, axis, start, scale, counts, bins) -> None:  # noqa: ANN001, PLR0913
    """Number (BINS,) and box (BINS, 6) of the members whose middles fall into each bin of an axis."""
    counts[:] = 0
    for b in range(BINS):
        clear(bins[b])
    for i in members:
        b = min(int((low[i, axis] + high[i, axis] - start) * scale), BINS - 1)
        counts[b] += 1
        widen(bins[b], low[i], high[i])


@jit
def best_split(counts: np.ndarray, bins: np.ndarray, right: np.ndarray) -> tuple[int, float]:
    """The last bin of the left part, and the split's cost: surface times number, summed over both parts."""
    box = np.empty(6)
    clear(box)
    n = 0
    for b in range(BINS - 1, 0, -1):
        widen(box, bins[b, :3], bins[b, 3:])
        n += counts[b]
        right[b] = half_surface(box) * n if n else math.inf
    clear(box)
    n, best, least = 0, -1, math.inf
    for b in range(BINS - 1):
        widen(box, bins[b, :3], bins[b, 3:])
        n += counts[b]
        cost = half_surface(box) * n + right[b + 1] if n else math.inf
        if cost < least:
            best, least = b, cost
    return best, least


@jit
def part(low, high, members, axis, start, scale, last) -> int:  # noqa: ANN001, PLR0913
    """Bring the members of bins up to `last` to the front; how many they are."""
    i, j = 0, len(members)
    while i < j:
        k = members[i]
        if min(int((low[k, axis] + high[k, axis] - start) * scale), BINS - 1) <= last:
            i += 1
        else:
            j -= 1
            members[i], members[j] = members[j], k
    return i


@jit
def divide(low, high, members, box, deep, work) -> int:  # noqa: ANN001
    """Reorder the members of a node with this box into two parts; the number in the first one, 0 for a leaf."""
    n, (counts, bins, right) = len(members), work
    if n <= FEW:
        return 0
    least, most = np.full(3, math.inf), np.full(3, -math.inf)
    for i in members:
        for k in range(3):
            middle = low[i, k] + high[i, k]  # twice the middle
            least[k], most[k] = min(least[k], middle), max(most[k], middle)
    axis = int(np.argmax(most - least))
    extent = most[axis] - least[axis]
    if deep or extent < 1e-290:
        return n // 2 if n > MANY else 0
    scale = BINS / extent
    fill_bins(low, high, members, axis, least[axis], scale, counts, bins)
    last, cost = best_split(counts, bins, right)
    if n <= MANY and cost + COST * half_surface(box) >= n * half_surface(box):
        return 0
    return part(low, high, members, axis, least[axis], scale, last)


@jit
def grow(low, high, order, boxes, links) -> int:  # noqa: ANN001
    """Fill boxes and links over triangles with corners (T, 3), and `order` (T,) with the leaves'; the number of nodes.

    Depth first: nodes wait as (begin, end, parent whose second child they are or -1, depth).
    """
    work = (np.empty(BINS, np.int64), np.empty((BINS, 6)), np.empty(BINS))
    waiting = np.empty((STACK, 4), np.int64)
    waiting[0] = 0, len(order), -1, 0
    top, count = 1, 0
    while top:
        top -= 1
        begin, end, parent, depth = waiting[top]
        j = count
        count += 1
        if parent >= 0:
            links[parent, 0] = j
        clear(boxes[j])
        for i in order[begin:end]:
            widen(boxes[j], low[i], high[i])
        first = divide(low, high, order[begin:end], boxes[j], depth >= DEEP, work)
        if first:
            links[j, 1] = 0
            waiting[top] = begin + first, end, j, depth + 1
            waiting[top + 1] = begin, begin + first, -1, depth + 1
            top += 2
        else:
            links[j] = begin, end - begin
    return count


@njit(nogil=True, error_model="numpy", inline="always")
def enters(boxes, j, ox, oy, oz, ix, iy, iz, limit) -> float:  # noqa: ANN001, PLR0913
    """Where a ray enters box j, 0 or more; inf where it misses it or enters beyond `limit`. i: inverse direction."""
    a, b = (boxes[j, 0] - ox) * ix, (boxes[j, 3] - ox) * ix
    near, far = max(0.0, min(a, b)), min(limit, max(a, b))
    a, b = (boxes[j, 1] - oy) * iy, (boxes[j, 4] - oy) * iy
    near, far = max(near, min(a, b)), min(far, max(a, b))
    a, b = (boxes[j, 2] - oz) * iz, (boxes[j, 5] - oz) * iz
    near, far = max(near, min(a, b)), min(far, max(a, b))
    return near if near <= far else math.inf


@njit(nogil=True, error_model="numpy", inline="always")
def meets(corners, i, o, kx, ky, kz, sx, sy, sz) -> tuple[float, float, float, float]:  # noqa: ANN001, PLR0913
    """Distance to triangle i, inf where it is missed, and its weights; k and s: axes and shear of the ray's frame."""
    az, bz, cz = corners[i, 0, kz] - o[kz], corners[i, 1, kz] - o[kz], corners[i, 2, kz] - o[kz]
    ax, ay = corners[i, 0, kx] - o[kx] - sx * az, corners[i, 0, ky] - o[ky] - sy * az
    bx, by = corners[i, 1, kx] - o[kx] - sx * bz, corners[i, 1, ky] - o[ky] - sy * bz
    cx, cy = corners[i, 2, kx] - o[kx] - sx * cz, corners[i, 2, ky] - o[ky] - sy * cz
    u, v, w = cx * by - cy * bx, ax * cy - ay * cx, bx * ay - by * ax
    if (u < 0 or v < 0 or w < 0) and (u > 0 or v > 0 or w > 0):
        return math.inf, 0.0, 0.0, 0.0
    det = u + v + w
    if det == 0:  # seen edge on: it has no picture
        return math.inf, 0.0, 0.0, 0.0
    u, v, w = u / det, v / det, w / det
    t = (u * az + v * bz + w * cz) * sz
    return (t if t > 0 else math.inf), u, v, w


@jit
def nearest(tree, o, d, waiting, entry, weights) -> tuple[float, int]:  # noqa: ANN001
    """Distance and place in the tree of a ray's first triangle, inf and -1 where there is none; fills weights (3,).

    waiting (STACK,) and entry (STACK,): nodes to visit, the nearest on top, and where the ray enters them.
    """
    kz = 0
    for k in range(1, 3):
        kz = k if abs(d[k]) > abs(d[kz]) else kz
    kx, ky = (kz + 1) % 3, (kz + 2) % 3
    sx, sy, sz = d[kx] / d[kz], d[ky] / d[kz], 1 / d[kz]
    ox, oy, oz = o[0], o[1], o[2]
    ix, iy, iz = 1 / (d[0] if d[0] else TINY), 1 / (d[1] if d[1] else TINY), 1 / (d[2] if d[2] else TINY)
    best, found, top = math.inf, -1, 1
    waiting[0], entry[0] = 0, enters(tree.boxes, 0, ox, oy, oz, ix, iy, iz, best)
    while top:
        top -= 1
        if entry[top] >= best:
            continue
        j = waiting[top]
        first, n = tree.links[j, 0], tree.links[j, 1]
        for i in range(first, first + n):
            t, u, v, w = meets(tree.corners, i, o, kx, ky, kz, sx, sy, sz)
            if t < best:
                best, found = t, i
                weights[0], weights[1], weights[2] = u, v, w
        if n == 0:
            near, far = j + 1, first
            a = enters(tree.boxes, near, ox, oy, oz, ix, iy, iz, best)
            b = enters(tree.boxes, far, ox, oy, oz, ix, iy, iz, best)
            if b < a:
                near, far, a, b = far, near, b, a
            if b < math.inf:
                waiting[top], entry[top] = far, b
                top += 1
            if a < math.inf:
                waiting[top], entry[top] = near, a
                top += 1
    return best, found


@jit
def walk(tree, origins, directions, distance, face, weights) -> None:  # noqa: ANN001
    """`nearest` for rays (R, 3), (R, 3) into distance (R,), face (R,) and weights (R, 3), which hold that of a miss."""
    waiting, entry = np.empty(STACK, np.int64), np.empty(STACK)
    for r in range(len(origins)):
        t, i = nearest(tree, origins[r], directions[r], waiting, entry, weights[r])
        if i >= 0:
            distance[r], face[r] = t, tree.order[i]


@jit
def smooth(unit, area, group, corner, first, crease) -> np.ndarray:  # noqa: ANN001
    """Normals (T, 3, 3) float32 of triangle corners: see `corner_normals`. `corner` (3T,) lists corners by group, whose
    n-th begins at first[n] (G + 1,)."""
    out = np.empty((len(unit), 3, 3), np.float32)
    for c in range(3 * len(unit)):
        i, g = c // 3, group[c]
        x, y, z = 0.0, 0.0, 0.0
        for k in range(first[g], first[g + 1]):
            j = corner[k] // 3
            turn = unit[i, 0] * unit[j, 0] + unit[i, 1] * unit[j, 1] + unit[i, 2] * unit[j, 2]
            if abs(turn) >= crease or i == j:
                s = area[j] if turn >= 0 else -area[j]
                x, y, z = x + s * unit[j, 0], y + s * unit[j, 1], z + s * unit[j, 2]
        s = 1 / math.sqrt(x * x + y * y + z * z)  # at least its own area along its own normal
        out[i, c - 3 * i] = x * s, y * s, z * s
    return out


def corner_normals(corners: np.ndarray, crease: float) -> np.ndarray:
    """Unit normals (T, 3, 3) float32 at the corners of triangles (T, 3, 3) that have an area.

    A corner's is the mean, by area, of the normals of the triangles that share its place and whose planes differ from
    its own by at most `crease` radians, each turned to its own side: so the winding need not be the same everywhere,
    and edges sharper than that stay sharp. The triangle's own where more than 512 meet.
    """
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    group = places(corners.reshape(-1, 3))
    counts = np.bincount(group)
    crowded = np.flatnonzero(counts[group] > 512)
    group[crowded] = len(counts) + np.arange(len(crowded))
    corner = np.argsort(group, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(group))])
    return smooth(cross / area[:, None], area / area.max(), group, corner, first, math.cos(crease))


def places(points: np.ndarray) -> np.ndarray:
    """A number (N,) int64 for each point (N, 3), the same for equal points, counted from 0."""
    bits = (points + 0.0).view(np.uint64).copy()  # -0 becomes 0
    mixed = np.zeros(len(bits), np.uint64)
    for k in range(3):  # a hash of 64 bits: 1e7 points collide with a chance of 3e-6
        mixed = (mixed ^ bits[:, k]) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
    return np.unique(mixed, return_inverse=True)[1].reshape(-1).astype(np.int64)
