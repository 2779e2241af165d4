"""An X server that says that its screen is a dense one."""

import ctypes


def say_dense() -> object:
    """Tell the X server that its screen has 192 dots to an inch; holds while the result is alive."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = x11.XDefaultRootWindow.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    text = b"Xft.dpi:\t192\n"
    manager, string = 23, 31  # predefined atoms RESOURCE_MANAGER and STRING
    x11.XChangeProperty.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_ulong] * 2 + [ctypes.c_int] * 2 + [
        ctypes.c_char_p, ctypes.c_int]  # fmt: skip
    x11.XChangeProperty(display, x11.XDefaultRootWindow(display), manager, string, 8, 0, text, len(text))
    x11.XSync(ctypes.c_void_p(display), 0)
    return display
