"""Who may come to the served page: a check of addresses, tokens and amounts before viser's server sees anything.

A browser says by which name it has reached a server (Host) and which web site asks (Origin, with every web socket).
Both must be what is served, so that no other site can steer, not even one whose name leads to this machine. Where other
machines may come, a random token is part of the address; the page keeps it as a cookie for its web socket.

viser leaves no room for such checks, but opens its server with `websockets.asyncio.server.serve`. While one is opened
here, that call goes through `Door.serve`. A viser that opens its server otherwise is not served.
"""

import asyncio
import errno
import ipaddress
import os
import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, final
from urllib.parse import parse_qs

from fields.numbers import brief
from viewer.browser import incoming

PAGES = 8  # that are served at a time
CONNECTIONS = 64  # at a time, with those that only fetch the page
OPENING = 10.0  # seconds in which a connection has to say what it wants
LONGEST = 1 << 16  # bytes of a message; pages send a few hundred
RATE, BURST = 200, 1.0  # messages a second that are read from one page; seconds of it that may come at once
QUIET = 60.0  # seconds in which a remark of one kind is made once
REJECTED = 1002  # close code with which viser's page shows the reason
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")  # a Host header in lower case
PATH = re.compile(r"(?=.{1,200}\Z)(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")  # of a page and of what belongs to it


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_address(name: str) -> bool:
    """Whether a Host header's name is an IP address: no name server can have it lead elsewhere."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def name_host(host: str) -> str:
    """How a browser on this machine names the host."""
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def require_free(host: str, port: int) -> None:
    """ValueError unless a server can be bound there. viser would look for another port, or for ever."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name != "nt":  # where it would let two programs listen at once
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        busy = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        text = say_taken(port) if busy else f"--host {host} --port {port}: cannot listen there: {error}"
        raise ValueError(text) from None


def say_taken(port: int) -> str:
    """What is said where a port is not free."""
    return f"--port {port}: another program listens there already; choose another"


