"""Reader of NeRF-Synthetic folders: transforms_train.json, transforms_val.json, transforms_test.json."""

from dataclasses import replace
from pathlib import Path

from scenes.formats.json_frames.document import parse
from scenes.formats.json_frames.frames import aabb_scale, read_frames
from scenes.options import ReadOptions
from scenes.posed import Posed, Reading
from scenes.scene import Fact

TAKES = "a folder with transforms_train.json"
FILE = "transforms_{}.json"


def matches(data: str) -> int:
    """Whether this is a folder with a transforms_train.json."""
    return 3 * (Path(data) / FILE.format("train")).is_file()


def read(data: str, options: ReadOptions) -> Reading:
    """Trained on the train split alone, tested on test, else val, else every 8th train picture.

    SceneError where it cannot be used; the message names the file.
    """
    path = Path(data) / FILE.format("train")
    content = parse(path)
    pictures, found = read_frames(path, content)
    facts = [Fact("found", f"format: NeRF-Synthetic, {path.name} with {len(pictures)} frames")]
    split = ""
    for held in (p for part in ("test", "val") if (p := Path(data) / FILE.format(part)).is_file()):
        test, also, reason = read_held(held)
        if not reason:
            split = f"trained on {path.name} alone, tested on {held.name}"
            pictures = (
                *(replace(one, split="train") for one in pictures),
                *(replace(one, split="test") for one in test),
            )
            found = list(dict.fromkeys([*found, *also]))
            break
        facts.append(Fact("assumed", f"split: {held.name} is left out: {reason}"))
    if not split and len(facts) == 1:
        facts.append(Fact("assumed", "split: there is no test or val file"))
    scale = aabb_scale(path, content)
    return Reading(path.resolve().parent.name, str(path), pictures, (*facts, *found), aabb_scale=scale, split=split)


def read_held(path: Path) -> tuple[tuple[Posed, ...], list[Fact], str]:
    """The frames of a test or val file, facts, and why they cannot be used, as BlenderNeRF leaves it where it rendered
    no test pictures; empty: they can. SceneError for a file that is damaged."""
    content = parse(path)
    if content.get("frames") == []:
        return (), [], "it has no frames"
    test, facts = read_frames(path, content)
    if not any(isinstance(one.picture, Path) and one.picture.is_file() for one in test):
        return (), [], f"of its {len(test)} pictures none is there"
    return test, facts, ""
