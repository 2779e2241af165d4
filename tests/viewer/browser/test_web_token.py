"""The page in headless Chromium where it is let in only with a token, and where it is sent to obey another server."""

import socket

import pytest
from chromium import canvas, difference, page, until
from served import Served

from viewer.browser import door

TOKEN = "4-w0rd_of-22-characters"
TRY = """async address => {
  const stopped = new Promise(done => document.addEventListener("securitypolicyviolation", done));
  new WebSocket(address);
  return (await stopped).effectiveDirective;
}"""


@pytest.fixture(scope="module")
def served():
    pytest.importorskip("viser", reason="viser is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.secrets, "token_urlsafe", lambda count: TOKEN)
        served = Served(host="0.0.0.0")
    yield served
    served.end()


def test_the_printed_address_shows_the_scene_and_the_cookie_does_from_then_on(served):
    place = f"http://localhost:{served.port}/"
    with page(place, (600, 400)) as (tab, _):
        assert "the token is missing" in tab.inner_text("body") and not tab.locator("canvas").count()
        for address in (f"{place}?token={TOKEN}", place):
            tab.goto(address)
            until(tab, lambda: tab.locator("canvas").count(), "the page is there")
            until(tab, lambda: served.link.requests, "a picture is asked for")
            until(tab, lambda: difference(canvas(tab), served.wanted) < 4.0, "the page shows the picture")
        [cookie] = tab.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (f"polyfield-{served.port}", True, "Strict")


def test_an_address_does_not_have_the_page_obey_another_server(served):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        stranger = f"ws://127.0.0.1:{other.getsockname()[1]}"
        with page(f"http://localhost:{served.port}/?token={TOKEN}&websocket={stranger}", (600, 400)) as (tab, _):
            until(tab, lambda: tab.locator("canvas").count(), "the page is there")
            stopped = tab.evaluate(TRY, stranger)
            tab.wait_for_timeout(3000)  # viser's own worker tries every second
            assert stopped == "connect-src"
            with pytest.raises(BlockingIOError):
                other.accept()
