"""A coloured triangle surface under a fixed light: what rays see of it, and its pictures with straight alpha.

The light stands still in the world, so that views agree: sky and ground, a key light from above and a weaker one from
below on the other side, no shadows and no highlights. A surface is lit on the side that is seen. What a texture covers
is lit half as strongly, since textures of scans hold light already. Colours are display values (sRGB as stored)
throughout, and so are the lights.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from render.camera import Camera
from scenes.drawn.triangles import Hits, Tree, build, cast, corner_normals
from scenes.progress import told

SKY, TILT = 0.5, 0.17  # light on an upright wall, and what it gains facing up or loses facing down
KEY, FILL = (-0.43, -0.52, 0.74), (0.76, 0.45, -0.47)  # unit directions to the lights
KEY_SHARE, FILL_SHARE = 0.37, 0.22
CREASE = math.radians(50)  # edges sharper than this stay sharp
MILD = 0.5  # of the light's variation, on textures
LAYERS = 16  # holes of textures that a ray passes at most
PAST = 1e-6  # scene units behind a hole, where the ray goes on
ROWS = 32  # of a picture, drawn by one thread at a time
SIDE = 4  # a pixel's places are SIDE x SIDE, multi-jittered (Chiu, Shirley, Wang 1994)
DRAFT = (1, 7, 8, 14)  # those of every pixel, one in each quarter; the others where these are not covered alike


class Texture(NamedTuple):
    """A picture on a surface."""

    pixels: np.ndarray  # (H, W, 3 or 4) uint8, first row on top
    cutoff: float  # alpha in [0, 1] below which there is a hole; 0: none


@dataclass(frozen=True)
class Surface:
    """T triangles in scene units, stored in the order of the tree's leaves."""

    tree: Tree  # its `order` is 0, 1, 2, ...
    normals: np.ndarray  # (T, 3, 3) float32, unit, at the corners; either side
    colors: np.ndarray  # (T, 3, 3) float32, RGB in [0, 1] at the corners; a texture is multiplied by it
    uv: np.ndarray  # (T, 3, 2) float32, texture coordinates at the corners: (0, 0) is the picture's lower left
    texture: np.ndarray  # (T,) int32, place in `textures`, -1 for none
    textures: tuple[Texture, ...]


def assembled(
    corners: np.ndarray, colors: np.ndarray, uv: np.ndarray, texture: np.ndarray, textures: tuple[Texture, ...]
) -> Surface:
    """A surface of triangles (T, 3, 3) that have an area; the other arrays as in `Surface`, in the same order."""
    tree, normals = build(corners), corner_normals(corners, CREASE)
    order = tree.order  # what a ray meets next then lies near in memory
    tree = tree._replace(order=np.arange(len(order), dtype=np.int32))
    return Surface(tree, normals[order], colors[order], uv[order], texture[order], textures)


def draw(surface: Surface, cameras: list[Camera]) -> np.ndarray:
    """Pictures (M, H, W, 4) uint8 of pinhole cameras of one size, on all cores: sRGB, straight alpha, 0 where empty."""
    width, height = cameras[0].size
    pictures = np.zeros((len(cameras), height, width, 4), np.uint8)

    def strip(job: tuple[int, int]) -> None:
        index, top = job
        rows = pictures[index, top : top + ROWS]
        y, x = np.divmod(np.arange(rows.shape[0] * width), width)
        rows[:] = resolved(surface, cameras[index], np.stack([x, y + top], -1)).reshape(rows.shape)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        strips = [(i, top) for i in range(len(cameras)) for top in range(0, height, ROWS)]
        list(told("drawing pictures", pool.map(strip, strips), len(strips)))
    return pictures


