"""Polygons made triangles by ear cutting (Meisters 1975; Eberly, "Triangulation by Ear Clipping", 2002), in Numba.

A polygon is flattened along its normal by Newell's sum, so that it need not be plane. One that is convex becomes the
fan around its first corner, without a kernel. A cut is tested against the corners that bend inward alone, which makes a
polygon cost its corners times those; what is asked of a kernel at once is bounded, so that Ctrl-C is heard.

All kernels are in this file: Numba's cache renews them only when the file of their entry changes.
"""

import math

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER, KERNEL

HARDEST = 3e8  # corners times inward corners of one polygon, about a third of a second
PATIENCE = 4  # times that number of tests, after which corners are cut off unseen
STRAIGHT = 1e-10  # sine of the bend below which a corner counts as straight
jit = njit(**INNER)


def cut(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, int]:
    """Triangles (T, 3) int64, which name corners, and how many polygons cross themselves.

    Polygon i has the corners `points` (K, 3) float64, finite, from starts[i] to starts[i + 1]; starts (P + 1,) int64.
    One with fewer than 3 corners gives none. ValueError for a polygon that would take too long.
    """
    counts = np.diff(starts)
    triangles, first = fans(starts)
    if (counts <= 3).all():
        return triangles, 0
    flat, inward = flatten(points, starts)
    work = counts * inward
    if work.max() > HARDEST:
        worst = int(work.argmax())
        raise ValueError(
            f"a polygon of {counts[worst]} corners, {inward[worst]} of them inward, is too much to split; wanted at "
            f"most {HARDEST:.0e} as their product"
        )
    concave = np.flatnonzero((inward > 0) & (counts > 3))
    turns = (np.cumsum(work[concave]) // HARDEST).astype(np.int64)  # polygons of one number are cut at once
    crossing = 0
    for turn in np.unique(turns):
        crossing += clip_all(flat, starts, concave[turns == turn], first, triangles)
    return triangles, crossing


def fans(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3) around the first corner of each polygon, and where those of each begin (P + 1,)."""
    counts = np.maximum(np.diff(starts) - 2, 0)
    first = np.concatenate([[0], np.cumsum(counts)])
    corner = np.repeat(starts[:-1], counts)
    second = corner + 1 + np.arange(first[-1]) - np.repeat(first[:-1], counts)
    return np.stack([corner, second, second + 1], 1), first


def flatten(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (K, 2) in the plane across their polygon's normal, so turned that they go round to the left, and how many
    (P,) of each polygon bend to the right there, or not at all."""
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    some = np.flatnonzero(np.diff(starts))
    after, before = np.arange(1, len(points) + 1), np.arange(-1, len(points) - 1)
    after[starts[some + 1] - 1], before[starts[some]] = starts[some], starts[some + 1] - 1
    a = points - points[starts[owner]]
    b = a[after]
    sums = [(a[:, u] - b[:, u]) * (a[:, v] + b[:, v]) for u, v in ((1, 2), (2, 0), (0, 1))]
    normal = np.stack([np.bincount(owner, one, len(starts) - 1) for one in sums], 1)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > 0, normal / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
    x = np.cross(np.eye(3)[np.abs(normal).argmin(1)], normal)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(normal, x)
    flat = np.stack([np.einsum("kc,kc->k", a, axis[owner]) for axis in (x, y)], 1)
    d, e = flat - flat[before], flat[after] - flat
    cross = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    bent = cross <= STRAIGHT * np.sqrt((d * d).sum(1) * (e * e).sum(1))
    return flat, np.bincount(owner, bent, len(starts) - 1).astype(np.int64)


@jit
def bend(flat, i, j, k) -> int:  # noqa: ANN001
    """1 where the way over corners i, j, k turns to the left, -1 to the right, 0 where it is straight or comes back."""
    x, y, u, v = flat[j, 0] - flat[i, 0], flat[j, 1] - flat[i, 1], flat[k, 0] - flat[j, 0], flat[k, 1] - flat[j, 1]
    cross = x * v - y * u
    if abs(cross) <= STRAIGHT * math.sqrt((x * x + y * y) * (u * u + v * v)):
        return 0
    return 1 if cross > 0 else -1


@jit
def left_of(ax, ay, bx, by, px, py) -> float:  # noqa: ANN001
    """At least 0 where p lies on the line from a to b or left of it."""
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


@jit
def is_ear(flat, i, before, after, bent, count) -> bool:  # noqa: ANN001
    """Whether corner i, which bends to the left, can be cut off: no inward corner lies in the triangle or on its edge.
    One in the place of the triangle's own corners does no harm: bridges to holes go to and fro."""
    a, c = before[i], after[i]
    ax, ay, bx, by, cx, cy = flat[a, 0], flat[a, 1], flat[i, 0], flat[i, 1], flat[c, 0], flat[c, 1]
    for k in range(count):
        x, y = flat[bent[k], 0], flat[bent[k], 1]
        if left_of(ax, ay, bx, by, x, y) < 0 or left_of(bx, by, cx, cy, x, y) < 0 or left_of(cx, cy, ax, ay, x, y) < 0:
            continue
        if before[bent[k]] < 0 or (x == ax and y == ay) or (x == bx and y == by) or (x == cx and y == cy):
            continue  # cut off already, or a corner's place
        return False
    return True


@jit
def keep_inward(flat, before, after, bent, count) -> int:  # noqa: ANN001
    """Leave out of `bent` the corners that are cut off (before < 0) or bend to the left by now; how many are left."""
    kept = 0
    for k in range(count):
        i = bent[k]
        if before[i] >= 0 and bend(flat, before[i], i, after[i]) <= 0:
            bent[kept] = i
            kept += 1
    return kept


@jit
def next_ear(flat, i, left, before, after, work) -> tuple[int, bool]:  # noqa: ANN001
    """The first of the `left` corners from i on that can be cut off; else one that is straight, else one that bends to
    the left, else i; and whether it was none of the first two. `work`: inward corners, their number, tests made."""
    bent, tests = work
    straight, convex, start = -1, -1, i
    for _ in range(left):
        turn = bend(flat, before[i], i, after[i])
        if turn > 0 and tests[1] < PATIENCE * HARDEST:
            tests[1] += tests[0] + 1
            if is_ear(flat, i, before, after, bent, tests[0]):
                return i, False
        if turn == 0 and straight < 0:
            straight = i
        if turn > 0 and convex < 0:
            convex = i
        if convex >= 0 and tests[1] >= PATIENCE * HARDEST:
            break
        i = after[i]
    if straight >= 0:
        return straight, False
    return (convex if convex >= 0 else start), True


@jit
def clip(flat, triangles) -> bool:  # noqa: ANN001
    """Fill triangles (n - 2, 3) with those of a polygon (n, 2) that goes round to the left; whether it crosses
    itself."""
    n = len(flat)
    before, after = np.arange(-1, n - 1), np.arange(1, n + 1)
    before[0], after[n - 1] = n - 1, 0
    bent, tests = np.arange(n), np.zeros(2, np.int64)
    tests[0] = keep_inward(flat, before, after, bent, n)
    i, crossing, old = 1 % n, False, 0
    for t in range(n - 2):
        i, wrong = next_ear(flat, i, n - t, before, after, (bent, tests))
        crossing |= wrong
        a, c = before[i], after[i]
        triangles[t, 0], triangles[t, 1], triangles[t, 2] = a, i, c
        after[a], before[c], before[i] = c, a, -1
        old += 1
        if 8 * old > tests[0]:
            tests[0], old = keep_inward(flat, before, after, bent, tests[0]), 0
        i = c
    return crossing


@njit(**KERNEL)
def clip_all(flat, starts, chosen, first, triangles) -> int:  # noqa: ANN001
    """Fill triangles, of polygon p from first[p] on, with those of the chosen polygons; how many of these cross
    themselves."""
    crossing = 0
    for p in chosen:
        mine = triangles[first[p] : first[p + 1]]
        crossing += clip(flat[starts[p] : starts[p + 1]], mine)
        mine += starts[p]
    return crossing
