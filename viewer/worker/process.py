"""The way to the worker: a process of its own, joined to the front end by messages only.

Bytes pass through a pipe; a thread on either side reads it, so that neither the front end nor the worker ever waits for
the other. Messages are pickled plainly: both ends are ours, and tensors must not be handed over as shared memory.
"""

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection

from fields.programs import safe_path
from viewer.messages import Command, FrameRequest, Notice, QuitWorker, SaveModel, WorkerReport

PATIENCE = 60.0  # seconds in which a worker that was asked to quit may save
GRACE = 1.5  # seconds after which a worker without a front end ends, whatever it is at, where nothing is to be saved
LOST = "the worker ended"  # begins the line that tells of it


class PipeChannel:
    """What has come in from the front end, on the worker's side."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.commands: deque[Command] = deque()
        self.arrived = threading.Event()
        self.closed = False  # the front end is gone, or it has to end
        self.gone = threading.Event()  # the same, or it was asked to quit
        self.sending = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """Take everything off the pipe, until it ends."""
        try:
            while True:
                command = pickle.loads(self.connection.recv_bytes())
                self.commands.append(command)
                self.arrived.set()
                if isinstance(command, QuitWorker):
                    self.gone.set()
        except (EOFError, OSError):
            self.end()

    def end(self) -> None:
        """Nothing more is wanted."""
        self.closed = True
        self.gone.set()
        self.arrived.set()

    def take(self) -> Iterator[Command]:
        """All commands so far, but of several requests in a row only the last."""
        self.arrived.clear()
        while self.commands:
            command = self.commands.popleft()
            if not (isinstance(command, FrameRequest) and self.commands and isinstance(self.commands[0], FrameRequest)):
                yield command

    def interrupts(self) -> bool:
        """Whether something has come that a picture in the making must give way to."""
        return self.closed or bool(self.commands)

    def wait(self, seconds: float) -> None:
        """Sleep until something comes, at most so long."""
        self.arrived.wait(seconds)

    def report(self, report: WorkerReport) -> None:
        """Send a report; a front end that is gone is noticed."""
        try:
            with self.sending:
                self.connection.send_bytes(pickle.dumps(report, pickle.HIGHEST_PROTOCOL))
        except (BrokenPipeError, OSError):
            self.end()


def run_worker(connection: Connection, device: str) -> None:
    """The worker's process, from its first to its last line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the front end, which then asks us to save and quit
    channel = PipeChannel(connection)
    signal.signal(signal.SIGTERM, lambda *_: channel.end())
    from viewer.worker.worker import Worker  # late: the window shall open before kernels and fields are imported

    worker = Worker(device, channel)

    def leave() -> None:
        """No process outlives its window for long: what is being compiled, read or drawn is for nobody."""
        channel.gone.wait()
        time.sleep(GRACE)
        wanted = any(isinstance(command, SaveModel) for command in [*channel.commands])
        if not (worker.unsaved or wanted):
            os._exit(0)

    threading.Thread(target=leave, name="leaving", daemon=True).start()
    worker.run()
    os._exit(0)  # everything is written and said; what Python tidies up at its end takes longer than a person waits


class WorkerProcess:
    """A worker's process, as a front end sees it (viewer.front.session.WorkerLink)."""

    def __init__(self, device: str = "auto") -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=run_worker, args=(theirs, device), daemon=True, name="polyfield-worker")
        with safe_path():
            self.process.start()
        theirs.close()
        self.outgoing: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self.incoming: queue.SimpleQueue[WorkerReport] = queue.SimpleQueue()
        self.ended = threading.Event()
        self.quitting = False
        self.asked = 0.0  # when it was asked to quit
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.write, self.read)]
        for thread in self.threads:
            thread.start()

    def write(self) -> None:
        """Put what is queued on the pipe."""
        with contextlib.suppress(BrokenPipeError, OSError):
            while (command := self.outgoing.get()) is not None:
                self.connection.send_bytes(pickle.dumps(command, pickle.HIGHEST_PROTOCOL))

    def read(self) -> None:
        """Queue what comes off the pipe, until it ends."""
        try:
            while True:
                self.incoming.put(pickle.loads(self.connection.recv_bytes()))
        except (EOFError, OSError):
            self.process.join(5)
            if not self.quitting:
                self.incoming.put(
                    Notice(f"{LOST}: {describe_end(self.process.exitcode)}; what it had saved is kept", True)
                )
            self.ended.set()

    def send(self, command: Command) -> None:
        """Queue a command."""
        self.outgoing.put(command)

    def reports(self) -> Iterator[WorkerReport]:
        """All that has come in."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.incoming.get_nowait()

    @property
    def alive(self) -> bool:
        """Whether there is still a worker."""
        return not self.ended.is_set()

    def quit(self) -> None:
        """Ask it to save and quit, and do not wait for that."""
        if not self.quitting:
            self.quitting, self.asked = True, time.monotonic()
            self.send(QuitWorker())
            self.outgoing.put(None)

    def close(self) -> list[str]:
        """Ask it to save and quit, and wait for that; what it said meanwhile. Ctrl-C ends the waiting."""
        self.quit()
        until = self.asked + PATIENCE
        try:
            while self.alive and time.monotonic() < until:
                self.ended.wait(0.1)
        finally:
            self.process.kill()
        return [report.text for report in self.reports() if isinstance(report, Notice)]


def describe_end(status: int | None) -> str:
    """Why a process ended, for a person."""
    if status is None:
        return "it does not answer"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}" + (" (out of memory?)" if status == -9 else "")
    return f"exit status {status}"
