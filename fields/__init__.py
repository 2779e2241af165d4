"""What a field is: an architecture that maps points to features, under a head that gives them meaning."""

import ast
import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from fields import compiled, memory, numbers, waiting

compiled.keep()
compiled.keep_triton()
compiled.spare_torch()
memory.keep()
# Spinning gains a tenth on an idle machine, but where another program keeps one of two cores busy it makes a training
# step ten times slower (docs/design.md).
waiting.sleep()


def list_files(folders: Iterable[str]) -> tuple[str, ...]:
    """Names that the files of a package's folders register, sorted."""
    stems = {path.stem for folder in folders for path in Path(folder).glob("*.py")}
    return tuple(sorted(name for name in stems if name != "__init__" and not name.endswith(("_cpu", "_cuda"))))


NAMES = list_files([str(Path(__file__).parent / "arch")])  # architectures


def module(name: str) -> ModuleType:
    """The file `fields/arch/NAME.py`: its `Config`, `PRESETS`, `Network`, and `WHEN` to take it.
    ValueError, with the nearest name."""
    check_known("architecture", name, NAMES)
    return importlib.import_module(f"fields.arch.{name}")


def preset_names(name: str) -> tuple[str, ...]:
    """Presets of an architecture, as its file names them; nothing of it is run. ValueError, with the nearest name."""
    check_known("architecture", name, NAMES)
    tree = ast.parse((Path(__file__).parent / "arch" / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and is_presets(node.targets):
            return tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
    raise ValueError(f"fields/arch/{name}.py: has no PRESETS")


def is_presets(targets: list[ast.expr]) -> bool:
    """Whether PRESETS is what is assigned to."""
    return any(isinstance(target, ast.Name) and target.id == "PRESETS" for target in targets)


def check_names(architecture: str, preset: str, head: str) -> None:
    """ValueError, with the nearest name, where there is no such architecture, preset of it, or head. `auto` and nothing
    are left to be chosen."""
    if architecture != "auto":
        check_known("architecture", architecture, NAMES)
        if preset != "auto":
            check_preset(architecture, preset, preset_names(architecture))
    if head:
        check_known("head", head, head_names())


def check_preset(architecture: str, preset: str, names: Iterable[str]) -> None:
    """ValueError, with those there are, where an architecture has no such preset."""
    if preset not in names:
        raise ValueError(f"{architecture} has no preset {preset!r} (there are: {', '.join(names)})")


def head_names() -> tuple[str, ...]:
    """Heads, those of folders that others added among them."""
    return list_files(importlib.import_module("fields.heads").__path__)


def head(name: str) -> ModuleType:
    """The file `fields/heads/NAME.py`: its `Readout`. ValueError, with the nearest name."""
    check_known("head", name, head_names())
    return importlib.import_module(f"fields.heads.{name}")


def check_known(kind: str, name: str, names: tuple[str, ...]) -> None:
    """ValueError, with the nearest name, where there is no file of that name."""
    if name not in names:
        near = difflib.get_close_matches(name, names, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no {kind} is named {numbers.brief(name)}{hint} (there are: {', '.join(names)})")
