"""Ignore masks: which pixels are neither trained nor scored. (Empty space is alpha, and another matter.)"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from scenes.pictures.images import Source, read_masks
from scenes.scene import Fact

TOUCHED = 1e-3  # a pixel is ignored once this share of its area is
SUSPECT = 0.9  # ignored share above which the facts ask for a second look


def valid(
    pictures: Sequence[Source], masks: Sequence[Path | None], sizes: Sequence[tuple[int, int]]
) -> tuple[list[Tensor], list[Fact]]:
    """Per picture (H, W) bool, False where it is masked out, and what was found.

    `masks` are the files that the data set names; beside them `dynamic_mask_NAME.png` next to a picture counts, whose
    non-zero pixels are ignored.
    """
    result = [torch.ones((), dtype=torch.bool).expand(height, width) for width, height in sizes]
    facts = []
    named = [i for i, mask in enumerate(masks) if mask is not None]
    if named:
        white = read_masks([(mask, sizes[i]) for i in named if (mask := masks[i])], nonzero=False)
        inverted = white_is_ignored(white)
        ignored = [share > TOUCHED if inverted else share < 1 - TOUCHED for share in white]
        _apply(result, named, ignored)
        facts.append(_told("masks", "white (guessed: it avoids the middle)" if inverted else "black", ignored))
    files = {i: dynamic_mask(path) for i, path in enumerate(pictures) if isinstance(path, Path)}
    dynamic = {i: file for i, file in files.items() if file.is_file()}
    if dynamic:
        white = read_masks([(file, sizes[i]) for i, file in dynamic.items()], nonzero=True)
        ignored = [share > TOUCHED for share in white]
        _apply(result, list(dynamic), ignored)
        facts.append(_told("dynamic masks", "everything but black", ignored))
    return result, facts


def dynamic_mask(picture: Path) -> Path:
    """Where instant-ngp looks for a picture's mask."""
    return picture.parent / f"dynamic_mask_{picture.stem}.png"


def white_is_ignored(white: Sequence[Tensor]) -> bool:
    """Polarity of a set of masks, each (H, W), the share of white.

    Photographers put what they want in the middle. So black is ignored, as in nerfstudio, unless over the whole set
    the middle ninth of the pictures is mostly black and also blacker than the rest.
    """
    middle, rest = 0.0, 0.0
    for share in white:
        height, width = share.shape
        rows, columns = slice(height // 3, height - height // 3), slice(width // 3, width - width // 3)
        inner, whole = float(share[rows, columns].mean()), float(share.mean())
        part = share[rows, columns].numel() / share.numel()
        middle += inner
        rest += (whole - part * inner) / max(1 - part, 1e-6)
    return middle < 0.5 * len(white) and middle < rest


def _apply(result: list[Tensor], index: Sequence[int], ignored: Sequence[Tensor]) -> None:
    for i, pixels in zip(index, ignored, strict=True):
        result[i] = result[i] & ~pixels


def _told(what: str, colour: str, ignored: Sequence[Tensor]) -> Fact:
    share = sum(int(pixels.sum()) for pixels in ignored) / sum(pixels.numel() for pixels in ignored)
    doubt = "; that is nearly all of it, check that the masks are not inverted" if share > SUSPECT else ""
    return Fact("assumed", f"{what}: {colour} is ignored: {share:.1%} of the pixels of {len(ignored)} pictures{doubt}")
