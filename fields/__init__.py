"""What a field is: an architecture that maps points to features, under a head that gives them meaning."""

import difflib
import importlib
import os
from pathlib import Path
from types import ModuleType

# Before PyTorch starts its threads: idle ones sleep instead of spinning. Spinning gains a tenth on an idle machine, but
# where another program keeps one of two cores busy it makes a training step ten times slower (docs/design.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

FILES = (p.stem for p in (Path(__file__).parent / "arch").glob("*.py"))
NAMES = tuple(sorted(name for name in FILES if name != "__init__" and not name.endswith("_cuda")))


def module(name: str) -> ModuleType:
    """The file `fields/arch/NAME.py`: its `Config`, `PRESETS` and `Network`. ValueError, with the nearest name."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no architecture is named {name!r}{hint} (there are: {', '.join(NAMES)})")
    return importlib.import_module(f"fields.arch.{name}")
