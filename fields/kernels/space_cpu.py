"""Device twin of Space, in Numba: scene units to the unit box (fields/space.py)."""

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER


@njit(**INNER)
def unit(points, center, side, sphere):
    """Points (P, 3), scene units, become those in the unit box. center (3,), side: of the same type; sphere: the space
    is contracted."""
    half, one, two = points.dtype.type(0.5), points.dtype.type(1), points.dtype.type(2)
    for p in range(points.shape[0]):
        x, y, z = points[p, 0] - center[0], points[p, 1] - center[1], points[p, 2] - center[2]
        if sphere:
            x, y, z = two * x / side, two * y / side, two * z / side
            away = max(np.sqrt(x * x + y * y + z * z), one)
            scale = (two - one / away) / (two * two)
            points[p, 0], points[p, 1], points[p, 2] = scale * (x / away), scale * (y / away), scale * (z / away)
        else:
            points[p, 0], points[p, 1], points[p, 2] = x / side, y / side, z / side
        for axis in range(3):
            points[p, axis] += half
