"""Job: a run from begin to finish as one stream, whoever watches it: a command under a bar, a window between frames."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from distill.learning.files import Files, Pace, Records, find_other
from distill.learning.fit import Schedule, Step
from distill.learning.metrics import Metrics
from distill.learning.run import Run
from fields import memory
from render.camera import Camera
from render.renderer import Frame
from scenes.evaluate import Scored, score_views
from scenes.scene import View


@dataclass(frozen=True)
class Scoring:
    """How far scoring is."""

    what: str  # is scored, for a person
    done: int
    views: int


@dataclass(frozen=True)
class Finished:
    """How a job ended."""

    metrics: Metrics
    files: Files | None  # what was written


Tell = Callable[[Iterable[str]], None]  # facts for a person, one line each
Item = Step | Scoring | Finished
Finishing = Generator[Scoring, None, Metrics]  # scores view by view, writes all, returns what it gave


def score(
    views: tuple[View, ...], background: tuple[float, float, float], draw: Callable[[Camera], Frame], what: str
) -> Generator[Scoring, None, list[Scored]]:
    """All views, one after the other."""
    scores: list[Scored] = []
    yield Scoring(what, 0, len(views))
    for one in score_views(views, background, draw):
        scores.append(one)
        yield Scoring(what, len(scores), len(views))
    return scores


@final
class Job:
    """A run before its first step, or where its checkpoint left it, and how it ends and begins again."""

    def __init__(
        self,
        make: Callable[[], Run],
        finish: Callable[[Run, Files | None], Finishing],
        schedule: Schedule,
        files: Files | None = None,
        every: float = 60.0,
    ) -> None:
        """`make` gives the run before its first step, `finish` scores it. Without `files` nothing is written; with
        them a checkpoint `every` so many seconds."""
        self.make, self.finish, self.schedule, self.files, self.every = make, finish, schedule, files, every
        self.run = make()
        self.pace = Pace(0.0)

    @property
    def model(self) -> Path | None:
        """The model file that is written; None where none is."""
        return self.files.model if self.files else None

    def stream(self) -> Generator[Step | Scoring | Finished, None, None]:
        """Every step from where the run stands, then every view that is scored, then how it ended. Between steps the
        log, previews and checkpoints are written. Closed early, it leaves no file open."""
        self.pace = Pace(self.run.optimization.seconds)
        memory.hold()
        with self.files.alone() if self.files else contextlib.nullcontext():
            with Records(self.run, self.files, self.every) if self.files else contextlib.nullcontext() as records:
                for step in self.run.steps(self.schedule):
                    self.pace.saw(step)
                    if records:
                        records.saw(step, self.pace)
                    yield step
            memory.give_back()
            yield Finished((yield from self.finish(self.run, self.files)), self.files)

    def ready(self, tell: Tell, *, resume: bool, overwrite: bool = False) -> None:
        """Continue from the checkpoint among the files, where that is wanted, and see that they can be written.
        ModelError where the checkpoint is another run's or damaged; ValueError where another run's results would be
        lost and nobody said `overwrite`, or where one writes them now."""
        if self.files:
            self.files.check_no_folders()
        if self.files and not resume and not overwrite and (other := find_other(self.run.recipe, self.files)):
            raise ValueError(f"{other}; --overwrite writes over it, --out names another place")
        if resume and not self.files:
            raise ValueError("a run that writes nothing has no checkpoint to continue from")
        if resume and self.files:
            self.run.load_checkpoint(self.files.checkpoint)
            tell([f"continues at step {self.run.optimization.index}"])
        if self.files:
            self.files.prepare()
            self.files.rehearse(self.run)

    def unreached(self) -> list[str]:
        """Phases that the steps never came to."""
        return [phase.name for phase in self.run.source.phases()[self.run.optimization.phase + 1 :]]

    def save(self) -> None:
        """Keep all that was learnt so far: checkpoint and model."""
        if self.files:
            self.run.save_checkpoint(self.files.checkpoint)
            self.run.save_model(self.files.model)

    def rescue(self) -> Files:
        """Keep all that was learnt so far among temporary files, where it cannot be kept where it was wanted. OSError
        where it cannot there either."""
        folder = Path(tempfile.mkdtemp(prefix="polyfield-run-"))
        files = Files.within(folder)
        try:
            self.run.save_checkpoint(files.checkpoint)
            self.run.save_model(files.model)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return files

    def again(self) -> "Job":
        """The same job from its first step."""
        return Job(self.make, self.finish, self.schedule, self.files, self.every)
