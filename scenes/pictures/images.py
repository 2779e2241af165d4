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
from PIL import EpsImagePlugin, Image, ImageFile
from torch import Tensor

from scenes.foreign import describe_file
from scenes.options import ReadOptions, SceneError
from scenes.pictures.headers import TURNS, WIDE, Stored, header
from scenes.progress import told

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")  # Pillow's decoders that a file may reach, whatever it is named
EpsImagePlugin.gs_binary = False  # nor do those of a mesh's textures ever start Ghostscript
WORKERS = 4  # decoding threads; each holds one full-size picture
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)  # what Pillow raises
COLOURED = 32  # difference between channels, of 255, from which a mask is no grey one
DEPTHS = (8, 10, 12)  # bits that cameras and programs store in files of 16

Source = Path | Tensor  # a file, or pixels (H, W, 4) uint8 as they stay
Item = TypeVar("Item")
Result = TypeVar("Result")


def headers(pictures: Sequence[Source]) -> list[Stored]:
    """What each says before its pixels. SceneError for what is no picture."""

    def one(picture: Source) -> Stored:
        if isinstance(picture, Tensor):
            return Stored((picture.shape[1], picture.shape[0]))
        return _opened(picture, header)

    return _each(one, pictures)


def read(
    pictures: Sequence[Source], options: ReadOptions, turned: Sequence[bool] | None = None, depth: int = 16
) -> list[Tensor]:
    """Each as (H, W, 4) uint8, sRGB, straight alpha; a file is shrunk to `loaded_size`.

    Grey, palette, 16-bit and CMYK pictures become RGBA; alpha is 255 where a file has none. `turned` says which are
    turned as EXIF has it; `depth` is how many bits files of 16 hold. SceneError for a damaged or oversized file.
    """

    def one(item: tuple[Source, bool]) -> Tensor:
        picture, turn = item
        if isinstance(picture, Tensor):
            return picture
        values = _rgba(picture, depth)
        if turn:
            values = TURNS[_opened(picture, header).orientation](values)
        pixels = torch.from_numpy(np.ascontiguousarray(values))
        return shrink(pixels, loaded_size((pixels.shape[1], pixels.shape[0]), options))

    return _each(one, list(zip(pictures, turned or [False] * len(pictures), strict=True)), "reading pictures")


def depth_used(pictures: Sequence[Path]) -> tuple[int, int]:
    """Bits that these files of 16 bits a channel hold, 8, 10, 12 or 16, and their largest value. SceneError for a
    damaged one."""
    largest = 0
    for picture in pictures:
        largest = max(largest, int(_wide(picture).max()))
        if largest >> DEPTHS[-1]:
            return 16, largest
    return next(bits for bits in DEPTHS if not largest >> bits), largest


def read_masks(masks: Sequence[tuple[Path, tuple[int, int]]], *, nonzero: bool) -> list[Tensor]:
    """Each (file, size) as (H, W) float32 in [0, 1]: the share of the pixel's area that is white, at that size.

    See `is_white` for what white is. SceneError for a damaged file or one shaped unlike `size`.
    """

    def one(mask: tuple[Path, tuple[int, int]]) -> Tensor:
        path, size = mask
        white = torch.from_numpy(_decode(path, lambda image: is_white(image, nonzero=nonzero)))
        height, width = white.shape
        if abs(width / height * size[1] / size[0] - 1) > 0.02:
            raise SceneError(f"{path}: expected a mask shaped {size[0]} x {size[1]}, found {width} x {height}")
        return area(white.float()[..., None], size)[..., 0]

    return _each(one, masks, "reading masks")


def is_white(image: Image.Image, *, nonzero: bool) -> np.ndarray:
    """(H, W) bool: which pixels of a mask are white. With `nonzero` all but black; so it is too in a mask of colours,
    which are labels, and in one that is nowhere bright: 1, or 255 of 65535. Else those in the upper half of the range.
    """
    values = np.asarray(image if image.mode in (*WIDE, "F") else image.convert("RGB"))
    colours = values.reshape(*values.shape[:2], -1)  # (H, W, 1 or 3)
    brightest = colours.max(-1)
    lossy = image.format in ("JPEG", "MPO", "WEBP")  # black and grey are not exact in these
    labels = not lossy and int((brightest - colours.min(-1)).max()) > COLOURED
    full = 65535 if image.mode in WIDE and brightest.max() > 255 else 255
    dim = brightest.max() <= 1 if lossy else 2 * int(brightest.max()) <= full
    return brightest > (0 if nonzero or labels or dim else full // 2)


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
    if bool((pixels[..., 3] == 255).all()):
        mean = area(pixels, size)
    else:
        mean = area(pixels, size, weighted)
        mean = torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:] * 255], -1)
    return mean.round().clamp(0, 255).to(torch.uint8)


