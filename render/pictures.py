"""Pixels as pictures that a person can look at: bytes, depth in grey, normals in colours, errors as heat."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from render.camera import Camera

NOTHING = (0.05, 0.05, 0.2)  # shown where no surface was seen
SOLID = 0.5  # opacity from which a pixel counts as surface


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


def depth_span(box: Tensor, camera: Camera) -> tuple[float, float]:
    """Nearest and farthest distance from a camera at which anything in a box (2, 3) may lie, scene units. It does not
    depend on what is seen, so that the greys of a film, or of two models, can be compared."""
    middle, reach = box.mean(0), float((box[1] - box[0]).norm()) / 2
    away = float((camera.pose[:3, 3].to(box) - middle).norm())
    return max(away - reach, 0.0), away + reach


def depth_picture(depth: Tensor, opacity: Tensor, between: tuple[float, float]) -> Tensor:
    """Distances (H, W) as grey (H, W, 3), near bright and far dark."""
    low, high = between
    grey = 1 - 0.85 * ((depth - low) / (high - low)).clamp(0, 1)
    solid = (opacity > SOLID)[..., None]
    return torch.where(solid, grey[..., None].expand(*grey.shape, 3), grey.new_tensor(NOTHING))


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
