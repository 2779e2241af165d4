"""The worker as a process: it answers, survives silence, saves when it is asked to quit, and its death is told."""

import os
import signal
import sys
import time
from dataclasses import replace

import pytest
from analytic import block_file
from drawn import blender

from distill.photographs.settings import Settings
from viewer.messages import FrameDrawn, FrameRequest, LearnFrom, Notice, OpenModel, RunProgress, Views, WorkerStarted
from viewer.worker.process import LOST, WorkerProcess, describe_end

LIMIT = 600.0  # seconds after which it hangs: a new process imports everything, on a busy machine too


class Heard:
    """All reports of a worker so far."""

    def __init__(self, worker):
        self.worker, self.reports = worker, []

    def of(self, kind):
        self.reports += self.worker.reports()
        return [r for r in self.reports if isinstance(r, kind)]

    def wait(self, kind, condition=lambda report: True):
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            for report in self.of(kind):
                if condition(report):
                    return report
            time.sleep(0.01)
        raise AssertionError(f"no such {kind.__name__} in {LIMIT:.0f} s; heard {self.reports}")


@pytest.fixture
def worker():
    one = WorkerProcess("cpu")
    yield one
    one.process.kill()


def test_it_draws_learns_ignores_ctrl_c_and_saves_when_asked_to_quit(worker, tmp_path):
    heard = Heard(worker)
    blender(tmp_path / "data", train=4, test=1, size=(24, 24))
    worker.send(OpenModel(str(block_file(tmp_path / "block.safetensors"))))
    assert "threads" in heard.wait(WorkerStarted).threads
    camera = heard.wait(Views).views[0].camera
    for number in range(200):  # more than a pipe holds: nothing blocks, and only the last one matters
        worker.send(FrameRequest(number, replace(camera), (0,), passes=1))
    assert heard.wait(FrameDrawn, lambda d: d.number == 199 and d.final).image.shape == (24, 32, 3)
    worker.send(
        LearnFrom(str(tmp_path / "data"), Settings(out=tmp_path / "run", preset="tiny", steps=10_000, batch=1024))
    )
    heard.wait(RunProgress, lambda p: p.step > 0)
    os.kill(worker.process.pid, signal.SIGINT)
    heard.wait(RunProgress, lambda p: p.step > 3)
    said = worker.close()
    assert any("continue with --resume" in line for line in said)
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert not worker.alive and worker.process.exitcode == 0


def test_its_death_is_told_once_in_one_line(worker):
    heard = Heard(worker)
    heard.wait(WorkerStarted)
    os.kill(worker.process.pid, signal.SIGKILL)
    line = heard.wait(Notice).text
    assert "killed by SIGKILL" in line and "\n" not in line
    assert not worker.alive
    worker.send(OpenModel("anything"))  # into the void, quietly
    assert worker.close() == [] and len(heard.of(Notice)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("status", "text"), [(None, "does not answer"), (3, "exit status 3"), (-11, "SIGSEGV")])
def test_why_a_process_ended(status, text):
    assert text in describe_end(status)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_is_asked_to_end_saves_first(worker, tmp_path):
    heard = Heard(worker)
    blender(tmp_path / "data", train=4, test=1, size=(24, 24))
    learn = LearnFrom(str(tmp_path / "data"), Settings(out=tmp_path / "run", preset="tiny", steps=10_000, batch=1024))
    worker.send(learn)
    heard.wait(RunProgress, lambda p: p.step > 3)
    os.kill(worker.process.pid, signal.SIGTERM)
    heard.wait(Notice, lambda n: "continue with --resume" in n.text)
    heard.wait(Notice, lambda n: n.text.startswith(LOST))
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert not worker.alive
