"""The fused field on the CPU, in Numba: tables read, density network and head of a group of points by one thread.

The kernels know no architecture and no head: they take the operands of fields/arch/NAME_cpu.py and
fields/heads/NAME_cpu.py as named tuples, and find the device functions in the file that such a tuple's class stands in:

- of an architecture `encode`, what tables say of points (P, 3) -> (P, E); `decode`, features (TILE, W) of a tile of
  that; `decode_grad`, its gradient;
- of a head `density` and `color` of a tile of features, and `head_grad`, the gradient of both.

Threads take groups of tiles one after the other. Each group adds the gradients of matrices to sums of its own, which
are added up in their order at the end: the result is the same whoever took what. What tables said, (N, E), goes to
memory where it will be wanted again: by the backward pass, and by `radiance` of points whose density was asked before.
Gradients of tables are no business of these kernels, which hand on those of (N, E).
"""

import sys

import numpy as np
from numba import njit
from numba.extending import overload

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


def color(head, f, d, out):
    """RGB, out (TILE, 3), of features f (TILE, W) along unit directions d (TILE, 3)."""
    function(type(head), "color")(head, f, d, out)


def head_grad(head, f, d, for_sigma, for_rgb, sums, out):
    """From the gradients of sigma (TILE,) and RGB (TILE, 3), that of the features, out (TILE, W); adds those of
    matrices to sums (S,)."""
    function(type(head), "head_grad")(head, f, d, for_sigma, for_rgb, sums, out)


@overload(encode)
def _(network, x, out):
    run = function(network.instance_class, "encode")
    return lambda network, x, out: run(network, x, out)


@overload(decode)
def _(network, seen, out):
    run = function(network.instance_class, "decode")
    return lambda network, seen, out: run(network, seen, out)


@overload(decode_grad)
def _(network, seen, push, sums, out):
    run = function(network.instance_class, "decode_grad")
    return lambda network, seen, push, sums, out: run(network, seen, push, sums, out)


@overload(density)
def _(head, f, out):
    run = function(head.instance_class, "density")
    return lambda head, f, out: run(head, f, out)


@overload(color)
def _(head, f, d, out):
    run = function(head.instance_class, "color")
    return lambda head, f, d, out: run(head, f, d, out)


@overload(head_grad)
def _(head, f, d, for_sigma, for_rgb, sums, out):
    run = function(head.instance_class, "head_grad")
    return lambda head, f, d, for_sigma, for_rgb, sums, out: run(head, f, d, for_sigma, for_rgb, sums, out)


@njit(error_model="numpy")
def rows(values, first, last, out):
    """Rows first to last of values (N, C), and zeros behind them, as out (TILE, C)."""
    for p in range(last - first):
        for c in range(out.shape[1]):
            out[p, c] = values[first + p, c]
    out[last - first :] = 0


@njit(error_model="numpy")
def picked(values, index, first, last, out):
    """Rows index[first] to index[last - 1] of values (N, C), and zeros behind them, as out (TILE, C)."""
    for p in range(last - first):
        for c in range(out.shape[1]):
            out[p, c] = values[index[first + p], c]
    out[last - first :] = 0


@njit(nogil=True, cache=True, error_model="numpy")
def thickness(queue, x, network, head, group, sigma, seen, features):
    """Sigma (N,) of points (N, 3) in the unit box. Where seen (M, E) and features (M, W) have room for N rounded up to
    whole groups, they are kept there."""
    count, keep = len(x), seen.shape[0] > 1
    read = np.empty((1 if keep else group, seen.shape[1]), np.float32)
    f, solid = np.empty((TILE, features.shape[1]), np.float32), np.empty(TILE, np.float32)
    while True:
        begin = take(queue) * group
        if begin >= count:
            break
        end = min(begin + group, count)
        place = seen[begin : begin + group] if keep else read
        encode(network, x[begin:end], place[: end - begin])
        place[end - begin :] = 0
        for first in range(begin, end, TILE):
            last = min(first + TILE, end)
            out = features[first : first + TILE] if keep else f
            decode(network, place[first - begin : first - begin + TILE], out)
            density(head, out, solid)
            sigma[first:last] = solid[: last - first]


@njit(nogil=True, cache=True, error_model="numpy")
def radiance(queue, index, features, d, head, group, sigma, rgb):
    """Sigma (N,) and RGB (N, 3) of features (M, W), rows index (N,) of them, along d (N, 3)."""
    count = len(index)
    f, way = np.empty((TILE, features.shape[1]), np.float32), np.empty((TILE, 3), np.float32)
    solid, shade = np.empty(TILE, np.float32), np.empty((TILE, 3), np.float32)
    while True:
        begin = take(queue) * group
        if begin >= count:
            break
        for first in range(begin, min(begin + group, count), TILE):
            last = min(first + TILE, count)
            picked(features, index, first, last, f)
            rows(d, first, last, way)
            density(head, f, solid)
            color(head, f, way, shade)
            sigma[first:last] = solid[: last - first]
            rgb[first:last] = shade[: last - first]


@njit(nogil=True, cache=True, error_model="numpy")
def radiance_grad(queue, index, seen, features, d, for_sigma, for_rgb, network, head, group, sums, parts, push):
    """From the gradients of sigma (N, 1) and RGB (N, 3) those of what tables said, push (N, E), and each group's of
    matrices, a row of sums (groups, S): the network's `parts`, then the head's."""
    count, width = len(index), features.shape[1]
    f, read, way = (
        np.empty((TILE, width), np.float32),
        np.empty((TILE, seen.shape[1]), np.float32),
        np.empty((TILE, 3), np.float32),
    )
    solid, shade = np.empty((TILE, 1), np.float32), np.empty((TILE, 3), np.float32)
    pull, out = np.empty((TILE, width), np.float32), np.empty((TILE, seen.shape[1]), np.float32)
    while True:
        task = take(queue)
        if task * group >= count:
            break
        own, heads = sums[task, :parts], sums[task, parts:]
        own[:], heads[:] = 0, 0
        for first in range(task * group, min((task + 1) * group, count), TILE):
            last = min(first + TILE, count)
            rows(for_sigma, first, last, solid)
            rows(for_rgb, first, last, shade)
            if not moves(solid, shade):
                push[first:last] = 0
                continue
            picked(features, index, first, last, f)
            picked(seen, index, first, last, read)
            rows(d, first, last, way)
            head_grad(head, f, way, solid[:, 0], shade, heads, pull)
            decode_grad(network, read, pull, own, out)
            push[first:last] = out[: last - first]


@njit(error_model="numpy")
def moves(solid, shade):
    """Whether any gradient of a tile is other than zero; not-a-numbers are."""
    found = False
    for p in range(TILE):
        found |= (solid[p, 0] != 0) | (shade[p, 0] != 0) | (shade[p, 1] != 0) | (shade[p, 2] != 0)
    return found
