"""Reader of NeRF-Synthetic folders: transforms_train.json, transforms_val.json, transforms_test.json."""

from dataclasses import replace
from pathlib import Path

from scenes.formats.json_frames.document import parse
from scenes.formats.json_frames.frames import aabb_scale, read_frames
from scenes.options import ReadOptions
from scenes.posed import Reading
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
    pictures, scaled = read_frames(path, content)
    facts = [Fact("found", f"format: NeRF-Synthetic, {path.name} with {len(pictures)} frames")]
    held = next((p for part in ("test", "val") if (p := Path(data) / FILE.format(part)).is_file()), None)
    if held:
        test, also = read_frames(held, parse(held))
        told = f"split: trained on {path.name} alone, tested on {held.name} ({len(test)} frames)"
        facts.append(Fact("found", told))
        scaled = scaled or also
        pictures = (
            *(replace(one, split="train") for one in pictures),
            *(replace(one, split="test") for one in test),
        )
    else:
        facts.append(Fact("assumed", "split: there is no test or val file"))
    return Reading(
        path.resolve().parent.name, str(path), pictures, (*facts, *scaled), aabb_scale=aabb_scale(path, content)
    )
