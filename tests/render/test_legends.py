"""The scale in a picture's corner: it stays in the picture, says all it has to say, and goes where there is no room."""

import numpy as np
import pytest

from render.legends import GROUND, SMALLEST, Legend, draw_legend, format_number, measure, spread

RAMP = Legend("distance, in metres", ((0, 0, 0), (255, 0, 0)), ("1", "2", "3"))
PARTS = Legend("cells", ((10, 200, 30), (40, 50, 250)), ("fine", "coarse"))


def blank(width, height):
    return np.full((height, width, 3), 255, np.uint8)


def changed(image):
    """Left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero((image != 255).any(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("legend", [RAMP, PARTS], ids=["ramp", "parts"])
@pytest.mark.parametrize("size", [(640, 480), (390, 844), (260, 200)])
def test_it_lies_in_the_lower_right_corner_and_leaves_the_rest_alone(legend, size):
    before = blank(*size)
    image = draw_legend(before, legend, 13)
    assert (before == 255).all()
    left, top, right, bottom = changed(image)
    assert left > 0
    assert (right, bottom) == (size[0] - 6, size[1] - 6)
    assert tuple(image[top + 1, left + 1]) == GROUND
    assert bottom - top <= size[1] / 3


def test_the_bar_runs_from_the_first_colour_to_the_last_or_shows_each_by_itself():
    for legend, least, most in ((RAMP, 100, 256), (PARTS, 2, 2)):
        image = draw_legend(blank(640, 480), legend, 13)
        left, _, right, bottom = changed(image)
        width, height = measure(legend, 13)
        bar = image[bottom - height + round(1.7 * 13) + 4, left + 6 : right - 7]
        assert right - left == width
        assert np.abs(bar[0].astype(int) - legend.colors[0]).max() <= 3
        assert np.abs(bar[-1].astype(int) - legend.colors[-1]).max() <= 3
        assert least <= len({tuple(pixel) for pixel in bar.tolist()}) <= most


def test_it_shrinks_before_it_goes_and_goes_where_it_could_not_be_read():
    wide = measure(RAMP, 13)[0]
    small = draw_legend(blank(wide, 480), RAMP, 13)
    left, _, right, _ = changed(small)
    assert measure(RAMP, SMALLEST)[0] <= right - left < wide
    tiny = blank(measure(RAMP, SMALLEST)[0], 480)
    assert draw_legend(tiny, RAMP, 13) is tiny


def test_labels_tell_numbers_apart():
    assert spread(0, 3) == ("0", "1", "2", "3")
    assert spread(100.01, 100.04) == ("100.01", "100.02", "100.03", "100.04")
    assert format_number(12345.6) == "12346"


def test_labels_have_room():
    long = Legend("x", ((0, 0, 0), (1, 1, 1)), ("0.000123", "0.000456", "0.000789", "0.00123"))
    assert measure(long, 13)[0] > measure(RAMP, 13)[0]
