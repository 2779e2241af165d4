"""Device functions of the harmonics head, in Triton: density, and coefficients times harmonics. SHAPE: (harmonics,)."""

import triton
import triton.language as tl

from fields.heads.radiance_cuda import waves
from fields.kernels.exponential_cuda import first_slope
from fields.kernels.tiles_cuda import column


@triton.jit
def density(f, live, weights, SHAPE: tl.constexpr):
    """Features f (BLOCK, W) -> sigma (BLOCK,) per scene unit."""
    return tl.exp(column(f, 0))


@triton.jit
def density_grad(f, live, grad, weights, weight_grads, SHAPE: tl.constexpr):
    """dL/df (BLOCK, W), zero but for column 0, from dL/dsigma (BLOCK,)."""
    return first_slope(f, grad)


@triton.jit
def factors(dx, dy, dz, W: tl.constexpr, HARMONICS: tl.constexpr):
    """What each feature is multiplied by, (BLOCK, W) float32: its harmonic of the direction, 0 for column 0 and past
    the last; and which of red, green, blue it then belongs to, (1, W)."""
    number = tl.arange(0, W)[None, :] + 2  # column 1 is number 3: harmonic 0 of red
    terms, tile = waves(dx, dy, dz), tl.zeros((dx.shape[0], W), tl.float32)
    for n in tl.static_range(HARMONICS):
        tile = tl.where(number // 3 - 1 == n, terms[n][:, None], tile)
    return tile, number % 3


@triton.jit
def channels(f, tile, hue):
    """Red, green, blue (BLOCK,) each in [0, 1]."""
    product = tl.where((tl.arange(0, f.shape[1]) > 0)[None, :], f, 0.0) * tile
    red, green = tl.sum(tl.where(hue == 0, product, 0.0), 1), tl.sum(tl.where(hue == 1, product, 0.0), 1)
    return tl.sigmoid(red), tl.sigmoid(green), tl.sigmoid(tl.sum(tl.where(hue == 2, product, 0.0), 1))


@triton.jit
def color(f, dx, dy, dz, live, weights, SHAPE: tl.constexpr):
    """Features f (BLOCK, W), unit directions (BLOCK,) each -> red, green, blue (BLOCK,) each in [0, 1]."""
    tile, hue = factors(dx, dy, dz, f.shape[1], SHAPE[0])
    return channels(f, tile, hue)


@triton.jit
def color_grad(f, dx, dy, dz, live, red, green, blue, weights, weight_grads, SHAPE: tl.constexpr):
    """dL/df (BLOCK, W), column 0 zero, from dL/drgb (BLOCK,) each, zeros where not live."""
    tile, hue = factors(dx, dy, dz, f.shape[1], SHAPE[0])
    r, g, b = channels(f, tile, hue)
    red, green, blue = red * r * (1 - r), green * g * (1 - g), blue * b * (1 - b)
    return tile * tl.where(hue == 0, red[:, None], tl.where(hue == 1, green[:, None], blue[:, None]))
