"""Small photographs, side by side in one OpenGL texture, to be drawn where their cameras stand."""

import ctypes
import math
from collections.abc import Sequence

import numpy as np
from imgui_bundle import imgui
from OpenGL import GL as gl

from viewer.messages import SMALL

Corner = tuple[float, float]  # shares of the texture's width and height


class PhotographSheet:
    """The texture, and which part of it is which view's. Wants a GL context."""

    def __init__(self, images: Sequence[np.ndarray | None]) -> None:
        """`images`: by view, (h, w, 3) uint8 of at most SMALL pixels a side."""
        sheet, self.parts = lay_side_by_side(images)
        self.texture = int(gl.glGenTextures(1))
        gl.glBindTexture(gl.GL_TEXTURE_2D, self.texture)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        for name in (gl.GL_TEXTURE_MIN_FILTER, gl.GL_TEXTURE_MAG_FILTER):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, name, gl.GL_LINEAR)
        height, width = sheet.shape[:2]
        pixels = sheet.ctypes.data_as(ctypes.c_void_p)
        shape = (gl.GL_TEXTURE_2D, 0, gl.GL_RGBA8, width, height, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, pixels)
        gl.glTexImage2D(*shape)
        self.reference = imgui.ImTextureRef(self.texture)

    def find(self, view: int) -> tuple[Corner, Corner] | None:
        """Top left and bottom right corner of a view's part; None where it has none."""
        return self.parts.get(view)

    def close(self) -> None:
        """Give the texture back."""
        gl.glDeleteTextures([self.texture])


def lay_side_by_side(images: Sequence[np.ndarray | None]) -> tuple[np.ndarray, dict[int, tuple[Corner, Corner]]]:
    """One picture (H, W, 3) of all, and where each lies in it: half a pixel within, so that no neighbour shows."""
    columns = max(1, math.ceil(math.sqrt(len(images))))
    rows = max(1, -(-len(images) // columns))
    sheet, parts = np.zeros((rows * SMALL, columns * SMALL, 3), np.uint8), dict[int, tuple[Corner, Corner]]()
    for view, image in enumerate(images):
        if image is None:
            continue
        top, left = view // columns * SMALL, view % columns * SMALL
        height, width = image.shape[:2]
        sheet[top : top + height, left : left + width] = image
        begin = (left + 0.5) / sheet.shape[1], (top + 0.5) / sheet.shape[0]
        parts[view] = begin, ((left + width - 0.5) / sheet.shape[1], (top + height - 0.5) / sheet.shape[0])
    return sheet, parts
