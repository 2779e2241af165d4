"""The fused field on the CPU, in Numba: what tables say, density network and head of a group of points by one thread.

The kernels know no architecture and no head: they take the operands of fields/arch/NAME_cpu.py and
fields/heads/NAME_cpu.py as named tuples, and find the device functions in the file that such a tuple's class stands in:

- of an architecture `encode`, what tables say of points (P, 3) -> (P, E); `decode`, features (TILE, W) of a tile of
  that; `decode_grad`, its gradient;
- of a head `density` and `color` of a tile of features, and their gradients `density_grad` and `color_grad`. What the
  latter reads of the former lies in `kept`, as many numbers as the head's operands say there.

Threads take groups of tiles one after the other. Each group adds the gradients of matrices to sums of its own, which
are added up in their order at the end: the result is the same whoever took what. What tables said, (N, E), and
features (N, W) go to memory where they will be wanted again: by the backward pass, and for colours of points whose
density was asked before. Gradients of tables are no business of these kernels, which hand on those of (N, E).
"""

import sys

import numpy as np
from numba import njit
from numba.extending import overload

from fields.kernels.options_cpu import INNER, KERNEL
from fields.kernels.queue_cpu import take
from fields.kernels.tiles_cpu import TILE


def function(operands: type, name: str):
    """The device function of this name beside the class of operands."""
    return getattr(sys.modules[operands.__module__], name)


def encode(network, x, out):
    """What tables say of points x (P, 3) in the unit box: out (P, E)."""
    function(type(network), "encode")(network, x, out)


def decode(network, seen, out):
    """Features, out (TILE, W), of what tables said, seen (TILE, E)."""
    function(type(network), "decode")(network, seen, out)


def decode_grad(network, seen, push, sums, out):
    """From push (TILE, W), the gradient of the features, that of `seen`, out (TILE, E); adds those of matrices to sums
    (S,)."""
    function(type(network), "decode_grad")(network, seen, push, sums, out)


def density(head, f, out):
    """Sigma, out (TILE,), of features f (TILE, W)."""
    function(type(head), "density")(head, f, out)


def color(head, f, d, kept, out):
    """RGB, out (TILE, 3), of features f (TILE, W) along unit directions d (TILE, 3), and kept (head.kept,)."""
    function(type(head), "color")(head, f, d, kept, out)


def density_grad(head, f, for_sigma, out):
    """Adds to the gradient of the features, out (TILE, W), what that of sigma (TILE,) makes of it."""
    function(type(head), "density_grad")(head, f, for_sigma, out)


def color_grad(head, d, kept, rgb, for_rgb, sums, out):
    """From the gradient of RGB (TILE, 3) that of the features, out (TILE, W); adds those of matrices to sums (S,). What
    `color` kept is lost."""
    function(type(head), "color_grad")(head, d, kept, rgb, for_rgb, sums, out)


# Numba asks these for what it puts in the place of a call: the body of the device function itself, as every function
# around another is compiled with all that it calls, again.
NUMPY = {"error_model": "numpy"}
overload(encode, NUMPY)(lambda network, x, out: function(network.instance_class, "encode").py_func)
overload(decode, NUMPY)(lambda network, seen, out: function(network.instance_class, "decode").py_func)
overload(decode_grad, NUMPY)(
    lambda network, seen, push, sums, out: function(network.instance_class, "decode_grad").py_func
)
overload(density, NUMPY)(lambda head, f, out: function(head.instance_class, "density").py_func)
overload(color, NUMPY)(lambda head, f, d, kept, out: function(head.instance_class, "color").py_func)
overload(density_grad, NUMPY)(lambda head, f, for_sigma, out: function(head.instance_class, "density_grad").py_func)
overload(color_grad, NUMPY)(
    lambda head, d, kept, rgb, for_rgb, sums, out: function(head.instance_class, "color_grad").py_func
)


# Loops, not slices: Numba takes a second to compile the assignment of an array to a slice, for each type.
@njit(**INNER)
def clear(out, first):
    """Rows of out (P, C) from `first` on become zero."""
    for p in range(first, out.shape[0]):
        for c in range(out.shape[1]):
            out[p, c] = 0


@njit(**INNER)
def put(tile, first, last, out):
    """Rows first to last of out (N, C) become those of a tile (TILE, C)."""
    for p in range(last - first):
        for c in range(tile.shape[1]):
            out[first + p, c] = tile[p, c]


@njit(**INNER)
def rows(values, first, last, out):
    """Rows first to last of values (N, C), and zeros behind them, as out (TILE, C)."""
    for p in range(last - first):
        for c in range(out.shape[1]):
            out[p, c] = values[first + p, c]
    clear(out, last - first)


