"""What is written on the browser's picture: it fits, nothing lies over anything else, and phones are thought of."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from gradient_link import GradientLink

from render.legends import Legend, draw_legend, spread
from viewer.browser import writing
from viewer.front import compare
from viewer.front.session import Session, State
from viewer.messages import Activity

SCALE = Legend("distance, in units of your cameras", ((0, 0, 0), (255, 255, 255)), spread(1, 4))
NAMES = ("a model with a rather long name", "chair", "lego_hashgrid_from_yesterday_evening", "d1")
SAID = ("wrote /home/somebody/runs/lego_hashgrid_from_yesterday/model.safetensors", "screenshot: view-scene.png")
CANVASES = {  # the page, and the picture that it is sent: beside the panel, and within 1280 pixels
    "1440 x 900": (1120, 900),
    "700 x 500": (380, 500),
    "390 x 844": (390, 844),
    "390 x 844, of small pixels": (591, 1280),
    "700 x 500, without a panel": (700, 500),
}
ARRANGED = [(1, "split"), (2, "split"), (3, "split"), (4, "split"), (2, "wipe"), (2, "difference")]


def state_of(names: tuple[str, ...], layout: str = "split", psnr: float | None = 29.123) -> State:
    """Fields that have been drawn in colours which are numbers."""
    session = Session(GradientLink(names), clock=lambda: 0.0)
    session.tick((8, 6))
    session.tick((8, 6))
    state = with_scale(session.state, SCALE)
    panes = tuple(replace(pane, psnr=psnr) for pane in state.panes)
    return replace(state, panes=panes, display=replace(session.state.display, layout=layout, mode="error"))


def with_scale(state: State, scale: Legend | None) -> State:
    """The same, in colours that mean this."""
    panes = tuple(replace(p, frame=p.frame and replace(p.frame, legend=scale)) for p in state.panes)
    return replace(state, panes=panes)


def cover(places: list[tuple[int, int, int, int]], size: tuple[int, int]) -> np.ndarray:
    """How many of the places each pixel lies in; they must lie within the picture."""
    count = np.zeros((size[1], size[0]), int)
    for left, top, width, height in places:
        assert left >= 0 and top >= 0 and left + width <= size[0] and top + height <= size[1]
        count[top : top + height, left : left + width] += 1
    return count


@pytest.mark.parametrize("size", CANVASES.values(), ids=CANVASES)
@pytest.mark.parametrize(("count", "layout"), ARRANGED)
def test_texts_lie_within_the_picture_and_over_nothing(count, layout, size):
    state = state_of(NAMES[:count], layout)
    blocks = writing.place_texts(state, size, "compiling kernels, once ...", SAID)
    count_of = cover([block.place for block in blocks], size)
    assert count_of.max() == 1
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    scales = (writing.explain(image, state) != image).any(-1)
    narrow = compare.measure_pane(layout, count, size)[0] < 150  # where no scale could be read
    assert scales.any() == (layout != "difference" and not narrow)
    assert not (scales & (count_of > 0)).any()
    if size[0] < size[1]:
        assert not scales[writing.find_floor(size) :].any()  # where a phone's sheet of controls lies
    remarks = {line for block in blocks for line in block.lines}
    assert SAID[-1] in remarks and (count == 4 or "no photographs are open, so these are colours" in remarks)


@pytest.mark.parametrize("size", CANVASES.values(), ids=CANVASES)
@pytest.mark.parametrize(("count", "layout"), ARRANGED)
def test_captions_name_the_field_that_they_lie_on(count, layout, size):
    state = state_of(NAMES[:count], layout)
    blocks = writing.place_captions(state, size)
    if count == 1:
        assert not blocks
    elif layout == "difference":
        assert " ".join(blocks[0].lines).startswith("0: a model with a rather long name against 1: chair")
    else:
        assert [block.lines[0][:2] for block in blocks] == ["0:", "1:", "2:", "3:"][:count]
        places = compare.place_panes(layout, count, size)
        for block, (left, top, width, _) in zip(blocks, places, strict=True):
            assert top <= block.place[1] and (layout == "wipe" or left <= block.place[0] < left + width)
    if layout == "wipe":
        first, second = (block.place for block in blocks)
        assert first[0] + first[2] <= size[0] // 2 <= second[0]


@pytest.mark.parametrize("side", [1, 10, 40, 90])
def test_a_picture_without_room_is_left_as_it_is(side):
    for count, layout in ARRANGED:
        blocks = writing.place_texts(state_of(NAMES[:count], layout), (side, side), "compiling", SAID)
        assert cover([block.place for block in blocks], (side, side)).max() <= 1
        assert side > 40 or not blocks


def test_a_caption_loses_its_architecture_then_letters_then_its_figure_and_is_left_out_at_last():
    wide = writing.measure("0: chair (hashgrid)  29.12 dB in this view", 14)
    names, figures = ("0: chair (hashgrid)", "0: chair"), ("29.12 dB in this view", "29.12 dB")

    def fit(width: float, most: int = 2):
        return writing.fit_caption(names, figures, width, 14, most)

    assert fit(wide) == ("0: chair (hashgrid)  29.12 dB in this view",)
    assert fit(wide - 1) == ("0: chair (hashgrid)", "29.12 dB in this view")
    assert fit(writing.measure("29.12 dB in this view", 14)) == ("0: chair (hashgrid)", "29.12 dB in this view")
    assert fit(writing.measure("29.12 dB", 14)) == ("0: chair", "29.12 dB")
    assert fit(writing.measure("0: ch…", 14)) == ("0: ch…",)
    assert fit(12) == ()
    assert fit(wide - 1, most=1) == ("0: chair (hashgrid)  29.12 dB",)
    assert fit(wide, most=0) == ()


def test_without_a_photograph_there_is_no_figure():
    state = state_of(("chair", "lego"), psnr=None)
    assert [block.lines for block in writing.place_captions(state, (1120, 900))] == [
        ("0: chair (hashgrid)",),
        ("1: lego (hashgrid)",),
    ]


def test_an_empty_picture_says_in_its_middle_what_is_waited_for():
    state = State(activity=Activity("reading builtin:60", 0.4))
    for size in CANVASES.values():
        [block] = writing.place_texts(state, size, "reading builtin:60 ... 40 %", SAID)
        left, top, width, height = block.place
        assert block.lines == ("reading builtin:60 ... 40 %",)
        assert abs(left + width / 2 - size[0] / 2) <= 1
        assert abs(top + height / 2 - writing.find_floor(size) / 2) <= 1
        written = writing.write(writing.make_empty(size), [block], 14)
        assert (written != writing.make_empty(size)).any()


def test_letters_are_as_large_on_a_phone_whose_pixels_are_small():
    assert writing.pick_letters((1120, 900)) == writing.pick_letters((390, 844)) == 14
    assert writing.pick_letters((591, 1280)) == 21  # 14 of the page's 844


def test_texts_are_broken_between_words_and_what_is_too_long_is_shortened():
    width = writing.measure("no photograph from", 14)
    assert writing.wrap("no photograph from here: choose", width, 14, 2) == ("no photograph from", "here: choose")
    assert writing.wrap("no photograph from here: choose", width, 14, 1)[0].endswith("…")
    assert writing.wrap("wrote /a/folder/of/folders/chair.safetensors", width, 14, 2)[1].endswith("/chair.safetensors")
    assert writing.wrap("", width, 14, 2) == writing.wrap("word", 1, 14, 2) == ()


def test_pictures_without_texts_or_scales_are_the_same_arrays():
    image = np.full((60, 80, 3), 128, np.uint8)
    assert writing.write(image, (), 14) is image
    assert writing.explain(image, with_scale(state_of(("chair",)), None)) is image


def test_a_scale_lies_where_it_always_did_in_a_picture_that_is_wider_than_high():
    image = np.full((300, 400, 3), 128, np.uint8)
    assert np.array_equal(writing.explain(image, state_of(("chair",))), draw_legend(image, SCALE, writing.LETTERS))


def test_written_text_stays_on_its_ground():
    image = np.full((200, 300, 3), 128, np.uint8)
    block = writing.make_block(("chair", "29.12 dB gjpq"), 14, (20, 30), (0, 0))
    changed = (writing.write(image, [block], 14) != image).any(-1)
    left, top, width, height = block.place
    inside = changed[top : top + height, left : left + width]
    assert inside.all() and changed.sum() == width * height
    pen = (writing.write(image, [block], 14) != compare.EMPTY).any(-1)[top : top + height, left : left + width]
    edges = itertools.chain(pen[:2], pen[-2:], pen.T[:2], pen.T[-2:])
    assert not any(edge.any() for edge in edges)
