import pytest
from PIL import Image, ImageDraw

from scenes import lettering

LONG = [f"images/WhatsApp Image 2026-11-28 at 13.37.{i:02} from the room.jpeg" for i in range(30)]


@pytest.mark.parametrize("limit", [40, 90, 150, 400])
def test_a_name_is_shortened_to_its_width(limit):
    short = lettering.shorten(LONG[3], limit, 15)
    assert lettering.width(short, 15) <= limit
    assert lettering.GAP in short
    assert LONG[3].startswith(short.split(lettering.GAP)[0])
    assert LONG[3].endswith(short.split(lettering.GAP)[1])
    assert lettering.shorten("a.png", limit, 15) == "a.png"


def test_long_names_keep_what_tells_them_apart():
    names = [lettering.shorten(name, 150, 15) for name in lettering.distinct(LONG, 150, 15)]
    assert len({*names}) == 30
    assert names[7] == "...07..."
    assert lettering.distinct([LONG[12], LONG[13]], 150, 15) == ["...12...", "...13..."]  # numbers stay whole
    assert lettering.distinct(["a.png", "b.png"], 150, 15) == ["a.png", "b.png"]
    assert lettering.distinct([LONG[0]] * 2, 150, 15) == [LONG[0]] * 2
    assert lettering.distinct([LONG[0]], 150, 15) == [LONG[0]]


def test_lines_are_whole_words_within_the_width():
    text = "one two three four five six seven " + "x" * 200
    lines = lettering.wrap(text, 120, 15)
    assert all(lettering.width(line, 15) <= 120 for line in lines)
    assert " ".join(lines).startswith("one two three four five six seven x")
    assert len(lines) > 2


def test_what_is_written_ends_where_it_says():
    picture = Image.new("L", (200, 40), 255)
    end = lettering.write(ImageDraw.Draw(picture), (10, 8), "hello", "#000000", 15)
    box = picture.point(lambda value: 255 - value).getbbox()
    assert box is not None
    assert box[0] >= 10 and end - 3 <= box[2] <= end + 1


def test_overlap():
    assert lettering.overlap((0, 0, 10, 10), [(20, 0, 30, 10), (9, 9, 12, 12)])
    assert not lettering.overlap((0, 0, 10, 10), [(10, 0, 20, 10), (0, 10, 10, 20)])
    assert not lettering.overlap((0, 0, 10, 10), [])
