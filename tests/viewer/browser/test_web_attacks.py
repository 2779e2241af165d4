"""Strangers at the served page, over real sockets: they get nothing of what they want, and pages are served after."""

import contextlib
import http.client
import math
import socket

import pytest
import visitor as visitors
from served import Served
from visitor import CAMERA, Visitor, get, pack

from viewer.browser import door
from viewer.messages import Convert, SaveModel

REFUSED = 403
TOKEN = "4-w0rd_of-22-characters"


@pytest.fixture(scope="module")
def shared():
    pytest.importorskip("viser", reason="viser is not installed")
    restarts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "OPENING", 10 * visitors.PATIENCE)  # so that only their number cuts connections off
        served = Served(restart=lambda: restarts.append(1))
    served.restarts = restarts
    yield served
    served.end()


@pytest.fixture
def served(shared, capfd):
    """A session that must be as it was when a test is over, serve a new page, and have printed no traceback."""
    before = shared.session.state.display
    yield shared
    assert shared.session.state.display == before and shared.thread.is_alive() and not shared.restarts
    visitor = Visitor.come(shared.port).look()
    visitor.leave()
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out and len(said.err.splitlines()) <= 2


@pytest.fixture
def page(served):
    """A page of ours, behind which an attacker sits."""
    visitor = Visitor.come(served.port).look()
    yield visitor
    visitor.leave()


def refused(port: int, **how) -> int:
    """The status with which a web socket is turned away."""
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as told:
        Visitor.come(port, **how)
    return told.value.response.status_code


def settle(served: Served, page: Visitor) -> None:
    """Wait until all that a page has sent was read: messages are read one after the other."""
    from viewer.front.session import DisplaySettings

    page.set("exposure", 1.5)
    page.hear(lambda: served.session.state.display.exposure == 1.5, "a slider was moved")
    page.set("exposure", DisplaySettings.exposure)
    page.hear(lambda: served.session.state.display.exposure == DisplaySettings.exposure, "and moved back")


# ---- who comes


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1", "http://localhost:1", None]
)
def test_a_foreign_site_cannot_connect(served, origin):
    assert refused(served.port, origin=origin) == REFUSED
    if origin:
        assert get(served.port, Origin=origin)[0] == REFUSED


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1:1", "192.168.0.7"])
def test_a_foreign_name_that_leads_here_is_turned_away(served, host):
    place = host if ":" in host else f"{host}:{served.port}"
    assert refused(served.port, host=place) == REFUSED
    status, text, _ = get(served.port, Host=place)
    assert status == REFUSED and text.startswith("view-scene: ") and "<" not in text and text.count("\n") == 1


def test_names_of_this_machine_are_let_in(served):
    for name in ("localhost", "127.0.0.1", "[::1]"):
        assert get(served.port, Host=f"{name}:{served.port}")[0] == 200
        Visitor.come(served.port, host=f"{name}:{served.port}").look().leave()


def test_the_page_talks_to_its_own_server_only_and_lies_in_no_frame(served):
    """An address such as /?websocket=ws://evil.example has viser's page obey another server."""
    policy = get(served.port)[2]["content-security-policy"]
    assert f"connect-src 'self' ws://127.0.0.1:{served.port} " in policy and "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        bytes(range(256)) * 64, b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET //[ HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_request_is_not_answered_with_a_page(served, request_bytes):
    with socket.create_connection(("127.0.0.1", served.port), visitors.PATIENCE) as stranger:
        answer = b""
        try:
            stranger.sendall(request_bytes)
            stranger.shutdown(socket.SHUT_WR)
            while more := stranger.recv(1 << 16):
                answer += more
        except ConnectionError:
            pass
    assert not answer.startswith(b"HTTP/1.1 200") and b"<html" not in answer


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/%2e%2e/x", "/..%5cx", "/%00", "/" + "a" * 5000, "/nothing"]
)
def test_paths_lead_nowhere_else(served, path):
    assert get(served.port, path)[0] == 404


def test_connections_that_say_nothing_are_few(served):
    strangers = [
        socket.create_connection(("127.0.0.1", served.port), visitors.PATIENCE) for _ in range(door.CONNECTIONS + 8)
    ]
    cut = 0
    for stranger in reversed(strangers[door.CONNECTIONS :]):
        try:
            cut += not stranger.recv(1)
        except ConnectionError:
            cut += 1
    for stranger in strangers:
        stranger.close()
    assert cut == 8
    while True:  # until the server has seen that they are gone
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(served.port)[0] == 200:
                break


# ---- what pages say


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00", b"\xc1" * 100, b"\xdd\xff\xff\xff\xff", b"\x91" * 60_000, b"\x81\xa1a" * 20_000,
        bytes(range(256)),
        "text", "", '{"type": "ViewerCameraMessage"}', b"\x80", b"\x81\xa4type\x01", pack([CAMERA]),
    ],
    ids=range(13),
)  # fmt: skip
def test_garbage_ends_the_page_that_sends_it(page, data):
    page.say(data)
    assert page.cut_off() == 0  # without a farewell


