"""Device functions of the radiance head on the CPU, in Numba: density, view-dependent colour, and their gradients.

What the colour network reads of a tile: fields/kernels/shading_cpu.py.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER
from fields.kernels.perceptron_cpu import place
from fields.kernels.shading_cpu import (
    color_inputs,
    color_pull,
    first_density,
    first_density_grad,
    shown,
    shown_grad,
)
from fields.kernels.tiles_cpu import TILE, add_outer, packed, product, product_masked, product_relu, wide
from fields.operands import Operands

LEAD = 1  # inputs in the tile that the first matrix does not read: log-density


class Arrays(NamedTuple):
    """Operands as arrays."""

    width: tuple[int, ...]  # as many as there are features
    kept: int  # numbers that `color` leaves of a tile
    weights: tuple[np.ndarray, ...]  # of three layers, (inputs, outputs)
    turned: tuple[np.ndarray, ...]  # the same, outputs first; of the first layer, as far as features go


def arrays(operands: Operands) -> Arrays:
    """See fields/tiled.py."""
    first, *others = (weight.detach().numpy() for weight in operands.weights)
    weights = (packed(first, LEAD), *map(packed, others))
    turned = tuple(np.ascontiguousarray(weight.T) for weight in weights)
    seen = np.ascontiguousarray(turned[0][:, : wide(operands.width)])  # the directions learn nothing
    kept = TILE * sum(len(weight) for weight in weights)
    return Arrays((0,) * operands.width, kept, weights, (seen, *turned[1:]))


@njit(**INNER)
def inputs(head, kept):
    """Room in what `color` leaves for what each layer reads, (TILE, inputs)."""
    first, second, third = head.weights[0].shape[0], head.weights[1].shape[0], head.weights[2].shape[0]
    at, end = TILE * first, TILE * (first + second)
    return (
        kept[:at].reshape((TILE, first)),
        kept[at:end].reshape((TILE, second)),
        kept[end : end + TILE * third].reshape((TILE, third)),
    )


@njit(**INNER)
def density(head, f, out):
    """See fields/kernels/fused_cpu.py."""
    first_density(f, out)


@njit(**INNER)
def color(head, f, d, kept, out):
    """See fields/kernels/fused_cpu.py."""
    seen, one, two = inputs(head, kept)
    last = np.empty((TILE, head.weights[2].shape[1]), np.float32)
    color_inputs(f, d, len(head.width), seen)
    product_relu(seen, head.weights[0], one)
    product_relu(one, head.weights[1], two)
    product(two, head.weights[2], last)
    shown(last, out)


@njit(**INNER)
def density_grad(head, f, for_sigma, out):
    """See fields/kernels/fused_cpu.py."""
    first_density_grad(f, for_sigma, out)


@njit(**INNER)
def color_grad(head, d, kept, rgb, for_rgb, sums, out):
    """See fields/kernels/fused_cpu.py."""
    (seen, one, two), weights, turned = inputs(head, kept), head.weights, head.turned
    push, pull = np.empty((TILE, weights[2].shape[1]), np.float32), np.empty_like(two)
    shown_grad(rgb, for_rgb, push)
    first, second = weights[0].size, weights[0].size + weights[1].size
    add_outer(two, push, place(sums, second, weights[2]))
    product_masked(push, turned[2], pull, two)
    add_outer(one, pull, place(sums, first, weights[1]))
    product_masked(pull, turned[1], two, one)
    add_outer(seen, two, place(sums, 0, weights[0]))
    product(two, turned[0], seen)
    color_pull(seen, len(head.width), out)
