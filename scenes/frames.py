"""Frames: the entries of a transforms.json, checked one by one, then loaded and placed as a scene."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from scenes.pictures import images, masks
from scenes.pictures.lens import FOCAL, Entry, intrinsics, merged, number
from scenes.placing.box import Shot, solve
from scenes.scene import ReadOptions, Scene, SceneError, View

MAX_BYTES = 256 << 20  # of one JSON file
RIGID = 0.01  # how far rotation^T rotation may be off the identity
TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)  # strings and comments
TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[\]}])', re.DOTALL)  # strings, and commas before a closing bracket
EMPTY_SHARE = 0.001  # share of pixels with alpha 0 from which a picture counts as cut out
MISSING = "missing: "  # how the fact about skipped pictures begins
LISTED = 5  # missing files named in a message


@dataclass(frozen=True)
class Frame:
    """One posed picture, not loaded yet."""

    name: str  # path within the data set, with forward slashes
    path: Path
    pose: Tensor  # (4, 4) float64, camera-to-world, input units, rotation orthonormal
    scale: float  # uniform scale that the rotation part had
    lens: Entry  # the keys of scenes/pictures/lens.py that hold for this frame
    shared: bool  # its focal length in pixels is stated once for all frames
    mask: Path | None  # file of `mask_path`
    where: str  # for messages


@dataclass(frozen=True)
class Split:
    """What is to be loaded."""

    name: str
    path: Path  # the JSON file that messages name
    train: tuple[Frame, ...]
    test: tuple[Frame, ...]
    aabb_scale: float | None  # instant-ngp's
    facts: tuple[str, ...]


def document(path: Path) -> Entry:
    """The object in a JSON file, which may hold //, # and /* */ comments and trailing commas. SceneError else."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SceneError(f"{path}: expected at most {MAX_BYTES >> 20} MiB of JSON, found {size >> 20} MiB")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneError(f"{path}: expected JSON in UTF-8, found byte {error.object[error.start]:#04x}") from None
    plain = TOKENS.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)
    try:
        found = json.loads(TRAILING.sub(lambda m: m[1] or " ", plain))
    except (json.JSONDecodeError, RecursionError) as error:
        raise SceneError(f"{path}: not whole JSON, it may be cut off or damaged: {error}") from None
    if not isinstance(found, dict):
        raise SceneError(f"{path}: expected a JSON object with 'frames', found a {type(found).__name__}")
    return found


def frames(path: Path, content: Entry) -> tuple[Frame, ...]:
    """The frames of a parsed JSON file, in its order. SceneError for none, or for the first that cannot be used."""
    entries = content.get("frames")
    if not isinstance(entries, list) or not entries:
        found = "none" if "frames" not in content or entries == [] else f"a {type(entries).__name__}"
        raise SceneError(f"{path}: expected a list 'frames' with at least one entry, found {found}")
    return tuple(_frame(path, content, entry, f"{path}: frame {i}") for i, entry in enumerate(entries))


def present(split: Split, options: ReadOptions) -> Split:
    """The split without the frames whose picture is missing. SceneError unless `skip_missing`, or if none is left."""
    every = (*split.train, *split.test)
    missing = [frame for frame in every if not frame.path.is_file()]
    if not missing:
        return split
    listed = ", ".join(frame.name for frame in missing[:LISTED]) + (" ..." if len(missing) > LISTED else "")
    told = f"{len(missing)} of {len(every)} pictures are missing: {listed}"
    if len(missing) == len(every):
        raise SceneError(f"{split.path}: expected pictures beside it, found none; {told}")
    if not options.skip_missing:
        raise SceneError(f"{split.path}: {told}; --skip-missing goes on without them")
    gone = {id(frame) for frame in missing}
    train, test = (tuple(f for f in part if id(f) not in gone) for part in (split.train, split.test))
    facts = (*split.facts, f"{MISSING}{told}; they are skipped")
    return replace(split, train=train, test=test, facts=facts)


