"""Layers without bias, ReLU between them, of a tile of points: forward, and backward with activations made again."""

import numpy as np
from numba import njit

from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import TILE, add_outer, product, product_masked, product_relu


@njit(**INNER)
def hidden(x, weights):
    """What x (TILE, inputs) becomes behind the first layer."""
    h = np.empty((TILE, weights[0].shape[1]), np.float32)
    product_relu(x, weights[0], h)
    return h


@njit(**INNER)
def two_layers(x, weights, out):
    """out (TILE, outputs) of x (TILE, inputs), for two matrices."""
    product(hidden(x, weights), weights[1], out)


@njit(**INNER)
def place(sums, first, weight):
    """The part of sums (S,) where the gradient of a matrix is, from `first` on, in its shape."""
    return sums[first : first + weight.size].reshape(weight.shape)


@njit(**INNER)
def two_layers_grad(x, push, weights, turned, sums, out):
    """From push (TILE, outputs) that of x, out (TILE, inputs); adds those of the matrices to sums (S,), one after the
    other. turned: the matrices, outputs first."""
    h = hidden(x, weights)
    pull = np.empty_like(h)
    add_outer(h, push, place(sums, weights[0].size, weights[1]))
    product_masked(push, turned[1], pull, h)
    add_outer(x, pull, place(sums, 0, weights[0]))
    product(pull, turned[0], out)
