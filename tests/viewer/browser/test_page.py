"""viser's page under our own name, and what becomes of it with a viser that we do not know."""

import html
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradient_link import GradientLink

from viewer import start
from viewer.browser import page, server
from viewer.browser.door import Door
from viewer.settings import ViewSettings

LIKE = """<!doctype html><html><head><link
 rel="icon"
 href="data:image/svg+xml,x"
/><meta name="description" content="Viser client" /><title>Viser</title></head><body>Viser</body></html>"""


def read(address: str) -> str:
    """A page's text."""
    with urllib.request.urlopen(address) as answer:
        return answer.read().decode()


def test_title_icon_and_description_are_ours_and_the_rest_is_as_it_was():
    named = page.name_page(LIKE, "a & b - Polyfield")
    assert "<title>a &amp; b - Polyfield</title>" in named and "Viser client" not in named
    assert named.count('rel="icon"') == 1 and "svg+xml,x" not in named
    assert named.endswith("</head><body>Viser</body></html>") and named.startswith("<!doctype html><html><head>")


def test_a_title_is_no_markup():
    named = page.name_page(LIKE, "</title><script>alert(1)</script>")
    assert "<script>alert" not in named and html.escape("</title><script>alert(1)</script>") in named


@pytest.mark.parametrize("text", ["", "no page", "<title>Viser", "Viser</title>"])
def test_a_page_that_begins_otherwise_is_served_as_it_is(text):
    assert page.name_page(text, "chair") == text


def test_a_folder_differs_in_its_first_page_alone(tmp_path):
    (tmp_path / "index.html").write_text(LIKE)
    (tmp_path / "other.html").write_text(LIKE)
    folder = page.name_folder(tmp_path, "chair")
    assert b"<title>chair</title>" in (folder / "index.html").read_bytes()
    assert (folder / "other.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    assert (folder / "index.html").is_file() and not (folder / "missing").is_file()
    assert (tmp_path / "index.html").read_text() == LIKE  # nothing is written


def test_a_server_that_is_handed_no_folder_is_left_alone():
    made: list[tuple] = []
    infra = SimpleNamespace(WebsockServer=lambda *given, **options: made.append((given, options)))
    before = infra.WebsockServer
    with page.named(SimpleNamespace(infra=infra), "chair"):
        infra.WebsockServer("host", 1, folder=Path("x"))
    assert made == [(("host", 1), {"folder": Path("x")})] and infra.WebsockServer is before


def test_a_viser_without_such_a_server_is_left_alone():
    for viser in (SimpleNamespace(), SimpleNamespace(infra=SimpleNamespace())):
        with page.named(viser, "chair"):
            pass
        assert not vars(viser).get("infra") or not vars(viser.infra)


def test_the_viser_that_is_installed_serves_the_name():
    """Where this fails pages are called Viser again: `viewer.browser.page` knows its server or its page no more."""
    pytest.importorskip("viser", reason="viser is not installed")
    opened = server.open_server(Door("127.0.0.1", pytest.fail), 0, "chair - Polyfield")
    try:
        found = read(f"http://127.0.0.1:{opened.get_port()}/")
    finally:
        server.stop_server(opened)
    assert "<title>chair - Polyfield</title>" in found and found.count("<title>") == 1
    assert found.count('rel="icon"') == 1 and "Viser client" not in found


def test_a_viser_that_opens_its_server_otherwise_is_not_served(monkeypatch):
    """Where it were, any web site could steer it."""
    viser = pytest.importorskip("viser", reason="viser is not installed")
    ended: list[bool] = []
    other = SimpleNamespace(get_port=lambda: 8123, stop=lambda: ended.append(True))
    monkeypatch.setattr(viser, "ViserServer", lambda **how: other)
    with pytest.raises(ValueError, match=r"^--web cannot guard the server of viser [0-9.]+: pip install"):
        server.open_server(Door("127.0.0.1", pytest.fail), 0)
    assert ended


def test_view_scene_calls_the_page_as_it_would_the_window(monkeypatch):
    seen = {}
    monkeypatch.setattr(start, "WorkerProcess", lambda device: GradientLink())
    monkeypatch.setattr(server, "require", lambda host, port: None)
    monkeypatch.setattr(server, "serve", lambda session, **options: seen.update(options))
    flags = ViewSettings(inputs=("builtin:60",), web=True, port=8123)
    start.start(flags)
    assert seen["title"] == start.make_title(flags) == "builtin:60 - Polyfield" and seen["port"] == 8123
