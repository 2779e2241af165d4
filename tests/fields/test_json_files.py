import time

import pytest

from fields import json_files


def write(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_comments_trailing_commas_and_a_byte_order_mark_are_read(tmp_path):
    text = '\ufeff{"a": [1, 2,], // one\n# two\n/* three, */ "b": "no // comment, ]",\n}'
    assert json_files.parse(write(tmp_path, text)) == {"a": [1, 2], "b": "no // comment, ]"}


@pytest.mark.parametrize("part", ["/*", '"\\', '"', "//", "#", '/*"', '\\"', ", ", "[", '{"a":'])
def test_no_text_takes_time_that_grows_with_its_square(part, tmp_path):
    lengths, took = (20_000, 320_000), []
    for length in lengths:
        text = "{" + part * (length // len(part))
        begin = time.process_time()
        with pytest.raises(ValueError, match="not whole JSON"):
            json_files.parse(write(tmp_path, text))
        took.append(time.process_time() - begin)
    assert took[1] < 60 * max(took[0], 0.02)  # linear: 16 times; quadratic: 256 times


def test_lists_of_any_depth_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.json: not whole JSON.*lists within lists"):
        json_files.parse(write(tmp_path, "[" * 10**5 + "]" * 10**5))


def test_an_integer_of_ten_thousand_digits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.json: not whole JSON"):
        json_files.parse(write(tmp_path, "9" * 10**4))


def test_a_file_that_is_too_long_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MOST", 100)
    with pytest.raises(ValueError, match="expected at most 0 MiB of JSON"):
        json_files.parse(write(tmp_path, "1" * 101))


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe{", "found byte 0xff"), (b"", "not whole JSON"), (b"{}}", "not whole")]
)
def test_what_is_no_json_is_named(content, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        json_files.parse(write(tmp_path, content))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="found a folder"):
        json_files.parse(tmp_path)
    with pytest.raises(ValueError, match="found none"):
        json_files.parse(tmp_path / "none.json")