def weighted(pixels: Tensor) -> Tensor:
    """(..., 4) uint8 -> float32, colours multiplied by alpha, and alpha in [0, 1]."""
    alpha = pixels[..., 3:].float() / 255
    return torch.cat([pixels[..., :3] * alpha, alpha], -1)


def floating(values: Tensor) -> Tensor:
    """The values as they are, whole ones in float32."""
    return values if values.is_floating_point() else values.float()


def area(values: Tensor, size: tuple[int, int], light: Callable[[Tensor], Tensor] = floating) -> Tensor:
    """(H, W, C) resampled to `size` (width, height): each new pixel is the mean, over the area it covers, of
    what `light` makes of the values. That is asked for no more rows at once than the result has."""
    return _area_rows(_area_rows(values, size[1], light).transpose(0, 1), size[0]).transpose(0, 1).contiguous()


def _area_rows(values: Tensor, count: int, light: Callable[[Tensor], Tensor] = floating) -> Tensor:
    """(H, ...) averaged into `count` bins of equal, possibly fractional, height."""
    height = len(values)
    if height == count:
        return light(values)
    step = height / count
    low = torch.arange(count, dtype=torch.float64) * step
    first = low.floor().long()
    result = light(values[:1]).new_zeros(count, *values.shape[1:])
    for k in range(ceil(step) + 1):
        row = first + k
        weight = torch.minimum(low + step, row + 1.0) - torch.maximum(low, row.double())
        weight = (weight.clamp(min=0) / step).to(result.dtype)
        result.addcmul_(light(values[row.clamp(max=height - 1)]), weight.reshape(-1, *[1] * (values.dim() - 1)))
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
        with Image.open(path, formats=FORMATS) as image:
            return use(image)
    except SceneError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise SceneError(f"{path}: picture is too large: expected at most {limit} megapixels") from None
    except FileNotFoundError:
        raise SceneError(f"{path}: no such picture") from None
    except DAMAGE as error:
        if kind := describe_file(path):
            raise SceneError(f"{path}: {kind}") from None
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise SceneError(f"{path}: not a picture: expected PNG, JPEG, WebP or TIFF, found {found} ({error})") from None


def _rgba(path: Path, depth: int) -> np.ndarray:
    """(H, W, 4) uint8 of a file; of one with 16 bits a channel the upper 8 of `depth`."""
    if depth == 16 or not _opened(path, header).wide:
        return _decode(path, _eight_bits)
    values = (_wide(path) >> (depth - 8)).clip(0, 255).astype(np.uint8)
    if values.shape[-1] == 1:
        values = values.repeat(3, -1)
    opaque = np.full_like(values[..., :1], 255)
    return values if values.shape[-1] == 4 else np.concatenate([values, opaque], -1)


def _eight_bits(image: Image.Image) -> np.ndarray:
    """(H, W, 4) uint8; 16-bit values keep their upper byte."""
    if image.mode in WIDE:
        grey = (_grey(image) >> 8).astype(np.uint8)
        return np.stack([grey, grey, grey, np.full_like(grey, 255)], -1)
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    return np.array(image.convert("RGBA"))


def _wide(path: Path) -> np.ndarray:
    """(H, W, 1, 3 or 4) uint16 of a file with 16 bits a channel."""

    def half(image: Image.Image) -> np.ndarray:
        return _grey(image)[..., None] if image.mode in WIDE else np.array(image).astype(np.uint16) << 8

    def lower(image: Image.Image) -> np.ndarray:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [tile._replace(args=str(tile.args).replace("16B", "16L")) for tile in image.tile]
        return np.array(image).astype(np.uint16)

    upper = _decode(path, half)
    return upper if upper.shape[-1] == 1 else upper + _decode(path, lower)


def _grey(image: Image.Image) -> np.ndarray:
    """(H, W) uint16 of 16-bit grey."""
    return np.asarray(image).clip(0, 65535).astype(np.uint16)
