"""Panes side by side, wiped and subtracted; letterboxes; the photograph over them."""

from dataclasses import replace

import numpy as np
import pytest

from viewer.front.compare import (
    DIVIDER,
    EMPTY,
    arrange,
    blend,
    compose,
    fit_picture,
    letterbox,
    measure_pane,
    place_panes,
    scale,
    subtract,
)
from viewer.front.navigation import Eye
from viewer.front.session import DisplaySettings, Pane, State
from viewer.messages import FieldOpened, FrameDrawn, Photograph

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def flat(rgb, size=(60, 40)):
    return np.full((size[1], size[0], 3), rgb, np.uint8)


@pytest.mark.parametrize(
    ("kind", "panes", "each"),
    [
        ("split", 1, (601, 400)),
        ("split", 2, (300, 400)),
        ("split", 3, (200, 400)),
        ("split", 4, (300, 200)),
        ("wipe", 2, (601, 400)),
        ("difference", 3, (601, 400)),
    ],
)
def test_panes_fill_the_picture_without_overlap(kind, panes, each):
    size = (601, 400)
    assert measure_pane(kind, panes, size) == each
    covered = np.zeros((400, 601), int)
    for left, top, width, height in place_panes(kind, panes, size):
        assert (width, height) == each
        covered[top : top + height, left : left + width] += 1
    assert len(place_panes(kind, panes, size)) == panes
    assert covered[:, :600].min() == covered.max() == (1 if kind == "split" else panes)


def test_a_tiny_window_still_has_panes():
    assert measure_pane("split", 3, (2, 1)) == (1, 1)
    assert letterbox((4000, 3), (0, 0, 10, 10))[3] == 1


def test_letterboxes_keep_the_aspect_in_the_middle():
    assert letterbox((300, 100), (10, 20, 60, 60)) == (10, 40, 60, 20)
    assert letterbox((100, 300), (10, 20, 60, 60)) == (30, 20, 20, 60)
    assert letterbox((7, 5), (0, 0, 70, 50)) == (0, 0, 70, 50)


def test_coarse_pictures_of_a_panes_camera_cover_the_pane():
    pane = (0, 0, 851, 720)
    for k in (2, 3.7, 8, 21.2, 50):
        coarse = max(1, round(851 / k)), max(1, round(720 / k))
        assert fit_picture(coarse, pane) == pane
    assert fit_picture((40, 40), pane) == letterbox((40, 40), pane) == (65, 0, 720, 720)
    assert fit_picture((850, 720), pane) == (0, 0, 850, 720)  # at full size nothing is stretched
    image = np.full((34, 40, 3), 200, np.uint8)
    for kind in ("split", "wipe", "difference"):
        assert (arrange(kind, [image], (851, 720)) == 200).all()
    assert (arrange("wipe", [image, image], (851, 720), share=0.0) == 200).all()


def test_a_picture_at_its_own_size_is_not_touched():
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    assert scale(picture, (60, 40)) is picture
    assert arrange("split", [picture], (60, 40)) is picture


def test_coarse_pictures_are_smoothed_and_fine_ones_averaged():
    ramp = np.repeat(np.array([[0, 100, 200]], np.uint8)[..., None], 3, -1)
    grown = scale(ramp, (12, 1))[0, :, 0].astype(int)
    assert (np.diff(grown) >= 0).all()
    assert len(set(grown)) > 5
    stripes = np.tile(np.array([[[0] * 3, [200] * 3]], np.uint8), (4, 6, 1))
    assert (scale(stripes, (6, 4)) == 100).all()


def test_four_panes_stand_in_a_square():
    picture = arrange("split", [flat(c) for c in (RED, GREEN, BLUE, GREY)], (120, 80))
    assert picture.shape == (80, 120, 3)
    corners = [tuple(picture[y, x].tolist()) for y in (5, 75) for x in (5, 115)]
    assert corners == [RED, GREEN, BLUE, GREY]


