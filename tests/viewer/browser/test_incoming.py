"""What pages may say: two kinds of messages, checked number by number."""

import math

import pytest
from visitor import CAMERA, pack

from viewer.browser import incoming

msgspec = pytest.importorskip("msgspec", reason="viser is not installed")


def read(message, accepts=lambda uuid, value: False):
    """What is handed on, as viser would decode it; None where nothing is."""
    data = incoming.read(message if isinstance(message, bytes) else pack(message), accepts)
    return None if data is None else msgspec.msgpack.decode(data)


def test_a_camera_is_handed_on_as_it_is_and_nothing_else_of_it():
    assert read({**CAMERA, "__class__": "x", "excluded_self_client": 3}) == CAMERA
    assert read({**CAMERA, "position": [1, 2, 3], "image_width": 800.0})["position"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"position": [math.nan, 0, 0]}, {"position": [math.inf, 0, 0]}, {"position": [1e300, 0, 0]},
        {"position": [0, 0]},
        {"position": [0, 0, 0, 0]}, {"position": "abc"}, {"position": None}, {"position": {}}, {"position": [True,
        0, 0]},
        {"position": [[0], [0], [0]]}, {"position": CAMERA["look_at"]}, {"look_at": [1e7, 0, 0]}, {"look_at": []},
        {"wxyz": [0, 0, 0, 0]}, {"wxyz": [2, 0, 0, 0]}, {"wxyz": [1, 0, 0]}, {"wxyz": [math.nan] * 4},
        {"up_direction": [0, 0, 0]}, {"up_direction": [math.nan, 0, 1]}, {"fov": 0.0}, {"fov": -1}, {"fov": math.pi},
        {"fov": math.nan}, {"fov": "0.7"}, {"fov": True}, {"near": math.nan}, {"far": math.inf}, {"near": -1},
        {"image_width": -1}, {"image_width": 1e9}, {"image_width": 2**63}, {"image_height": 0.5},
        {"image_height": math.nan},
        {"image_height": 16385}, {"image_height": None},
    ],
)  # fmt: skip
def test_a_camera_that_is_none_is_dropped(changes):
    assert read({**CAMERA, **changes}) is None


def test_a_camera_that_lacks_something_is_dropped():
    assert all(read({k: v for k, v in CAMERA.items() if k != left}) is None for left in CAMERA if left != "type")


def test_a_widget_is_set_to_what_it_takes_and_only_its_value():
    def accepts(uuid, value):
        return (uuid, value) == ("a", 3)

    message = {"type": "GuiUpdateMessage", "uuid": "a", "updates": {"value": 3}}
    assert read({**message, "more": 1}, accepts) == message
    wrong = [
        {"uuid": "b"}, {"uuid": None}, {"uuid": ["a"]}, {"updates": {"value": 4}}, {"updates": {}}, {"updates": None},
        {"updates": {"value": 3, "removed": True}}, {"updates": {"removed": True}}, {"updates": {"update_cb": []}},
        {"updates": [["value", 3]]}, {"updates": {"gui_api": 3}},
    ]  # fmt: skip
    assert [read({**message, **changes}, accepts) for changes in wrong] == [None] * len(wrong)


@pytest.mark.parametrize(
    "kind",
    [
        "FileTransferStartUpload", "FileTransferPart", "ShareUrlRequest", "ShareUrlDisconnect", "GuiRemoveMessage",
        "RunJavascriptMessage", "GetRenderResponseMessage", "SceneNodeClickMessage", "GuiFormSubmitMessage",
        "Message", "", "\0",
    ],
)  # fmt: skip
def test_other_kinds_are_dropped(kind):
    assert read({"type": kind, "uuid": "a", "updates": {"value": 1}}, lambda *_: True) is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x91" * 60_000,
        b"\x81\xa1a" * 20_000,
        b"\xa2\xff\xff", b"\x81\x80\x01", b"\x81\xa4type", b"\x80", b"\x81\xa4type\x01", b"\x81\xa4type\xc0",
        b"\xc7\x03\x05abc",
        b"\xd6\xff\x00\x00\x00\x01", b"\xcb\x7f\xf8\0\0\0\0\0\0", bytes(range(256)), "text", "",
    ],
)  # fmt: skip
def test_what_is_no_message_is_an_error_of_one_line(data):
    with pytest.raises(ValueError, match=r"^[ -~]{1,100}$"):
        incoming.read(data, lambda *_: True)
