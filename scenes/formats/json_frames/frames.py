"""The frames of a transforms.json as posed pictures: entries checked one by one, files found, lenses in pixels."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from scenes.formats.json_frames.document import Entry, number
from scenes.formats.json_frames.lens import FOCAL, intrinsics, merged
from scenes.options import SceneError
from scenes.pictures import images
from scenes.posed import Posed, take_out_scale
from scenes.scene import Fact


@dataclass(frozen=True)
class Listed:
    """An entry of 'frames', checked but for its lens."""

    name: str  # path within the data set, with forward slashes
    file: Path
    pose: Tensor  # (4, 4) float64, as it is listed
    lens: Entry  # the keys of lens.py that hold for this frame
    shared: bool  # its focal length in pixels is stated once for all frames
    entry: Entry
    where: str  # for messages


def read_frames(path: Path, content: Entry) -> tuple[tuple[Posed, ...], list[Fact]]:
    """The frames of a parsed JSON file, in its order, and facts. SceneError for none, or the first that is unusable."""
    entries = content.get("frames")
    if not isinstance(entries, list) or not entries:
        found = "none" if "frames" not in content or entries == [] else f"a {type(entries).__name__}"
        raise SceneError(f"{path}: expected a list 'frames' with at least one entry, found {found}")
    every = [check_entry(path, content, entry, f"{path}: frame {i}") for i, entry in enumerate(entries)]
    here = [one.file for one in every if one.file.is_file()]
    sizes = dict(zip(here, images.sizes(here), strict=True))
    check_one_size(every, sizes)
    poses, facts = take_out_scale([one.pose for one in every], [f"{one.where}: 'transform_matrix'" for one in every])
    pictures = [pose_picture(path, one, pose, sizes.get(one.file)) for one, pose in zip(every, poses, strict=True)]
    return tuple(pictures), facts


def aabb_scale(path: Path, content: Entry) -> float | None:
    """instant-ngp's box side, 1 to 128, or None. SceneError for a value that is no positive number."""
    if "aabb_scale" not in content:
        return None
    value = number(content, "aabb_scale", str(path))
    if not 1 <= value <= 128:
        raise SceneError(f"{path}: aabb_scale must be 1 to 128, found {value:g}")
    return value


def check_entry(path: Path, content: Entry, entry: Any, where: str) -> Listed:
    """One checked entry of 'frames'."""
    if not isinstance(entry, dict):
        raise SceneError(f"{where}: expected an object, found a {type(entry).__name__}")
    name = entry.get("file_path")
    if not isinstance(name, str) or not name.strip():
        raise SceneError(f"{where}: expected a 'file_path', found {name!r}")
    where = f"{where} ({name})"
    if "transform_matrix" not in entry:
        raise SceneError(f"{where} has no 'transform_matrix'; wanted a 4 x 4 list")
    for key in ("mask_path", "depth_file_path"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise SceneError(f"{where}: '{key}' must be a file name, found {entry[key]!r}")
    lens = merged(content, entry)
    shared = bool({"fl_x", "fl_y"} & lens.keys()) and not any(key in entry for key in (*FOCAL, "w", "h"))
    file = find_file(path.parent, name)
    inside = file.relative_to(path.parent).as_posix() if file.is_relative_to(path.parent) else file.as_posix()
    return Listed(inside, file, parse_pose(entry["transform_matrix"], where), lens, shared, entry, where)


def parse_pose(rows: Any, where: str) -> Tensor:
    """(4, 4) float64 of a list of 3 or 4 rows of 4."""
    try:
        matrix = torch.tensor(rows, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise SceneError(f"{where}: 'transform_matrix' must be a 4 x 4 list of numbers") from None
    if matrix.shape == (3, 4):
        matrix = torch.cat([matrix, matrix.new_tensor([[0, 0, 0, 1]])])
    if matrix.shape != (4, 4):
        shape = " x ".join(str(n) for n in matrix.shape)
        raise SceneError(f"{where}: 'transform_matrix' must be 4 x 4, found {shape}")
    return matrix


def pose_picture(path: Path, one: Listed, pose: Tensor, size: tuple[int, int] | None) -> Posed:
    """An entry with its rigid pose and its lens. A missing picture has no `size`, and any will do."""
    lens, stated = intrinsics(one.lens, size or (1, 1), one.where)
    mask, depth, time = (one.entry.get(key) for key in ("mask_path", "depth_file_path", "time"))
    return Posed(
        one.name,
        one.file,
        pose,
        lens,
        stated,
        mask=find_file(path.parent, mask) if mask else None,
        time=float(time) if isinstance(time, int | float) else None,
        depth=find_file(path.parent, depth) if depth else None,
    )


def find_file(folder: Path, name: str) -> Path:
    """The file of a `file_path`: with any of the known extensions where it bears none."""
    path = folder / PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_file():
        return path
    return next((p for suffix in images.SUFFIXES if (p := path.with_name(path.name + suffix)).is_file()), path)


def check_one_size(every: list[Listed], sizes: dict[Path, tuple[int, int]]) -> None:
    """SceneError where one focal length in pixels is to serve pictures of two sizes."""
    shared = [(one, sizes[one.file]) for one in every if one.shared and one.file in sizes]
    counts = Counter(size for _, size in shared)
    if len(counts) < 2:
        return
    wanted = counts.most_common(1)[0][0]
    usual = next(one for one, size in shared if size == wanted)
    odd, found = next((one, size) for one, size in shared if size != wanted)
    raise SceneError(
        f"{odd.file}: expected {wanted[0]} x {wanted[1]} pixels like {usual.name}, as all frames share one fl_x, "
        f"found {found[0]} x {found[1]}; give each frame its own fl_x, w and h"
    )
