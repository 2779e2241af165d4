"""What can be drawn, by name, as flags offer it; render/looks.py says how. Nothing heavy is imported."""

from typing import TYPE_CHECKING, Literal

DRAWABLE = ("color", "depth", "normal", "opacity", "cost", "occupancy")  # of a model file alone
VALUES = ("depth", "normal", "opacity")  # of which there are numbers, not only pictures
NAMES = (*DRAWABLE, "error")  # the last one beside a photograph

if TYPE_CHECKING:
    ModeName = DrawableName = str
else:  # what a command line is offered
    ModeName, DrawableName = Literal[NAMES], Literal[DRAWABLE]
