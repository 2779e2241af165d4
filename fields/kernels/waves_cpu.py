"""Waves of a tile of points: what networks over coordinates read (fields/encodings.py)."""

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import TILE, sine


@njit(**INNER)
def waves(x, at, cycles, out):
    """out (TILE, 3 + 6 K or more) of three coordinates, columns from `at` on of x (TILE, ...): 2 x - 1, sines and
    cosines of 2 pi cycles x, coordinate by coordinate, and zeros."""
    count, flat = len(cycles), out.reshape(out.size)
    for n in range(len(flat)):
        flat[n] = 0
    for p in range(TILE):
        for axis in range(3):
            place, first = x[p, at + axis], 3 + axis * count
            for k in range(count):
                turns = place * cycles[k]
                turns -= np.floor(turns)
                out[p, first + k] = turns
                out[p, first + 3 * count + k] = turns + np.float32(0.25)
    for n in range(len(flat)):
        flat[n] = sine(flat[n])
    for p in range(TILE):
        for axis in range(3):
            out[p, axis] = np.float32(2) * x[p, at + axis] - np.float32(1)
