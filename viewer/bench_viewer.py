"""How quick the viewer is: `python -m viewer.bench_viewer MODEL`. Frames while moving, a still, learning, memory.

A worker is driven as a window drives it, but for the window. Ratios and medians of one run; on a shared machine the
times themselves vary.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import psutil
import tyro
from rich.console import Console
from rich.table import Table

from distill.photographs.settings import Settings
from render.command import run
from render.mode_names import DRAWABLE
from viewer.front import navigation
from viewer.front.session import Session
from viewer.messages import FrameDrawn, LearnFrom, OpenModel, RunProgress
from viewer.worker.process import WorkerProcess

LIMIT = 120.0  # seconds that anything may take


@dataclass(frozen=True)
class Flags:
    """Measure the viewer's worker."""

    model: Annotated[Path, tyro.conf.Positional]
    """model file"""
    data: str = "builtin"
    """what it learns from while it is watched"""
    size: tuple[int, int] = (800, 800)
    """pixels of the picture"""
    seconds: float = 8.0
    """of moving, and of each stretch of learning"""
    minutes: float = 0.0
    """of use, over which memory is watched"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how it learns"""
    json: bool = False
    """print the figures as JSON, and nothing else, on standard output"""


class Driver:
    """A session whose frames are waited for."""

    def __init__(self, flags: Flags) -> None:
        self.flags, self.worker = flags, WorkerProcess(flags.settings.device)
        self.session = Session(self.worker)

    def until(self, condition: Callable[[], bool], *, held: bool = False) -> float:
        """Tick until it holds; seconds that took. ValueError where it never does."""
        begin = time.perf_counter()
        while not condition():
            if time.perf_counter() - begin > LIMIT:
                raise ValueError(f"gave up after {LIMIT:.0f} s; {[n.text for n in self.session.state.notices][-3:]}")
            self.session.tick(self.flags.size, held=held)
            time.sleep(0.004)  # as a window does
        return time.perf_counter() - begin

    @property
    def frame(self) -> FrameDrawn | None:
        """The last frame of the first pane."""
        panes = self.session.state.panes
        return panes[0].frame if panes else None

    @property
    def progress(self) -> RunProgress | None:
        """Of what learns."""
        return next((p.progress for p in self.session.state.panes if p.progress), None)

    def turn(self, dx: float, dy: float) -> float:
        """Drag by so many pixels and wait for the first frame that shows it; seconds."""
        state = self.session.state
        assert state.eye is not None
        self.session.change(replace(state, eye=navigation.orbit(state.eye, dx, dy)))
        self.session.tick(self.flags.size, held=True)
        number = self.session.number
        return self.until(lambda: self.frame is not None and self.frame.number >= number, held=True)

    def still(self) -> float:
        """Let go and wait for the whole picture; seconds."""

        def whole() -> bool:
            sent = self.session.sent[0]
            frame = self.frame
            if frame is None or sent is None or sent.moving or frame.number < self.session.number:
                return False
            return frame.image.shape[:2] == (sent.camera.size[1], sent.camera.size[0])

        return self.until(whole)


def main() -> None:
    """Entry point."""
    run(Flags, bench)


def bench(flags: Flags) -> None:
    """Measure and print."""
    console = Console(stderr=flags.json)
    figures = measure_looking(flags) | measure_learning(flags, console)
    if flags.json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    table = Table("figure", "value", title=f"{flags.model}, {flags.size[0]} x {flags.size[1]}")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:.3g}" if isinstance(value, float) else str(value))
    console.print(table)


