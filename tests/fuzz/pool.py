"""Worker processes that try inputs one by one, each with so much time and memory; a death or a hang is an answer."""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

MEMORY = 1 << 30  # bytes of address space beyond what the good input took
WALL = 20  # times the seconds of work, after which a worker that only waits hangs too
THREADS = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

Task = tuple[str, int]  # kind, number
Prepare = Callable[[Task, Path], Callable[[], str]]  # makes the input in a folder, and gives what tries it


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    task: Task
    fault: str  # one line, why it was mishandled; empty: it was not
    seconds: float


def attempts(tasks: Iterable[Task], prepare: Prepare, count: int, seconds: float) -> Iterator[Outcome]:
    """The outcome of every task, as they come. `prepare`, a function of a module, runs in `count` processes."""
    left, workers = list(tasks)[::-1], [Worker(prepare) for _ in range(count)]
    try:
        busy = [worker for worker in workers if worker.give(left)]
        while busy:
            wait([worker.pipe for worker in busy], timeout=0.5)
            for worker in list(busy):
                outcome = worker.outcome(seconds)
                if outcome:
                    yield outcome
                    busy.remove(worker)
                    if worker.give(left):
                        busy.append(worker)
    finally:
        for worker in workers:
            worker.end()


class Worker:
    """One process, begun again after it died."""

    def __init__(self, prepare: Prepare) -> None:
        self.prepare = prepare
        self.begin()

    def begin(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.prepare), daemon=True)
        before = dict(os.environ)
        os.environ.update(THREADS)  # of the process that is begun, and not of this one
        self.process.start()
        os.environ.clear()
        os.environ.update(before)
        theirs.close()
        self.task: Task = "", 0
        self.begun = self.worked = 0.0  # since when it tries, and what it had worked by then; 0: it prepares

    def give(self, left: list[Task]) -> bool:
        """Take the next task; False where there is none."""
        if not left:
            return False
        self.task, self.begun = left.pop(), 0.0
        self.pipe.send(self.task)
        return True

    def outcome(self, seconds: float) -> Outcome | None:
        """What has become of the task; None where it is not known yet."""
        try:
            while self.pipe.poll():
                said = self.pipe.recv()
                if said is not None:
                    done, self.task = self.task, ("", 0)
                    return Outcome(done, said, time.monotonic() - self.begun)
                self.begun, self.worked = time.monotonic(), self.work()
        except (EOFError, OSError):
            self.process.join()
            if not self.begun:
                raise RuntimeError(f"no input could be made: {self.task}") from None
            return self.lost(f"the process died, exit status {self.process.exitcode}")
        if self.begun and (self.work() - self.worked > seconds or time.monotonic() - self.begun > WALL * seconds):
            return self.lost(f"hangs: more than {seconds:g} s")
        return None

    def work(self) -> float:
        """Processor seconds of the process until now."""
        try:
            taken = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return taken.user + taken.system

    def lost(self, fault: str) -> Outcome:
        """The outcome of a task that took its worker with it; another is begun."""
        done, began = self.task, self.begun
        self.end()
        self.begin()
        return Outcome(done, fault, time.monotonic() - began)

    def end(self) -> None:
        """Stop the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def serve(pipe: Connection, prepare: Prepare) -> None:
    """What a worker does: say nothing when the work on a task begins, then its fault."""
    import faulthandler

    faulthandler.disable()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        while True:
            try:
                task = pipe.recv()
            except EOFError:
                return
            where = Path(folder) / "in"
            where.mkdir()
            limit(None)
            attempt = prepare(task, where)
            pipe.send(None)
            limit(psutil.Process().memory_info().vms + MEMORY)
            fault = attempt()
            limit(None)
            pipe.send(fault)
            cleared(where)


def limit(most: int | None) -> None:
    """Let the process have so much address space."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard if most is None else most, hard))


def cleared(folder: Path) -> None:
    """Remove a folder and what lies in it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
