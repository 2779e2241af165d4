"""Reader of NeRF-Synthetic folders: transforms_train.json, transforms_val.json, transforms_test.json."""

from pathlib import Path

from scenes.frames import Split, aabb_scale, document, every_eighth, frames, load, present
from scenes.scene import ReadOptions, Scene

FILE = "transforms_{}.json"


def matches(data: str) -> bool:
    """Whether this is a folder with a transforms_train.json."""
    return (Path(data) / FILE.format("train")).is_file()


def read(data: str, options: ReadOptions) -> Scene:
    """Read the scene: trained on the train split alone, tested on test, else val, else every 8th train picture.

    SceneError where it cannot be used; the message names the file.
    """
    path = Path(data) / FILE.format("train")
    content = document(path)
    train = frames(path, content)
    facts = [f"format: NeRF-Synthetic, {path.name} with {len(train)} frames"]
    held = next((p for part in ("test", "val") if (p := Path(data) / FILE.format(part)).is_file()), None)
    if held:
        test = frames(held, document(held))
        facts.append(f"split: trained on {path.name} alone, tested on {held.name} ({len(test)} frames)")
    else:
        train, test, fact = every_eighth(train)
        facts.append(f"{fact}, as there is no test or val file")
    split = Split(path.resolve().parent.name, path, train, test, aabb_scale(path, content), tuple(facts))
    return load(present(split, options), options)
