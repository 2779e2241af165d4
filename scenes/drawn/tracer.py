"""Ray tracer in Numba for scenes that our own code draws: sun, sky, one reflection, supersampled coverage.

Light does not depend on chance: sample s of every pixel asks for the same point of the key light and the same
directions of the sky, so that shadows are soft and a surface point looks the same in every picture but for highlights
and reflections. Colours are linear until `develop`.
"""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from fields.compiled import kept
from scenes.drawn.paint import RAINBOW, pattern
from scenes.drawn.shapes import (
    AXES,
    DIMS,
    FAR,
    KIND,
    OFFSET,
    PAINT,
    Geometry,
    Vec,
    along,
    dot,
    inward,
    jit,
    nearest,
    normal,
    open_to,
    outward,
    row,
    times,
    unit,
)

KEY_COLOR = (3.2, 2.9, 2.45)
FILL = (0.83, 0.25, 0.5)  # direction of the second softbox, seen only in highlights and reflections
FILL_COLOR = (0.75, 0.9, 1.15)
WHITE = (1.0, 1.0, 1.0)
BOUNCE_COLOR = (1.0, 0.86, 0.7)
SKY_SHARE = 0.8  # brightness of the sky's light


class Lights(NamedTuple):
    """What S samples of a pixel and their shadow rays aim at."""

    pixel: np.ndarray  # (S, 2) float64 in [0, 1), place of the sample in its pixel
    draft: int  # samples after which a pixel may be done
    key: np.ndarray  # (A, 3) float64, points on the key light
    sky: np.ndarray  # (B, 3) float64, unit directions with z > 0


class Hit(NamedTuple):
    """What a ray meets."""

    p: Vec  # point, just off the surface
    n: Vec  # unit normal on the side of the viewer
    v: Vec  # unit direction to the viewer
    color: Vec  # albedo, or tint of a metal
    material: int


@jit
def glow(d: Vec, center: Vec, inner: float, outer: float) -> float:
    """A round softbox in the sky: 1 within the cosine `inner` of its centre, 0 outside `outer`."""
    x = min(max((dot(d, center) - outer) / (inner - outer), 0.0), 1.0)
    return x * x * (3 - 2 * x)


@jit
def surroundings(d: Vec, key: Vec) -> Vec:
    """What a reflection sees beyond the objects: a floor, a horizon, a sky, two softboxes, two dark window bars."""
    up = d[2]
    rise = math.sqrt(abs(up))
    if up < 0:
        color = (0.62 - 0.5 * rise, 0.52 - 0.42 * rise, 0.43 - 0.35 * rise)
    else:
        color = (1.05 - 0.85 * rise, 1.0 - 0.62 * rise, 0.98 - 0.28 * rise)
    box = 5.5 * glow(d, key, 0.955, 0.945)
    if abs(d[0] - d[2] * key[0] / key[2]) < 0.012 or abs(d[1] - d[2] * key[1] / key[2]) < 0.012:
        box = 0.0
    return along(along(color, KEY_COLOR, 0.45 * box), FILL_COLOR, 2.2 * glow(d, FILL, 0.93, 0.9))


@jit
def find(shapes, paint, o: Vec, d: Vec, t: float, i: int) -> Hit:  # noqa: ANN001
    """The surface at distance t on shape i."""
    p = along(o, d, t)
    local = inward(shapes, i, AXES, along(p, row(shapes, i, 0), -1.0))
    dims, m = row(shapes, i, DIMS), int(shapes[i, PAINT])
    side = normal(shapes[i, KIND], local, dims)
    n = outward(shapes, i, AXES, side)
    if dot(n, d) > 0:
        n = (-n[0], -n[1], -n[2])
    kind = paint[m, 6]
    f = pattern(kind, local, side, dims, paint[m, 7])
    first, second = row(paint, m, 0), row(paint, m, 3)
    if kind == RAINBOW:
        turn = 2 * math.pi * f
        color = (
            first[0] + second[0] * math.cos(turn),
            first[1] + second[1] * math.cos(turn - 2.1),
            first[2] + second[2] * math.cos(turn - 4.2),
        )
    else:
        f = min(max(f, 0.0), 1.0)
        color = along(times(first, WHITE, 1 - f), second, f)
    return Hit(along(p, n, OFFSET), n, (-d[0], -d[1], -d[2]), color, m)


