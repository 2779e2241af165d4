"""Pixels as pictures that a person can look at: bytes, depth and normals as colours, errors as heat."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

NOTHING = (0.05, 0.05, 0.2)  # shown where no surface was seen
SOLID = 0.5  # opacity from which a pixel counts as surface
NEAR_LIGHT, FAR_LIGHT = 0.95, 0.15  # brightness of the nearest and of the farthest surface
HELIX = ((-0.14861, -0.29227, 1.97294), (1.78277, -0.90649, 0.0))  # of RGB by cosine and sine (Green 2011, eq. 2)
ERROR_GAIN = 4.0  # absolute errors are shown times this: 1/12 is full red, 1/4 is white


@dataclass(frozen=True)
class GroundTruth:
    """A photograph to compare with, at the size of the picture or finer."""

    rgb: Tensor  # (H, W, 3) float32 in [0, 1], over the background
    valid: Tensor  # (H, W) bool; False: masked out
    background: tuple[float, float, float]


def bytes_of(image: Tensor) -> np.ndarray:
    """(H, W, C) in [0, 1] -> uint8, rounded."""
    return (image.detach().cpu().clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def encode_png(image: Tensor) -> bytes:
    """RGB or RGBA (H, W, C) in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(bytes_of(image)).save(buffer, "PNG")
    return buffer.getvalue()


def depth_range(depth: Tensor, opacity: Tensor) -> tuple[float, float]:
    """Distances between which 98 % of the surface pixels lie; (0, 1) where nothing was seen."""
    seen = depth[opacity > SOLID]
    if not len(seen):
        return 0.0, 1.0
    seen = seen[:: -(-len(seen) // (1 << 20))]  # torch.quantile takes no more than 16 million
    low, high = torch.quantile(seen, seen.new_tensor([0.01, 0.99])).tolist()
    return low, max(high, low + 1e-6)


def depth_picture(depth: Tensor, opacity: Tensor, between: tuple[float, float]) -> Tensor:
    """Distances (H, W) as colours (H, W, 3), near bright and far dark."""
    low, high = between
    share = ((depth - low) / (high - low)).nan_to_num(1.0).clamp(0, 1)
    solid = (opacity > SOLID)[..., None]
    return torch.where(solid, depth_colors(share), share.new_tensor(NOTHING))


def depth_colors(share: Tensor) -> Tensor:
    """Colours (..., 3) of distances (...) from 0, the nearest, to 1, the farthest."""
    return cubehelix(NEAR_LIGHT + (FAR_LIGHT - NEAR_LIGHT) * share)


def cubehelix(light: Tensor) -> Tensor:
    """Colours (..., 3) in [0, 1] of brightness (...) in [0, 1], which grows evenly to the eye, also in a print without
    colours, while the hue turns one and a half times (Green 2011, eq. 2: start 0.5, rotations -1.5, hue 1)."""
    angle = 2 * torch.pi * (0.5 / 3 - 1.5 * light)
    turn = torch.stack([angle.cos(), angle.sin()], -1) @ light.new_tensor(HELIX)
    return (light[..., None] + (light * (1 - light) / 2)[..., None] * turn).clamp(0, 1)


def opacity_picture(opacity: Tensor) -> Tensor:
    """Opacity (H, W) as grey (H, W, 3), solid white."""
    return opacity[..., None].expand(*opacity.shape, 3)


def normal_picture(normals: Tensor, opacity: Tensor) -> Tensor:
    """Normals (H, W, 3) of any length as colours: x, y, z from -1 to 1 are red, green, blue from 0 to 1."""
    unit = torch.nn.functional.normalize(normals, dim=-1)
    return torch.where((opacity > SOLID)[..., None], unit / 2 + 0.5, unit.new_tensor(NOTHING))


def heat(value: Tensor) -> Tensor:
    """(H, W) in [0, 1] -> RGB (H, W, 3), black through red and yellow to white."""
    return torch.stack([value * 3, value * 3 - 1, value * 3 - 2], -1).clamp(0, 1)


def expose(picture: Tensor, stops: float) -> Tensor:
    """sRGB (H, W, 3) with its light multiplied by 2^stops; 0 stops leaves every bit alone. The sRGB transfer function
    and its inverse are those of IEC 61966-2-1."""
    if stops == 0:
        return picture
    light = torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4) * 2.0**stops
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def error_picture(picture: Tensor, truth: GroundTruth) -> Tensor:
    """Mean absolute error over RGB as heat (H, W, 3), times ERROR_GAIN; masked pixels are black. A coarse picture is
    compared with means over areas of the photograph."""
    height, width = picture.shape[:2]
    wanted, valid = truth.rgb, truth.valid.float()
    if wanted.shape != picture.shape:
        planes = torch.cat([wanted, valid[..., None]], -1).permute(2, 0, 1)
        planes = torch.nn.functional.interpolate(planes[None], (height, width), mode="area")[0]
        wanted, valid = planes[:3].permute(1, 2, 0), (planes[3] > 0.5).float()
    return heat((picture - wanted).abs().mean(-1) * valid * ERROR_GAIN)
