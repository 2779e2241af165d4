"""A program that talks to a served session over a real socket, as a page does, or as no page would."""

import http.client
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

PATIENCE = 600.0  # seconds after which it hangs; a slow machine is no failure
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": [1.0, 0.0, 0.0, 0.0], "position": [0.5, 0.5, -2.0], "fov": 0.7,
    "near": 0.01, "far": 1000.0, "image_height": 30, "image_width": 40, "look_at": [0.5, 0.5, 0.5],
    "up_direction": [0.0, -1.0, 0.0],
}  # fmt: skip


def pack(message: Any) -> bytes:
    """As pages do."""
    return pytest.importorskip("msgspec", reason="viser is not installed").msgpack.encode(message)


def get(port: int, path: str = "/", **headers: str) -> tuple[int, str, dict[str, str]]:
    """A page's status, text and headers (lower case). `Host` is the served one where none is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


@dataclass
class Visitor:
    """One web socket. `say` what you like; `hear` until something comes."""

    socket: Any
    widgets: dict[str, dict[str, Any]] = field(default_factory=dict)  # by label: the message that made them
    values: dict[str, Any] = field(default_factory=dict)  # by uuid: what widgets were set to since
    pictures: int = 0

    @staticmethod
    def come(port: int, *, host: str = "", origin: str | None = "", path: str = "/", **headers: str) -> "Visitor":
        """Connect as a page that was served under `host` does. Another `origin`, or None, is no page of ours."""
        client = pytest.importorskip("websockets.sync.client", reason="viser is not installed")
        viser = pytest.importorskip("viser", reason="viser is not installed")
        place = host or f"127.0.0.1:{port}"
        return Visitor(
            client.connect(
                f"ws://{place}{path}", sock=socket.create_connection(("127.0.0.1", port), PATIENCE),
                origin=f"http://{place}" if origin == "" else origin, subprotocols=[f"viser-v{viser.__version__}"],
                additional_headers={k.replace("_", "-"): v for k, v in headers.items()}, max_size=None,
                open_timeout=PATIENCE, close_timeout=1, compression=None, proxy=None,
            )
        )  # fmt: skip

    def say(self, message: Any) -> None:
        """Send a message, or bytes or text as they are."""
        self.socket.send(message if isinstance(message, bytes | str) else pack(message))

    def hear(self, met: Any, what: str) -> None:
        """Take in what comes until `met()`."""
        import msgspec
        import zstandard

        end = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < end, f"after {PATIENCE:.0f} s still not: {what}"
            try:
                data = self.socket.recv(timeout=0.05)
            except TimeoutError:
                continue
            packed = data[16 : 16 + int.from_bytes(data[8:16], "little")]
            for message in msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))["messages"]:
                self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        """Note one message of the server."""
        label = (message.get("props") or {}).get("label")
        if label is not None and "uuid" in message:
            self.widgets[label] = message
        if message["type"] == "GuiUpdateMessage" and "value" in message["updates"]:
            self.values[message["uuid"]] = message["updates"]["value"]
        self.pictures += message["type"] == "BackgroundImageMessage"

    def look(self) -> "Visitor":
        """Say where the camera is, and wait for a picture and for the panel."""
        before = self.pictures
        self.say(CAMERA)
        self.hear(lambda: self.pictures > before and "Screenshot" in self.widgets, "a picture is sent")
        return self

    def set(self, label: str, value: Any) -> None:
        """Set a widget by its label, or press a button."""
        self.say({"type": "GuiUpdateMessage", "uuid": self.widgets[label]["uuid"], "updates": {"value": value}})

    def leave(self) -> None:
        """Close it."""
        self.socket.close()

    def cut_off(self) -> int:
        """Wait until the server has closed it; with which code."""
        from websockets.exceptions import ConnectionClosed

        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.socket.recv(timeout=0.05)
            except TimeoutError:
                continue
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 0
        raise AssertionError("the server has not closed it")