def test_pages_that_are_cut_off_make_room_at_once(served):
    from websockets.exceptions import ConnectionClosed

    for _ in range(2 * door.PAGES):
        visitor = Visitor.come(served.port).look()
        with contextlib.suppress(ConnectionClosed):
            for number in range(300):
                visitor.say(b"\xc1" if number == 20 else {"type": "nothing"})
        assert visitor.cut_off() == 0


@pytest.mark.parametrize("size", [door.LONGEST + 1, 8 << 20])
def test_messages_of_any_length_are_not_read(page, size):
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        page.say(b"\x00" * size)
    assert page.cut_off() in (1009, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"position": [math.nan] * 3}, {"position": [1e300, 0, 0]}, {"position": [1e30, 0, 0]}, {"position": [0, 0]},
        {"position": "abc"},
        {"position": CAMERA["look_at"]}, {"wxyz": [0.0] * 4}, {"up_direction": [0.0] * 3}, {"fov": 0.0},
        {"fov": 99}, {"fov": math.nan},
        {"image_width": -5}, {"image_width": 1 << 40}, {"image_height": 10**9}, {"look_at": None}, {"more": 1},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)  # fmt: skip
def test_cameras_that_are_none_move_nothing(served, page, changes):
    other = Visitor.come(served.port).look()
    eye = served.session.state.eye
    message = {**CAMERA, "position": [0.0, 0.0, -9.0], **changes}
    page.say({k: v for k, v in message.items() if v is not None} if "more" not in changes else {"type": CAMERA["type"]})
    settle(served, page)
    settle(served, other)  # whom the same eye is sent to
    assert served.session.state.eye == eye
    other.leave()


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (16384, 1), (1, 16384), (16384, 16384), (3, 2000)])
def test_canvases_of_any_shape_get_a_picture_of_bounded_size(served, page, size):
    page.say({**CAMERA, "image_width": size[0], "image_height": size[1]})
    settle(served, page)
    assert all(max(request.camera.size) <= 1280 for request in served.link.requests)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("exposure", 99), ("exposure", math.nan), ("exposure", -math.inf), ("exposure", "1"), ("exposure", None),
        ("exposure", True),
        ("exposure", [1.0]), ("exposure", {}), ("samples", 0), ("samples", 1 << 40), ("samples", 2.5), ("samples",
        "many"),
        ("mode", "nothing"), ("mode", 3), ("mode", None), ("mode", ["color"]), ("into", "wings"), ("into", "../x"),
        ("field", "9: x"),
        ("through", "7: gone"), ("training", "explode"), ("go", "away"), ("0: chair (hashgrid)", "no"), ("file",
        "a" * 10_000),
        ("file", 7), ("file", "a\x1b[2J"), ("file", "a\nb"), ("Show", 1), ("Save", "x"), ("Start the worker again",
        True),
    ],
)  # fmt: skip
def test_values_that_no_widget_offers_set_nothing(served, page, label, value):
    asked = list(served.link.asked)
    page.set(label, value)
    settle(served, page)
    assert served.link.asked == asked
    late = Visitor.come(served.port).look()  # is told what the widgets show now
    assert late.values.get(late.widgets[label]["uuid"], "") != value and late.widgets[label]["type"] != value
    late.leave()


@pytest.mark.parametrize(
    "updates",
    [{"removed": True}, {"update_cb": []}, {"visible": False}, {"value": 1.0, "label": "x"}, {"nothing": 1}, {}, [],
    None, {"max": 99}],
    ids=str,
)  # fmt: skip
def test_nothing_of_a_widget_but_its_value_is_set(served, page, updates):
    page.say({"type": "GuiUpdateMessage", "uuid": page.widgets["exposure"]["uuid"], "updates": updates})
    settle(served, page)


@pytest.mark.parametrize("uuid", ["", "nothing", "root", 7, None, ["a"], "a" * 50_000])
def test_widgets_that_are_not_there_are_not_set(served, page, uuid):
    page.say({"type": "GuiUpdateMessage", "uuid": uuid, "updates": {"value": 1}})
    settle(served, page)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ShareUrlRequest"}, {"type": "ShareUrlDisconnect"}, {"type": "RunJavascriptMessage",
        "source": "alert(1)"},
        {"type": "GuiRemoveMessage", "uuid": "root"}, {"type": "ResetSceneMessage"}, {"type": "GuiFormDirtyMessage",
        "uuid": "x"},
        {"type": "GetRenderResponseMessage", "payload": b"x"}, {"type": "SceneNodeClickMessage", "name": "/"},
        {"type": "nothing"}, {"type": "Message"}, {"type": "CommandTriggerMessage", "uuid": 3},
        {"type": "GuiButtonHoldMessage"},
    ],
    ids=lambda message: message["type"],
)  # fmt: skip
def test_other_messages_of_viser_are_dropped(served, page, message):
    page.say(message)
    settle(served, page)


