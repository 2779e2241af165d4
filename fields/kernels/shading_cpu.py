"""What heads share on the CPU, in Numba: density from the first feature, harmonics of directions, and what a colour
network reads of a tile and hands back."""

import numpy as np
from numba import njit

from fields import exponential as held
from fields.encodings import COEFFICIENTS
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import TILE, exponential, sigmoid

HARMONICS = COEFFICIENTS  # columns of `harmonics`
LARGEST = np.float32(held.LARGEST)  # argument at which the exponential's gradient is held


@njit(**INNER)
def first_density(f, out):
    """Sigma, out (TILE,) = exp of the first of the features f (TILE, W)."""
    for p in range(TILE):
        out[p] = exponential(f[p, 0])


@njit(**INNER)
def first_density_grad(f, for_sigma, out):
    """Adds to the gradient of the features, out (TILE, W), what that of sigma (TILE,) makes of it."""
    for p in range(TILE):
        out[p, 0] += for_sigma[p] * exponential(min(max(f[p, 0], -LARGEST), LARGEST))


@njit(**INNER)
def harmonics(d, at, out):
    """Real orthonormal spherical harmonics of degrees 0 to 3 of unit directions d (TILE, 3): sixteen columns of out
    (TILE, ...), from `at` on."""
    for p in range(TILE):
        x, y, z = d[p, 0], d[p, 1], d[p, 2]
        xx, yy, zz = x * x, y * y, z * z
        out[p, at] = np.float32(0.28209479177387814)
        out[p, at + 1] = np.float32(-0.4886025119029199) * y
        out[p, at + 2] = np.float32(0.4886025119029199) * z
        out[p, at + 3] = np.float32(-0.4886025119029199) * x
        out[p, at + 4] = np.float32(1.0925484305920792) * x * y
        out[p, at + 5] = np.float32(-1.0925484305920792) * y * z
        out[p, at + 6] = np.float32(0.9461746957575601) * zz - np.float32(0.31539156525252005)
        out[p, at + 7] = np.float32(-1.0925484305920792) * x * z
        out[p, at + 8] = np.float32(0.5462742152960396) * (xx - yy)
        out[p, at + 9] = np.float32(0.5900435899266435) * y * (yy - np.float32(3) * xx)
        out[p, at + 10] = np.float32(2.890611442640554) * x * y * z
        out[p, at + 11] = np.float32(0.4570457994644658) * y * (np.float32(1) - np.float32(5) * zz)
        out[p, at + 12] = np.float32(0.3731763325901154) * z * (np.float32(5) * zz - np.float32(3))
        out[p, at + 13] = np.float32(0.4570457994644658) * x * (np.float32(1) - np.float32(5) * zz)
        out[p, at + 14] = np.float32(1.445305721320277) * z * (xx - yy)
        out[p, at + 15] = np.float32(0.5900435899266435) * x * (np.float32(3) * yy - xx)


@njit(**INNER)
def color_inputs(f, d, width, out):
    """What a colour network reads of a tile, out (TILE, inputs rounded up): `width` features f, the first of which,
    log-density, is blanked, then harmonics of directions d (TILE, 3), then zeros."""
    for p in range(TILE):
        out[p, 0] = 0
        for n in range(1, width):
            out[p, n] = f[p, n]
        for n in range(width + HARMONICS, out.shape[1]):
            out[p, n] = 0
    harmonics(d, width, out)


@njit(**INNER)
def shown(last, out):
    """RGB, out (TILE, 3), of what a colour network gives, last (TILE, 3 or more)."""
    for p in range(TILE):
        for n in range(3):
            out[p, n] = sigmoid(last[p, n])


@njit(**INNER)
def shown_grad(rgb, for_rgb, out):
    """The gradient of what a colour network gives, out (TILE, 3 or more), from that of RGB (TILE, 3); zeros beside."""
    for p in range(TILE):
        for n in range(3):
            out[p, n] = for_rgb[p, n] * rgb[p, n] * (np.float32(1) - rgb[p, n])
        for n in range(3, out.shape[1]):
            out[p, n] = 0


@njit(**INNER)
def color_pull(pull, width, out):
    """The gradient of the features, out (TILE, W), from that of `color_inputs`, pull (TILE, width or more): none of
    log-density, nor beyond the features."""
    for p in range(TILE):
        out[p, 0] = 0
        for n in range(1, out.shape[1]):
            out[p, n] = pull[p, n] if n < width else np.float32(0)
