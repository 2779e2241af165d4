"""The page in headless Chromium before there is a picture, on a phone, and when the viewer ends."""

import numpy as np
from chromium import answers, canvas, difference, until
from gradient_link import GradientLink
from served import opened

from viewer.browser import writing
from viewer.messages import Activity, FrameRequest, WorkerReport, WorkerStarted

ALIKE = 4.0  # levels of 255 between two pictures: JPEG and a browser's resampling at most


class SilentLink(GradientLink):
    """A worker that opens nothing; it says what it is told to."""

    def __init__(self, *told: WorkerReport):
        super().__init__()
        self.waiting = [*told]

    def send(self, command):
        """Draw nothing."""
        self.sent.append(command)
        assert not isinstance(command, FrameRequest)


def find_text(tab) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is bright below the notices, in shares of the canvas; zeros for nothing."""
    shown = canvas(tab).max(2)
    shown[: shown.shape[0] // 3] = 0
    rows, columns = (np.flatnonzero((shown > 150).any(axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0, 0.0, 0.0, 0.0
    height, width = shown.shape
    return columns[0] / width, rows[0] / height, columns[-1] / width, rows[-1] / height


def test_before_there_is_a_picture_the_page_says_what_is_waited_for():
    with opened((900, 600), SilentLink()) as (served, tab):
        tab.get_by_text("starting ...").wait_for()
        until(tab, lambda: find_text(tab)[2] > 0.5, "the picture says so")
        left, top, right, bottom = find_text(tab)
        assert abs(left + right - 1) < 0.05 and abs(top + bottom - 1) < 0.2 and right - left < 0.3
        served.link.waiting += [WorkerStarted("CPU, 1 thread", ""), Activity("reading builtin:60", 0.4)]
        tab.get_by_text("reading builtin:60 ... 40 %").wait_for()
        until(tab, lambda: find_text(tab)[2] - find_text(tab)[0] > right - left + 0.1, "the picture says more")


def is_folded(tab) -> bool:
    """Whether the controls of a narrow page are folded: their handle is at the bottom, where the picture is free."""
    handle = tab.get_by_text("Polyfield", exact=True)
    box = handle.bounding_box() if handle.is_visible() else None
    return box is not None and box["y"] > (1 - writing.SHEET) * tab.viewport_size["height"]


def test_a_phone_shows_the_picture_and_its_controls_open_with_a_tap():
    with opened((390, 844)) as (served, tab):
        served.settled(tab, 0)
        until(tab, lambda: is_folded(tab), "the sheet of controls is folded")
        assert canvas(tab).shape == (844, 390, 3)
        until(tab, lambda: difference(canvas(tab)[:, :60], served.wanted[:, :60]) < ALIKE, "the picture is seen")
        handle = tab.get_by_text("Polyfield", exact=True)
        handle.click()
        until(tab, lambda: not is_folded(tab), "a tap opens it")
        tab.get_by_label("mode", exact=True).click()
        tab.get_by_role("option", name="depth", exact=True).click()
        until(tab, lambda: served.link.requests[-1].mode == "depth", "it can be used")
        handle.click()
        until(tab, lambda: is_folded(tab), "another tap folds it")


def test_a_wide_page_that_becomes_narrow_begins_folded_too():
    with opened((900, 600)) as (served, tab):
        served.settled(tab, 0)
        tab.get_by_text("mode", exact=True).wait_for()
        tab.set_viewport_size({"width": 390, "height": 844})
        until(tab, lambda: is_folded(tab), "the sheet of controls is folded")


def test_a_page_hears_that_the_viewer_has_ended():
    with opened((900, 600)) as (served, tab):
        served.settled(tab, 0)
        tab.get_by_text("step 0 of 100").wait_for()
        served.end()
        tab.get_by_text("The viewer has ended.").wait_for()
        assert not answers(served.port)