def load(split: Split, options: ReadOptions) -> Scene:
    """Load the pictures of a split and find the scene's place. Every frame's picture must exist."""
    if not split.train:
        raise SceneError(f"{split.path}: expected train pictures, found only test ones")
    shots, transparent, facts = _shots((*split.train, *split.test), options)
    train = len(split.train)
    fit = solve(shots[:train], transparent=transparent, aabb_scale=None if transparent else split.aabb_scale)
    views = [View(shot.placed(fit.transform), shot.image, shot.valid, shot.name) for shot in shots]
    background = (1.0, 1.0, 1.0) if transparent else (0.0, 0.0, 0.0)
    facts = (*split.facts, *facts, *fit.facts)
    return Scene(
        split.name, tuple(views[:train]), tuple(views[train:]), fit.box, fit.transform, background, transparent, facts
    )


def every_eighth(every: Sequence[Frame]) -> tuple[tuple[Frame, ...], tuple[Frame, ...], str]:
    """Train and test frames, and the fact: sorted by name, frames 0, 8, 16, ... are for test. A lone frame trains."""
    ordered = sorted(every, key=lambda frame: frame.name)
    if len(ordered) == 1:
        return tuple(ordered), (), "split: a single picture, nothing is left for test"
    test = tuple(ordered[::8])
    train = tuple(frame for i, frame in enumerate(ordered) if i % 8)
    return train, test, f"split: every 8th picture by file name is for test ({len(test)} of {len(ordered)})"


def _frame(path: Path, content: Entry, entry: Any, where: str) -> Frame:
    """One checked entry of 'frames'."""
    if not isinstance(entry, dict):
        raise SceneError(f"{where}: expected an object, found a {type(entry).__name__}")
    name = entry.get("file_path")
    if not isinstance(name, str) or not name.strip():
        raise SceneError(f"{where}: expected a 'file_path', found {name!r}")
    where = f"{where} ({name})"
    if "transform_matrix" not in entry:
        raise SceneError(f"{where} has no 'transform_matrix'; wanted a 4 x 4 list")
    pose, scale = _pose(entry["transform_matrix"], where)
    mask = entry.get("mask_path")
    if mask is not None and not isinstance(mask, str):
        raise SceneError(f"{where}: 'mask_path' must be a file name, found {mask!r}")
    lens = merged(content, entry)
    shared = bool({"fl_x", "fl_y"} & lens.keys()) and not any(key in entry for key in (*FOCAL, "w", "h"))
    file = _file(path.parent, name)
    mask_file = _file(path.parent, mask) if mask else None
    return Frame(_relative(path.parent, file), file, pose, scale, lens, shared, mask_file, where)


