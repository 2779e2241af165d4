"""Device functions of the harmonics head on the CPU, in Numba: density, coefficients times harmonics, and their
gradients."""

from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER
from fields.kernels.shading_cpu import HARMONICS, first_density, first_density_grad, harmonics, shown
from fields.kernels.tiles_cpu import TILE
from fields.operands import Operands

LEAD = 0  # there is no matrix


class Arrays(NamedTuple):
    """Operands as arrays."""

    count: int  # of harmonics
    kept: int  # numbers that `color` leaves of a tile: the harmonics


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    return Arrays(int(operands.shape[0]), TILE * HARMONICS)


@njit(**INNER)
def density(head, f, out):
    """See fields/kernels/fused_cpu.py."""
    first_density(f, out)


@njit(**INNER)
def color(head, f, d, kept, out):
    """See fields/kernels/fused_cpu.py."""
    terms = kept.reshape((TILE, HARMONICS))
    harmonics(d, 0, terms)
    for p in range(TILE):
        red = green = blue = np.float32(0)
        for n in range(head.count):
            red += f[p, 3 * n + 1] * terms[p, n]
            green += f[p, 3 * n + 2] * terms[p, n]
            blue += f[p, 3 * n + 3] * terms[p, n]
        out[p, 0], out[p, 1], out[p, 2] = red, green, blue
    shown(out, out)


@njit(**INNER)
def density_grad(head, f, for_sigma, out):
    """See fields/kernels/fused_cpu.py."""
    first_density_grad(f, for_sigma, out)


@njit(**INNER)
def color_grad(head, d, kept, rgb, for_rgb, sums, out):
    """See fields/kernels/fused_cpu.py."""
    terms = kept.reshape((TILE, HARMONICS))
    for p in range(TILE):
        red, green, blue = rgb[p, 0], rgb[p, 1], rgb[p, 2]
        red *= for_rgb[p, 0] * (np.float32(1) - red)
        green *= for_rgb[p, 1] * (np.float32(1) - green)
        blue *= for_rgb[p, 2] * (np.float32(1) - blue)
        out[p, 0] = 0
        for n in range(head.count):
            out[p, 3 * n + 1] = terms[p, n] * red
            out[p, 3 * n + 2] = terms[p, n] * green
            out[p, 3 * n + 3] = terms[p, n] * blue
    out[:, 1 + 3 * head.count :] = 0