def measure_looking(flags: Flags) -> dict[str, Any]:
    """A model that is looked at."""
    driver = Driver(flags)
    driver.session.send(OpenModel(str(flags.model)))
    begin = time.perf_counter()
    driver.until(lambda: driver.frame is not None)
    first = time.perf_counter() - begin
    driver.still()
    for _ in range(10):
        driver.turn(3, 1)  # the first ones find out what a pixel costs
    times, sizes, begin = [], [], time.perf_counter()
    while time.perf_counter() - begin < flags.seconds:
        times.append(driver.turn(3, 1))
        assert driver.frame is not None
        sizes.append(driver.frame.image.shape[1])
    moving = len(times) / (time.perf_counter() - begin)
    stills, answers = [], []
    for _ in range(3):
        stills.append(driver.still())
        time.sleep(0.3)  # further samples are being drawn now
        answers.append(driver.turn(5, 2))
    figures = {
        "first_frame_s": first,
        "moving_frames_per_s": moving,
        "moving_width": statistics.median(sizes),
        "input_to_frame_ms": statistics.median(times) * 1e3,
        "input_to_frame_from_still_ms": statistics.median(answers) * 1e3,
        "still_s": statistics.median(stills),
    }
    if flags.minutes:
        figures |= measure_memory(driver, flags.minutes)
    driver.worker.close()
    return figures


def measure_memory(driver: Driver, minutes: float) -> dict[str, float]:
    """Memory of the worker and of this process over minutes of turning and changing modes, MB."""
    both = [psutil.Process(), psutil.Process(driver.worker.process.pid)]
    chance, begin, seen = random.Random(0), time.perf_counter(), list[tuple[float, ...]]()
    while time.perf_counter() - begin < 60 * minutes:
        look = replace(driver.session.state.display, mode=chance.choice(DRAWABLE))
        driver.session.change(replace(driver.session.state, display=look))
        for _ in range(20):
            driver.turn(chance.uniform(-9, 9), chance.uniform(-4, 4))
        driver.still()
        seen.append(tuple(p.memory_info().rss / 1e6 for p in both))
    early = [statistics.median(column) for column in zip(*seen[: max(1, len(seen) // 4)], strict=True)]
    late = [statistics.median(column) for column in zip(*seen[-max(1, len(seen) // 4) :], strict=True)]
    return {
        "minutes": minutes,
        "front_mb_first_quarter": early[0], "front_mb_last_quarter": late[0],
        "worker_mb_first_quarter": early[1], "worker_mb_last_quarter": late[1],
    }  # fmt: skip


def measure_learning(flags: Flags, console: Console) -> dict[str, Any]:
    """Steps a second of the same run, in turns watched and not watched."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(flags.settings, out=Path(folder), steps=flags.settings.steps or 100_000)
        driver = Driver(flags)
        driver.session.send(LearnFrom(flags.data, settings))
        console.print(f"learning from {flags.data} ...", highlight=False)
        driver.until(lambda: driver.progress is not None and driver.progress.step >= 60)
        rates: dict[bool, list[float]] = {False: [], True: []}
        answers = []
        for _ in range(3):
            for looked in (False, True):
                rates[looked].append(measure_rate(driver, flags.seconds, looked))
            answers += [driver.turn(5, 2) for _ in range(10)]
        driver.worker.close()
    alone, both = (statistics.median(rates[looked]) for looked in (False, True))
    return {
        "steps_per_s_alone": alone,
        "steps_per_s_watched": both,
        "slowed_by": 1 - both / alone,
        "learning_input_to_frame_ms": statistics.median(answers) * 1e3,
    }


def measure_rate(driver: Driver, seconds: float, looked: bool) -> float:
    """Steps a second of wall-clock time, with or without a still picture being kept up to date."""
    panes = tuple(replace(pane, shown=looked) for pane in driver.session.state.panes)
    driver.session.change(replace(driver.session.state, panes=panes))
    if not looked:
        driver.worker.send(request_nothing(driver))
    driver.until(lambda: True)
    begin, first = time.perf_counter(), wait_for_progress(driver)
    driver.until(lambda: time.perf_counter() - begin > seconds)
    last = wait_for_progress(driver)
    return (last[0] - first[0]) / (last[1] - first[1])


def wait_for_progress(driver: Driver) -> tuple[int, float]:
    """Steps at the next report, and when it came."""
    before = driver.progress
    driver.until(lambda: driver.progress is not before)
    assert driver.progress is not None
    return driver.progress.step, time.perf_counter()


def request_nothing(driver: Driver) -> Any:
    """A request of no pane: the worker draws nothing."""
    sent = driver.session.sent[0]
    driver.session.sent = (None, (0, 0))
    assert sent is not None
    return replace(sent, number=driver.session.number, panes=())


if __name__ == "__main__":
    sys.argv[0] = "bench-viewer"
    main()
