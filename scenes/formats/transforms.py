"""Reader of a single transforms.json, as instant-ngp's colmap2nerf.py and nerfstudio's ns-process-data write it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenes.formats.json_frames.document import Entry, parse
from scenes.formats.json_frames.frames import aabb_scale, read_frames
from scenes.options import ReadOptions, SceneError
from scenes.posed import Posed, Reading
from scenes.scene import Fact

TAKES = "transforms.json or its folder"
FILE = "transforms.json"
UNUSED = ("scale", "offset", "aabb", "render_aabb", "applied_transform", "applied_scale")  # reported, not applied


def matches(data: str) -> int:
    """Whether this is a folder with a transforms.json, or a JSON file that holds frames."""
    path = Path(data)
    if (path / FILE).is_file():
        return 2
    if path.suffix.lower() != ".json" or not path.is_file():
        return 0
    try:
        return 2 * ("frames" in parse(path))
    except SceneError:
        return 0


def read(data: str, options: ReadOptions) -> Reading:
    """Its frames, split by its lists of file names if it has any. SceneError, naming the file, where that cannot be."""
    path = Path(data) if Path(data).is_file() else Path(data) / FILE
    content = parse(path)
    every, scaled = read_frames(path, content)
    facts = [Fact("found", f"format: {path.name} of instant-ngp or nerfstudio, {len(every)} frames")]
    unused = [key for key in UNUSED if content.get(key) is not None]
    facts += [Fact("ignored", f"{key}: {content[key]} is not needed and was ignored") for key in unused]
    pictures, found = divide(path, content, every)
    return Reading(
        path.resolve().parent.name, str(path), pictures, (*facts, *scaled, *found), aabb_scale=aabb_scale(path, content)
    )


def divide(path: Path, content: Entry, every: Sequence[Posed]) -> tuple[tuple[Posed, ...], list[Fact]]:
    """The pictures that are used, marked for train and test where the file says so, and how it does."""
    train, val, test = (_names(path, content, f"{part}_filenames", every) for part in ("train", "val", "test"))
    if not (train or val or test):
        return tuple(every), []
    held = test or val
    kept = train or {one.name for one in every} - val - test
    pictures = (
        *(replace(one, split="train") for one in every if one.name in kept),
        *(replace(one, split="test") for one in every if one.name in held),
    )
    if not held:
        return pictures, [Fact("found", "split: train_filenames alone, nothing is left for test")]
    return pictures, [Fact("found", f"split: by file names, tested on {'test' if test else 'val'}_filenames")]


def _names(path: Path, content: Entry, key: str, every: Sequence[Posed]) -> set[str]:
    """The frame names that a list such as 'train_filenames' means. SceneError for a name that no frame bears."""
    listed: Any = content.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise SceneError(f"{path}: '{key}' must be a list of file names")
    known = {_stem(one.name): one.name for one in every}
    unknown = [name for name in listed if _stem(name) not in known]
    if unknown:
        raise SceneError(f"{path}: '{key}' names {unknown[0]!r}, which is the file_path of no frame")
    return {known[_stem(name)] for name in listed}


def _stem(name: str) -> str:
    """A file name without what may differ between two ways to write it: `./`, back-slashes, the extension."""
    name = name.strip().replace("\\", "/").removeprefix("./")
    return name.rpartition(".")[0] if Path(name).suffix else name
