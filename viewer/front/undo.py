"""Undo: where the eye was and what the crop box kept before, step by step. A drag, or a flight, is one step. Pure."""

import math
from dataclasses import dataclass, replace

from viewer.front.navigation import Eye
from viewer.front.session import State
from viewer.messages import WorldBox

REST = 0.6  # seconds without a change after which the next one is a step of its own
MOST = 100  # steps that are remembered


@dataclass(frozen=True)
class Snapshot:
    """What can be taken back."""

    eye: Eye | None
    crop: WorldBox | None
    crop_turn: float

    @staticmethod
    def of(state: State) -> "Snapshot":
        """As it is now."""
        return Snapshot(state.eye, state.display.crop, state.display.crop_turn)

    def put(self, state: State) -> State:
        """The state as it was."""
        display = replace(state.display, crop=self.crop, crop_turn=self.crop_turn)
        return replace(state, eye=self.eye, display=display)


@dataclass(frozen=True)
class Steps:
    """What was, and what was taken back."""

    past: tuple[Snapshot, ...] = ()  # the last one is what was before the latest step
    future: tuple[Snapshot, ...] = ()  # the last one is what was taken back last
    changed: float = -math.inf  # when something last changed, seconds

    def saw(self, before: State, after: State, now: float, *, held: bool) -> "Steps":
        """With a change at a time `now`. `held`: a button or key is down that began this step."""
        one = Snapshot.of(before)
        if one == Snapshot.of(after) or one.eye is None:
            return self
        going_on = now - self.changed < (math.inf if held else REST)
        if self.past and not self.future and going_on:
            return replace(self, changed=now)
        return Steps((*self.past, one)[-MOST:], (), now)

    def apart(self) -> "Steps":
        """The next change is a step of its own, however soon it comes."""
        return replace(self, changed=-math.inf)

    def back(self, state: State) -> tuple["Steps", State]:
        """One step back, where there is one."""
        if not self.past:
            return self, state
        *past, snapshot = self.past
        return Steps(tuple(past), (*self.future, Snapshot.of(state))), snapshot.put(state)

    def forward(self, state: State) -> tuple["Steps", State]:
        """Again what was taken back last."""
        if not self.future:
            return self, state
        *future, snapshot = self.future
        return Steps((*self.past, Snapshot.of(state)), tuple(future)), snapshot.put(state)
