"""The frames of a transforms.json as posed pictures: entries checked one by one, files found, lenses in pixels."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields.numbers import array, brief, printable
from render.units import MOST_FRAMES
from scenes.formats.json_frames.document import Entry, number
from scenes.formats.json_frames.lens import (
    FOCAL,
    KEYS,
    MATRICES,
    OTHER_LENSES,
    intrinsics,
    merged,
    of_other_size,
    own,
    stated_size,
)
from scenes.formats.json_frames.lookup import NamedFiles
from scenes.options import SceneError
from scenes.pictures import images
from scenes.posed import Posed, take_out_scale
from scenes.scene import Fact

LENS = (*KEYS, *MATRICES, *OTHER_LENSES)
READ = ("frames", "aabb_scale", "from_na", "train_filenames", "val_filenames", "test_filenames")  # of a document
READ_IN_FRAMES = ("file_path", "transform_matrix", "mask_path", "depth_file_path", "time")
UNNEEDED = ("rotation", "sharpness", "colmap_im_id")  # that most programs write, and that say nothing of the scene
UNAPPLIED = ("scale", "offset", "aabb", "render_aabb", "applied_transform", "applied_scale")  # of other coordinates
LONGEST = 80  # characters of a file's name in messages
OPENGL = (1.0, -1.0, -1.0, 1.0)  # of OpenCV's axes, column by column of a pose


@dataclass(frozen=True)
class Listed:
    """An entry of 'frames', checked but for its lens."""

    name: str  # path within the data set, with forward slashes
    file: Path
    factor: int  # how many times smaller than the picture that was named the file is
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
    if len(entries) > MOST_FRAMES:
        raise SceneError(f"{path}: expected at most {MOST_FRAMES} frames, found {len(entries)}")
    files = NamedFiles(path.parent)
    every = [check_entry(files, content, entry, f"{path}: frame {i}") for i, entry in enumerate(entries)]
    sizes = sizes_of(every)
    check_one_size(every, sizes)
    poses, facts = take_out_scale([one.pose for one in every], [f"{one.where}: 'transform_matrix'" for one in every])
    if content.get("from_na"):
        poses = [pose * pose.new_tensor(OPENGL) for pose in poses]
        facts.append(Fact("found", "axes: from_na, as NeuS2 writes it, so that poses are in OpenCV's axes"))
    pictures = [pose_picture(files, one, pose, sizes.get(one.file)) for one, pose in zip(every, poses, strict=True)]
    told = [of_other_size(one.lens, sizes[one.file], one.where) for one in every if one.file in sizes]
    return tuple(pictures), [*facts, *files.facts(), *unread(content, entries), *[fact for fact in told if fact][:1]]


def sizes_of(every: list[Listed]) -> dict[Path, tuple[int, int]]:
    """Width and height of the files that are there, turned by EXIF where only that fits the stated w and h, and as
    large as the picture that was named."""
    here = [one for one in every if one.file.is_file()]
    result = {}
    for one, head in zip(here, images.headers([one.file for one in here]), strict=True):
        stated = stated_size(one.lens, head.size, one.where)
        width, height = head.upright if head.turns_to_fit(stated) else head.size
        result[one.file] = (width * one.factor, height * one.factor)
    return result


def unread(content: Entry, entries: list[Any]) -> list[Fact]:
    """Keys with a value that nothing asks for, a line for those of coordinates and one for all others."""
    facts = [
        Fact("ignored", f"{key}: {brief(content[key])} is not needed and was ignored")
        for key in UNAPPLIED
        if content.get(key) is not None
    ]
    known = {*LENS, *READ, *UNAPPLIED, *UNNEEDED}
    rest = [key for key in content if key not in known and content[key] is not None]
    if rest:
        valued = [f"{key} ({content[key]})" if isinstance(content[key], str) else key for key in rest]
        facts.append(Fact("ignored", f"not used: {printable(', '.join(valued))}"))
    known = {*LENS, *READ_IN_FRAMES, *UNNEEDED}
    if rest := dict.fromkeys(key for entry in entries for key in entry if key not in known):
        facts.append(Fact("ignored", f"not used, of frames: {printable(', '.join(rest))}"))
    return facts


def aabb_scale(path: Path, content: Entry) -> float | None:
    """instant-ngp's box side, 1 to 128, or None. SceneError for a value that is no positive number."""
    if "aabb_scale" not in content:
        return None
    value = number(content, "aabb_scale", str(path))
    if not 1 <= value <= 128:
        raise SceneError(f"{path}: aabb_scale must be 1 to 128, found {value:g}")
    return value


def check_entry(files: NamedFiles, content: Entry, entry: Any, where: str) -> Listed:
    """One checked entry of 'frames'."""
    if not isinstance(entry, dict):
        raise SceneError(f"{where}: expected an object, found a {type(entry).__name__}")
    name = entry.get("file_path")
    if not isinstance(name, str) or not name.strip():
        raise SceneError(f"{where}: expected a 'file_path', found {brief(name)}")
    where = f"{where} ({printable(name, LONGEST)})"
    if "transform_matrix" not in entry:
        raise SceneError(f"{where} has no 'transform_matrix'; wanted a 4 x 4 list")
    for key in ("mask_path", "depth_file_path"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise SceneError(f"{where}: '{key}' must be a file name, found {brief(entry[key])}")
    lens = merged(content, entry, where)
    shared = bool({"fl_x", "fl_y"} & lens.keys()) and not any(key in own(entry, where) for key in (*FOCAL, "w", "h"))
    file, factor = files.find(name)
    inside = file.relative_to(files.folder).as_posix() if file.is_relative_to(files.folder) else file.as_posix()
    return Listed(inside, file, factor, parse_pose(entry["transform_matrix"], where), lens, shared, entry, where)


def parse_pose(rows: Any, where: str) -> Tensor:
    """(4, 4) float64 of a list of 3 or 4 rows of 4."""
    short = isinstance(rows, list) and len(rows) == 3
    try:
        matrix = array(rows, f"{where}: 'transform_matrix'", (3, 4) if short else (4, 4))
    except ValueError as error:
        raise SceneError(str(error)) from None
    return torch.cat([matrix, matrix.new_tensor([[0, 0, 0, 1]])]) if short else matrix


def pose_picture(files: NamedFiles, one: Listed, pose: Tensor, size: tuple[int, int] | None) -> Posed:
    """An entry with its rigid pose and its lens. A missing picture has no `size`, and any will do."""
    lens, stated = intrinsics(one.lens, size or (1, 1), one.where)
    mask, depth, time = (one.entry.get(key) for key in ("mask_path", "depth_file_path", "time"))
    return Posed(
        one.name,
        one.file,
        pose,
        lens,
        stated,
        mask=files.find(mask)[0] if mask else None,
        time=None if time is None else number(one.entry, "time", one.where),
        depth=files.find(depth)[0] if depth else None,
    )


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
