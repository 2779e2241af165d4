"""Edits of a teacher as flags name them: a crop, erased boxes, a density threshold. Nothing heavy is imported."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Edits:
    """What is taken from a model. Boxes are two corners, x0 y0 z0 x1 y1 z1, in input coordinates, faces included."""

    crop: tuple[float, ...] = ()  # six numbers; only what is inside stays
    erase: tuple[tuple[float, ...], ...] = ()  # six numbers each; what is inside goes
    min_density: float = 0.0  # per scene unit; whatever is less dense goes; 0: nothing does
    crop_turn: float = 0.0  # degrees, of the crop about +Z of the input coordinates through its middle

    def __post_init__(self) -> None:
        for flag, numbers in self.boxes():
            check_box(flag, numbers)
        if not 0 <= self.min_density < math.inf:
            raise ValueError(f"--min-density must be 0 or more per scene unit, found {self.min_density:g}")
        if not -360 <= self.crop_turn <= 360 or (self.crop_turn and not self.crop):
            raise ValueError(f"--crop-turn wants -360 to 360 degrees, and a --crop; found {self.crop_turn:g}")

    def __bool__(self) -> bool:
        return bool(self.crop or self.erase or self.min_density)

    def __str__(self) -> str:
        words = [spelled(flag, numbers) for flag, numbers in self.boxes()]
        words += [f"--crop-turn {self.crop_turn:g}"] * bool(self.crop_turn)
        return " ".join(words + [f"--min-density {self.min_density:g}"] * bool(self.min_density))

    def boxes(self) -> list[tuple[str, tuple[float, ...]]]:
        """Every box with its flag."""
        return [("--crop", self.crop)] * bool(self.crop) + [("--erase", numbers) for numbers in self.erase]


def spelled(flag: str, numbers: tuple[float, ...]) -> str:
    """A flag as it was written."""
    return " ".join([flag, *(f"{n:g}" for n in numbers)])


def check_box(flag: str, numbers: tuple[float, ...]) -> None:
    """ValueError, naming the flag, unless these are a finite low and a higher corner."""
    wanted = f"{flag} wants six numbers x0 y0 z0 x1 y1 z1"
    if len(numbers) != 6:
        raise ValueError(f"{wanted}, found {len(numbers)}")
    if not all(math.isfinite(n) for n in numbers):
        raise ValueError(f"{wanted}, all finite; found {spelled('', numbers).strip()}")
    if not all(low < high for low, high in zip(numbers[:3], numbers[3:], strict=True)):
        raise ValueError(f"{wanted} with x0 < x1, y0 < y1, z0 < z1; found {spelled('', numbers).strip()}")
