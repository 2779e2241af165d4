"""What is being drawn: every pane's picture of the request, from a coarse one to many samples per pixel."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from render.pictures import GroundTruth, bytes_of
from viewer.messages import FrameDrawn, FrameRequest, Photograph, PixelSize, WorkerReport, are_same
from viewer.worker.drawing import DrawnPass, PassOrder, PassSum, draw_pass
from viewer.worker.open_fields import OpenFields
from viewer.worker.pacing import Cost, FramePurpose, TimeShares, choose_size

WHOLE_EVERY = 5  # coarse frames of a field that learns, after which one is whole where there is a photograph


def never() -> bool:
    """What is asked whether to give up a picture that is wanted whatever comes."""
    return False


@dataclass
class PaneFrame:
    """How far one pane's picture is."""

    stack: PassSum | None = None  # passes at full size
    shown: bool = False  # some picture of this request has been sent
    done: bool = False  # nothing better follows, until the request or the field changes
    resting: bool = False  # nothing better follows while its field learns
    turn: int = 0  # number of the frame that was its last: panes take turns


class Frames:
    """The pictures in the making. Everything it needs of the worker comes in through its arguments."""

    def __init__(
        self, fields: OpenFields, report: Callable[[WorkerReport], None], interrupts: Callable[[], bool]
    ) -> None:
        self.fields, self.report, self.interrupts = fields, report, interrupts
        self.request: FrameRequest | None = None
        self.panes: dict[int, PaneFrame] = {}
        self.views = fields.views  # that truths and photograph belong to
        self.truths: dict[int, GroundTruth | None] = {}  # of this request, by pane
        self.photograph = -1  # view whose photograph was sent last
        self.times = TimeShares()
        self.costs: dict[tuple[int, str], Cost] = {}  # by pane and mode
        self.coarse: dict[tuple[int, str], PixelSize] = {}  # of the last coarse frame
        self.count = 0  # so far
        self.since: dict[int, int] = {}  # coarse frames of a pane since its last whole one
        self.span: tuple[float, float] | None = None  # distances that depth is shown between, in all panes; world units

    def want(self, request: FrameRequest) -> None:
        """Another picture is wanted. Of one that was wanted in motion a coarse one is there already."""
        settled = self.request is not None and are_same(
            replace(request, moving=True, number=self.request.number), self.request
        )
        before, self.request, self.truths = self.panes, request, {}
        self.span = self.span if settled else None
        panes = [number for number in request.panes if number in self.fields.panes]
        self.panes = {n: PaneFrame(shown=settled and n in before and before[n].shown) for n in panes}
        self.send_photograph()

    def stale(self, number: int) -> None:
        """A pane's field has changed."""
        if number in self.panes:
            self.panes[number] = PaneFrame(shown=self.panes[number].shown, turn=self.panes[number].turn)
            self.span = None if number == min(self.panes) else self.span

    def forget(self, number: int) -> None:
        """A pane is gone."""
        self.panes.pop(number, None)

    def due(self, *, learning: bool) -> bool:
        """Whether a picture comes next."""
        if self.views is not self.fields.views:
            self.views, self.truths, self.photograph = self.fields.views, {}, -1
            self.send_photograph()
        if not learning:
            for frame in self.panes.values():
                frame.done, frame.resting = frame.done and not frame.resting, False
        if self.request is None or all(frame.done for frame in self.panes.values()):
            return False
        return self.times.frame_next(self.purpose(all(frame.shown for frame in self.panes.values()), learning))

    @property
    def moving(self) -> bool:
        """Whether the person moves."""
        return self.request is not None and self.request.moving

    def purpose(self, shown: bool, learning: bool) -> FramePurpose:
        """What the next frame is for."""
        assert self.request is not None
        return FramePurpose(self.request.moving, learning, shown, len(self.panes))

    def account(self, *, drawn: float = 0.0, learnt: float = 0.0) -> None:
        """Time went by."""
        self.times = self.times.after_frame(drawn) if drawn else self.times.after_learning(learnt)

    def draw(self, *, learning: bool) -> None:
        """The next picture of the pane whose turn it is. Fields that do not learn get finer also while others do."""
        assert self.request is not None
        waiting = (n for n, frame in self.panes.items() if not frame.done)
        number = min(waiting, key=lambda n: (self.panes[n].shown, self.panes[n].turn))
        live = learning and self.fields.panes[number].busy
        frame, full = self.panes[number], self.request.camera.size
        key = number, self.request.mode
        cost = self.costs.get(key, Cost())
        truth = self.truth(number)
        size = choose_size(full, cost, self.purpose(frame.shown, live), self.coarse.get(key))
        if live and truth and not self.request.moving and self.since.get(number, 0) >= WHOLE_EVERY:
            size = full  # dB are taken at full size
        coarse = size != full
        level = frame.stack.passes if frame.stack and not coarse else 0
        cancelled = never if self.request.moving or not frame.shown else self.interrupts  # moving must show something
        camera = self.request.camera if not coarse else self.request.camera.resized(*size)
        order = PassOrder(level, truth, self.span)
        one = draw_pass(self.fields.panes[number].source, self.request, camera, order, cancelled)
        if one is None:
            return
        self.span = one.span
        self.costs[key] = cost.after(math.prod(size), one.seconds)
        self.count += 1
        self.since[number] = self.since.get(number, 0) + 1 if coarse else 0
        frame.shown, frame.turn = True, self.count
        if coarse:
            self.coarse[key] = size
            stack, enough = PassSum.of(one), False
        else:
            frame.stack = frame.stack.plus(one) if frame.stack else PassSum.of(one)
            stack = frame.stack
            enough = stack.passes >= self.request.passes
        frame.done = enough or live or self.request.moving
        frame.resting = live and not enough and not self.request.moving
        self.send(number, stack, one, truth, final=enough)

    def send(self, number: int, stack: PassSum, one: DrawnPass, truth: GroundTruth | None, *, final: bool) -> None:
        """Report a picture."""
        assert self.request is not None
        image = stack.image(self.request, truth)
        drawn = FrameDrawn(
            self.request.number, number, image, stack.passes, one.seconds * 1e3, one.samples, one.psnr, final,
            one.legend, one.depth,
        )  # fmt: skip
        self.report(drawn)

    def truth(self, number: int) -> GroundTruth | None:
        """The photograph of the view that is looked through, at the picture's full size."""
        assert self.request is not None
        view = self.request.view
        if view is None or view >= len(self.views):
            return None
        if number not in self.truths:
            background = self.request.background or self.fields.panes[number].background
            self.truths[number] = self.views[view].truth(self.request.camera.size, background)
        return self.truths[number]

    def send_photograph(self) -> None:
        """Report the photograph of the view that is looked through, once."""
        view = self.request.view if self.request else None
        if view is None or view == self.photograph or view >= len(self.views) or not self.panes:
            return
        pane = self.fields.panes[next(iter(self.panes))]
        truth = self.views[view].truth(self.views[view].camera.size, pane.background)
        if truth is not None:
            self.photograph = view
            self.report(Photograph(view, bytes_of(truth.rgb)))
