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

from scenes.paint import RAINBOW, pattern
from scenes.shapes import FAR, OFFSET, Geometry, Vec, along, dot, inward, jit, nearest, normal, open_to, outward, row
from scenes.shapes import times, unit

KEY_COLOR = (2.9, 2.65, 2.3)
FILL = (0.83, 0.25, 0.5)  # direction of the second softbox, seen only in highlights and reflections
FILL_COLOR = (0.75, 0.9, 1.15)
BOUNCE_COLOR = (1.0, 0.86, 0.7)
SKY_SHARE = 0.92  # brightness of the sky's light


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
    high, low = max(up, 0.0), max(-up, 0.0)
    edge = math.exp(-9 * abs(up))
    sky = (0.34 + 0.3 * high + 0.5 * edge, 0.40 + 0.38 * high + 0.42 * edge, 0.52 + 0.55 * high + 0.3 * edge)
    if up < 0:
        sky = (0.5 * math.exp(-4 * low) + 0.16, 0.44 * math.exp(-4 * low) + 0.14, 0.4 * math.exp(-4 * low) + 0.12)
    box = 5.5 * glow(d, key, 0.955, 0.945)
    if abs(d[0] - d[2] * key[0] / key[2]) < 0.012 or abs(d[1] - d[2] * key[1] / key[2]) < 0.012:
        box = 0.0
    return along(along(sky, KEY_COLOR, 0.45 * box), FILL_COLOR, 2.2 * glow(d, FILL, 0.93, 0.9))


@jit
def find(g: Geometry, o: Vec, d: Vec, t: float, i: int) -> Hit:
    """The surface at distance t on shape i."""
    p = along(o, d, t)
    local = inward(g.frame, i, along(p, row(g.center, i), -1.0))
    m = g.material[i]
    side = normal(g.kind[i], local, row(g.dims, i))
    n = outward(g.frame, i, side)
    if dot(n, d) > 0:
        n = (-n[0], -n[1], -n[2])
    kind = int(g.paint[m, 6])
    f = pattern(kind, local, side, row(g.dims, i), g.paint[m, 7])
    first, second = row(g.paint, m), row(g.paint, m, 3)
    if kind == RAINBOW:
        turn = 2 * math.pi * f
        color = (
            first[0] + second[0] * math.cos(turn),
            first[1] + second[1] * math.cos(turn - 2.1),
            first[2] + second[2] * math.cos(turn - 4.2),
        )
    else:
        f = min(max(f, 0.0), 1.0)
        color = along(times(first, (1.0, 1.0, 1.0), 1 - f), second, f)
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
    shine = g.paint[h.material, 9]
    light, glint = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    for j in range(s % share, len(lights.key), share):
        key = along(row(lights.key, j), h.p, -1.0)
        distance = math.sqrt(dot(key, key))
        key = unit(key)
        slope = dot(h.n, key) * share / len(lights.key)
        if slope > 0 and open_to(g, h.p, key, distance):
            light = along(light, KEY_COLOR, slope)
            glint = along(glint, KEY_COLOR, slope * lobe(h, key, shine))
    for j in range(s % share, len(lights.sky), share):
        sky = row(lights.sky, j)
        slope = dot(h.n, sky) * share / len(lights.sky)
        if slope > 0 and open_to(g, h.p, sky, FAR):
            color = (0.75 + 0.2 * sky[0], 0.85 + 0.16 * sky[0], 1.0 + 0.1 * sky[0])
            light = along(light, color, SKY_SHARE * 2 * slope)
    slope = dot(h.n, FILL)
    if slope > 0:
        glint = along(glint, FILL_COLOR, 0.9 * slope * lobe(h, FILL, shine))
    bounce = 0.07 + 0.11 * (1 - h.n[2])  # the table and the floor give a little warm light back
    return along(light, BOUNCE_COLOR, bounce), glint


@jit
def tint(g: Geometry, h: Hit) -> Vec:
    """Colour of highlights and reflections: a metal's own, else white."""
    metal = g.paint[h.material, 11]
    return 1 + metal * (h.color[0] - 1), 1 + metal * (h.color[1] - 1), 1 + metal * (h.color[2] - 1)


@jit
def leaving(g: Geometry, h: Hit, light: Vec, glint: Vec) -> Vec:
    """Light towards the viewer, without reflections."""
    diffuse = times(h.color, light, 1 - 0.85 * g.paint[h.material, 11])
    return along(diffuse, times(tint(g, h), glint, 1.0), g.paint[h.material, 8])