@final
class Door:
    """What is asked of everybody who comes to a server that listens at `host`."""

    def __init__(self, host: str, tell: Callable[[str], None]) -> None:
        """`tell` is given a line, from viser's thread, where somebody is turned away."""
        self.host, self.tell = host, tell
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(16)
        self.accepts: incoming.Accepts = lambda uuid, value: False  # which widgets there are, and what they take
        self.opened = False  # whether a server came through here
        self.pages = 0  # that are open
        self.told: dict[str, float] = {}  # when remarks were made, by kind

    def address(self, port: int) -> str:
        """What a browser on this machine is to open."""
        return f"http://{name_host(self.host)}:{port}" + (f"/?token={self.token}" if self.token else "")

    def remark(self, kind: str, text: str) -> None:
        """Tell the person, but not the same again and again."""
        now = time.monotonic()
        if now - self.told.get(kind, -QUIET) >= QUIET:
            self.told[kind] = now
            self.tell(text)

    # ---- who may come

    def is_served(self, place: str, port: int) -> bool:
        """Whether a Host header (lower case) names this server at this port."""
        found = PLACE.fullmatch(place)
        if not found or int(found[2] or 80) != port:
            return False
        name = found[1]
        if name in LOOPBACK or name == name_host(self.host).lower():
            return True
        own = socket.gethostname().lower().partition(".")[0]
        return bool(self.token) and (is_address(name) or name.partition(".")[0] == own)

    def has_token(self, address: str) -> bool:
        """Whether the token is in an address."""
        return any(self.is_token(found) for found in parse_qs(address.partition("?")[2]).get("token", ()))

    def is_token(self, text: str) -> bool:
        """Whether a text is the token."""
        return secrets.compare_digest(text.encode(errors="replace"), self.token.encode())

    def has_cookie(self, headers: Any, port: int) -> bool:
        """Whether the token is among the cookies of a request."""
        pairs = (pair.strip().partition("=") for line in headers.get_all("Cookie") for pair in line.split(";"))
        return any(name == name_cookie(port) and self.is_token(value) for name, _, value in pairs)

    def examine(self, headers: Any, address: str, port: int) -> tuple[str, str]:
        """The kind of what is wrong with a request for an address (path and query) and what is said of it; both empty
        where nothing is."""
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        here = f"open {name_host(self.host)}:{port}, and through a tunnel keep the port"
        if len(hosts) != 1 or not self.is_served(hosts[0].lower(), port):
            return "host", f"asked for as {brief(', '.join(hosts))}, which is not served here: {here}"
        asks = bool(headers.get_all("Upgrade"))
        if (asks or origins) and [one.lower() for one in origins] != [f"http://{hosts[0].lower()}"]:
            return (
                "origin",
                f"another site than this page asks: {brief(', '.join(origins) or 'none that says its name')}",
            )
        if self.token and not self.has_token(address) and not self.has_cookie(headers, port):
            return "token", "the token is missing or is another one: open the whole address that view-scene has printed"
        if not PATH.fullmatch(address.partition("?")[0]):
            return "path", "there is no such page"
        return "", ""

    def admit(self, connection: Any, request: Any) -> Any:
        """The answer that turns a request away; None where it may go on."""
        kind, text = self.examine(request.headers, request.path, connection.local_address[1])
        if not kind:
            return None
        self.remark(kind, f"turned away: {text}")
        status = HTTPStatus.NOT_FOUND if kind == "path" else HTTPStatus.FORBIDDEN
        return connection.respond(status, f"view-scene: {text}\n")

    def dress(self, connection: Any, request: Any, response: Any) -> None:
        """Headers of a page that is sent: it talks to this server only, lies in no other site's frame, and brings the
        token back."""
        if response.status_code != HTTPStatus.OK:
            return
        headers, place, port = response.headers, request.headers["Host"], connection.local_address[1]
        headers["Content-Security-Policy"] = (
            f"connect-src 'self' ws://{place} blob: data:; frame-ancestors 'none'; base-uri 'none'; "
            "object-src 'none'; form-action 'none'"
        )
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        if self.token and self.has_token(request.path):
            headers["Set-Cookie"] = f"{name_cookie(port)}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    # ---- how many, and what they say

    async def receive(self, handler: Callable[[Any], Awaitable[None]], connection: Any) -> None:
        """Let viser talk to a page, if it is not one too many."""
        if self.pages >= PAGES:
            text = f"{PAGES} pages are open, and no more are served: close one"
            self.remark("pages", f"turned away: {text}")
            await connection.close(REJECTED, text)
            return
        self.pages += 1
        try:
            await handler(connection)
        finally:
            self.pages -= 1

    def serve(self, serve: Callable[..., Any]) -> Callable[..., Any]:
        """`websockets.asyncio.server.serve`, with this door before it."""
        self.opened = False

        def opened(handler: Callable[[Any], Awaitable[None]], *given: Any, **options: Any) -> Any:
            answer = options.get("process_request")

            def process(connection: Any, request: Any) -> Any:
                refused = self.admit(connection, request)
                return answer(connection, request) if refused is None and answer else refused

            async def receive(connection: Any) -> None:
                await self.receive(handler, connection)

            self.opened = True
            own = {
                "process_request": process, "process_response": self.dress, "max_size": LONGEST,
                "open_timeout": OPENING, "create_connection": make_connection(self),
            }  # fmt: skip
            return serve(receive, *given, **{**options, **own})

        return opened


def make_connection(door: Door) -> type:
    """What a page's connection is: what comes over it is checked before viser reads it."""
    from websockets.asyncio.server import ServerConnection

    class CheckedConnection(ServerConnection):
        """A connection that gives only what may be said, and not more of it at a time than can be done."""

        due = 0.0  # up to when, on the loop's clock, what was read so far is paid for

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.server.handlers) > CONNECTIONS:
                transport.abort()

        async def recv(self, decode: bool | None = None) -> Any:
            while True:
                data = await super().recv(decode)
                self.due = max(self.due, self.loop.time() - BURST) + 1 / RATE
                await asyncio.sleep(max(0.0, self.due - self.loop.time()))
                try:
                    clean = incoming.read(data, door.accepts)
                except ValueError as error:
                    door.remark("message", f"a page was cut off, which sent {error}")
                    self.transport.abort()  # no farewell: that would have to be waited for
                    continue  # which raises that it is closed, sooner or later
                if clean is not None:
                    return clean

    return CheckedConnection


def name_cookie(port: int) -> str:
    """What the cookie with the token is called: cookies belong to a host with all its ports."""
    return f"polyfield-{port}"


@contextmanager
def guarded(door: Door) -> Iterator[None]:
    """viser's servers that are opened inside have a door before them."""
    from websockets.asyncio import server

    serve = server.serve
    server.serve = door.serve(serve)
    try:
        yield
    finally:
        server.serve = serve
