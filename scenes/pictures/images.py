"""Pictures and masks from files: decoded, checked and shrunk by exact area averages."""

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenes.options import ReadOptions, SceneError
from scenes.progress import told

SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp")
WORKERS = 4  # decoding threads; each holds one full-size picture
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)  # what Pillow raises
WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of 16-bit grey

Source = Path | Tensor  # a file, or pixels (H, W, 4) uint8 as they stay
Item = TypeVar("Item")
Result = TypeVar("Result")


def sizes(pictures: Sequence[Source]) -> list[tuple[int, int]]:
    """Width and height of each in pixels, of files from the headers alone. SceneError for what is no picture."""

    def one(picture: Source) -> tuple[int, int]:
        if isinstance(picture, Tensor):
            return picture.shape[1], picture.shape[0]
        return _opened(picture, lambda image: image.size)

    return _each(one, pictures)


def read(pictures: Sequence[Source], options: ReadOptions) -> list[Tensor]:
    """Each as (H, W, 4) uint8, sRGB as stored, straight alpha; a file is shrunk to `loaded_size`.

    Grey, palette, 16-bit and CMYK pictures become RGBA; alpha is 255 where a file has none. The EXIF rotation is not
    applied: camera poses are solved on pixels as stored. SceneError for a damaged or oversized file.
    """

    def one(picture: Source) -> Tensor:
        if isinstance(picture, Tensor):
            return picture
        pixels = torch.from_numpy(_decode(picture, _rgba))
        return shrink(pixels, loaded_size((pixels.shape[1], pixels.shape[0]), options))

    return _each(one, pictures, "reading pictures")


def read_masks(masks: Sequence[tuple[Path, tuple[int, int]]], *, nonzero: bool) -> list[Tensor]:
    """Each (file, size) as (H, W) float32 in [0, 1]: the share of the pixel's area that is white, at that size.

    White is any value above 0 where `nonzero`; otherwise 128 or more, or 1 in a file that holds only 0 and 1.
    SceneError for a damaged file or one shaped unlike `size`.
    """

    def one(mask: tuple[Path, tuple[int, int]]) -> Tensor:
        path, size = mask
        grey = torch.from_numpy(_decode(path, _grey))
        height, width = grey.shape
        if abs(width / height * size[1] / size[0] - 1) > 0.02:
            raise SceneError(f"{path}: expected a mask shaped {size[0]} x {size[1]}, found {width} x {height}")
        level = 0 if nonzero or int(grey.max()) <= 1 else 127
        return area((grey > level).float()[..., None], size)[..., 0]

    return _each(one, masks, "reading masks")


def loaded_size(size: tuple[int, int], options: ReadOptions) -> tuple[int, int]:
    """Width and height that a file of `size` is loaded at: divided by downscale, then the long side capped."""
    width, height = size[0] / options.downscale, size[1] / options.downscale
    excess = max(1.0, max(width, height) / options.max_resolution)
    return max(1, round(width / excess)), max(1, round(height / excess))


def shrink(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W, 4) uint8 averaged over the exact area of each new pixel; colours are weighted by alpha.

    The colour of a new pixel with no alpha at all is 0.
    """
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    alpha = pixels[..., 3:].float() / 255
    if bool((pixels[..., 3] == 255).all()):
        mean = area(pixels.float(), size)
    else:
        mean = area(torch.cat([pixels[..., :3] * alpha, alpha], -1), size)
        mean = torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:] * 255], -1)
    return mean.round().clamp(0, 255).to(torch.uint8)


def area(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W, C) float resampled to `size` (width, height): each new pixel is the mean over the area it covers."""
    return _area_rows(_area_rows(values, size[1]).transpose(0, 1), size[0]).transpose(0, 1).contiguous()


def _area_rows(values: Tensor, count: int) -> Tensor:
    """(H, ...) averaged into `count` bins of equal, possibly fractional, height."""
    height = len(values)
    if height == count:
        return values
    step = height / count
    low = torch.arange(count, dtype=torch.float64) * step
    first = low.floor().long()
    result = values.new_zeros(count, *values.shape[1:])
    for k in range(ceil(step) + 1):
        row = first + k
        weight = torch.minimum(low + step, row + 1.0) - torch.maximum(low, row.double())
        weight = (weight.clamp(min=0) / step).to(values.dtype)
        result.addcmul_(values[row.clamp(max=height - 1)], weight.reshape(-1, *[1] * (values.dim() - 1)))
    return result


def _each(one: Callable[[Item], Result], items: Sequence[Item], what: str = "") -> list[Result]:
    """`one` of every item, in order, on a few threads; told as `what`, where that is given. Pillow's size warning
    becomes an error meanwhile."""
    workers = min(WORKERS, os.cpu_count() or 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with ThreadPoolExecutor(workers) as pool:
            tasks = [pool.submit(one, item) for item in items]
            try:
                return [task.result() for task in (told(what, tasks, len(tasks)) if what else tasks)]
            finally:
                pool.shutdown(cancel_futures=True)


def _decode(path: Path, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """The pixels of a file; SceneError where they end early."""

    def whole(image: Image.Image) -> np.ndarray:
        try:
            return convert(image)
        except DAMAGE as error:
            width, height = image.size
            raise SceneError(
                f"{path}: damaged picture: expected {width} x {height} pixels of {image.format}, "
                f"found {path.stat().st_size} bytes that cannot be decoded ({error})"
            ) from None

    return _opened(path, whole)


def _opened(path: Path, use: Callable[[Image.Image], Result]) -> Result:
    """What `use` makes of the opened file; SceneError for what Pillow cannot open or deems too large."""
    try:
        with Image.open(path) as image:
            return use(image)
    except SceneError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise SceneError(f"{path}: picture is too large: expected at most {limit} megapixels") from None
    except FileNotFoundError:
        raise SceneError(f"{path}: no such picture") from None
    except DAMAGE as error:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise SceneError(f"{path}: not a picture: expected PNG or JPEG, found {found} ({error})") from None


def _rgba(image: Image.Image) -> np.ndarray:
    """(H, W, 4) uint8."""
    if image.mode in WIDE:
        grey = _grey(image)
        return np.stack([grey, grey, grey, np.full_like(grey, 255)], -1)
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    return np.array(image.convert("RGBA"))


def _grey(image: Image.Image) -> np.ndarray:
    """(H, W) uint8; 16-bit values keep their upper byte, as Pillow does for colour."""
    if image.mode in WIDE:
        return (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
    return np.array((image.convert("RGBA") if image.mode == "P" else image).convert("L"))