@jit
def reflected(g: Geometry, lights: Lights, h: Hit, s: int, total: Vec) -> Vec:
    """`total` with one mirror reflection laid over it, where the material has one that is worth a ray."""
    mirror, spec, metal = g.paint[h.material, 10], g.paint[h.material, 8], g.paint[h.material, 11]
    cosine = max(dot(h.n, h.v), 0.0)
    share = mirror * (spec + (1 - spec) * (1 - cosine) ** 5) - 0.06 * (1 - metal)
    if share <= 0:
        return total
    d = along((-h.v[0], -h.v[1], -h.v[2]), h.n, 2 * cosine)
    t, i = nearest(g, h.p, d)
    if i >= 0:
        other = find(g, h.p, d, t, i)
        light, glint = lighting(g, lights, other, s, 4)
        image = leaving(g, other, light, glint)
    else:
        image = surroundings(d, unit(row(lights.key, 0)))
    return along(times(total, (1.0, 1.0, 1.0), 1 - share), times(tint(g, h), image, 1.0), share)


@jit
def develop(c: float) -> float:
    """Linear light to a display value in [0, 1]: Reinhard's curve with white at 4.1, then a gamma of 2."""
    c *= 0.72
    return min(math.sqrt(c * (1 + c / 17) / (1 + c)), 1.0)


def kernels(stamp: int):  # noqa: ANN201
    """The two compiled entries. Numba's cache knows a kernel by its file and by what it closes over: `stamp`, a hash of
    all sources, renews it when shapes or paint change. Not `parallel`, which takes a second longer to compile."""

    @njit(nogil=True, cache=True, error_model="numpy")
    def strip(g, lights, camera, top, out):  # noqa: ANN001, ANN202
        """Rows of a picture from row `top` on, into out (h, W, 4) uint8; camera (1, 16): the axes right, up, back; the eye; fx fy cx cy.
        Samples of a pixel share the light that falls on a surface, its colour and reflections are each one's own. A pixel whose
        first samples show one smooth surface or nothing does without the others."""
        samples, draft = len(lights.pixel) + 0 * stamp, lights.draft
        eye = row(camera, 0, 9)
        for job in range(out.shape[0] * out.shape[1]):
            y, x = job // out.shape[1], job % out.shape[1]
            total, count, covered, last = (0.0, 0.0, 0.0), 0, 0, -2
            light, glint, side, plain = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), True
            for s in range(samples):
                if s == draft and plain:
                    break
                count += 1
                u = (x + lights.pixel[s, 0] - camera[0, 14]) / camera[0, 12]
                v = (top + y + lights.pixel[s, 1] - camera[0, 15]) / camera[0, 13]
                d = unit(outward(camera, 0, (u, -v, -1.0)))
                t, i = nearest(g, eye, d)
                if i < 0:
                    plain, last = plain and last < 0, -1
                    continue
                h = find(g, eye, d, t, i)
                if i != last or dot(h.n, side) < 0.95:
                    light, glint = lighting(g, lights, h, 0, 1)
                    plain, last, side = last == -2, i, h.n
                c = reflected(g, lights, h, s, leaving(g, h, light, glint))
                total = along(total, (develop(c[0]), develop(c[1]), develop(c[2])), 1.0)
                covered += 1
            scale = 255 / max(covered, 1)
            for k in range(3):
                out[y, x, k] = int(total[k] * scale + 0.5)
            out[y, x, 3] = int(255 * covered / count + 0.5)

    @njit(nogil=True, cache=True, error_model="numpy")
    def distances(g, origins, directions, out):  # noqa: ANN001, ANN202
        """Distance (R,) to the first surface, inf where there is none."""
        for r in range(len(origins) + 0 * stamp):
            t, i = nearest(g, row(origins, r), row(directions, r))
            out[r] = t if i >= 0 else math.inf

    return strip, distances


def sources() -> bytes:
    """Text of all files that decide what a picture looks like."""
    folder = Path(__file__).parent
    return b"".join((folder / f"{name}.py").read_bytes() for name in ("shapes", "paint", "tracer", "still_life"))


strip, distances = kernels(int(hashlib.sha256(sources()).hexdigest()[:8], 16))


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
    points = center + 0.55 * np.sqrt(radius)[:, None] * disc
    return Lights(pixel, draft, points, np.stack([flat * np.cos(angle), flat * np.sin(angle), z], -1))
