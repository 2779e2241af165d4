"""Where the results of a data set, mesh or model go where nobody says: a folder named after it, and no other's. Nothing
heavy is imported: it is asked before PyTorch is there."""

import hashlib
import itertools
import os
from pathlib import Path

from scenes.naming import strip

RUNS = "runs"
OWNER = ".owner"  # file in such a folder: `digest` of whose results it holds
BUILTIN = "builtin"
MODEL = "model.safetensors"  # is called as its folder


def locate(text: str) -> str:
    """Where that is, the same however it was named: absolute, without links; `builtin[:SIZE]` as it is; empty where
    nothing is. A folder's only transforms.json is the folder."""
    name = strip(text)
    if name.partition(":")[0] == BUILTIN:
        return name
    found = Path(os.path.realpath(name))
    if not name or not found.exists():
        return ""
    only = found.name == "transforms.json" and not found.with_name("transforms_train.json").exists()
    return str(found.parent if only and found.is_file() else found)


def digest(where: str) -> str:
    """A location as others may see it: the same for the same one."""
    return hashlib.sha256(where.encode(errors="surrogateescape")).hexdigest()[:16]


def result_folder(text: str, kind: str = "") -> Path:
    """`runs/NAME` or `runs/NAME_KIND`; where another one's results lie there, NAME_2 and so on. It is never the data
    set, in it or around it: where we work inside of it, `runs` lies beside. ValueError where there is no such place."""
    where = locate(text)
    path, kind = Path(where), f"_{kind}" if kind else ""
    if not path.is_absolute():
        return unowned(Path(RUNS), (where.replace(":", "_") or "scene") + kind, where)
    home = path.parent if path.suffix.lower() == ".json" and path.is_file() else path
    beside = (home.parent / RUNS, home.with_name(f"{home.name}_{RUNS}")) if home.name else ()
    base = next((base for base in (Path(RUNS), *beside) if not is_within(base, home)), None)
    if base is None:
        raise ValueError(f"{text}: there is no place outside of it for the results; name one with --out")
    return unowned(base, (title(path) or "scene") + kind, where)


def unowned(base: Path, name: str, where: str) -> Path:
    """The first folder of that name, then with numbers, that may take the results of what lies at `where`."""
    numbered = (base / (name if n == 1 else f"{name}_{n}") for n in itertools.count(1))
    return next(folder for folder in numbered if not is_within(Path(where), folder) and is_free(folder, where))


def title(path: Path) -> str:
    """What a data set, a mesh or a model is called."""
    named = path.parent if path.is_file() and (path.suffix.lower() == ".json" or path.name == MODEL) else path
    return named.stem if named.is_file() else named.name


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def is_free(folder: Path, where: str) -> bool:
    """Whether a folder is new, nobody's, or that of what lies at `where`."""
    try:
        return not folder.exists() or (folder / OWNER).read_text(encoding="utf-8") == digest(where)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