@jit
def lobe(h: Hit, light: Vec, shininess: float) -> float:
    """Highlight of Blinn and Phong, scaled to keep its energy."""
    half = unit(along(h.v, light, 1.0))
    return (shininess + 8) / (8 * math.pi) * max(dot(h.n, half), 0.0) ** shininess


@jit
def lighting(g: Geometry, lights: Lights, h: Hit, s: int, share: int) -> tuple[Vec, Vec]:
    """Light that falls on a surface and highlights that it sends to the viewer.

    Sample s of `share` uses its own part of the shadow rays; sample 0 of 1 uses all.
    """
    shininess = g.paint[h.material, 9]
    light, glint = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    for j in range(s % share, len(lights.key), share):
        key = along(row(lights.key, j, 0), h.p, -1.0)
        distance = math.sqrt(dot(key, key))
        key = unit(key)
        slope = dot(h.n, key) * share / len(lights.key)
        if slope > 0 and open_to(g.shapes, g.nodes, h.p, key, distance):
            light = along(light, KEY_COLOR, slope)
            glint = along(glint, KEY_COLOR, slope * lobe(h, key, shininess))
    for j in range(s % share, len(lights.sky), share):
        sky = row(lights.sky, j, 0)
        slope = dot(h.n, sky) * share / len(lights.sky)
        if slope > 0 and open_to(g.shapes, g.nodes, h.p, sky, FAR):
            color = (0.75 + 0.2 * sky[0], 0.85 + 0.16 * sky[0], 1.0 + 0.1 * sky[0])
            light = along(light, color, SKY_SHARE * 2 * slope)
    slope = dot(h.n, FILL)
    if slope > 0:
        glint = along(glint, FILL_COLOR, 0.9 * slope * lobe(h, FILL, shininess))
    bounce = 0.07 + 0.11 * (1 - h.n[2])  # the table and the floor give a little warm light back
    return along(light, BOUNCE_COLOR, bounce), glint


@jit
def tint(paint, h: Hit) -> Vec:  # noqa: ANN001
    """Colour of highlights and reflections: a metal's own, else white."""
    metal = paint[h.material, 11]
    return 1 + metal * (h.color[0] - 1), 1 + metal * (h.color[1] - 1), 1 + metal * (h.color[2] - 1)


@jit
def leaving(paint, h: Hit, light: Vec, glint: Vec) -> Vec:  # noqa: ANN001
    """Light towards the viewer, without reflections."""
    diffuse = times(h.color, light, 1 - 0.85 * paint[h.material, 11])
    return along(diffuse, times(tint(paint, h), glint, 1.0), paint[h.material, 8])


@jit
def shine(paint, h: Hit) -> float:  # noqa: ANN001
    """Share of the light that comes from a mirror reflection; a faint one is left out, as it is not worth a ray."""
    mirror, spec, metal = paint[h.material, 10], paint[h.material, 8], paint[h.material, 11]
    fresnel = spec + (1 - spec) * (1 - max(dot(h.n, h.v), 0.0)) ** 5
    return max(mirror * fresnel - 0.1 * (1 - metal), 0.0)


@jit
def develop(c: float) -> float:
    """Linear light to a display value in [0, 1]: the filmic curve fitted by Narkowicz (2015), then a gamma of 2."""
    c *= 0.5
    return math.sqrt(min(c * (2.51 * c + 0.03) / (c * (2.43 * c + 0.59) + 0.14), 1.0))


class Memo(NamedTuple):
    """The light on the surface that a pixel's last sample met, which its next samples share."""

    material: int  # -1: the sample met nothing
    n: Vec
    light: Vec
    glint: Vec


