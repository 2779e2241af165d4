"""Where in the pixel, and through which point of the lens, each pass over a picture looks: low-discrepancy points."""

import math
from dataclasses import replace

from render.camera import Camera

ROOT = 1.1673039782614187  # x^5 = x + 1: the generalised golden ratio of four dimensions
STEPS = tuple(ROOT**-k for k in (1, 2, 3, 4))


def sample_lens(number: int) -> tuple[float, float, float, float]:
    """Point `number` >= 0 of the additive sequence R4 (Roberts 2018, "The Unreasonable Effectiveness of Quasirandom
    Sequences"), in [0, 1)^4; point 0 is the origin."""
    a, b, c, d = ((number * step) % 1.0 for step in STEPS)
    return a, b, c, d


def shift_camera(camera: Camera, number: int, aperture: float = 0.0, focus: float = 1.0) -> Camera:
    """The camera of a pass: looks through another point of every pixel and of a thin lens of radius `aperture`, sharp
    at distance `focus` > 0 along the axis (scene units). Pass 0 is the camera itself, through the lens's middle.

    The pixel is shifted by (p, q) in [-1/2, 1/2)^2 and the camera moved by u to its right and v up. A point at axial
    distance z then appears at column (x - u) fx / z + cx' instead of x fx / z + cx, so that with
        cx' = cx - p + u fx / focus,    cy' = cy - q - v fy / focus    (rows count downwards)
    what lies at the focus stays where it is, and the rest moves by u fx (1 / focus - 1 / z): over all passes it fills a
    circle of radius aperture fx |1 / focus - 1 / z| pixels. A lens with distortion holds its focus in the middle of the
    picture only.
    """
    if number == 0:
        return camera
    a, b, c, d = sample_lens(number)
    p, q = (a + 0.5) % 1.0 - 0.5, (b + 0.5) % 1.0 - 0.5
    radius, angle = aperture * math.sqrt(c), 2 * math.pi * d  # evenly over the disc
    u, v = radius * math.cos(angle), radius * math.sin(angle)
    lens = camera.intrinsics
    lens = replace(lens, cx=lens.cx - p + u * lens.fx / focus, cy=lens.cy - q - v * lens.fy / focus)
    pose = camera.pose.clone()
    pose[:3, 3] += u * pose[:3, 0] + v * pose[:3, 1]
    return replace(camera, pose=pose, intrinsics=lens)
