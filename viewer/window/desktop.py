"""Whether a window can be opened here. Asked before anything is imported that would need one."""

import importlib.util
import os
import sys

ELSEWHERE = "use --screenshot OUT.png, --web (in a browser), or render-scene MODEL OUT"
TOOLKIT = ("pyglet", "imgui_bundle", "OpenGL")  # modules of the extra `viewer`


def require() -> None:
    """ValueError, in one line that says what to do, where there is no display or no window toolkit."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):  # Wayland: pyglet goes through XWayland
        raise ValueError(f"no display: DISPLAY is not set, so that no window can be opened; {ELSEWHERE}")
    missing = [name for name in TOOLKIT if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f'the window wants {", ".join(missing)}: pip install "polyfield[viewer]"; or {ELSEWHERE}')
