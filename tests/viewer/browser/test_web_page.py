"""The page itself in headless Chromium: it shows the scene, is turned by drags, and its buttons steer the worker."""

import io
import itertools
import math

import numpy as np
import pytest
from chromium import canvas, difference, page, until
from gradient_link import progress
from PIL import Image
from served import TITLE, Served

from viewer.messages import ControlRun, Notice

CHANGED, ALIKE = 20.0, 4.0  # levels of 255: what a drag changes at least; JPEG and a browser's resampling at most


@pytest.fixture(scope="module")
def shown():
    pytest.importorskip("viser", reason="viser is not installed")
    served = Served()
    try:
        with page(f"http://127.0.0.1:{served.port}", (900, 600)) as (tab, fetched):
            served.settled(tab, 0)
            yield served, tab, fetched
    finally:
        served.end()


def test_the_page_is_called_by_what_it_shows(shown):
    _, tab, _ = shown
    assert tab.title() == TITLE
    assert "svg" in tab.locator('link[rel="icon"]').get_attribute("href")


def test_the_page_shows_the_scene_and_fetches_nothing_from_elsewhere(shown):
    served, tab, fetched = shown
    until(tab, lambda: difference(canvas(tab), served.wanted) < ALIKE, "the page shows the picture")
    assert canvas(tab).std() > 40  # it is not blank
    ours = f"127.0.0.1:{served.port}"
    elsewhere = [url for url in fetched if not url.startswith((f"http://{ours}", f"ws://{ours}", "blob:", "data:"))]
    assert f"ws://{ours}/" in fetched and not elsewhere


def test_a_drag_changes_the_picture(shown):
    served, tab, _ = shown
    before, count = served.wanted, len(served.link.requests)
    tab.mouse.move(200, 400)
    tab.mouse.down()
    tab.mouse.move(300, 430, steps=4)
    tab.mouse.up()
    served.settled(tab, count)
    until(tab, lambda: difference(canvas(tab), served.wanted) < ALIKE, "the page shows the turned picture")
    assert difference(canvas(tab), before) > CHANGED
    assert any(request.moving for request in served.link.requests[count:])


def test_buttons_steer_the_training(shown):
    served, tab, _ = shown
    tab.get_by_role("button", name="pause", exact=True).click()
    until(tab, lambda: ControlRun(0, "pause") in served.link.asked, "the worker is told to pause")
    for _ in range(2):  # the same button twice
        tab.get_by_role("button", name="step", exact=True).click()
    until(tab, lambda: served.link.asked.count(ControlRun(0, "step")) == 2, "two steps are asked for")
    served.link.waiting.append(progress(0, 41, "paused"))
    served.link.waiting.append(Notice("the disk is full", True))
    tab.get_by_text("step 41 of 100").wait_for()
    until(tab, lambda: tab.get_by_text("the disk is full").count() == 2, "trouble is told in the panel and pops up")


def test_the_next_view_is_looked_through_and_a_drag_leaves_it(shown):
    served, tab, _ = shown
    count = len(served.link.requests)
    tab.get_by_role("button", name="next", exact=True).click()
    until(tab, lambda: served.link.requests[-1].view == 0, "the request is the view's")
    served.settled(tab, count)
    tab.wait_for_timeout(300)  # the page answers that its camera was moved
    assert served.link.requests[-1].view == 0
    ways = itertools.cycle((12, -12))  # more than once, as the page may not have answered yet; to and fro, to stay near
    until(tab, lambda: left(tab, served, next(ways)), "a drag leaves the view")
    x, y, z = (float(v) for v in served.link.requests[-1].camera.pose[:3, 3])
    assert math.dist((x, y, z), (2.5, -1.0, 1.5)) < 1.0  # from there, not from where the page was before


def left(tab, served: Served, pixels: int) -> bool:
    """Drag sideways; whether the last request is no view's."""
    tab.mouse.move(250, 400)
    tab.mouse.down()
    tab.mouse.move(250 + pixels, 400, steps=2)
    tab.mouse.up()
    return served.link.requests[-1].view is None


def test_a_screenshot_comes_as_a_file(shown):
    served, tab, _ = shown
    until(tab, lambda: difference(canvas(tab), served.wanted) < ALIKE, "the page shows the picture")
    with tab.expect_download() as coming:
        tab.get_by_role("button", name="Screenshot").click()
    image = Image.open(io.BytesIO(coming.value.path().read_bytes()))
    assert image.format == "PNG" and np.array_equal(np.asarray(image), served.wanted)


def test_a_worker_that_has_gone_is_told_and_the_picture_stays(shown):
    served, tab, _ = shown
    served.link.alive = False
    tab.get_by_text("The worker has ended.").wait_for()
    until(tab, lambda: difference(canvas(tab), served.wanted) < ALIKE, "the picture is there")
    served.link.alive = True
