"""Who is let in: addresses, tokens and amounts, without a socket."""

import socket

import pytest

from viewer.browser import door as door_module
from viewer.browser.door import Door, is_loopback, name_host, require_free


class Headers(dict):
    """Headers of a request, each once."""

    def get_all(self, name):
        return [self[name]] if name in self else []


def examine(host: str, asked: str, origin: str = "", *, upgrade: bool = False, **more) -> str:
    """What a door at `host`, port 8080, says of a request."""
    headers = Headers({"Host": asked} if asked else {})
    headers |= {"Origin": origin} if origin else {}
    headers |= {"Upgrade": "websocket"} if upgrade else {}
    headers |= more.pop("headers", {})
    door = more.pop("door", None) or Door(host, pytest.fail)
    return door.examine(headers, more.pop("address", "/"), 8080)[0]


def test_how_a_browser_names_the_host():
    assert [name_host(host) for host in ("127.0.0.1", "0.0.0.0", "::1", "::")] == [
        "127.0.0.1", "localhost", "[::1]", "localhost",
    ]  # fmt: skip


def test_what_only_this_machine_reaches_wants_no_token():
    assert [is_loopback(h) for h in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST")] == [True] * 5
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "", "192.168.0.7", "gpu.lan")] == [False] * 5
    assert Door("127.0.0.1", pytest.fail).address(8080) == "http://127.0.0.1:8080"
    tokens = {Door("0.0.0.0", pytest.fail).address(8080) for _ in range(3)}
    assert len(tokens) == 3 and all(one.startswith("http://localhost:8080/?token=") for one in tokens)
    assert min(map(len, tokens)) >= len("http://localhost:8080/?token=") + 22  # 128 bits


@pytest.mark.parametrize("asked", ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"])
def test_names_of_this_machine_are_served(asked):
    assert examine("127.0.0.1", asked) == examine("127.0.0.1", asked, f"http://{asked}", upgrade=True) == ""


@pytest.mark.parametrize(
    "asked",
    [
        "", "evil.example:8080", "localhost:8081", "localhost", "127.0.0.1", "localhost.evil.example:8080",
        "@localhost:8080",
        "evil.example@localhost:8080", "localhost:8080@evil.example", "localhost:08080x", "127.0.0.1:8080:8080",
        "192.168.0.7:8080",
        "0.0.0.0:8080", "127.1:8080", "localhost:8080, evil.example", "localhost:999999",
    ],
)  # fmt: skip
def test_other_names_are_not_served(asked):
    assert examine("127.0.0.1", asked) == "host"


def test_two_hosts_are_none():
    headers = Headers(Host="localhost:8080")
    headers.get_all = lambda name: ["localhost:8080", "evil.example"] if name == "Host" else []
    assert Door("127.0.0.1", pytest.fail).examine(headers, "/", 8080)[0] == "host"


def test_port_80_is_left_out_by_browsers():
    door = Door("127.0.0.1", pytest.fail)
    assert (
        door.is_served("localhost", 80) and door.is_served("localhost:80", 80) and not door.is_served("localhost", 8080)
    )


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "http://evil.example:8080", "null", "https://localhost:8080", "http://localhost:8081",
        "http://127.0.0.1:8080", "http://localhost", "file://", "http://localhost:8080.evil.example",
        "chrome-extension://abc",
    ],
)  # fmt: skip
def test_other_sites_may_not_connect(origin):
    assert examine("127.0.0.1", "localhost:8080", origin, upgrade=True) == "origin"
    assert examine("127.0.0.1", "localhost:8080", origin) == "origin"


def test_a_web_socket_says_from_which_site_and_a_page_need_not():
    assert examine("127.0.0.1", "localhost:8080", upgrade=True) == "origin"
    assert examine("127.0.0.1", "localhost:8080") == ""


def test_the_token_is_asked_for_where_others_may_come_and_kept_as_a_cookie():
    door = Door("0.0.0.0", pytest.fail)
    address, cookie = f"/?token={door.token}", {"Cookie": f"a=b; polyfield-8080={door.token}"}
    assert examine("", "192.168.0.7:8080", door=door, address=address) == ""
    assert examine("", "192.168.0.7:8080", "http://192.168.0.7:8080", upgrade=True, door=door, headers=cookie) == ""
    for wrong in (
        "/",
        "/?token=",
        f"/?token={door.token[:-1]}",
        f"/?Token={door.token}",
        "/?token=%ff%00ä",
        f"/#token={door.token}",
    ):
        assert examine("", "192.168.0.7:8080", door=door, address=wrong) == "token"
    for wrong in (
        "polyfield-8080=",
        f"polyfield-8081={door.token}",
        f"x{cookie['Cookie']}"[:20],
        "polyfield-8080",
        "ä=ü;;=",
    ):
        assert examine("", "192.168.0.7:8080", door=door, headers={"Cookie": wrong}) == "token"


def test_others_come_by_addresses_and_by_the_machines_own_name(monkeypatch):
    monkeypatch.setattr(door_module.socket, "gethostname", lambda: "Gpu7.lan")
    door = Door("0.0.0.0", pytest.fail)
    for asked in ("192.168.0.7:8080", "[fe80::1]:8080", "gpu7:8080", "gpu7.local:8080", "localhost:8080"):
        assert door.is_served(asked, 8080)
    assert not door.is_served("evil.example:8080", 8080) and not door.is_served("gpu8:8080", 8080)
    assert Door("gpu.lan", pytest.fail).is_served("gpu.lan:8080", 8080)


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/%2e%2e/x", "/a\0", "/a/../b", "//x", "/.git", "http://evil/", "/" + "a/" * 3000 + "%"]
)
def test_paths_that_are_no_page_are_not_looked_for(path):
    assert examine("127.0.0.1", "localhost:8080", address=path) == "path"
    assert examine("127.0.0.1", "localhost:8080", address="/assets/index-1.js?x=%2e") == ""


def test_a_remark_is_made_once_in_a_while(monkeypatch):
    told, now = [], [0.0]
    monkeypatch.setattr(door_module.time, "monotonic", lambda: now[0])
    door = Door("127.0.0.1", told.append)
    for seconds in (0.0, 1.0, 59.0, 60.0):
        now[0] = seconds
        door.remark("host", f"{seconds}")
    door.remark("origin", "another")
    assert told == ["0.0", "60.0", "another"]


def test_what_is_told_of_a_stranger_holds_no_commands_for_the_terminal():
    headers = Headers(Host="localhost:8080", Origin="http://\x1b]0;x\x07\u202e" + "a" * 5000)
    kind, text = Door("127.0.0.1", pytest.fail).examine(headers, "/", 8080)
    assert kind == "origin" and text.isprintable() and len(text) < 200


def test_a_port_that_is_taken_is_named():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^--port {port}: another program listens there"):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_line():
    with pytest.raises(ValueError, match=r"^--host 203\.0\.113\.7 --port 8080: cannot listen there: .+$") as told:
        require_free("203.0.113.7", 8080)  # an address that is kept for documents (RFC 5737)
    assert "\n" not in str(told.value)
