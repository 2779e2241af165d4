"""What a person sees of a job: a bar; and that neither a signal nor a full disk loses anything."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from distill.learning.fit import Step
from distill.learning.job import Finished, Item, Job, Tell
from distill.learning.metrics import table
from fields.kernels.options_cpu import COMPILING
from render.command import one_line

GLANCE, LINE = 0.5, 10.0  # seconds between looks at what is done, on a terminal and elsewhere
FIRST = 0.02  # of a run, before which nobody knows how long it takes


def watch(job: Job, console: Console) -> Finished:
    """Run a job to its end under a bar, and show what it gave. Ctrl-C, SIGTERM and SIGHUP finish the step, save, and
    raise. Where results cannot be written where they were wanted, OSError says where else they are."""
    try:
        with contextlib.closing(job.stream()) as items:
            learn(job, items, console)
            end = score(job, items, console)
    except OSError as error:
        raise type(error)(f"{one_line(error)}{rescued(job)}") from error
    console.print(table(end.metrics))
    if end.files:
        text = f"model {end.files.model}\nsheet {end.files.sheet}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return end


def learn(job: Job, items: Iterator[Item], console: Console) -> None:
    """The steps, and what comes first after them."""
    item = None
    with interrupts() as pressed, Bar(console, job) as bar:
        for item in items:
            if pressed or not isinstance(item, Step):
                break
            bar.saw(item)
            if pressed:
                break
        if pressed:
            job.save()
    if pressed:
        tell_saved(job, console)
        raise KeyboardInterrupt(pressed[0])
    if names := job.unreached():
        text = f"never reached: {', '.join(names)}; the time was over before"
        console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)


def score(job: Job, items: Iterator[Item], console: Console) -> Finished:
    """All views, and how it ended. What was learnt is saved where a signal comes between."""
    try:
        with Status(console, "scoring ...") as shown:
            for item in items:
                if isinstance(item, Finished):
                    return item
                assert not isinstance(item, Step)
                shown.say(f"{item.what}: {item.done} of {item.views} views", item.done / max(item.views, 1))
    except KeyboardInterrupt:
        job.save()
        tell_saved(job, console)
        raise
    raise RuntimeError("a job ended without saying how")


def tell_saved(job: Job, console: Console) -> None:
    """For a person who has ended a run."""
    console.print(f"saved {job.model}; continue with --resume", highlight=False, markup=False, soft_wrap=True)


def rescued(job: Job) -> str:
    """Where all that was learnt is kept in place of the files that cannot be written, for the end of a line."""
    if not job.run.optimization.index:
        return ""
    try:
        folder = job.rescue().model.parent
    except OSError:
        return ""
    return f"; what was learnt is in {folder}, from where --resume goes on"


def told(console: Console) -> Tell:
    """Facts for the person, one a line."""

    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    return tell


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Inside, signals that end a command are only noted, in the list; a second one stops at once. SIGHUP
    stays ignored where `nohup` has it so."""
    pressed: list[int] = []
    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)
    numbers = {signal.SIGINT, signal.SIGTERM} | ({hangup} if signal.getsignal(hangup) != signal.SIG_IGN else set())
    previous = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, _: object) -> None:
        pressed.append(number)
        for one in previous:
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)

    for number in previous:
        signal.signal(number, note)
    try:
        yield pressed
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Status:
    """What is being done, and how far it is: a bar on a terminal; elsewhere a plain line every ten seconds, also while
    nothing happens that anybody hears of."""

    def __init__(self, console: Console, text: str) -> None:
        self.console, self.text, self.done = console, text, 0.0
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task(text, total=1.0)
        self.closed, self.began = threading.Event(), time.monotonic()
        self.beat = threading.Thread(target=self.tell, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bar.start()
        self.beat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.closed.set()
        self.beat.join()
        if self.console.is_terminal:
            self.bar.update(self.task, description=self.text)
            self.bar.stop()
        elif kind is None:  # else what went wrong is all that is left to be said
            self.line()

    def say(self, text: str, done: float) -> None:
        """How far it is, 0 to 1."""
        self.text, self.done = text, done
        self.bar.update(self.task, completed=done, description=self.doing())

    def doing(self) -> str:
        """What is being done now."""
        return f"compiling kernels, once ...  {self.text}" if COMPILING.busy else self.text

    def tell(self) -> None:
        """In a thread of its own, until it is closed: what is done, where nothing else says so."""
        every = GLANCE if self.console.is_terminal else LINE
        while not self.closed.wait(every):
            if self.console.is_terminal:
                self.bar.update(self.task, description=self.doing())
            else:
                self.line()

    def line(self) -> None:
        """One plain line."""
        text = f"{time.monotonic() - self.began:.0f} s: {self.doing()}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class Bar(Status):
    """How far the steps are, how well and how fast they go, and how long they still take."""

    def __init__(self, console: Console, job: Job) -> None:
        super().__init__(console, "first step ...")
        self.job = job
        self.reached, self.when = 0, 0.0  # whole dB, and seconds of training after which there were as many

    def saw(self, step: Step) -> None:
        """Show one step, where something new is known."""
        if step.trouble:
            self.console.print(f"step {step.index}: {step.trouble}", style="yellow")
        pace = self.job.pace
        if pace.fresh:
            quality = f"{pace.psnr:.2f} dB{self.since(step)}  " if math.isfinite(pace.psnr) else ""
            text = f"step {step.index + 1}  {step.phase}  {quality}{pace.rate / 1e6:.2f} M samples/s{left(step)}"
            self.say(text, step.progress)

    def since(self, step: Step) -> str:
        """When the training pixels first reached the most whole dB that they have reached; nothing before the first."""
        if self.job.pace.psnr >= self.reached + 1:
            self.reached, self.when = math.floor(self.job.pace.psnr), step.seconds
        return f" ({self.reached} after {self.when:.0f} s)" if self.reached else ""


def left(step: Step) -> str:
    """The training time that is still ahead, by what has passed; nothing at first, and nothing at the end."""
    if not FIRST < step.progress < 1:
        return ""
    seconds = round(step.seconds * (1 / step.progress - 1))
    if not seconds:
        return ""
    minutes, rest = divmod(seconds, 60)
    return f"  {minutes} min {rest:02d} s left" if minutes else f"  {rest} s left"