def resolved(surface: Surface, camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """RGBA (N, 4) uint8 of pixels (N, 2): alpha is the share of the rays that meet something, colour is their mean."""
    places = multi_jittered(SIDE)
    rest = np.delete(places, DRAFT, 0)
    total, covered = gathered(surface, camera, pixels, places[list(DRAFT)])
    count = np.full(len(pixels), len(DRAFT))
    edge = np.flatnonzero((covered > 0) & (covered < len(DRAFT)))
    more, also = gathered(surface, camera, pixels[edge], rest)
    total[edge] += more
    covered[edge] += also
    count[edge] += len(rest)
    values = np.concatenate([total / np.maximum(covered, 1)[:, None], (covered / count)[:, None]], 1)
    return (values * 255 + 0.5).astype(np.uint8)


def multi_jittered(side: int) -> np.ndarray:
    """Places (side^2, 2) in a pixel, in (0, 1): one in each small square, and one in each fine row and column."""
    i, j = np.divmod(np.arange(side * side), side)
    return np.stack([(i + (j + 0.5) / side) / side, (j + (i + 0.5) / side) / side], -1)


def gathered(surface: Surface, camera: Camera, pixels: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the colours (N, 3) over the places (S, 2) that show something, and how many do (N,)."""
    origins, directions = rays(camera, (pixels[:, None] + places).reshape(-1, 2))
    rgb, covered = seen(surface, origins, directions)
    shape = len(pixels), len(places)
    return np.einsum("nsc->nc", rgb.reshape(*shape, 3)), np.einsum("ns->n", covered.reshape(shape).astype(np.int64))


def rays(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origins and unit directions (R, 3) float64 through points (R, 2) of the picture. ValueError for a bent lens."""
    lens, pose = camera.intrinsics, camera.pose.double().numpy()
    if lens.distorted:
        raise ValueError("a surface is drawn by pinhole cameras only, found a lens with distortion")
    x, y = (points[:, 0] - lens.cx) / lens.fx, (points[:, 1] - lens.cy) / lens.fy
    directions = np.stack([x, -y, -np.ones_like(x)], -1) @ pose[:3, :3].T
    directions /= np.sqrt(np.einsum("nc,nc->n", directions, directions))[:, None]
    return np.broadcast_to(pose[:3, 3], directions.shape).copy(), directions


def seen(surface: Surface, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RGB (R, 3) float32 along rays (R, 3), (R, 3), and whether they meet anything (R,) bool; 0 where they do not."""
    rgb, covered = np.zeros((len(origins), 3), np.float32), np.zeros(len(origins), bool)
    index = np.arange(len(origins))
    for _ in range(LAYERS):
        hits = cast(surface.tree, origins, directions)
        met = hits.face >= 0
        index, origins, directions = index[met], origins[met], directions[met]
        hits = Hits(hits.t[met], hits.face[met], hits.weights[met])
        paint, solid = painted(surface, hits)
        rgb[index[solid]] = (paint * lit(surface, hits, directions)[:, None])[solid]
        covered[index[solid]] = True
        index, origins, directions = index[~solid], origins[~solid], directions[~solid]
        if not len(index):
            break
        origins = origins + (hits.t[~solid] + PAST)[:, None] * directions
    return rgb, covered


def painted(surface: Surface, hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Colour (N, 3) without light, and whether there is no hole (N,), of rays that all meet something."""
    color = np.einsum("nk,nkc->nc", hits.weights, surface.colors[hits.face])
    solid, texture = np.ones(len(color), bool), surface.texture[hits.face]
    for k in np.unique(texture[texture >= 0]):
        mine = np.flatnonzero(texture == k)
        uv = np.einsum("nk,nkc->nc", hits.weights[mine], surface.uv[hits.face[mine]])
        values = bilinear(surface.textures[k].pixels, uv)
        color[mine] *= values[:, :3]
        if values.shape[1] == 4:
            solid[mine] = values[:, 3] >= surface.textures[k].cutoff
    return color, solid


def bilinear(pixels: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values (N, C) float32 in [0, 1] of a picture (H, W, C) uint8, repeated without end, at uv (N, 2)."""
    height, width = pixels.shape[:2]
    uv = uv.astype(np.float64) - np.floor(uv)
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    i, j = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - i)[:, None].astype(np.float32), (y - j)[:, None].astype(np.float32)
    left, right, top, low = i % width, (i + 1) % width, j % height, (j + 1) % height
    above = pixels[top, left] * (1 - fx) + pixels[top, right] * fx
    below = pixels[low, left] * (1 - fx) + pixels[low, right] * fx
    return (above * (1 - fy) + below * fy) / np.float32(255)


def lit(surface: Surface, hits: Hits, directions: np.ndarray) -> np.ndarray:
    """Light (N,) in [0, 1] on what rays with these directions (N, 3) meet."""
    n = np.einsum("nk,nkc->nc", hits.weights, surface.normals[hits.face])
    corners = surface.tree.corners[hits.face]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = (np.einsum("nc,nc->n", flat, directions) > 0) != (np.einsum("nc,nc->n", flat, n) < 0)
    n *= (np.where(away, -1, 1) / np.maximum(np.sqrt(np.einsum("nc,nc->n", n, n)), 1e-6))[:, None]
    light = np.minimum(light_on(n), 1)
    return np.where(surface.texture[hits.face] >= 0, 1 - MILD * (1 - light), light).astype(np.float32)


def light_on(n: np.ndarray) -> np.ndarray:
    """Light (N,) on unit normals (N, 3), at least 0.33; about 1 towards the key light."""
    key, fill = (np.maximum(n @ np.array(direction), 0) for direction in (KEY, FILL))
    return SKY + TILT * n[:, 2] + KEY_SHARE * key + FILL_SHARE * fill
