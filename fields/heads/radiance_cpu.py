"""Device functions of the radiance head on the CPU, in Numba: density, view-dependent colour, and their gradients.

The colour network reads a tile of F features, the first of which, log-density, is blanked, and sixteen harmonics.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.perceptron_cpu import place
from fields.kernels.tiles_cpu import (
    TILE,
    add_outer,
    exponential,
    packed,
    product,
    product_masked,
    product_relu,
    sigmoid,
    wide,
)
from fields.operands import Operands

HARMONICS = 16
LEAD = 1  # inputs in the tile that the first matrix does not read: log-density
LARGEST = np.float32(15)  # argument at which the exponential's gradient is held, see fields/exponential.py


class Arrays(NamedTuple):
    """Operands as arrays."""

    width: tuple[int, ...]  # as many as there are features
    weights: tuple[np.ndarray, ...]  # of three layers, (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first; of the first layer, as far as features go


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    first, *others = (weight.detach().numpy() for weight in operands.weights)
    weights = (packed(first, LEAD), *map(packed, others))
    turned = tuple(np.ascontiguousarray(weight.T) for weight in weights)
    seen = np.ascontiguousarray(turned[0][:, : wide(operands.width)])  # the directions learn nothing
    return Arrays((0,) * operands.width, weights, (seen, *turned[1:]))


@njit(error_model="numpy")
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


@njit(nogil=True, error_model="numpy")
def density(head, f, out):
    """See fields/kernels/fused_cpu.py."""
    for p in range(TILE):
        out[p] = exponential(f[p, 0])


@njit(nogil=True, error_model="numpy")
def inputs(head, f, d):
    """What the colour network reads of a tile (TILE, inputs)."""
    width = len(head.width)
    seen = np.zeros((TILE, head.weights[0].shape[0]), np.float32)
    for p in range(TILE):
        for n in range(1, width):
            seen[p, n] = f[p, n]
    harmonics(d, width, seen)
    return seen


@njit(nogil=True, error_model="numpy")
def color(head, f, d, out):
    """See fields/kernels/fused_cpu.py."""
    seen = inputs(head, f, d)
    one = np.empty((TILE, head.weights[0].shape[1]), np.float32)
    two, last = np.empty_like(one), np.empty((TILE, head.weights[2].shape[1]), np.float32)
    product_relu(seen, head.weights[0], one)
    product_relu(one, head.weights[1], two)
    product(two, head.weights[2], last)
    for p in range(TILE):
        for n in range(3):
            out[p, n] = sigmoid(last[p, n])


@njit(nogil=True, error_model="numpy")
def density_grad(head, f, for_sigma, out):
    """See fields/kernels/fused_cpu.py."""
    for p in range(TILE):
        out[p, 0] += for_sigma[p] * exponential(min(max(f[p, 0], -LARGEST), LARGEST))


@njit(nogil=True, error_model="numpy")
def color_grad(head, f, d, for_rgb, sums, out):
    """See fields/kernels/fused_cpu.py."""
    seen, weights, turned = inputs(head, f, d), head.weights, head.turned
    one = np.empty((TILE, weights[0].shape[1]), np.float32)
    two, last = np.empty_like(one), np.empty((TILE, weights[2].shape[1]), np.float32)
    product_relu(seen, weights[0], one)
    product_relu(one, weights[1], two)
    product(two, weights[2], last)
    push = np.zeros_like(last)
    for p in range(TILE):
        for n in range(3):
            shown = sigmoid(last[p, n])
            push[p, n] = for_rgb[p, n] * shown * (np.float32(1) - shown)
    pull = np.empty_like(one)
    first, second = weights[0].size, weights[0].size + weights[1].size
    add_outer(two, push, place(sums, second, weights[2]))
    product_masked(push, turned[2], pull, two)
    add_outer(one, pull, place(sums, first, weights[1]))
    product_masked(pull, turned[1], two, one)
    add_outer(seen, two, place(sums, 0, weights[0]))
    product(two, turned[0], seen)
    for p in range(TILE):
        out[p, 0] = 0
        for n in range(1, out.shape[1]):
            out[p, n] = seen[p, n] if n < len(head.width) else np.float32(0)
