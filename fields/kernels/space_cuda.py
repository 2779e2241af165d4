"""Device twin of Space, in Triton: scene units to the unit box (fields/space.py)."""

import triton
import triton.language as tl


@triton.jit
def unit(x, y, z, center, side, SPHERE: tl.constexpr):
    """Points, a block of each coordinate, scene units -> in the unit box. `center` points to three numbers, `side` to
    one; SPHERE: the space is contracted."""
    length = tl.load(side)
    x, y, z = (x - tl.load(center)) / length, (y - tl.load(center + 1)) / length, (z - tl.load(center + 2)) / length
    if SPHERE:
        away = tl.maximum(2.0 * tl.sqrt(x * x + y * y + z * z), 1.0)
        scale = (1.0 - 0.5 / away) / away
        x, y, z = x * scale, y * scale, z * scale
    return x + 0.5, y + 0.5, z + 0.5
