"""The test sheet: truth, render, error and depth of a few views, side by side in one picture."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from fields.files import write_beside
from scenes.evaluate import Scored

ROWS = 4  # views on a sheet at most
LONGEST = 400  # pixels of a tile
ERROR_GAIN = 4.0  # absolute error is shown times this
TITLES = ("truth", "render", f"error x{ERROR_GAIN:g}", "depth")


def bytes_of(image: Tensor) -> np.ndarray:
    """RGB (H, W, 3) in [0, 1] -> uint8, rounded."""
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def encode_png(image: Tensor) -> bytes:
    """RGB (H, W, 3) in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(bytes_of(image)).save(buffer, "PNG")
    return buffer.getvalue()


def heat(value: Tensor) -> Tensor:
    """(H, W) in [0, 1] -> RGB (H, W, 3), black through red and yellow to white."""
    return torch.stack([value * 3, value * 3 - 1, value * 3 - 2], -1).clamp(0, 1)


def depth_picture(depth: Tensor, opacity: Tensor) -> Tensor:
    """Distances (H, W) of solid pixels, near bright and far dark; where nothing was seen, dark blue."""
    solid = opacity > 0.5
    if not bool(solid.any()):
        return torch.tensor([0.05, 0.05, 0.2]).expand(*depth.shape, 3)
    low, high = (float(q) for q in torch.quantile(subset(depth[solid]), torch.tensor([0.01, 0.99])))
    shade = 1 - 0.85 * ((depth - low) / max(high - low, 1e-9)).clamp(0, 1)
    grey = shade[..., None].expand(*shade.shape, 3)
    return torch.where(solid[..., None], grey, torch.tensor([0.05, 0.05, 0.2]))


def subset(values: Tensor, most: int = 1 << 20) -> Tensor:
    """Evenly spaced entries, as torch.quantile takes no more than 16 million."""
    return values[:: -(-len(values) // most)]


def tile(image: Tensor, text: str) -> Image.Image:
    """One picture of the sheet, with a caption below."""
    picture = Image.fromarray(bytes_of(image))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", (picture.width, picture.height + 18), "white")
    framed.paste(picture, (0, 0))
    ImageDraw.Draw(framed).text((4, picture.height + 3), text, fill="black")
    return framed


def sheet(scores: list[Scored]) -> Image.Image:
    """Up to four views, evenly spaced among the scored ones: truth | render | error | depth."""
    chosen = [scores[round(i * (len(scores) - 1) / max(ROWS - 1, 1))] for i in range(min(ROWS, len(scores)))]
    rows = []
    for s in chosen:
        error = heat((s.render - s.truth).abs().mean(-1) * ERROR_GAIN)
        depth = depth_picture(s.frame.pixels.depth.cpu(), s.frame.pixels.opacity.cpu())
        captions = (f"{s.view.name}: truth", f"render {s.score.psnr:.2f} dB, SSIM {s.score.ssim:.4f}", *TITLES[2:])
        rows.append([tile(i, c) for i, c in zip((s.truth, s.render, error, depth), captions, strict=True)])
    width = max(sum(t.width + 4 for t in row) for row in rows)
    height = sum(max(t.height for t in row) + 4 for row in rows)
    result = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            result.paste(picture, (left, top))
            left += picture.width + 4
        top += max(t.height for t in row) + 4
    return result


def save_sheet(path: Path, scores: list[Scored]) -> None:
    """Write the sheet as PNG."""
    buffer = io.BytesIO()
    sheet(scores).save(buffer, "PNG")
    write_beside(path, buffer.getvalue())
