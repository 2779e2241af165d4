"""The built-in still life: what stands on the round table, in input units (z up, table top at z = 0, 2.6 across)."""

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from scenes.drawn.paint import COIN, LETTERS, MARBLE, PARQUET, PLAIN, RAINBOW, STRIPES
from scenes.drawn.shapes import BOX, DRUM, RING, ROD, SPHERE, Geometry

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """A material."""

    first: Triple  # linear RGB
    second: Triple = (0.0, 0.0, 0.0)  # linear RGB where the pattern is 1
    pattern: int = PLAIN
    scale: float = 1.0  # pattern periods per input unit
    reflectance: float = 0.04  # at normal incidence, 0 to 1
    shininess: float = 60.0  # exponent of the highlight
    mirror: float = 0.0  # share of the Fresnel reflection that shows other objects, 0 to 1
    metal: float = 0.0  # 1: highlights and reflections take the colour, diffuse light fades

    def row(self) -> list[float]:
        """As a row of Geometry.paint."""
        last = [self.pattern, self.scale, self.reflectance, self.shininess, self.mirror, self.metal]
        return [*self.first, *self.second, *last]


@dataclass(frozen=True)
class Solid:
    """One solid; `dims` as in scenes/drawn/shapes.py."""

    kind: int
    center: Triple
    dims: Triple
    paint: Paint
    axis: Triple = (0.0, 0.0, 1.0)  # direction of the shape's z
    turn: float = 0.0  # radians about its axis

    def frame(self) -> np.ndarray:
        """(3, 3) float64, rows are the local axes."""
        z = np.array(self.axis) / np.linalg.norm(self.axis)
        x = np.cross([0.0, 0.0, 1.0], z) if abs(z[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
        x /= np.linalg.norm(x)
        y = np.cross(z, x)
        c, s = math.cos(self.turn), math.sin(self.turn)
        return np.stack([c * x + s * y, c * y - s * x, z])

    def reach(self, d: np.ndarray) -> np.ndarray:
        """Support function: how far the shape extends along the vectors d (N, 3), as values (N,)."""
        v = d @ self.frame().T
        flat, size = np.hypot(v[:, 0], v[:, 1]), np.linalg.norm(v, axis=1)
        a, b, c = self.dims
        if self.kind == BOX:
            own = np.abs(v) @ np.array([a, b, c])
        elif self.kind == DRUM:
            own = a * flat + b * np.abs(v[:, 2])
        elif self.kind == RING:
            own = a * flat + b * size
        else:
            own = a * size + (b * np.abs(v[:, 2]) if self.kind == ROD else 0)
        return own + d @ np.array(self.center)


def sphere(center: Triple, r: float, paint: Paint, top: float = math.inf) -> Solid:
    """Open above `top` over its centre."""
    return Solid(SPHERE, center, (r, top, 0.0), paint)


def drum(center: Triple, r: float, half: float, paint: Paint, turn: float = 0.0) -> Solid:
    """Upright flat cylinder."""
    return Solid(DRUM, center, (r, half, 0.0), paint, turn=turn)


def rod(a: np.ndarray, b: np.ndarray, r: float, paint: Paint, phase: float = 0.0) -> Solid:
    """Round rod between two points (3,)."""
    x, y, z = ((a + b) / 2).tolist()
    u, v, w = (b - a).tolist()
    return Solid(ROD, (x, y, z), (r, float(np.linalg.norm(b - a)) / 2, phase), paint, (u, v, w))


def ring(center: Triple, big: float, small: float, paint: Paint, axis: Triple = (0.0, 0.0, 1.0)) -> Solid:
    """Torus around `axis`."""
    return Solid(RING, center, (big, small, 0.0), paint, axis)


BRASS = Paint((0.86, 0.58, 0.22), reflectance=0.65, shininess=120, mirror=1.0, metal=1.0)
STEEL = Paint((0.62, 0.64, 0.68), reflectance=0.5, shininess=90, metal=0.6)
CHROME = Paint((0.93, 0.95, 0.97), reflectance=0.86, shininess=900, mirror=1.0, metal=1.0)


def table() -> list[Solid]:
    """Round parquet table with a brass rim on a dark marble step and four feet."""
    wood = Paint((0.11, 0.04, 0.015), (0.62, 0.36, 0.15), PARQUET, 1.0, 0.04, 90, 1.0)
    stone = Paint((0.02, 0.03, 0.035), (0.5, 0.5, 0.46), MARBLE, 3.0, 0.05, 150, 1.0)
    feet = [sphere((0.78 * x, 0.78 * y, -0.33), 0.1, BRASS) for x in (-1, 1) for y in (-1, 1)]
    top = [drum((0.0, 0.0, -0.05), 1.24, 0.05, wood), ring((0.0, 0.0, -0.05), 1.24, 0.05, BRASS)]
    return [*top, drum((0.0, 0.0, -0.17), 1.06, 0.07, stone), *feet]


def block() -> list[Solid]:
    """A turned block, lettered on two sides and checkered on the others."""
    ink = Paint((0.86, 0.82, 0.72), (0.05, 0.09, 0.3), LETTERS, 50.0, 0.04, 60)
    return [Solid(BOX, (-0.42, 0.26, 0.26), (0.3, 0.3, 0.26), ink, turn=0.45)]


def knot() -> list[Solid]:
    """A trefoil knot that stands on the block, its colour running around once."""
    hue = Paint((0.5, 0.42, 0.45), (0.42, 0.36, 0.4), RAINBOW, 0.32, 0.05, 220, 1.0)
    count, size, r = 144, 0.112, 0.062
    t = np.linspace(0, 2 * math.pi, count + 1)
    curve = size * np.stack([np.sin(t) + 2 * np.sin(2 * t), 1.3 * np.sin(3 * t), np.cos(t) - 2 * np.cos(2 * t)], -1)
    c, s = math.cos(0.6), math.sin(0.6)
    curve = curve @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    curve += np.array([-0.42, 0.26, 0.52 + r - curve[:, 2].min()])
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    middle = np.cumsum(length) - length / 2
    hue = replace(hue, scale=1 / float(length.sum()))
    phases = (middle / length.sum()).tolist()
    return [rod(curve[i], curve[i + 1], r, hue, phases[i]) for i in range(count)]


def tower() -> list[Solid]:
    """A hyperboloid of thin straight rods between three rings, with a ball inside."""
    x, y, height, r = 0.44, 0.5, 1.3, 0.35
    rods = []
    for k in range(12):
        for twist in (-1.9, 1.9):
            a = 2 * math.pi * k / 12
            low = np.array([x + r * math.cos(a), y + r * math.sin(a), 0.02])
            high = np.array([x + 0.86 * r * math.cos(a + twist), y + 0.86 * r * math.sin(a + twist), height])
            cuts = [low + (high - low) * k / 4 for k in range(5)]  # short pieces have tight boxes
            rods += [rod(u, v, 0.0105, STEEL) for u, v in itertools.pairwise(cuts)]
    rings = [ring((x, y, 0.025), r, 0.025, BRASS), ring((x, y, height), 0.86 * r, 0.022, BRASS)]
    warm = Paint((0.55, 0.32, 0.3), (0.42, 0.26, 0.28), RAINBOW, 1.9, 0.04, 40)
    return [*rods, *rings, sphere((x, y, 0.21), 0.2, warm)]


def coins() -> list[Solid]:
    """A stack of seven coins, not quite straight, and one that leans on it."""
    gold = Paint((0.55, 0.3, 0.06), (1.0, 0.72, 0.26), COIN, 1.0, 0.6, 160, 1.0, 1.0)
    shift = [(0.0, 0.0), (0.012, -0.01), (-0.014, 0.006), (0.008, 0.015), (0.02, 0.0), (-0.01, -0.012), (0.004, 0.01)]
    stack = [
        drum((-0.36 + u, -0.74 + v, 0.024 + 0.048 * k), 0.16, 0.023, gold, 0.7 * k) for k, (u, v) in enumerate(shift)
    ]
    tilt = 1.12
    axis = (-math.sin(tilt), 0.0, math.cos(tilt))
    foot = 0.16 * math.sin(tilt) + 0.023 * math.cos(tilt)
    lean = Solid(DRUM, (-0.36 - 0.16 - 0.16 * math.cos(tilt) + 0.005, -0.76, foot), (0.16, 0.023, 0.0), gold, axis)
    return [*stack, lean]


def bowl() -> list[Solid]:
    """A thin hollow bowl with a rim, and four balls in it."""
    x, y, r = -0.84, -0.3, 0.25
    glaze = Paint((0.02, 0.16, 0.2), (0.75, 0.86, 0.8), MARBLE, 5.0, 0.05, 200, 1.0)
    shell = [sphere((x, y, r), r, glaze, 0.0), sphere((x, y, r), r - 0.022, glaze, 0.0)]
    rim = ring((x, y, r), r - 0.011, 0.012, BRASS)
    colors = [(0.75, 0.06, 0.05), (0.85, 0.5, 0.05), (0.12, 0.42, 0.1), (0.5, 0.06, 0.3)]
    places = [(0.09, 0.0, -0.07), (-0.05, 0.085, -0.07), (-0.05, -0.085, -0.07), (0.0, 0.0, 0.06)]
    balls = [
        sphere((x + u, y + v, r + w), 0.086, Paint(color, reflectance=0.05, shininess=250, mirror=1.0))
        for color, (u, v, w) in zip(colors, places, strict=True)
    ]
    return [*shell, rim, *balls]


def small_things() -> list[Solid]:
    """Chrome ball; armillary rings around a marble egg; fluted column with a red ball; striped sticks."""
    stone = Paint((0.08, 0.06, 0.05), (0.9, 0.84, 0.76), MARBLE, 7.0, 0.05, 150, 1.0)
    at = (0.9, 0.0, 0.24)
    axes = ((1.0, 0.2, 0.1), (0.1, 1.0, -0.4), (0.3, -0.4, 1.0))
    rings = [ring(at, 0.225 - 0.004 * k, 0.0095, BRASS, axis) for k, axis in enumerate(axes)]
    column = Paint((0.5, 0.46, 0.4), (0.9, 0.88, 0.84), STRIPES, 0.0, 0.04, 40)
    red = Paint((0.62, 0.03, 0.025), reflectance=0.05, shininess=400, mirror=1.0)
    x, y = -0.12, 0.88
    post = [drum((x, y, 0.22), 0.11, 0.2, column), drum((x, y, 0.02), 0.14, 0.02, stone)]
    post += [drum((x, y, 0.44), 0.14, 0.02, stone), sphere((x, y, 0.46 + 0.11), 0.11, red)]
    candy = Paint((0.85, 0.83, 0.8), (0.7, 0.03, 0.04), STRIPES, 14.0, 0.05, 150, 1.0)
    mint = Paint((0.85, 0.83, 0.8), (0.02, 0.35, 0.22), STRIPES, 14.0, 0.05, 150, 1.0)
    sticks = [
        rod(np.array([-0.08, -0.98, 0.032]), np.array([0.62, -0.9, 0.032]), 0.03, candy),
        rod(np.array([0.12, -1.02, 0.032]), np.array([0.5, -0.84, 0.092]), 0.03, mint),
    ]
    return [sphere((0.38, -0.42, 0.34), 0.34, CHROME), *rings, sphere(at, 0.13, stone), *post, *sticks]


def tree(low: np.ndarray, high: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Box tree over shapes with corners (P, 3), split where the summed surface of the halves is least.

    Returns the order (P,) in which the shapes are to be stored, and Geometry.nodes.
    """
    order: list[int] = []
    nodes: list[list[float]] = []

    def grow(members: np.ndarray) -> None:
        index, first = len(nodes), len(order)
        nodes.append([*low[members].min(0), *high[members].max(0)])
        left, right = split(members, low, high)
        if len(left):
            grow(left)
            grow(right)
            first = len(order)
        else:
            order.extend(right.tolist())
        nodes[index] += [len(nodes), first, len(order)]

    grow(np.arange(len(low)))
    return order, np.array(nodes)


def split(members: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best two parts of `members` (n,), the first one empty where they had better stay together."""
    best, parts = math.inf, (members[:0], members)
    if len(members) > 1:
        best = float(surface(low[members].min(0), high[members].max(0))) * (len(members) - 1.5)
    for axis in range(3 if len(members) > 1 else 0):
        m = members[np.argsort(low[members, axis] + high[members, axis], kind="stable")]
        left = surface(np.minimum.accumulate(low[m]), np.maximum.accumulate(high[m]))[:-1]
        right = surface(np.minimum.accumulate(low[m][::-1]), np.maximum.accumulate(high[m][::-1]))[-2::-1]
        cost = left * np.arange(1, len(m)) + right * np.arange(len(m) - 1, 0, -1)
        k = int(cost.argmin())
        if cost[k] < best:
            best, parts = float(cost[k]), (m[: k + 1], m[k + 1 :])
    return parts


def surface(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Half the surface (n,) of boxes with corners (n, 3)."""
    x, y, z = (high - low).T
    return x * y + y * z + z * x


@functools.cache
def shapes() -> tuple[Solid, ...]:
    """All that there is."""
    return (*small_things(), *block(), *bowl(), *coins(), *tower(), *knot(), *table())


def reach(d: np.ndarray) -> np.ndarray:
    """Support function of the whole: how far it extends along the vectors d (N, 3), as values (N,)."""
    return np.max([shape.reach(d) for shape in shapes()], 0)


@functools.cache
def build() -> tuple[Geometry, np.ndarray]:
    """The whole scene, and its tight bounds (2, 3) in input units."""
    axes = np.eye(3)
    low, high = np.stack([-s.reach(-axes) for s in shapes()]), np.stack([s.reach(axes) for s in shapes()])
    order, nodes = tree(low - 1e-9, high + 1e-9)
    members = [shapes()[i] for i in order]
    paints = list(dict.fromkeys(s.paint for s in members))
    rows = [[*s.center, *s.frame().ravel(), *s.dims, s.kind, paints.index(s.paint)] for s in members]
    geometry = Geometry(np.array(rows, dtype=float), nodes, np.array([p.row() for p in paints], dtype=float))
    return geometry, np.stack([low.min(0), high.max(0)])