def _pose(rows: Any, where: str) -> tuple[Tensor, float]:
    """(4, 4) float64 pose with an orthonormal rotation, and the uniform scale that was taken out of it."""
    try:
        matrix = torch.tensor(rows, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise SceneError(f"{where}: 'transform_matrix' must be a 4 x 4 list of numbers") from None
    if matrix.shape == (3, 4):
        matrix = torch.cat([matrix, matrix.new_tensor([[0, 0, 0, 1]])])
    if matrix.shape != (4, 4):
        shape = " x ".join(str(n) for n in matrix.shape)
        raise SceneError(f"{where}: 'transform_matrix' must be 4 x 4, found {shape}")
    if not bool(torch.isfinite(matrix).all()):
        raise SceneError(f"{where}: 'transform_matrix' must hold finite numbers, found NaN or infinity")
    if float((matrix[3] - matrix.new_tensor([0, 0, 0, 1])).abs().max()) > 1e-6:
        raise SceneError(f"{where}: last row of 'transform_matrix' must be 0 0 0 1, found {matrix[3].tolist()}")
    u, stretch, v = torch.linalg.svd(matrix[:3, :3])
    scale = float(stretch.mean())
    if float(stretch[2]) <= 1e-6 * float(stretch[0]):
        raise SceneError(f"{where}: 'transform_matrix' is singular; wanted a rotation and a position")
    if float((stretch / scale - 1).abs().max()) > RIGID:
        raise SceneError(
            f"{where}: 'transform_matrix' is not rigid: after a uniform scale of {scale:.4g} is removed, "
            f"its axes are stretched {stretch[0] / scale:.3g} to {stretch[2] / scale:.3g} times"
        )
    matrix[:3, :3] = u @ v
    if float(torch.linalg.det(matrix[:3, :3])) < 0:
        raise SceneError(f"{where}: 'transform_matrix' mirrors; wanted a right-handed rotation")
    return matrix, scale


def _file(folder: Path, name: str) -> Path:
    """The file of a `file_path`: with any of the known extensions where it bears none."""
    path = folder / PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_file():
        return path
    return next((p for suffix in images.SUFFIXES if (p := path.with_name(path.name + suffix)).is_file()), path)


def _relative(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()


def _shots(every: Sequence[Frame], options: ReadOptions) -> tuple[list[Shot], bool, list[str]]:
    """Loaded frames, whether they are cut out (transparent), and facts."""
    stored = images.sizes([frame.path for frame in every])
    _one_size(every, stored)
    lenses = [intrinsics(frame.lens, size, frame.where) for frame, size in zip(every, stored, strict=True)]
    pictures = images.read([frame.path for frame in every], options)
    loaded = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    valid, facts = masks.valid([f.path for f in every], [f.mask for f in every], loaded)
    pictures, valid, transparent, found = _alpha(pictures, valid)
    shots = [
        Shot(frame.name, frame.pose, lens.resized(new[0] / old[0], new[1] / old[1]), picture, keep)
        for frame, lens, old, new, picture, keep in zip(every, lenses, stored, loaded, pictures, valid, strict=True)
    ]
    if stored != loaded:
        facts.insert(0, f"pictures: {_spoken(stored)} in the files, loaded at {_spoken(loaded)}")
    scales = [frame.scale for frame in every]
    if max(abs(scale - 1) for scale in scales) > 1e-3:
        facts.append(f"poses: a uniform scale of {min(scales):.4g} to {max(scales):.4g} was taken out of the rotations")
    return shots, transparent, [*facts, found]


def _one_size(every: Sequence[Frame], stored: Sequence[tuple[int, int]]) -> None:
    """SceneError where one focal length in pixels is to serve pictures of two sizes."""
    shared = [(frame, size) for frame, size in zip(every, stored, strict=True) if frame.shared]
    counts = Counter(size for _, size in shared)
    if len(counts) < 2:
        return
    wanted = counts.most_common(1)[0][0]
    usual = next(frame for frame, size in shared if size == wanted)
    odd, found = next((frame, size) for frame, size in shared if size != wanted)
    raise SceneError(
        f"{odd.path}: expected {wanted[0]} x {wanted[1]} pixels like {usual.name}, as all frames share one fl_x, "
        f"found {found[0]} x {found[1]}; give each frame its own fl_x, w and h"
    )


def _alpha(pictures: list[Tensor], valid: list[Tensor]) -> tuple[list[Tensor], list[Tensor], bool, str]:
    """Pictures and masks, whether the set is cut out, and the fact. Cut out: half of the pictures have empty parts.

    In any other set alpha below a half is a mask: those pixels become invalid, and all pixels opaque.
    """
    empty = [float((picture[..., 3] == 0).float().mean()) for picture in pictures]
    cut = sum(share > EMPTY_SHARE for share in empty)
    if 2 * cut >= len(pictures):
        fact = f"alpha: {cut} of {len(pictures)} pictures have empty parts, {sum(empty) / len(empty):.1%} of all pixels"
        return pictures, valid, True, fact
    if all(bool((picture[..., 3] == 255).all()) for picture in pictures):
        return pictures, valid, False, "alpha: none, the pictures are opaque"
    valid = [keep & (picture[..., 3] >= 128) for keep, picture in zip(valid, pictures, strict=True)]
    for picture in pictures:
        picture[..., 3] = 255
    return pictures, valid, False, f"alpha: only {cut} of {len(pictures)} pictures have empty parts, so alpha is a mask"


def _spoken(sizes: Sequence[tuple[int, int]]) -> str:
    """Picture sizes in words."""
    distinct = sorted(set(sizes))
    if len(distinct) == 1:
        return f"{distinct[0][0]} x {distinct[0][1]}"
    return f"{distinct[0][0]} x {distinct[0][1]} to {distinct[-1][0]} x {distinct[-1][1]}"


def aabb_scale(path: Path, content: Entry) -> float | None:
    """instant-ngp's box side, 1 to 128, or None. SceneError for a value that is no positive number."""
    if "aabb_scale" not in content:
        return None
    value = number(content, "aabb_scale", str(path))
    if not 1 <= value <= 128:
        raise SceneError(f"{path}: aabb_scale must be 1 to 128, found {value:g}")
    return value
