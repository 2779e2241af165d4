"""What can be drawn, by name, as flags offer it: read off the table in render/looks.py without running it, as nothing
heavy may be imported."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Literal

TREE = ast.parse((Path(__file__).parent / "looks.py").read_text(encoding="utf-8"))


def entries() -> dict[str, dict[str, ast.expr]]:
    """Names of the table's modes, in its order, and what is said of each by keyword."""
    calls = [n for n in ast.walk(TREE) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    modes = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Mode"]
    told = [(call.args[0], {word.arg: word.value for word in call.keywords if word.arg}) for call in modes]
    return {str(name.value): words for name, words in told if isinstance(name, ast.Constant)}


ENTRIES = entries()
NAMES = tuple(ENTRIES)
DRAWABLE = tuple(name for name, words in ENTRIES.items() if "wants" not in words)  # of a model file alone
VALUES = tuple(name for name, words in ENTRIES.items() if "values" in words)  # of which there are numbers

if TYPE_CHECKING:
    ModeName = DrawableName = str
else:  # what a command line is offered
    ModeName, DrawableName = Literal[NAMES], Literal[DRAWABLE]
