"""Small photographs in one sheet: each keeps its pixels, and knows where it lies."""

import numpy as np
import pytest

pytest.importorskip("imgui_bundle", reason="imgui-bundle is missing; the extra `viewer` brings it")

from viewer.messages import SMALL
from viewer.window.photograph_sheet import lay_side_by_side


@pytest.mark.parametrize("count", [1, 5, 9, 10])
def test_each_lies_where_its_part_says(count):
    generator = np.random.default_rng(0)
    sizes = [(generator.integers(2, SMALL + 1), generator.integers(2, SMALL + 1)) for _ in range(count)]
    images = [generator.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    images[0] = None if count > 1 else images[0]
    sheet, parts = lay_side_by_side(images)
    height, width = sheet.shape[:2]
    assert set(parts) == {view for view in range(count) if images[view] is not None}
    for view, ((left, top), (right, bottom)) in parts.items():
        x0, y0, x1, y1 = (round(v) for v in (left * width - 0.5, top * height - 0.5, right * width, bottom * height))
        assert np.array_equal(sheet[y0 : y1 + 1, x0 : x1 + 1][: sizes[view][0], : sizes[view][1]], images[view])


def test_none_at_all_is_an_empty_sheet():
    sheet, parts = lay_side_by_side([None, None])
    assert parts == {}
    assert not sheet.any()
