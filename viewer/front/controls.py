"""What a person can set of a picture: one table of names, units, ranges and defaults. Window, browser, keys and flags
read it."""

import math
from dataclasses import dataclass
from typing import final

from render.units import RATES


@final
@dataclass(frozen=True)
class Control:
    """A number that can be set."""

    name: str  # its label
    help: str
    low: float
    high: float
    usual: float
    step: float = 0.01  # the least change that means anything
    unit: str = ""
    pivots: bool = False  # low and high count distances from the eye to its pivot, so that they suit scenes of any size
    log: bool = False  # as much from 1 to 2 as from 10 to 20

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return self.step == int(self.step)

    def clamp(self, value: float) -> float:
        """The nearest value within the range."""
        return min(max(value, self.low), self.high)

    def require(self, flag: str, value: float) -> None:
        """ValueError, which names the flag, for a value out of range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{flag} must be {self.low:g} to {self.high:g}, found {value:g}")


# Exposure: the eight stops of keys and browser, as dark rooms need more than the four that the window had.
EXPOSURE = Control("exposure", "of colours", -8, 8, 0, 0.25, "stops")
# Samples: as many as `view-scene --passes` took; the window had 256 and the browser 64.
SAMPLES = Control("samples", "per pixel, when nothing moves", 1, 4096, 16, 1, log=True)
WIPE = Control("divider", "share of the width, where two fields meet", 0, 1, 0.5)
GAIN = Control("gain", "factor on differences", 1, 64, 4, 0.5, "x", log=True)
PHOTOGRAPH = Control("photograph", "how much of it lies over the picture", 0, 1, 0, 0.05)
# Field of view: up to what an album's widest fisheye is looked through with.
FIELD_OF_VIEW = Control("field of view", "along the shorter side", 1, 172, math.degrees(0.7), 0.1, "deg")
NEAR = Control("near clip", "nothing nearer is drawn", 0, 2, 0, 0.001, pivots=True)
APERTURE = Control("aperture", "radius of the lens; 0: everything is sharp", 0, 0.1, 0, 0.0001, pivots=True)
FOCUS = Control("focus", "distance that is sharp; 0: the pivot", 0, 4, 0, 0.001, pivots=True)
CROP_TURN = Control("turned", "the crop box, about the upright axis through its middle", -180, 180, 0, 0.1, "deg")
SPEED = Control("speed", "factor on the pace of flying", 0.01, 100, 1, unit="x", log=True)
FRAME_RATE = Control("frames/s", "of a film", *RATES, 24, 0.01, log=True)
