import json
import math

import pytest
import torch

from fields import numbers

NONE = [True, None, "1", [1.0], math.nan, math.inf, -math.inf, 10**400, 1e300, -1, {"a": 1}]


@pytest.mark.parametrize("found", NONE, ids=lambda found: repr(found)[:12])
def test_what_is_no_number_within_the_bounds_is_named(found):
    with pytest.raises(ValueError, match=r"^x must be a number from 0 to 100, found ") as caught:
        numbers.number(found, "x", 0, 100)
    assert len(str(caught.value)) < 120


def test_a_number_is_a_float():
    assert numbers.number(3, "x", 0, 100) == 3.0
    assert isinstance(numbers.number(3, "x", 0, 100), float)


@pytest.mark.parametrize("found", [*NONE, 1.5, 2**70])
def test_what_is_no_whole_number_is_named(found):
    with pytest.raises(ValueError, match=r"^w must be a whole number from 1 to 65536, found "):
        numbers.whole(found, "w", 1, 65536)


def test_a_whole_number_may_be_written_with_a_point():
    assert numbers.whole(800.0, "w", 1, 65536) == 800


def test_an_array_has_its_shape_and_double_precision():
    found = numbers.array([[1, 2.5], [3, 1e12]], "pose", (2, 2))
    assert found.dtype == torch.float64
    assert found.tolist() == [[1, 2.5], [3, 1e12]]


FORMS = [[[1, 2]], [[1, 2], [3]], [[1, 2], [3, True]], [[1, 2], [3, 1e13]], "ab", 5, [[[1]]] * 2]


@pytest.mark.parametrize("found", FORMS)
def test_an_array_of_another_form_is_named(found):
    with pytest.raises(ValueError, match=r"^pose must be "):
        numbers.array(found, "pose", (2, 2))


def test_a_value_of_any_depth_and_length_is_told_in_one_short_line():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for found in (deep, ["x" * 10**6] * 1000, 10**5000, "a\nb\x1b[31mred\u202e"):
        told = numbers.brief(found)
        assert len(told) <= 60
        assert told.isprintable()
    while deep:  # else Python's own clearing would go as deep
        deep = deep[0]


def test_what_a_terminal_would_obey_is_left_out():
    assert numbers.printable("a\x1b]0;title\x07b\r\nc\u202ed\x9b1m") == "a ]0;title b c d 1m"
    assert numbers.printable("größe 場") == "größe 場"


def test_values_are_told_as_json_writes_them():
    assert [numbers.brief(v) for v in (True, None, 1.5)] == [json.dumps(v) for v in (True, None, 1.5)]


def test_what_json_could_not_write_again_is_named():
    numbers.check_plain({"a": [1, "x", None, {"b": 2.5}]}, "header")
    with pytest.raises(ValueError, match=r"^header holds NaN or infinity"):
        numbers.check_plain({"a": [{"b": math.nan}]}, "header")
    deep: list = []
    for _ in range(numbers.DEEPEST):
        deep = [deep]
    with pytest.raises(ValueError, match=r"^header holds lists within lists, more than 64 deep"):
        numbers.check_plain(deep, "header")
