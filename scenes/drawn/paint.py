"""Procedural paint, in Numba: value noise, checker, parquet, marble, stripes, letters, coins.

A pattern says where between a material's two colours a point lies. Points are local to the shape.
"""

import math

import numpy as np

from scenes.drawn.shapes import Vec, jit, length

PLAIN, CHECKER, PARQUET, MARBLE, STRIPES, LETTERS, RAINBOW, COIN = range(8)  # paints; see `pattern`
# P O L Y F I E L D, seven rows of five bits each, top row first
GLYPHS = np.array(
    [
        [30, 17, 17, 30, 16, 16, 16],
        [14, 17, 17, 17, 17, 17, 14],
        [16, 16, 16, 16, 16, 16, 31],
        [17, 17, 10, 4, 4, 4, 4],
        [31, 16, 16, 30, 16, 16, 16],
        [31, 4, 4, 4, 4, 4, 31],
        [31, 16, 16, 30, 16, 16, 31],
        [16, 16, 16, 16, 16, 16, 31],
        [30, 17, 17, 17, 17, 17, 30],
    ]
)


@jit
def speck(x: int, y: int, z: int) -> float:
    """A fixed number in [0, 1) for each lattice point."""
    h = (x * 374761393 + y * 668265263 + z * 1440662683) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65536


@jit
def noise(x: float, y: float, z: float) -> float:
    """Value noise in [0, 1): lattice values blended with zero slope at the lattice points."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for c in range(8):
        a, b, e = c & 1, (c >> 1) & 1, c >> 2
        share = (u if a else 1 - u) * (v if b else 1 - v) * (w if e else 1 - w)
        total += share * speck(i + a, j + b, k + e)
    return total


@jit
def cloud(x: float, y: float, z: float) -> float:
    """Three octaves of noise, in [0, 1)."""
    a = noise(x, y, z) * 4 + noise(2.1 * x + 7, 2.1 * y, 2.1 * z) * 2 + noise(4.3 * x, 4.3 * y + 3, 4.3 * z)
    return a / 7


@jit
def checker(u: float, v: float) -> float:
    """Coarse squares; every other dark one holds squares of a fifth the size."""
    i, j = math.floor(u), math.floor(v)
    if (i + j) & 1:
        return 1.0
    if i & 1:
        return 0.0
    return 0.0 if (math.floor(5 * u) + math.floor(5 * v)) & 1 else 0.75


@jit
def parquet(p: Vec) -> float:
    """A round table top: twelve wooden wedges, an inlaid checker band between two lines, a star in the middle."""
    rho, angle = length(p[0], p[1]), math.atan2(p[1], p[0]) / (2 * math.pi) + 0.5
    if abs(rho - 1.06) < 0.085:
        if abs(rho - 1.06) > 0.06:
            return 0.0 if abs(abs(rho - 1.06) - 0.073) < 0.006 else 1.0
        return float((math.floor(angle * 84) + math.floor((rho - 1.0) / 0.04)) & 1)
    sector = math.floor(angle * 12)
    turn = (sector + 0.5) / 12 * 2 * math.pi
    x, y = -p[0] * math.cos(turn) - p[1] * math.sin(turn), p[0] * math.sin(turn) - p[1] * math.cos(turn)
    rings = 9 * y + 3.5 * noise(1.3 * x + 5 * sector, 3 * y, 0.0)
    rings = abs(2 * (rings - math.floor(rings)) - 1)
    fibre = noise(9 * x, 110 * y, float(sector))
    tone = 0.62 if sector & 1 else 0.3
    return tone + 0.24 * rings * rings + 0.18 * (fibre - 0.5)


@jit
def letters(u: float, v: float) -> float:
    """POLYFIELD in rows of five letters, each six cells wide and nine high, the first row on top."""
    line = math.floor(v / 9)
    column = math.floor(u / 6)
    x, y = math.floor(u) - 6 * column, math.floor(v) - 9 * line
    if x == 5 or y > 6:
        return 0.0
    return float((GLYPHS[(column + 5 * (2 - line)) % 9, 6 - y] >> (4 - x)) & 1)


@jit
def coin(p: Vec, n: Vec, r: float) -> float:
    """Milled edge, a rim, a ring of beads and a star."""
    angle, rho = math.atan2(p[1], p[0]), length(p[0], p[1]) / r
    if abs(n[2]) < 0.5:
        return 0.5 + 0.5 * math.sin(60 * angle)
    if rho > 0.9:
        return 1.0
    if rho > 0.72:
        return 1.0 if math.sin(24 * angle) > 0.2 and 0.76 < rho < 0.86 else 0.25
    return 1.0 if rho < 0.4 + 0.24 * math.cos(5 * angle) else 0.4


@jit
def pattern(kind: float, p: Vec, n: Vec, dims: Vec, scale: float) -> float:
    """Where between a material's two colours a local point p with normal n lies, 0 to 1."""
    if kind == PARQUET:
        return parquet(p) if n[2] > 0.5 else 0.35 + 0.3 * noise(30 * p[0], 30 * p[1], 4 * p[2])
    if kind == MARBLE:
        vein = math.sin(scale * (p[0] + 0.6 * p[1] + 0.8 * p[2]) + 9 * cloud(scale * p[0], scale * p[1], scale * p[2]))
        return 1 - (1 - abs(vein)) ** 3
    if kind == STRIPES:
        turn = math.atan2(p[1], p[0]) / (2 * math.pi)
        return 1.0 if math.sin(2 * math.pi * (4 * turn + scale * p[2])) > 0 else 0.0
    if kind == RAINBOW:
        return dims[2] + scale * p[2]
    if kind == COIN:
        return coin(p, n, dims[0])
    if kind in (CHECKER, LETTERS):
        u, v = (p[0] * n[1] - p[1] * n[0], p[2]) if abs(n[2]) < 0.5 else (p[0], p[1])
        if kind == LETTERS and abs(n[1]) > 0.5:
            return letters(scale * (dims[0] - u) - 0.5, scale * (v + dims[2]) - 0.5)
        return checker(0.2 * scale * (u + dims[0]), 0.2 * scale * (v + dims[2]))
    return 0.0
