"""What is being drawn: every pane's picture of the shot that is wanted, from a coarse one to many samples per pixel."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from render.pictures import bytes_of
from viewer.messages import Drawn, Photograph, Report, Shot, same
from viewer.worker.drawing import Pass, Stack, draw_pass
from viewer.worker.modes import Truth
from viewer.worker.pacing import Cost, Size, Times, Wish, frame_size
from viewer.worker.shelf import Shelf

WHOLE_EVERY = 5  # coarse frames of a field that learns, after which one is whole where there is a photograph


def never() -> bool:
    """What is asked whether to give up a picture that is wanted whatever comes."""
    return False


@dataclass
class Sheet:
    """How far one pane's picture is."""

    stack: Stack | None = None  # passes at full size
    shown: bool = False  # some picture of this shot has been sent
    done: bool = False  # nothing better follows, until the shot or the field changes
    resting: bool = False  # nothing better follows while its field learns
    turn: int = 0  # number of the frame that was its last: panes take turns


class Easel:
    """The pictures in the making. Everything it needs of the engine comes in through its arguments."""

    def __init__(self, shelf: Shelf, report: Callable[[Report], None], interrupts: Callable[[], bool]) -> None:
        self.shelf, self.report, self.interrupts = shelf, report, interrupts
        self.shot: Shot | None = None
        self.sheets: dict[int, Sheet] = {}
        self.entries = shelf.entries  # that truths and photograph belong to
        self.truths: dict[int, Truth | None] = {}  # of this shot, by pane
        self.photograph = -1  # view whose photograph was sent last
        self.times = Times()
        self.costs: dict[tuple[int, str], Cost] = {}  # by pane and mode
        self.coarse: dict[tuple[int, str], Size] = {}  # of the last coarse frame
        self.frames = 0  # so far
        self.since: dict[int, int] = {}  # coarse frames of a pane since its last whole one

    def want(self, shot: Shot) -> None:
        """Another picture is wanted. Of one that was wanted in motion a coarse one is there already."""
        settled = self.shot is not None and same(replace(shot, moving=True, number=self.shot.number), self.shot)
        before, self.shot, self.truths = self.sheets, shot, {}
        panes = [number for number in shot.panes if number in self.shelf.panes]
        self.sheets = {n: Sheet(shown=settled and n in before and before[n].shown) for n in panes}
        self.send_photograph()

    def stale(self, number: int) -> None:
        """A pane's field has changed."""
        if number in self.sheets:
            self.sheets[number] = Sheet(shown=self.sheets[number].shown, turn=self.sheets[number].turn)

    def forget(self, number: int) -> None:
        """A pane is gone."""
        self.sheets.pop(number, None)

    def due(self, *, learning: bool) -> bool:
        """Whether a picture comes next."""
        if self.entries is not self.shelf.entries:
            self.entries, self.truths, self.photograph = self.shelf.entries, {}, -1
            self.send_photograph()
        if not learning:
            for sheet in self.sheets.values():
                sheet.done, sheet.resting = sheet.done and not sheet.resting, False
        if self.shot is None or all(sheet.done for sheet in self.sheets.values()):
            return False
        return self.times.frame_next(self.wish(all(sheet.shown for sheet in self.sheets.values()), learning))

    @property
    def moving(self) -> bool:
        """Whether the person moves."""
        return self.shot is not None and self.shot.moving

    def wish(self, shown: bool, learning: bool) -> Wish:
        """What the next frame is for."""
        assert self.shot is not None
        return Wish(self.shot.moving, learning, shown, len(self.sheets))

    def account(self, *, drawn: float = 0.0, learnt: float = 0.0) -> None:
        """Time went by."""
        self.times = self.times.after_frame(drawn) if drawn else self.times.after_learning(learnt)

    def draw(self, *, learning: bool) -> None:
        """The next picture of the pane whose turn it is. Fields that do not learn get finer also while others do."""
        assert self.shot is not None
        waiting = (n for n, sheet in self.sheets.items() if not sheet.done)
        number = min(waiting, key=lambda n: (self.sheets[n].shown, self.sheets[n].turn))
        live = learning and self.shelf.panes[number].busy
        sheet, full = self.sheets[number], self.shot.camera.size
        key = number, self.shot.mode
        cost = self.costs.get(key, Cost())
        truth = self.truth(number)
        size = frame_size(full, cost, self.wish(sheet.shown, live), self.coarse.get(key))
        if live and truth and not self.shot.moving and self.since.get(number, 0) >= WHOLE_EVERY:
            size = full  # dB are taken at full size
        coarse = size != full
        level = sheet.stack.passes if sheet.stack and not coarse else 0
        cancelled = never if self.shot.moving or not sheet.shown else self.interrupts  # moving must show something
        camera = self.shot.camera if not coarse else self.shot.camera.resized(*size)
        one = draw_pass(self.shelf.panes[number].subject, self.shot, camera, level, truth, cancelled)
        if one is None:
            return
        self.costs[key] = cost.after(math.prod(size), one.seconds)
        self.frames += 1
        self.since[number] = self.since.get(number, 0) + 1 if coarse else 0
        sheet.shown, sheet.turn = True, self.frames
        if coarse:
            self.coarse[key] = size
            stack, enough = Stack.of(one), False
        else:
            sheet.stack = sheet.stack.plus(one) if sheet.stack else Stack.of(one)
            stack = sheet.stack
            enough = stack.passes >= self.shot.passes
        sheet.done = enough or live or self.shot.moving
        sheet.resting = live and not enough and not self.shot.moving
        self.send(number, stack, one, truth, final=enough)

    def send(self, number: int, stack: Stack, one: Pass, truth: Truth | None, *, final: bool) -> None:
        """Report a picture."""
        assert self.shot is not None
        image = stack.image(self.shot, truth)
        self.report(
            Drawn(self.shot.number, number, image, stack.passes, one.seconds * 1e3, one.samples, one.psnr, final)
        )

    def truth(self, number: int) -> Truth | None:
        """The photograph of the view that is looked through, at the picture's full size."""
        assert self.shot is not None
        view = self.shot.view
        if view is None or view >= len(self.entries):
            return None
        if number not in self.truths:
            background = self.shot.background or self.shelf.panes[number].background
            self.truths[number] = self.entries[view].truth(self.shot.camera.size, background)
        return self.truths[number]

    def send_photograph(self) -> None:
        """Report the photograph of the view that is looked through, once."""
        view = self.shot.view if self.shot else None
        if view is None or view == self.photograph or view >= len(self.entries) or not self.sheets:
            return
        pane = self.shelf.panes[next(iter(self.sheets))]
        truth = self.entries[view].truth(self.entries[view].camera.size, pane.background)
        if truth is not None:
            self.photograph = view
            self.report(Photograph(view, bytes_of(truth.rgb)))
