"""What a person sees of a job: a bar; and that Ctrl-C loses nothing."""

import contextlib
import math
import signal
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from distill.learning.fit import Step
from distill.learning.job import Finished, Item, Job, Tell
from distill.learning.metrics import table


def watch(job: Job, console: Console) -> Finished:
    """Run a job to its end under a bar, and show what it gave. Ctrl-C finishes the step, saves, and raises."""
    with contextlib.closing(job.stream()) as items:
        learn(job, items, console)
        end = score(items, console)
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
        if isinstance(item, Step):  # else the model is written already
            job.save()
            console.print(f"saved {job.model}; continue with --resume", highlight=False, markup=False, soft_wrap=True)
        raise KeyboardInterrupt


def score(items: Iterator[Item], console: Console) -> Finished:
    """All views, and how it ended."""
    with Progress(BarColumn(), TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("scoring ...", total=1)
        for item in items:
            if isinstance(item, Finished):
                return item
            assert not isinstance(item, Step)
            text = f"{item.what}: {item.done} of {item.views} views"
            bar.update(task, description=text, completed=item.done, total=item.views)
    raise RuntimeError("a job ended without saying how")


def told(console: Console) -> Tell:
    """Facts for the person, one a line."""

    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    return tell


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Inside, Ctrl-C is only noted, in the list; a second one stops at once."""
    pressed: list[int] = []

    def note(number: int, _: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, previous)


class Bar:
    """How far the steps are, how well and how fast they go."""

    def __init__(self, console: Console, job: Job) -> None:
        self.job = job
        text = TextColumn("{task.description}")
        columns = (BarColumn(), text, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task("first step compiles the kernels ...", total=1.0)
        self.reached, self.when = 0, 0.0  # whole dB, and seconds of training after which there were as many

    def __enter__(self) -> "Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def saw(self, step: Step) -> None:
        """Show one step, where something new is known."""
        if step.trouble:
            self.bar.console.print(f"step {step.index}: {step.trouble}", style="yellow")
        pace = self.job.pace
        if pace.fresh:
            quality = f"{pace.psnr:.2f} dB{self.since(step)}  " if math.isfinite(pace.psnr) else ""
            text = f"step {step.index + 1}  {step.phase}  {quality}{pace.rate / 1e6:.2f} M samples/s"
            self.bar.update(self.task, completed=step.progress, description=text)

    def since(self, step: Step) -> str:
        """When the training pixels first reached the most whole dB that they have reached; nothing before the first."""
        if self.job.pace.psnr >= self.reached + 1:
            self.reached, self.when = math.floor(self.job.pace.psnr), step.seconds
        return f" ({self.reached} after {self.when:.0f} s)" if self.reached else ""
