"""Ignore masks: which pixels are neither trained nor scored. (Empty space is alpha, and another matter.)

Which colour is ignored is what the format documents, never a guess: black in the files that `mask_path` names
(nerfstudio's data conventions), all but black in instant-ngp's `dynamic_mask_NAME.png`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from scenes.pictures.images import Source, read_masks
from scenes.scene import Fact

TOUCHED = 1e-3  # a pixel is ignored once this share of its area is
SUSPECT = 0.95  # share of ignored pixels above which the masks are probably inverted


def valid(
    pictures: Sequence[Source], masks: Sequence[Path | None], sizes: Sequence[tuple[int, int]]
) -> tuple[list[Tensor], list[Fact]]:
    """Per picture (H, W) bool, False where it is masked out, and what was found.

    `masks` are the files that the data set names, whose black is ignored; beside them `dynamic_mask_NAME.png` next to a
    picture counts, whose non-zero pixels are ignored.
    """
    result = [torch.ones((), dtype=torch.bool).expand(height, width) for width, height in sizes]
    facts = []
    named = {i: mask for i, mask in enumerate(masks) if mask is not None}
    if named:
        white = read_masks([(file, sizes[i]) for i, file in named.items()], nonzero=False)
        ignored = [share < 1 - TOUCHED for share in white]
        _apply(result, list(named), ignored)
        facts.append(_told("masks", "black, as nerfstudio's mask_path has it,", ignored))
    files = {i: dynamic_mask(path) for i, path in enumerate(pictures) if isinstance(path, Path)}
    dynamic = {i: file for i, file in files.items() if os.path.isfile(file)}  # noqa: PTH113 (no error for long names)
    if dynamic:
        white = read_masks([(file, sizes[i]) for i, file in dynamic.items()], nonzero=True)
        ignored = [share > TOUCHED for share in white]
        _apply(result, list(dynamic), ignored)
        facts.append(_told("dynamic masks", "everything but black, as instant-ngp has it,", ignored))
    return result, facts


def dynamic_mask(picture: Path) -> Path:
    """Where instant-ngp looks for a picture's mask."""
    return picture.parent / f"dynamic_mask_{picture.stem}.png"


def _apply(result: list[Tensor], index: Sequence[int], ignored: Sequence[Tensor]) -> None:
    for i, pixels in zip(index, ignored, strict=True):
        result[i] = result[i] & ~pixels


def _told(what: str, colour: str, ignored: Sequence[Tensor]) -> Fact:
    share = sum(int(pixels.sum()) for pixels in ignored) / sum(pixels.numel() for pixels in ignored)
    said = f"{what}: {colour} is ignored: {share:.1%} of the pixels of {len(ignored)} pictures"
    if share == 0:
        return Fact("doubtful", f"{said}; they mask nothing: check that black and white are not swapped")
    if share > SUSPECT:
        return Fact("doubtful", f"{said}; that is nearly all: check that black and white are not swapped")
    return Fact("found", said)
