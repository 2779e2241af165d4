"""Hostile inputs of every reader end as bad input does: in a line that names the file, in bounded time and memory."""

import functools

import pytest

from tests.fuzz.pool import attempts
from tests.fuzz.readers import KINDS, drawn, prepare

COUNT = 520
SECONDS = 30  # of work on one input: a hang takes for ever, a slow machine a few


def test_no_hostile_input_is_mishandled():
    pytest.importorskip("trimesh", reason="the readers of meshes want trimesh")
    tasks = drawn(COUNT, seed=0)
    assert {kind for kind, _ in tasks} == set(KINDS)
    found = list(attempts(tasks, functools.partial(prepare, 0, ""), 2, SECONDS))
    assert len(found) == COUNT
    again = "python -m tests.fuzz --seed 0 --only"
    assert not [f"{again} '{one.task[0]}:{one.task[1]}': {one.fault}" for one in found if one.fault]
