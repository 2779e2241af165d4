"""3D Gaussian splats of a peer's file, drawn as published (Kerbl et al. 2023), so that our scorer can judge them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from fields.compiled import kept
from fields.encodings import COEFFICIENTS, spherical_harmonics
from render.camera import Camera, project
from render.quaternions import to_matrices

BLUR = 0.3  # pixels^2, added to what a splat covers: no splat is narrower than about a pixel
THINNEST, THICKEST = 1 / 255, 0.999  # opacity at a pixel: left out below, cut above
STOP = 1e-4  # light left at which a pixel is done
NEAREST = 1e-3  # depth, units of the file
WIDEST = 1.3  # half pictures: how far off the axis the projection is made linear, at most
NAMES = {
    "positions": ["x", "y", "z"],
    "base": [f"f_dc_{n}" for n in range(3)],
    "rest": [f"f_rest_{n}" for n in range(3 * (COEFFICIENTS - 1))],
    "opacities": ["opacity"],
    "scales": [f"scale_{n}" for n in range(3)],
    "turns": [f"rot_{n}" for n in range(4)],
}  # properties of a vertex, as 3D Gaussian splatting's own program and others write them


@dataclass(frozen=True)
class Splats:
    """A cloud of M."""

    positions: Tensor  # (M, 3)
    harmonics: Tensor  # (M, 3, 16) of RGB - 1/2
    opacities: Tensor  # (M,) in [0, 1]
    scales: Tensor  # (M, 3) standard deviations along own axes
    turns: Tensor  # (M, 4) quaternions of any length but 0, w first


def read_splats(path: Path) -> Splats:
    """ValueError where the file is no binary PLY of such splats with harmonics up to degree 3."""
    head, found, body = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii", "replace").splitlines()
    names = [line.split()[2] for line in lines if line.startswith("property float ")]
    counts = [int(line.split()[2]) for line in lines if line.startswith("element vertex ")]
    if not found or "format binary_little_endian 1.0" not in lines or len(counts) != 1:
        raise ValueError(f"{path}: wanted a binary PLY file with one list of vertices")
    missing = [name for part in NAMES.values() for name in part if name not in names]
    if missing or len(body) < 4 * len(names) * counts[0]:
        raise ValueError(f"{path}: {f'has no {missing[0]!r}' if missing else 'ends too early'}")
    table = np.frombuffer(body, "<f4", len(names) * counts[0]).reshape(counts[0], len(names))
    part = {key: torch.from_numpy(table[:, [names.index(n) for n in own]]) for key, own in NAMES.items()}
    harmonics = torch.cat([part["base"][:, :, None], part["rest"].view(-1, 3, COEFFICIENTS - 1)], -1)
    return Splats(part["positions"], harmonics, part["opacities"][:, 0].sigmoid(), part["scales"].exp(), part["turns"])


def draw_splats(splats: Splats, camera: Camera, background: Tensor) -> Tensor:
    """RGB (H, W, 3) in front of a background (3,), front to back. ValueError for a lens that is no pinhole."""
    if camera.intrinsics.distorted:
        raise ValueError("splats are drawn through a pinhole, this camera's lens is distorted")
    (width, height), pose = camera.size, camera.pose
    pixels, depth = project(camera, splats.positions)
    spread = cover_pixels(splats, camera)
    toward = torch.nn.functional.normalize(splats.positions - pose[:3, 3], dim=-1)
    colors = (torch.einsum("mck,mk->mc", splats.harmonics, spherical_harmonics(toward)) + 0.5).clamp(min=0)
    seen = (depth > NEAREST) & (splats.opacities > THINNEST)
    order = depth[seen].argsort()
    given = (pixels, spread, colors, splats.opacities[:, None])
    sorted_values = torch.cat([value[seen][order] for value in given], -1).contiguous()  # (M', 9)
    picture, bands = torch.empty(height, width, 3), get_num_threads() * 4
    blend_splats(sorted_values.numpy(), background.numpy(), bands, picture.numpy())
    return picture.clamp(max=1)


def cover_pixels(splats: Splats, camera: Camera) -> Tensor:
    """Covariances in the picture (M, 3): xx, xy, yy in pixels^2 (Zwicker et al. 2002, eq. 23 and 24)."""
    pose, lens, (width, height) = camera.pose, camera.intrinsics, camera.size
    turned = pose[:3, :3].T * torch.tensor([1.0, -1.0, -1.0])[:, None]  # to x right, y down, z ahead
    x, y, z = ((splats.positions - pose[:3, 3]) @ turned.T).unbind(-1)
    z = z.clamp(min=NEAREST)
    wide, high = WIDEST * width / 2 / lens.fx, WIDEST * height / 2 / lens.fy
    x, y, zero = (x / z).clamp(-wide, wide), (y / z).clamp(-high, high), torch.zeros_like(z)
    slopes = [lens.fx / z, zero, -lens.fx * x / z, zero, lens.fy / z, -lens.fy * y / z]
    jacobian = torch.stack(slopes, -1).view(-1, 2, 3)
    root = jacobian @ turned @ to_matrices(splats.turns).float() * splats.scales[:, None]  # (M, 2, 3)
    spread = root @ root.mT
    return torch.stack([spread[:, 0, 0] + BLUR, spread[:, 0, 1], spread[:, 1, 1] + BLUR], -1)


@njit(parallel=True, cache=kept())
def blend_splats(splats, background, bands, picture):  # noqa: ANN001, ANN201
    """Splats (M, 9), nearest first: centre x, y, covariance xx, xy, yy in pixels, RGB, opacity. Each task blends all
    of them into its band of the picture's rows."""
    height, width = picture.shape[:2]
    for band in prange(bands):
        low, high = height * band // bands, height * (band + 1) // bands
        left = np.ones((high - low, width), np.float32)  # light
        picture[low:high] = 0
        for m in range(len(splats)):
            x, y, xx, xy, yy, red, green, blue, opacity = splats[m]
            reach = np.float32(3) * np.sqrt(yy)
            above, below = max(low, int(y - reach) - 1), min(high, int(y + reach) + 2)
            if above >= below:
                continue
            reach = np.float32(3) * np.sqrt(xx)
            first, last = max(0, int(x - reach) - 1), min(width, int(x + reach) + 2)
            area = max(xx * yy - xy * xy, np.float32(1e-6))
            limit = np.log(opacity / np.float32(THINNEST))  # past which it is left out
            for row in range(above, below):
                dy = np.float32(row) + np.float32(0.5) - y
                for column in range(first, last):
                    dx = np.float32(column) + np.float32(0.5) - x
                    power = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / (2 * area)
                    light = left[row - low, column]
                    if light <= STOP or not power < limit:
                        continue
                    alpha = min(np.float32(THICKEST), opacity * np.exp(-power))
                    picture[row, column, 0] += light * alpha * red
                    picture[row, column, 1] += light * alpha * green
                    picture[row, column, 2] += light * alpha * blue
                    left[row - low, column] = light * (1 - alpha)
        for channel in range(3):
            picture[low:high, :, channel] += left * background[channel]
