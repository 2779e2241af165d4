"""What a picture's file says before its pixels are decoded: its size, how EXIF would turn it, how many bits it has.

EXIF's orientation is not applied by itself: most programs solve poses on pixels as they are stored. Where the data set
states a size that only the turned picture has, its poses were solved on turned pictures, and those are turned.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scenes.scene import Fact

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")  # of files, in any case
ORIENTATION = 0x0112  # EXIF's tag
WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of 16-bit grey
WIDE_COLOUR = ("RGB;16B", "RGBA;16B")  # and its raw modes of PNGs with 16 bits a channel, of which it keeps 8
ASPECT = 0.01  # how far a picture's width / height may be off the stated one
Turn = Callable[[np.ndarray], np.ndarray]
TURNS: dict[int, Turn] = {  # of (H, W, ...), by orientation
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


@dataclass(frozen=True)
class Stored:
    """Of one picture."""

    size: tuple[int, int]  # width and height as stored
    orientation: int = 1  # EXIF's, 1 to 8; 1: nothing is to be turned
    wide: bool = False  # 16 bits a channel

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once it is turned."""
        width, height = self.size
        return (height, width) if self.orientation >= 5 else self.size

    def turns_to_fit(self, stated: tuple[int, int]) -> bool:
        """Whether the turned picture, and not the stored one, has the shape of `stated` (width, height)."""
        return not alike(self.size, stated) and alike(self.upright, stated)


def header(image: Image.Image) -> Stored:
    """Of an opened file."""
    colour = image.format == "PNG" and any(tile[3] in WIDE_COLOUR for tile in getattr(image, "tile", []))
    return Stored(image.size, orientation(image), image.mode in WIDE or colour)


def orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8; 1 where there is none, or none that is valid. Pillow turns TIFFs by itself."""
    if image.format == "TIFF":
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow has no one class for EXIF that is damaged, and the picture may be whole
        return 1
    return value if value in TURNS else 1


def alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) have one shape."""
    return abs(size[0] / size[1] * other[1] / other[0] - 1) <= ASPECT


def choose_turned(heads: Sequence[Stored], stated: Sequence[tuple[int, int]]) -> tuple[list[bool], list[Fact]]:
    """Which pictures are turned by EXIF's orientation, and the fact where any has one. `stated` is the size (width,
    height) that each picture's lens is stated for."""
    marked = [head.orientation != 1 for head in heads]
    if not any(marked):
        return [False] * len(heads), []
    turned = [head.turns_to_fit(size) for head, size in zip(heads, stated, strict=True)]
    kept = [not alike(head.upright, size) for head, size in zip(heads, stated, strict=True)]
    if any(turned) and not any(k for k, mark in zip(kept, marked, strict=True) if mark):
        turned = marked  # poses of all were solved on turned pictures, also of those whose shape does not tell
    values = Counter(head.orientation for head in heads if head.orientation != 1)
    which = ", ".join(f"{value} ({n})" for value, n in sorted(values.items()))
    said = f"EXIF orientation: {sum(marked)} of {len(heads)} pictures have one that turns them: {which}"
    if any(turned):
        return turned, [Fact("assumed", f"{said}; {sum(turned)} were turned, as only that fits the stated w and h")]
    return turned, [Fact("assumed", f"{said}; it is not applied: poses are taken to be of the pixels as stored")]