@njit(**INNER)
def picked(values, index, first, last, out):
    """Rows index[first] to index[last - 1] of values (N, C), and zeros behind them, as out (TILE, C)."""
    for p in range(last - first):
        for c in range(out.shape[1]):
            out[p, c] = values[index[first + p], c]
    clear(out, last - first)


@njit(**KERNEL)
def thickness(queue, x, network, head, group, sigma, seen, features):
    """Sigma (N,) of points (N, 3) in the unit box. Where seen (M, E) or features (M, W) has room for N rounded up to
    whole groups and one more, they are kept there."""
    count, keep, known = len(x), seen.shape[0] > 1, features.shape[0] > 1
    read = np.empty((1 if keep else group, seen.shape[1]), np.float32)
    f, solid = np.empty((TILE, features.shape[1]), np.float32), np.empty(TILE, np.float32)
    while True:
        begin = take(queue) * group
        if begin >= count:
            break
        end = min(begin + group, count)
        place = seen[begin : begin + group] if keep else read
        encode(network, x[begin:end], place[: end - begin])
        clear(place, end - begin)
        for first in range(begin, end, TILE):
            last = min(first + TILE, end)
            out = features[first : first + TILE] if known else f
            decode(network, place[first - begin : first - begin + TILE], out)
            density(head, out, solid)
            for p in range(last - first):
                sigma[first + p] = solid[p]


@njit(**INNER)
def moves(push):
    """Whether any gradient of a tile (TILE, C) is other than zero; not-a-numbers are."""
    found = False
    for p in range(push.shape[0]):
        for c in range(push.shape[1]):
            found |= push[p, c] != 0
    return found


@njit(**KERNEL)
def thickness_grad(queue, index, seen, features, for_sigma, for_features, network, head, group, sums, push):
    """Of points index (N,) of seen (M, E) and features (M, W): from the gradients of sigma (N, 1) and features (N, W)
    those of what tables said, push (N, E), and each group's of matrices, a row of sums (groups, S)."""
    count, width, columns = len(index), features.shape[1], seen.shape[1]
    f, read, solid = rooms(width, columns, 1)
    pull, out, _ = rooms(width, columns, 1)
    while True:
        task = take(queue)
        if task * group >= count:
            break
        clear(sums[: task + 1], task)
        for first in range(task * group, min((task + 1) * group, count), TILE):
            last = min(first + TILE, count)
            rows(for_sigma, first, last, solid)
            rows(for_features, first, last, pull)
            if not (moves(solid) or moves(pull)):
                clear(push[:last], first)
                continue
            picked(features, index, first, last, f)
            picked(seen, index, first, last, read)
            density_grad(head, f, solid[:, 0], pull)
            decode_grad(network, read, pull, sums[task], out)
            put(out, first, last, push)


@njit(**INNER)
def rooms(first, second, third):
    """Room for three tiles of so many columns."""
    return (
        np.empty((TILE, first), np.float32),
        np.empty((TILE, second), np.float32),
        np.empty((TILE, third), np.float32),
    )


@njit(**KERNEL)
def shade(queue, features, d, ray, head, group, rgb):
    """RGB (N, 3) of features (N, W), each along the direction of its ray (N,), d (R, 3)."""
    count = len(features)
    f, way, shown = rooms(features.shape[1], 3, 3)
    kept = np.empty(head.kept, np.float32)
    while True:
        begin = take(queue) * group
        if begin >= count:
            break
        for first in range(begin, min(begin + group, count), TILE):
            last = min(first + TILE, count)
            rows(features, first, last, f)
            picked(d, ray, first, last, way)
            color(head, f, way, kept, shown)
            put(shown, first, last, rgb)


@njit(**KERNEL)
def shade_grad(queue, features, d, ray, for_rgb, head, group, sums, pull):
    """From the gradient of RGB (N, 3) that of features, pull (N, W), and each group's of matrices, a row of sums
    (groups, S)."""
    count = len(features)
    f, way, push = rooms(features.shape[1], 3, 3)
    out, rgb, kept = np.empty_like(f), np.empty_like(push), np.empty(head.kept, np.float32)
    while True:
        task = take(queue)
        if task * group >= count:
            break
        clear(sums[: task + 1], task)
        for first in range(task * group, min((task + 1) * group, count), TILE):
            last = min(first + TILE, count)
            rows(for_rgb, first, last, push)
            if not moves(push):
                clear(pull[:last], first)
                continue
            rows(features, first, last, f)
            picked(d, ray, first, last, way)
            color(head, f, way, kept, rgb)
            color_grad(head, way, kept, rgb, push, sums[task], out)
            put(out, first, last, pull)
