"""Gaussian readout of a tile of points: neurons that answer near a centre, and a linear map of their answers.

As fields/kernels/rbf.py has them: squares are summed as they stand. Four points are taken together, so that what is
read of a neuron serves four, and no sum waits for the one before.
"""

import numpy as np
from numba import njit, uintp

from fields.kernels.options_cpu import INNER
from fields.kernels.perceptron_cpu import place
from fields.kernels.tiles_cpu import TILE, add_outer, add_product, exponential, product
from fields.kernels.vector_cpu import (
    LANES,
    load,
    minus,
    plus_product,
    repeated,
    scaled,
    store,
)
from fields.kernels.vector_cpu import (
    product as lanes_product,
)


@njit(inline="always")
def away(f, p, d, center):
    """Number d of point p, less the centres."""
    return minus(repeated(f[p, d], center), center)


@njit(inline="always")
def begun(f, p, center, weight):
    """First weighted squares of a point."""
    e = away(f, p, 0, center)
    return lanes_product(lanes_product(weight, e), e)


@njit(inline="always")
def farther(total, f, p, d, center, weight):
    """Total and weighted squares of number d of a point."""
    e = away(f, p, d, center)
    return plus_product(total, lanes_product(weight, e), e)


@njit(**INNER)
def answers(f, centres, precision, out):
    """out (TILE, K) = exp(-1/2 sum over d of precision[d, i] (f[p, d] - centres[d, i])^2); both (D, K)."""
    for column in range(0, centres.shape[1], LANES):
        at = uintp(column)
        for p in range(0, TILE, 4):
            center, weight = load(centres, uintp(0), at), load(precision, uintp(0), at)
            one, two = begun(f, p, center, weight), begun(f, p + 1, center, weight)
            three, four = begun(f, p + 2, center, weight), begun(f, p + 3, center, weight)
            for d in range(1, centres.shape[0]):
                center, weight = load(centres, uintp(d), at), load(precision, uintp(d), at)
                one, two = farther(one, f, p, d, center, weight), farther(two, f, p + 1, d, center, weight)
                three, four = farther(three, f, p + 2, d, center, weight), farther(four, f, p + 3, d, center, weight)
            store(out, uintp(p), at, one)
            store(out, uintp(p + 1), at, two)
            store(out, uintp(p + 2), at, three)
            store(out, uintp(p + 3), at, four)
    for p in range(TILE):
        for i in range(out.shape[1]):
            out[p, i] = exponential(np.float32(-0.5) * out[p, i])


@njit(**INNER)
def readout(f, neurons, weight, out):
    """out (TILE, outputs): the bias, and weight (K, outputs) times the answers to f (TILE, D)."""
    phi = np.empty((TILE, weight.shape[0]), np.float32)
    answers(f, neurons.centres, neurons.precision, phi)
    for p in range(TILE):
        for n in range(out.shape[1]):
            out[p, n] = neurons.bias[n]
    add_product(phi, weight, out)


@njit(**INNER)
def readout_grad(f, push, neurons, weight, turned, sums, out):
    """From push (TILE, outputs) that of f, out (TILE, D); adds those of centres, log-precisions, weight and bias to
    sums (S,), one after the other."""
    phi, pull = np.empty((TILE, weight.shape[0]), np.float32), np.empty((TILE, weight.shape[0]), np.float32)
    answers(f, neurons.centres, neurons.precision, phi)
    product(push, turned, pull)
    for p in range(TILE):
        for i in range(pull.shape[1]):
            pull[p, i] *= phi[p, i]
    size = neurons.centres.size
    add_outer(phi, push, place(sums, 2 * size, weight))
    for p in range(TILE):
        for n in range(push.shape[1]):
            sums[2 * size + weight.size + n] += push[p, n]
    move(f, pull, neurons, place(sums, 0, neurons.centres), place(sums, size, neurons.centres))
    back(f, pull, neurons.by_neuron, neurons.precision_by_neuron, out)


@njit(**INNER)
def move(f, pull, neurons, for_centres, for_log):
    """Adds to the gradients (D, K) of centres and log-precisions, from pull (TILE, K), dL/dphi * phi."""
    centres, precision, widening = neurons.centres, neurons.precision, neurons.widening
    for d in range(centres.shape[0]):
        row = uintp(d)
        for column in range(0, centres.shape[1], LANES):
            at = uintp(column)
            center, weight, widen = load(centres, row, at), load(precision, row, at), load(widening, row, at)
            e = away(f, 0, d, center)
            first = lanes_product(load(pull, uintp(0), at), e)
            second = lanes_product(first, e)
            for p in range(1, TILE):
                e, let = away(f, p, d, center), load(pull, uintp(p), at)
                first, second = plus_product(first, let, e), plus_product(second, lanes_product(let, e), e)
            store(for_centres, row, at, plus_product(load(for_centres, row, at), weight, first))
            store(for_log, row, at, plus_product(load(for_log, row, at), widen, second))


@njit(inline="always")
def drawn(total, f, pull, p, i, at, center, weight):
    """Total and what neuron i draws of a point's numbers."""
    e = minus(load(f, uintp(p), at), center)
    return plus_product(total, scaled(weight, pull[p, i]), e)


@njit(**INNER)
def back(f, pull, centres, precision, out):
    """out[p, d] = sum over i of pull[p, i] precision[i, d] (centres[i, d] - f[p, d]); centres and precision (K, D)."""
    for column in range(0, centres.shape[1], LANES):
        at = uintp(column)
        for p in range(0, TILE, 4):
            center = load(centres, uintp(0), at)
            one = two = three = four = repeated(np.float32(0), center)
            for i in range(centres.shape[0]):
                center, weight = load(centres, uintp(i), at), load(precision, uintp(i), at)
                one = drawn(one, f, pull, p, i, at, center, weight)
                two = drawn(two, f, pull, p + 1, i, at, center, weight)
                three = drawn(three, f, pull, p + 2, i, at, center, weight)
                four = drawn(four, f, pull, p + 3, i, at, center, weight)
            store(out, uintp(p), at, scaled(one, np.float32(-1)))
            store(out, uintp(p + 1), at, scaled(two, np.float32(-1)))
            store(out, uintp(p + 2), at, scaled(three, np.float32(-1)))
            store(out, uintp(p + 3), at, scaled(four, np.float32(-1)))
