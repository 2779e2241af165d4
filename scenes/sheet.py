"""The test sheet: truth, render, error and depth of a few views, side by side in one picture."""

import io
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from fields.files import write_beside
from render.pictures import bytes_of, depth_picture, depth_range, heat
from scenes.evaluate import Scored

ROWS = 4  # views on a sheet at most
LONGEST = 400  # pixels of a tile
ERROR_GAIN = 4.0  # absolute error is shown times this
NAMES = ("truth", "render", "error")


def tile(image: Tensor, text: str) -> Image.Image:
    """One picture of the sheet, with a caption below."""
    picture = Image.fromarray(bytes_of(image))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", (picture.width, picture.height + 18), "white")
    framed.paste(picture, (0, 0))
    ImageDraw.Draw(framed).text((4, picture.height + 3), text, fill="black")
    return framed


def sheet(scores: list[Scored], names: tuple[str, str, str] = NAMES) -> Image.Image:
    """Up to four views, evenly spaced among the scored ones: truth | render | error | depth; `names` for the first
    three."""
    count = min(ROWS, len(scores))
    chosen = [scores[round(i * (len(scores) - 1) / max(count - 1, 1))] for i in range(count)]
    rows = []
    for s in chosen:
        error = heat((s.render - s.truth).abs().mean(-1) * ERROR_GAIN)
        distance, opacity = s.frame.pixels.depth.cpu(), s.frame.pixels.opacity.cpu()
        depth = depth_picture(distance, opacity, depth_range(distance, opacity))
        truth, render, difference = names
        quality = f"{s.score.psnr:.2f} dB, SSIM {s.score.ssim:.4f}"
        captions = f"{s.view.name}: {truth}", f"{render} {quality}", f"{difference} x{ERROR_GAIN:g}", "depth"
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


def save_sheet(path: Path, scores: list[Scored], names: tuple[str, str, str] = NAMES) -> None:
    """Write the sheet as PNG."""
    buffer = io.BytesIO()
    sheet(scores, names).save(buffer, "PNG")
    write_beside(path, buffer.getvalue())
