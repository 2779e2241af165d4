"""What a model file is, for a person: how large, how good, of what, how it was made, and what can be done with it."""

import base64
import io
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.text import Text

from fields import numbers
from fields.files import Header, Model

COLUMNS = 48  # of the thumbnail on a terminal, a pixel each; a line is two rows of pixels
MOST = 1 << 20  # pixels of a thumbnail that is shown
UPPER = "▀"  # in the colour of the upper row, on the colour of the lower one


def facts(model: Model, path: Path) -> Iterator[tuple[str, str]]:
    """Name and value of each line."""
    header, size = model.header, path.stat().st_size
    made, taken = known(header.provenance), known(header.metrics)
    preset = taken.get("preset") or known(made.get("recipe")).get("preset") or ""
    head = f", head {header.head}" if header.head else ""
    yield "field", f"{header.architecture} {preset}{head}".strip()
    stored = "float16 weights" if header.half else "float32 weights"
    yield "size", f"{model.field.parameter_count() / 1e6:.2f} M parameters, {size / 1e6:.1f} MB, {stored}"
    yield "quality", quality(taken)
    if (frame := counted(taken, "frame_ms_median")) is not None:
        yield "frame", f"{frame:.0f} ms on {taken.get('device', 'an unknown device')}"
    yield "cameras", f"{len(header.train_cameras)} to train, {len(header.test_cameras)} to test, in the file"
    yield "place", place(header)
    yield from origin(made)
    yield "look", shlex.join(["view-scene", str(path)])
    yield "draw", shlex.join(["render-scene", str(path), f"{path.stem}.png"])
    yield "convert", shlex.join(["convert-scene", str(path), "--to", "auto", "--max-bytes", "1MB"])


def known(value: Any) -> dict[str, Any]:
    """A JSON object, or an empty one where it is something else: other programs may write model files."""
    return value if isinstance(value, dict) else {}


def counted(said: dict[str, Any], name: str) -> float | None:
    """A number of what a file says; None where it is none."""
    try:
        return numbers.number(said.get(name), name, -numbers.LENGTH, numbers.LENGTH)
    except ValueError:
        return None


def quality(taken: dict[str, Any]) -> str:
    """What it scored."""
    psnr, ssim = counted(taken, "psnr"), counted(taken, "ssim")
    if psnr is None:
        return "never scored: eval-scene MODEL DATA does"
    similar = f", SSIM {ssim:.3f}" if ssim is not None else ""
    return f"{psnr:.2f} dB{similar}, on {taken.get('scored_on', 'unknown pictures')}"


def place(header: Header) -> str:
    """How large it is where the pictures were taken; nothing is known where the file's numbers make no sense."""
    transform = torch.tensor(header.transform, dtype=torch.float64)
    scale = float(torch.linalg.det(transform[:3, :3]).abs() ** (1 / 3))
    if not 0 < scale < math.inf:
        return "unknown: the file's transform cannot be undone"
    low, high = header.box
    sides = " x ".join(f"{(b - a) / scale:.3g}" for a, b in zip(low, high, strict=True))
    return f"{sides} of your units" + (", and all around it" if header.contraction != "none" else "")


def origin(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What it was made from, how, and when."""
    recipe = known(made.get("recipe"))
    if isinstance(data := recipe.get("data"), str) and data:
        yield "of", data
    if isinstance(command := made.get("command"), list):
        yield "made by", shlex.join(map(str, command))
    seconds, steps = counted(made, "train_seconds"), counted(made, "steps")
    if seconds is not None and steps is not None:
        yield "learnt", f"{seconds:.0f} s, {steps:.0f} steps"
    if isinstance(date := made.get("date"), str):
        version = known(made.get("versions")).get("polyfield")
        yield "on", date[:16].replace("T", " ") + (f", by Polyfield {version}" if version else "")


def thumbnail(header: Header) -> Text | None:
    """The picture that the file carries, in coloured half blocks; None where there is none."""
    try:
        file = Image.open(io.BytesIO(base64.b64decode(header.thumbnail)), formats=("PNG",))
        if file.width * file.height > MOST:
            return None
        image = file.convert("RGB")
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):  # a file may say anything
        return None
    rows = max(round(COLUMNS * image.height / image.width) // 2 * 2, 2)
    pixels, text = image.resize((COLUMNS, rows)), Text()
    for y in range(0, rows, 2):
        for x in range(COLUMNS):
            upper, lower = ("#{:02x}{:02x}{:02x}".format(*color(pixels, x, y + n)) for n in (0, 1))
            text.append(UPPER, style=f"{upper} on {lower}")
        text.append("\n")
    return text


def color(image: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    """RGB of a pixel."""
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]
