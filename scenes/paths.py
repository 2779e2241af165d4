"""What lies at a path: a model, a scene in one of the formats, a camera path, or nothing. It is asked here alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fields import files
from render.command import missing
from scenes import formats
from scenes.foreign import EMPTY, UNKNOWN, describe_file, describe_folder
from scenes.formats.json_frames.document import parse
from scenes.naming import strip
from scenes.options import SceneError

Kind = Literal["model", "scene", "camera path", "nothing"]

MODEL = ".safetensors"


@dataclass(frozen=True)
class Found:
    """A path and what lies there."""

    kind: Kind
    path: str  # as it was given, but for ~, quotes and file://
    format: str = ""  # of a scene: a file name of scenes/formats
    reason: str = ""  # why it is nothing, one line that names the path
    known: bool = False  # whether the reason says what it is, and what to do


def look(text: str) -> Found:
    """What lies at a path, or is meant by `builtin[:SIZE]`. Only names and beginnings are read: it may be damaged."""
    name = strip(text)
    path = Path(name)
    if not name:
        return Found("nothing", name, reason="no path was given")
    if path.suffix.lower() == MODEL and path.is_file():
        return Found("model", name)
    if path.suffix.lower() == ".ply" and (told := describe_file(path)):
        return Found("nothing", name, reason=f"{name}: {told}", known=True)
    if format := formats.find(name):
        return Found("scene", name, format)
    if path.suffix.lower() == ".json" and path.is_file():
        return look_at_json(path)
    reason, known = explain(path)
    return Found("nothing", name, reason=f"{name}: {reason}", known=known)


def expect(text: str, *kinds: Kind) -> Found:
    """What lies at a path, which must be one of these kinds. SceneError, with what was wanted and found,
    where it is another; ModelError for a model that cannot be opened."""
    found = look(text)
    if found.kind in kinds:
        if found.kind == "model":
            with files.opened(Path(found.path)):
                return found
        return found
    scenes = f"a data set ({formats.describe_all()})"
    words = {"model": "a model file", "scene": scenes, "camera path": "a camera path"}
    wanted = " or ".join(words[kind] for kind in kinds)
    if found.kind == "nothing":
        raise SceneError(found.reason if found.known else f"{found.reason}; wanted {wanted}")
    article = words[found.kind] if found.kind != "scene" else "a data set"
    raise SceneError(f"{found.path}: is {article}; wanted {wanted}")


def look_at_json(path: Path) -> Found:
    """A JSON file that no format knows: a camera path holds our keyframes, or nerfstudio's camera_path."""
    try:
        record = parse(path)
    except SceneError as error:
        return Found("nothing", str(path), reason=str(error))
    if "keyframes" in record or "camera_path" in record:
        return Found("camera path", str(path))
    if told := describe_file(path):
        return Found("nothing", str(path), reason=f"{path}: {told}", known=True)
    reason = f"{path}: has no 'frames' as a data set, no 'keyframes' and no 'camera_path' as a camera path"
    return Found("nothing", str(path), reason=reason)


def explain(path: Path) -> tuple[str, bool]:
    """Why nothing can be made of a path, and whether that says what it is and what to do."""
    if reason := missing(path):
        return reason, False
    if path.is_file():
        told = describe_file(path)
        return told or "not a data set and not a model", bool(told)
    told = describe_folder(path)
    return told, told not in (EMPTY, UNKNOWN)
