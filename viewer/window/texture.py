"""A picture on the window: one OpenGL texture, copied onto a rectangle of the framebuffer."""

import ctypes

import numpy as np
import OpenGL

OpenGL.ERROR_CHECKING = OpenGL.ERROR_LOGGING = False  # a check after every call costs more than the call
from OpenGL import GL as gl  # noqa: E402

TextureArea = tuple[int, int, int, int]  # left, bottom, width, height in pixels of the framebuffer


class PictureTexture:
    """The last picture, in a texture that is taken anew only where the picture's size changes. Wants a GL context."""

    def __init__(self) -> None:
        self.size = (0, 0)
        self.texture, self.source = int(gl.glGenTextures(1)), int(gl.glGenFramebuffers(1))

    def upload(self, image: np.ndarray) -> None:
        """Take over a picture (H, W, 3) uint8, first row on top."""
        image = np.ascontiguousarray(image)
        height, width = image.shape[:2]
        gl.glBindTexture(gl.GL_TEXTURE_2D, self.texture)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        if self.size != (width, height):
            self.size = (width, height)
            nothing = ctypes.c_void_p(0)
            shape = (gl.GL_TEXTURE_2D, 0, gl.GL_RGBA8, width, height, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, nothing)
            gl.glTexImage2D(*shape)
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self.source)
            gl.glFramebufferTexture2D(
                gl.GL_READ_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0, gl.GL_TEXTURE_2D, self.texture, 0
            )
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, 0)
        pixels = image.ctypes.data_as(ctypes.c_void_p)
        gl.glTexSubImage2D(gl.GL_TEXTURE_2D, 0, 0, 0, width, height, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, pixels)

    def draw(self, area: TextureArea) -> None:
        """Fill `area` with the picture; smoothed where the sizes differ."""
        if min(self.size) == 0 or min(area[2:]) <= 0:
            return
        left, bottom, width, height = area
        smooth = gl.GL_NEAREST if (width, height) == self.size else gl.GL_LINEAR
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self.source)
        gl.glBlitFramebuffer(
            0, 0, *self.size, left, bottom + height, left + width, bottom, gl.GL_COLOR_BUFFER_BIT, smooth
        )  # the texture's first row is the picture's top, so that it is turned over here
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, 0)

    def close(self) -> None:
        """Give texture and framebuffer back."""
        gl.glDeleteTextures([self.texture])
        gl.glDeleteFramebuffers(1, [self.source])


def clear(size: tuple[int, int], color: tuple[float, float, float]) -> None:
    """Fill the whole framebuffer of `size` pixels with one colour, RGB in [0, 1]."""
    gl.glViewport(0, 0, *size)
    gl.glDisable(gl.GL_SCISSOR_TEST)
    gl.glClearColor(*color, 1.0)
    gl.glClear(gl.GL_COLOR_BUFFER_BIT)


def read_framebuffer(size: tuple[int, int]) -> np.ndarray:
    """What the window shows, panel and all: (H, W, 3) uint8, first row on top."""
    width, height = size
    result = np.empty((height, width, 3), np.uint8)
    gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
    pointer = result.ctypes.data_as(ctypes.c_void_p)
    gl.glReadPixels(0, 0, width, height, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, pointer)
    return result[::-1].copy()