def test_pictures_of_other_shapes_get_bars():
    picture = arrange("split", [flat(RED), flat(GREEN, (30, 20))], (100, 100))
    assert tuple(picture[50, 25]) == RED
    assert tuple(picture[50, 75]) == GREEN  # a coarser one fills the same place
    assert tuple(picture[5, 25]) == tuple(picture[95, 75]) == EMPTY
    assert (picture[34:66, :50] == RED).all()


def test_a_wipe_shows_one_left_and_the_other_right_of_its_share():
    picture = arrange("wipe", [flat(RED), flat(GREEN, (15, 10))], (60, 40), share=0.25)
    assert (picture[:, :14] == RED).all()
    assert (picture[:, 14:16] == DIVIDER).all()
    assert (picture[:, 16:] == GREEN).all()
    assert (arrange("wipe", [flat(RED), flat(GREEN)], (60, 40), share=0.0) == GREEN).all()
    assert (arrange("wipe", [flat(RED), flat(GREEN)], (60, 40), share=1.0) == RED).all()
    assert (arrange("wipe", [flat(RED)], (60, 40)) == RED).all()
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None].repeat(40, 0), 3, -1)
    parts = arrange("wipe", [ramp[::2, ::2], ramp[::2, ::2]], (60, 40), share=0.5)  # the parts fit on to each other
    whole = scale(ramp[::2, ::2], (60, 40)).astype(int)
    inner = np.r_[0:29, 31:60]
    assert np.abs(parts.astype(int) - whole)[:, inner].max() <= 1
    boxed = arrange("wipe", [flat(RED), flat(GREEN)], (120, 40), share=0.5)  # its share of the picture, not the bars
    assert tuple(boxed[20, 58]) == RED
    assert tuple(boxed[20, 62]) == GREEN
    assert tuple(boxed[20, 5]) == EMPTY


def test_differences_are_absolute_and_multiplied():
    a, b = flat((10, 200, 100)), flat((12, 190, 0))
    for one, other in ((a, b), (b, a)):
        assert subtract(one, other, 4.0)[0, 0].tolist() == [8, 40, 255]
    assert (arrange("difference", [a, b, a], (60, 40), gain=0.5)[0, 0] == [1, 5, 50]).all()


def test_the_photograph_lies_over_the_picture_as_far_as_asked():
    a, b = flat((100, 0, 50)), flat((200, 100, 50), (30, 20))
    assert blend(a, b, 0.0) is a
    assert (blend(a, b, 1.0) == (200, 100, 50)).all()
    assert np.abs(blend(a, b, 0.25)[0, 0].astype(int) - (125, 25, 50)).max() <= 1


def test_nothing_to_arrange_is_told():
    with pytest.raises(ValueError, match="no picture"):
        arrange("split", [], (10, 10))


def pane(number, rgb):
    opened = FieldOpened(number, "a", "a", "mlp", "", 1, 1, (0.0, 0, 0, 1, 1, 1), ((1.0,),), (1.0, 1.0, 1.0))
    return Pane(opened, frame=FrameDrawn(1, number, flat(rgb), 1, 1.0, 1) if rgb else None)


def test_a_front_end_shows_its_panes_with_the_photograph_over_them():
    eye = Eye((0.0, 0, 2), (1.0, 0, 0, 0), 2.0, view=4)
    state = State(eye=eye, panes=(pane(0, RED), pane(1, None)))
    assert compose(State(), (60, 40)) is None
    picture = compose(state, (120, 40))
    assert (picture[:, :60] == RED).all()
    assert (picture[:, 60:] == EMPTY).all()
    state = replace(state, display=DisplaySettings(truth=1.0), photograph=Photograph(4, flat(BLUE, (30, 20))))
    assert (compose(state, (120, 40)) == BLUE).all()
    moved = replace(state, eye=replace(eye, view=None))
    assert (compose(moved, (120, 40))[:, :60] == RED).all()
    hidden = replace(moved, panes=(pane(0, RED), replace(pane(1, GREEN), shown=False)))
    assert (compose(hidden, (60, 40)) == RED).all()