@jit
def sample(g: Geometry, lights: Lights, o: Vec, d: Vec, s: int, memo: Memo) -> tuple[Vec, Memo]:
    """Light that comes along a ray, with one mirror reflection where the material has one."""
    total, weight = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    for bounce in range(2):
        t, i = nearest(g.shapes, g.nodes, o, d)
        if i < 0:
            if bounce == 0:
                return total, Memo(-1, memo.n, memo.light, memo.glint)
            return along(total, times(weight, surroundings(d, unit(row(lights.key, 0, 0))), 1.0), 1.0), memo
        h = find(g.shapes, g.paint, o, d, t, i)
        light, glint = memo.light, memo.glint
        if bounce or h.material != memo.material or dot(h.n, memo.n) < 0.95:
            light, glint = lighting(g, lights, h, s, 4 if bounce else 2 if memo.material >= 0 else 1)
            if bounce == 0:
                memo = Memo(h.material, h.n, light, glint)
        share = shine(g.paint, h) if bounce == 0 else 0.0
        total = along(total, times(weight, leaving(g.paint, h, light, glint), 1.0), 1 - share)
        if share == 0:
            break
        weight = times(weight, tint(g.paint, h), share)
        o, d = h.p, along(d, h.n, -2 * dot(d, h.n))
    return total, memo


def compile_strip(stamp: int):  # noqa: ANN201
    """The compiled entry. Numba's cache knows a kernel by its file and by what it closes over: `stamp`, a hash of
    all sources, renews it when shapes or paint change. Not `parallel`, which takes a second longer to compile."""

    @njit(nogil=True, cache=kept(), error_model="numpy")
    def strip(g, lights, camera, top, out):  # noqa: ANN001
        """Rows of a picture from row `top` on, into out (h, W, 4) uint8.

        camera (1, 16): the axes right, up, back; the eye; fx fy cx cy. A pixel whose first samples show one smooth
        surface, or nothing, does without the others.
        """
        for job in range(out.shape[0] * out.shape[1] + 0 * stamp):
            y, x = job // out.shape[1], job % out.shape[1]
            total, count, covered, plain = (0.0, 0.0, 0.0), 0, 0, True
            memo = Memo(-2, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
            for s in range(len(lights.pixel)):
                if s == lights.draft and plain:
                    break
                u = (x + lights.pixel[s, 0] - camera[0, 14]) / camera[0, 12]
                v = (top + y + lights.pixel[s, 1] - camera[0, 15]) / camera[0, 13]
                d = unit(outward(camera, 0, 0, (u, -v, -1.0)))
                c, found = sample(g, lights, row(camera, 0, 9), d, s, memo)
                plain = plain and (count == 0 or (found.material == memo.material and found.n == memo.n))
                memo = found
                count += 1
                if memo.material >= 0:
                    total = along(total, (develop(c[0]), develop(c[1]), develop(c[2])), 1.0)
                    covered += 1
            scale = 255 / max(covered, 1)
            for k in range(3):
                out[y, x, k] = int(total[k] * scale + 0.5)
            out[y, x, 3] = int(255 * covered / count + 0.5)

    return strip


def sources() -> bytes:
    """Text of all files that decide what a picture looks like."""
    folder = Path(__file__).parent
    return b"".join((folder / f"{name}.py").read_bytes() for name in ("shapes", "paint", "tracer", "still_life"))


strip = compile_strip(int(hashlib.sha256(sources()).hexdigest()[:8], 16))


def spiral(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spread numbers in (0, 1) and angles (count,), in an order that puts neighbours far apart."""
    k = np.arange(count) * 5 % count
    return (k + 0.5) / count, k * math.pi * (3 - math.sqrt(5))


def lights(side: int, key: int = 8, sky: int = 12) -> Lights:
    """side x side samples per pixel in multi-jittered places; points of a round key light and of an even sky."""
    i, j = np.divmod(np.arange(side * side), side)
    pixel = np.stack([(i + (j + 0.5) / side) / side, (j + (i + 0.5) / side) / side], -1)
    draft = len(pixel)
    if side == 3:  # the four corners first: most pixels need no more
        pixel, draft = pixel[[0, 8, 2, 6, 4, 1, 3, 5, 7]], 4
    center = np.array([-2.4, -2.9, 4.6])
    axis = center / np.linalg.norm(center)
    right = np.cross([0, 0, 1.0], axis)
    right /= np.linalg.norm(right)
    radius, turn = spiral(key)
    disc = np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * np.cross(axis, right)
    z, angle = spiral(sky)
    flat = np.sqrt(1 - z * z)
    points = center + 0.36 * np.sqrt(radius)[:, None] * disc
    return Lights(pixel, draft, points, np.stack([flat * np.cos(angle), flat * np.sin(angle), z], -1))
