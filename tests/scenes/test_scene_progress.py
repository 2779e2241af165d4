"""How far reading is: heard inside a listener, by nobody outside; the share grows to all of it."""

import pytest

from scenes import progress
from scenes.assemble import load
from scenes.options import ReadOptions


def test_items_pass_and_are_told():
    heard = []
    with progress.heard_by(lambda what, share: heard.append((what, share))):
        assert list(progress.told("reading", "abcd", 4)) == [*"abcd"]
    assert heard == [("reading", n / 4) for n in range(5)]
    assert list(progress.told("reading", "ab", 2)) == ["a", "b"]  # nobody listens any more
    assert len(heard) == 5


def test_nobody_listens_after_an_error():
    with pytest.raises(ValueError, match="x"), progress.heard_by(lambda *_: None):
        raise ValueError("x")
    assert progress.LISTENER.get() is None


def test_the_built_in_scene_says_what_it_is_at(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    heard = []
    with progress.heard_by(lambda what, share: heard.append((what, share))):
        load("builtin:32", ReadOptions())
    drawing = [share for what, share in heard if what == "drawing pictures"]
    assert drawing == sorted(drawing)
    assert (drawing[0], drawing[-1]) == (0, 1)
    assert {what for what, _ in heard} >= {"drawing pictures", "reading pictures"}
