"""Recording and repeating, with a GPU that only writes down what it is told."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from distill.device.graph import WARM, Replay


@pytest.fixture
def told(monkeypatch):
    """What a GPU is told; the mode in which the host must not wait is the last `mode`."""
    notes = []

    class Stream:
        def wait_stream(self, other):
            notes.append("wait")

    class Graph:
        def register_generator_state(self, generator):
            notes.append("register")

        def replay(self):
            notes.append("replay")

    @contextmanager
    def within(name, *_, **__):
        notes.append(name)
        yield
        notes.append(f"end of {name}")

    monkeypatch.setattr("torch.cuda.Stream", Stream)
    monkeypatch.setattr("torch.cuda.current_stream", Stream)
    monkeypatch.setattr("torch.cuda.stream", lambda stream: within("stream"))
    monkeypatch.setattr("torch.cuda.graph", lambda graph, **kwargs: within("graph"))
    monkeypatch.setattr("torch.cuda.CUDAGraph", Graph)
    monkeypatch.setattr("torch.cuda.synchronize", lambda: notes.append("synchronize"))
    monkeypatch.setattr("torch.cuda.set_sync_debug_mode", notes.append)
    return notes


class Numbers:
    """Of a GPU's generator."""

    device = SimpleNamespace(type="cuda")

    def __init__(self):
        self.restored = []

    def get_state(self):
        return "state"

    def set_state(self, state):
        self.restored.append(state)


def test_work_on_the_cpu_is_called_every_time(generator):
    calls = []
    replay = Replay(lambda: calls.append(1), generator)
    assert [replay() for _ in range(5)] == [""] * 5
    assert len(calls) == 5


def test_work_is_warmed_up_recorded_and_repeated(told):
    replay = Replay(lambda: told.append("work"), Numbers())
    aside = ["wait", "stream", "work", "end of stream", "wait"]
    for call in range(1, WARM):
        assert replay() == ""
        assert told == aside * call
    told.clear()
    assert replay() == ""
    assert told == ["error", *aside, "default"]
    told.clear()
    replay()
    assert told == ["register", "graph", "work", "end of graph", "replay"]  # recording does not run it
    told.clear()
    for _ in range(3):
        replay()
    assert told == ["replay"] * 3
    replay.drop()
    assert told[3:] == ["synchronize"]
    replay()
    assert told[4:] == aside


def test_work_that_waits_is_told_once_and_goes_on_without_a_graph(told):
    numbers = Numbers()

    def work():
        told.append("work")
        if "error" in told and "default" not in told:
            raise RuntimeError("called a synchronizing CUDA operation")

    replay = Replay(work, numbers)
    said = [replay() for _ in range(WARM + 2)]
    assert [bool(text) for text in said] == [False] * (WARM - 1) + [True, False, False]
    assert "no CUDA graph can hold it" in said[WARM - 1]
    assert numbers.restored == ["state"]
    assert told.count("work") == WARM + 3  # the one that broke off is done again
    assert "graph" not in told


@pytest.mark.parametrize("error", [RuntimeError("illegal address"), torch.OutOfMemoryError("none left")])
def test_other_errors_pass(error, told):
    def work():
        if "error" in told:
            raise error

    replay = Replay(work, Numbers())
    for _ in range(WARM - 1):
        replay()
    with pytest.raises(type(error), match=str(error)):
        replay()
    assert told[-1] == "default"
