"""Reader of a single transforms.json, as instant-ngp's colmap2nerf.py and nerfstudio's ns-process-data write it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fields.numbers import brief
from scenes.formats.json_frames.document import Entry, parse
from scenes.formats.json_frames.frames import aabb_scale, read_frames
from scenes.options import ReadOptions, SceneError
from scenes.pictures.headers import SUFFIXES
from scenes.posed import Posed, Reading
from scenes.scene import Fact

TAKES = "transforms.json or its folder"
FILE = "transforms.json"


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
    every, found = read_frames(path, content)
    facts = [Fact("found", f"format: {path.name} of instant-ngp or nerfstudio, {len(every)} frames"), *found]
    pictures, split = divide(path, content, every)
    return Reading(
        path.resolve().parent.name, str(path), pictures, tuple(facts), None, aabb_scale(path, content), split
    )


def divide(path: Path, content: Entry, every: Sequence[Posed]) -> tuple[tuple[Posed, ...], str]:
    """The pictures that are used, marked for train and test where the file says so, and how it does, in words."""
    train, val, test = (_named(path, content, f"{part}_filenames", every) for part in ("train", "val", "test"))
    if not (train or val or test):
        return tuple(every), ""
    held = test or val
    kept = train or set(range(len(every))) - val - test
    pictures = (
        *(replace(one, split="train") for i, one in enumerate(every) if i in kept),
        *(replace(one, split="test") for i, one in enumerate(every) if i in held),
    )
    if not held:
        return pictures, "train_filenames alone"
    return pictures, f"by file names, tested on {'test' if test else 'val'}_filenames"


def _named(path: Path, content: Entry, key: str, every: Sequence[Posed]) -> set[int]:
    """The frames that a list such as 'train_filenames' means: those of exactly this name, else the one whose name
    differs by its extension alone. SceneError for a name that no frame bears, or several do."""
    listed: Any = content.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise SceneError(f"{path}: '{key}' must be a list of file names")
    exact, stems = defaultdict(set), defaultdict(set)
    for i, (one, frame) in enumerate(zip(every, content["frames"], strict=True)):
        for name in (one.name, _plain(frame["file_path"])):
            exact[name].add(i)
            stems[_stem(name)].add(i)
    return set().union(*(_meant(f"{path}: '{key}'", name, exact, stems) for name in listed))


def _meant(where: str, name: str, exact: dict[str, set[int]], stems: dict[str, set[int]]) -> set[int]:
    """The frames that one listed name means. SceneError, which begins with `where`, for none or several."""
    plain = _plain(name)
    if plain in exact:
        return exact[plain]
    found = stems.get(_stem(plain), set())
    if not found:
        raise SceneError(f"{where} names {brief(name)}, which is the file_path of no frame")
    if len(found) > 1:
        raise SceneError(f"{where} names {brief(name)}, which fits {len(found)} frames; wanted it with its extension")
    return found


def _plain(name: str) -> str:
    """A file name without what may differ between two ways to write it: `./` and back-slashes."""
    return name.strip().replace("\\", "/").removeprefix("./")


def _stem(name: str) -> str:
    """A name without the extension of a picture."""
    stem, dot, suffix = name.rpartition(".")
    return stem if (dot + suffix).lower() in SUFFIXES else name