def test_files_that_are_sent_are_not_kept(served, page):
    uuid = page.widgets["file"]["uuid"]
    begin = {"type": "FileTransferStartUpload", "source_component_uuid": uuid, "transfer_uuid": "t", "filename": "../x"}
    page.say({**begin, "mime_type": "a/b", "part_count": 2, "size_bytes": 100_000})
    part = {"type": "FileTransferPart", "source_component_uuid": uuid, "transfer_uuid": "t", "content": b"x" * 50_000}
    for index in range(2):
        page.say({**part, "part_index": index})
    settle(served, page)
    late = Visitor.come(served.port).look()
    assert late.widgets["file"]["value"] == "model.safetensors"
    late.leave()


def test_a_flood_of_messages_leaves_time_for_others(served, page):
    import threading

    from websockets.exceptions import ConnectionClosed

    stop = threading.Event()

    def flood():
        try:
            while not stop.is_set():
                page.say({**CAMERA, "position": [0.5, 0.5, -2.0 - 1e-3 * served.session.clock() % 1]})
        except (ConnectionClosed, OSError):
            pass

    flooding = threading.Thread(target=flood)
    flooding.start()
    other = Visitor.come(served.port).look()
    settle(served, other)
    assert len(served.link.sent) < 1e5
    stop.set()
    other.leave()
    page.leave()
    flooding.join()


def test_as_many_pages_as_are_served_and_the_next_is_told(served):
    pages = [Visitor.come(served.port).look() for _ in range(door.PAGES)]
    late = Visitor.come(served.port)
    assert (
        late.cut_off() == door.REJECTED
        and late.socket.close_reason == f"{door.PAGES} pages are open, and no more are served: close one"
    )
    for page in pages:
        settle(served, page)
        page.leave()


# ---- what is written


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../a", "/etc/passwd", "a/b", "a\\b", ".hidden", "C:a", "a:b", "a" * 101, "*", "nul\x7f",
    "a|b", "ä" * 300],
)  # fmt: skip
def test_files_that_are_no_bare_names_are_not_saved(served, page, name):
    asked = list(served.link.asked)
    page.set("file", name)
    page.set("Save", True)
    settle(served, page)
    expected = [] if name.isprintable() else asked  # a name that is not taken over leaves the one before
    saved = [command.path for command in served.link.asked[len(asked) :]]
    assert saved == expected or [p.rpartition("/")[2] for p in saved] == ["model.safetensors"]
    page.set("file", "model.safetensors")
    settle(served, page)


def test_what_a_page_may_do_is_done(served, page):
    count = len(served.link.asked)
    page.set("file", "chair 2.safetensors")
    page.set("Save", True)
    page.set("into", "vm")
    page.set("Convert", True)
    page.hear(lambda: len(served.link.asked) >= count + 2, "the worker was asked to save and convert")
    save, convert = served.link.asked[count:]
    assert isinstance(save, SaveModel) and save.path.endswith("/chair 2.safetensors") and isinstance(convert, Convert)
    page.set("file", "model.safetensors")
    page.set("into", page.widgets["into"]["value"])
    settle(served, page)


# ---- where others may come


@pytest.fixture(scope="module")
def opened():
    pytest.importorskip("viser", reason="viser is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.secrets, "token_urlsafe", lambda count: TOKEN)
        served = Served(host="0.0.0.0")
    yield served
    served.end()


def test_without_the_token_nothing_is_served(opened):
    token = TOKEN
    place, cookie = f"192.168.0.7:{opened.port}", f"polyfield-{opened.port}"
    for path in ("/", "/index.html", "/?token=", "/?token=x", f"/?token={token[:-1]}", f"/?token={token}x"):
        status, text, headers = get(opened.port, path, Host=place)
        assert (status, "html" in text, "set-cookie" in headers) == (REFUSED, False, False)
        assert refused(opened.port, host=place, path=path) == REFUSED
    for wrong in (f"{cookie}=", f"{cookie}=x", f"polyfield-1={token}", "=", ";;;"):
        assert refused(opened.port, host=place, Cookie=wrong) == get(opened.port, Cookie=wrong)[0] == REFUSED
    status, text, headers = get(opened.port, f"/?token={token}", Host=place)
    assert status == 200 and "<title>" in text
    assert headers["set-cookie"] == f"{cookie}={token}; Path=/; HttpOnly; SameSite=Strict"
    Visitor.come(opened.port, host=place, Cookie=f"a=b; {cookie}={token}").look().leave()
    assert refused(opened.port, host=place, origin="http://evil.example", Cookie=f"{cookie}={token}") == REFUSED
    assert refused(opened.port, host=f"evil.example:{opened.port}", Cookie=f"{cookie}={token}") == REFUSED
