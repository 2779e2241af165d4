"""How large the next frame is and whether it comes before more learning: measured times in, decisions out. Pure."""

import math
from dataclasses import dataclass, replace

from viewer.messages import PixelSize

MOVING = 1 / 20  # seconds for one frame of all panes while the person moves
LIVE = 0.2  # the same while something learns and nobody moves: it may be given up
COARSE = 0.25  # seconds from which a full picture of all panes is preceded by a coarse one
SHARE = 0.13  # of the time that drawing may take while something learns and nobody moves
WINDOW = 10.0  # seconds over which that share is taken
SMALLEST = 1 / 16  # of the full width and height
FIRST = 4096  # pixels of a frame whose cost is not known yet
FADE = 0.75  # weight of earlier frames when the next one is measured
STEPS = 4  # sizes in an octave
SLACK = 0.7, 1.3  # of the allowed time: as long as the size before stays within, it is kept


@dataclass(frozen=True)
class Cost:
    """What a pane's frames in one mode take: seconds = fixed + pixel * pixels, by least squares in which the past
    fades. A small frame costs more per pixel than a large one, so that one rate would not do for both."""

    weight: float = 0.0  # of all frames so far
    pixels: float = 0.0  # weighted mean
    seconds: float = 0.0  # weighted mean
    spread: float = 0.0  # weighted variance of pixels
    common: float = 0.0  # weighted covariance of pixels and seconds

    def after(self, pixels: int, seconds: float) -> "Cost":
        """With one frame more (West 1979, the weighted update of mean and covariance)."""
        old = FADE * self.weight
        weight = old + 1
        dx, dy = pixels - self.pixels, seconds - self.seconds
        return Cost(
            weight,
            self.pixels + dx / weight,
            self.seconds + dy / weight,
            (old * self.spread + dx * dx * old / weight) / weight,
            (old * self.common + dx * dy * old / weight) / weight,
        )

    @property
    def line(self) -> tuple[float, float]:
        """Fixed seconds >= 0 and seconds per pixel > 0. Frames of one size only tell of no fixed part."""
        rate = self.seconds / max(self.pixels, 1.0)
        if self.spread <= (0.02 * self.pixels) ** 2:
            return 0.0, max(rate, 1e-12)
        pixel = min(max(self.common / self.spread, rate / 4), rate)  # noise must not make pixels free
        return self.seconds - pixel * self.pixels, max(pixel, 1e-12)

    def time(self, size: PixelSize) -> float:
        """Seconds that a frame of this size should take; infinite while nothing is known."""
        if self.weight == 0:
            return math.inf
        fixed, pixel = self.line
        return fixed + pixel * math.prod(size)


@dataclass(frozen=True)
class FramePurpose:
    """What a frame is for."""

    moving: bool  # the person moves
    learning: bool  # something learns
    shown: bool  # some frame of this picture has been shown
    panes: int = 1  # that share the time


def choose_size(full: PixelSize, cost: Cost, purpose: FramePurpose, before: PixelSize | None = None) -> PixelSize:
    """The size of the next frame, at most `full` and of its proportions; `before` is that of the last coarse one.

    Moving: as large as fits into MOVING. Learning: into LIVE. Else coarse first where the full picture would take
    longer than COARSE, and full from then on.
    """
    if purpose.moving:
        return fit_size(full, cost, MOVING / purpose.panes, before)
    if purpose.learning:
        return fit_size(full, cost, LIVE / purpose.panes, before)
    if purpose.shown or cost.time(full) <= COARSE / purpose.panes:
        return full
    return fit_size(full, cost, COARSE / 2 / purpose.panes, before)


def fit_size(full: PixelSize, cost: Cost, allowed: float, before: PixelSize | None = None) -> PixelSize:
    """The largest size on the ladder that takes no longer than `allowed` seconds. The size before is kept while it
    takes about as long, so that sizes do not flicker."""
    if cost.weight == 0:
        return shrink(full, math.sqrt(FIRST / math.prod(full)))
    if before and shrink(full, before[0] / full[0]) == before:
        low, high = (allowed * s for s in SLACK)
        if low <= cost.time(before) <= high or (before == full and cost.time(full) <= high):
            return before
    fixed, pixel = cost.line
    return shrink(full, math.sqrt(max(allowed - fixed, 0.0) / (pixel * math.prod(full))))


def shrink(full: PixelSize, share: float) -> PixelSize:
    """The next smaller size on a ladder of STEPS an octave, `share` of the full width and height or less; from SMALLEST
    to all of it, at least 1 x 1."""
    if share >= 0.95:
        return full
    rung = math.floor(STEPS * math.log2(max(share, SMALLEST)) + 0.01)  # a rung's own rounding must not lose it
    scale = max(2 ** (rung / STEPS), SMALLEST)
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


@dataclass(frozen=True)
class TimeShares:
    """Where the last seconds went, while something learns."""

    drawn: float = 0.0  # seconds, fading
    learnt: float = 0.0
    drew: bool = False  # the last slice was a frame

    def after_frame(self, seconds: float) -> "TimeShares":
        """With a frame more."""
        faded = self.faded(seconds)
        return replace(faded, drawn=faded.drawn + seconds, drew=True)

    def after_learning(self, seconds: float) -> "TimeShares":
        """With a slice of learning more."""
        faded = self.faded(seconds)
        return replace(faded, learnt=faded.learnt + seconds, drew=False)

    def faded(self, seconds: float) -> "TimeShares":
        """What is left of the past after so long."""
        keep = math.exp(-seconds / WINDOW)
        return replace(self, drawn=self.drawn * keep, learnt=self.learnt * keep)

    def frame_next(self, purpose: FramePurpose) -> bool:
        """Whether a frame that is wanted comes before more learning: always where nothing learns; every second time
        while the person moves or waits for a first frame; else within SHARE of the time."""
        if not purpose.learning:
            return True
        if purpose.moving or not purpose.shown:
            return not self.drew
        return self.drawn <= SHARE * (self.drawn + self.learnt)
