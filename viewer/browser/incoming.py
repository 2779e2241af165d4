"""What a page may say: where its camera is, and what a widget was set to. Everything else is dropped.

viser takes any of its own messages from a page, and sets whatever attribute of a widget it names. So only these two
kinds are handed on, put together anew out of what was checked.
"""

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from fields.numbers import array, number, whole
from render.units import MOST_PIXELS

Accepts = Callable[[str, object], bool]  # whether a widget, by its uuid, may be set to a value
FAR = 1e6  # scene units: no camera is farther from the origin
LEAST = 1e-6  # scene units: between a camera and what it looks at
TYPED = 1000  # characters of a text that is typed
TILT = 1e-3  # radians: the narrowest lens, and what the widest lacks of a half turn


def read(data: object, accepts: Accepts) -> bytes | None:
    """A message as viser reads it; None for one that is not listened to. ValueError for what is no message at all."""
    import msgspec

    if not isinstance(data, bytes):
        raise ValueError("text, where messages are binary")
    try:
        found = msgspec.msgpack.decode(data)
    except Exception:  # whatever a decoder may say of a stranger's bytes
        raise ValueError("bytes that are no message") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if not isinstance(kind, str):
        raise ValueError("a message of no kind")
    check = CHECKS.get(kind)
    try:
        return msgspec.msgpack.encode({"type": kind, **check(found, accepts)}) if check else None
    except ValueError:
        return None


def check_camera(found: dict[str, Any], _: Accepts) -> dict[str, Any]:
    """Where a page's camera is. ValueError where no camera can be."""
    vectors = {name: array(found.get(name), name, (3,), FAR) for name in ("position", "look_at", "up_direction")}
    turn = array(found.get("wxyz"), "wxyz", (4,), 2.0)
    ahead, up = (vectors["look_at"] - vectors["position"]).norm(), vectors["up_direction"].norm()
    if not (abs(turn.norm() - 1) < 0.01 and ahead > LEAST and up > LEAST):
        raise ValueError("a camera without a direction")
    return {
        **{name: vector.tolist() for name, vector in vectors.items()},
        "wxyz": turn.tolist(),
        "fov": number(found.get("fov"), "fov", TILT, math.pi - TILT),
        **{name: number(found.get(name), name, 0, FAR) for name in ("near", "far")},
        **{name: whole(found.get(name), name, 0, MOST_PIXELS) for name in ("image_height", "image_width")},
    }


def check_update(found: dict[str, Any], accepts: Accepts) -> dict[str, Any]:
    """What a person has set a widget to, or that a button was pressed. ValueError for anything else of a widget."""
    uuid, updates = found.get("uuid"), found.get("updates")
    if not isinstance(uuid, str) or not isinstance(updates, dict) or list(updates) != ["value"]:
        raise ValueError("no value of a widget")
    if not accepts(uuid, updates["value"]):
        raise ValueError("a value that was not offered")
    return {"uuid": uuid, "updates": {"value": updates["value"]}}


def is_allowed(widget: Any, value: object) -> bool:
    """Whether a person could have set a widget to this: pages may send anything."""
    if not widget.visible:
        return False
    if hasattr(widget, "options"):
        return isinstance(value, str) and value in widget.options
    if hasattr(widget, "min"):
        fits = isinstance(value, int) or not isinstance(widget.value, int)
        return fits and is_number(value) and widget.min <= value <= widget.max
    if isinstance(widget.value, bool):
        return isinstance(value, bool)
    return isinstance(value, str) and len(value) <= TYPED and value.isprintable()


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


CHECKS = {"ViewerCameraMessage": check_camera, "GuiUpdateMessage": check_update}
