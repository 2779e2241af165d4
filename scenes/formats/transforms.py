"""Reader of a single transforms.json, as instant-ngp's colmap2nerf.py and nerfstudio's ns-process-data write it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenes.frames import Entry, Frame, Split, aabb_scale, document, every_eighth, frames, load, present
from scenes.scene import ReadOptions, Scene, SceneError

FILE = "transforms.json"
UNUSED = ("scale", "offset", "aabb", "render_aabb", "applied_transform", "applied_scale")  # reported, not applied


def matches(data: str) -> bool:
    """Whether this is a JSON file, or a folder with a transforms.json."""
    path = Path(data)
    return (path / FILE).is_file() or (path.suffix.lower() == ".json" and path.is_file())


def read(data: str, options: ReadOptions) -> Scene:
    """Read the scene. SceneError where it cannot be used; the message names the file."""
    path = Path(data) if Path(data).is_file() else Path(data) / FILE
    content = document(path)
    every = frames(path, content)
    facts = [f"format: {path.name} of instant-ngp or nerfstudio, {len(every)} frames"]
    facts += [f"{key}: {content[key]} is not needed and was ignored" for key in UNUSED if content.get(key) is not None]
    name = path.resolve().parent.name
    whole = present(Split(name, path, every, (), aabb_scale(path, content), tuple(facts)), options)
    train, test, fact = _divided(path, content, whole.train, every)
    return load(replace(whole, train=train, test=test, facts=(*whole.facts, fact)), options)


def _divided(
    path: Path, content: Entry, here: Sequence[Frame], every: Sequence[Frame]
) -> tuple[tuple[Frame, ...], tuple[Frame, ...], str]:
    """Train and test frames of those that are here, and how they were told apart."""
    train, val, test = (_names(path, content, f"{part}_filenames", every) for part in ("train", "val", "test"))
    if not (train or val or test):
        return every_eighth(here)
    held = test or val
    kept = train or {frame.name for frame in every} - val - test
    if not held:
        return tuple(f for f in here if f.name in kept), (), "split: train_filenames alone, nothing is left for test"
    fact = f"split: by file names, tested on {'test' if test else 'val'}_filenames"
    return tuple(f for f in here if f.name in kept), tuple(f for f in here if f.name in held), fact


def _names(path: Path, content: Entry, key: str, every: Sequence[Frame]) -> set[str]:
    """The frame names that a list such as 'train_filenames' means. SceneError for a name that no frame bears."""
    listed: Any = content.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise SceneError(f"{path}: '{key}' must be a list of file names")
    known = {_stem(frame.name): frame.name for frame in every}
    unknown = [name for name in listed if _stem(name) not in known]
    if unknown:
        raise SceneError(f"{path}: '{key}' names {unknown[0]!r}, which is the file_path of no frame")
    return {known[_stem(name)] for name in listed}


def _stem(name: str) -> str:
    """A file name without what may differ between two ways to write it: `./`, back-slashes, the extension."""
    name = name.strip().replace("\\", "/").removeprefix("./")
    return name.rpartition(".")[0] if Path(name).suffix else name
