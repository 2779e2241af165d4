"""Layers with bias of a tile of points, as many as there are: forward, and backward with activations made again.

Behind a layer comes a ReLU, or, where the stack is modulated, what fields/kernels/modulate.py says. One layer may read
the input of the stack again. All numbers lie one after the other, each layer's matrix (inputs, outputs) and bias, so
that a kernel need not be compiled anew for another depth.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from fields.kernels.modulate import EPS
from fields.kernels.modulate_cpu import FAST
from fields.kernels.options_cpu import INNER
from fields.kernels.tiles_cpu import (
    TILE,
    add_outer,
    add_product,
    add_product_relu,
    packed,
    product,
    product_masked,
)
from fields.quantize import rounded


class DenseArrays(NamedTuple):
    """Layers, the last of which has nothing behind it."""

    layers: np.ndarray  # (L, 3) int64: first number, inputs and outputs, rounded up
    numbers: np.ndarray  # (S,) matrices and biases
    turned: np.ndarray  # (S,) the matrices outputs first
    inputs: int  # of the stack
    width: int  # of what lies between two layers
    skip: int  # the layer that reads the input again; 0: none
    modulated: bool
    most: int  # the widest input or output


def as_filed(weight: Tensor, bits: int) -> np.ndarray:
    """A matrix as a file of so many bits would hold it, or a bias."""
    weight = weight.detach()
    return (rounded(weight, bits) if weight.dim() > 1 else weight).numpy()


def stacked(weights: tuple[np.ndarray, ...], lead: int, skip: int, *, modulated: bool) -> DenseArrays:
    """Of matrices (outputs, inputs) and biases (outputs,) in turn. The first `lead` inputs are not looked at."""
    matrices = [packed(weight, 0 if number else lead) for number, weight in enumerate(weights[::2])]
    biases = [packed(bias) for bias in weights[1::2]]
    sizes = [matrix.size + bias.size for matrix, bias in zip(matrices, biases, strict=True)]
    layers = np.array([(sum(sizes[:n]), *matrix.shape) for n, matrix in enumerate(matrices)], np.int64)
    both = [part.ravel() for pair in zip(matrices, biases, strict=True) for part in pair]
    turned = [part.ravel() for pair in zip((m.T for m in matrices), biases, strict=True) for part in pair]
    inputs, width = lead + weights[0].shape[1], weights[0].shape[0]
    return DenseArrays(
        layers, np.concatenate(both), np.concatenate(turned), inputs, width, skip, modulated, int(layers[:, 1:].max())
    )


@njit(**INNER)
def matrix(numbers, layer):
    """A layer's part of all numbers, (inputs, outputs)."""
    return numbers[layer[0] : layer[0] + layer[1] * layer[2]].reshape((layer[1], layer[2]))


@njit(**INNER)
def bias(numbers, layer):
    """A layer's bias (outputs,) among all numbers."""
    first = layer[0] + layer[1] * layer[2]
    return numbers[first : first + layer[2]]


@njit(**INNER)
def tile(room, slot, columns):
    """A tile (TILE, columns) in a slot of room (slots, TILE * the most columns)."""
    return room[slot, : TILE * columns].reshape((TILE, columns))


@njit(**INNER)
def slots(stack, count):
    """Room for `count` tiles of any layer's inputs."""
    return np.empty((count, TILE * stack.most), np.float32)


@njit(**INNER)
def workspace(stack, count):
    """Room for what `run` leaves: the inputs of `count` layers, as many normalised tiles, and what these were divided
    by (L, TILE)."""
    norms = slots(stack, count if stack.modulated else 0)
    return slots(stack, count), norms, np.empty((len(stack.layers), TILE), np.float32)


def workspace_size(stack: DenseArrays) -> int:
    """Numbers of a workspace for all layers."""
    tiles = len(stack.layers) * (2 if stack.modulated else 1)
    return TILE * (tiles * stack.most + len(stack.layers))


@njit(**INNER)
def workspace_in(stack, room):
    """A workspace for all layers, in room (`workspace_size`,)."""
    count, size = len(stack.layers), TILE * stack.most
    norms = count if stack.modulated else 0
    first, second = count * size, (count + norms) * size
    return (
        room[:first].reshape((count, size)),
        room[first:second].reshape((norms, size)),
        room[second : second + count * TILE].reshape((count, TILE)),
    )


@njit(**INNER, fastmath=FAST)
def modulated(z, width, scalars, number, inverses, out):
    """out (TILE, width or more) = relu(gamma n + beta) with n, the normalised z (TILE, width or more), in its place,
    and what it was divided by, (TILE,). scalars (TILE, ...): gamma - 1 and beta of a layer at columns 2 number."""
    share, eps, nought = np.float32(1) / np.float32(width), np.float32(EPS), np.float32(0)
    for p in range(TILE):
        row, made = z[p, :width], out[p]
        scale, shift = np.float32(1) + scalars[p, 2 * number], scalars[p, 2 * number + 1]
        mean = variance = nought
        for c in range(width):
            mean += row[c]
        mean *= share
        for c in range(width):
            variance += (row[c] - mean) * (row[c] - mean)
        inverse = np.float32(1) / np.sqrt(variance * share + eps)
        inverses[p] = inverse
        for c in range(width):
            row[c] = (row[c] - mean) * inverse
            value = scale * row[c] + shift
            made[c] = nought if value <= nought else value
        for c in range(width, len(made)):
            made[c] = nought


@njit(**INNER, fastmath=FAST)
def modulated_grad(pull, n, width, scalars, number, inverses, out):
    """What pull (TILE, width or more), the gradient behind the modulation and zero where its ReLU is, becomes in front
    of it, in its place; its scalars' gradients go to columns of out."""
    share = np.float32(1) / np.float32(width)
    for p in range(TILE):
        u, norm = pull[p, :width], n[p, :width]
        total = along = np.float32(0)
        for c in range(width):
            total += u[c]
            along += u[c] * norm[c]
        out[p, 2 * number], out[p, 2 * number + 1] = along, total
        scale = (np.float32(1) + scalars[p, 2 * number]) * inverses[p]
        total, along = total * share, along * share
        for c in range(width):
            u[c] = scale * (u[c] - total - norm[c] * along)


@njit(**INNER)
def copied(values, count, out, at):
    """So many first columns of values (TILE, ...) come to columns of out from `at` on."""
    for p in range(TILE):
        for n in range(count):
            out[p, at + n] = values[p, n]


@njit(**INNER)
def blank(out, first, last):
    """Zeros in these columns of out (TILE, ...)."""
    for p in range(TILE):
        for n in range(first, last):
            out[p, n] = 0


@njit(**INNER)
def begin(values, out):
    """Every row of out (TILE, at least as many) = values (outputs,)."""
    for p in range(TILE):
        for n in range(len(values)):
            out[p, n] = values[n]


@njit(inline="always")
def run(stack, seen, scalars, space, out):
    """out (TILE, outputs rounded up) of seen (TILE, inputs rounded up). The input of layer l comes to lie in slot l of
    the workspace, where it has so many, else in one of two by turns, and the layers' normalised numbers likewise."""
    layers, (acts, norms, inverses), slot = stack.layers, space, 0
    keep, last = len(acts) > 2, len(layers) - 1
    copied(seen, seen.shape[1], tile(acts, 0, layers[0, 1]), 0)
    for number in range(last):
        layer, columns = layers[number], layers[number + 1, 1]
        h, slot = tile(acts, slot, layer[1]), number + 1 if keep else 1 - slot
        after = tile(acts, slot, columns)
        if stack.modulated:
            z = tile(norms, number if keep else 0, layer[2])
            begin(bias(stack.numbers, layer), z)
            add_product(h, matrix(stack.numbers, layer), z)
            modulated(z, stack.width, scalars, number, inverses[number], after)
        else:
            begin(bias(stack.numbers, layer), after)
            add_product_relu(h, matrix(stack.numbers, layer), after)
        if number + 1 == stack.skip:
            copied(seen, stack.inputs, after, stack.width)
            blank(after, stack.width + stack.inputs, columns)
    begin(bias(stack.numbers, layers[last]), out)
    add_product(tile(acts, slot, layers[last, 1]), matrix(stack.numbers, layers[last]), out)


@njit(inline="always")
def run_grad(stack, scalars, space, push, sums, for_scalars, for_seen):
    """After `run` with a workspace for all layers: from push (TILE, outputs rounded up) the gradients of the scalars,
    into the first columns of for_scalars, and of what the first layer read, for_seen (TILE, inputs rounded up), or
    (TILE, 0) where nobody asks; adds those of matrices and biases to sums (S,)."""
    layers, (acts, norms, inverses), pulls = stack.layers, space, slots(stack, 2)
    for number in range(len(layers) - 1, -1, -1):
        layer = layers[number]
        h, turned = tile(acts, number, layer[1]), matrix(stack.turned, layer).reshape((layer[2], layer[1]))
        for_bias = bias(sums, layer)
        for p in range(TILE):
            for n in range(len(for_bias)):
                for_bias[n] += push[p, n]
        add_outer(h, push, matrix(sums, layer))
        if number > 0:
            before, pull = layers[number - 1], tile(pulls, number % 2, layer[1])
            product_masked(push, turned, pull, h)
            blank(pull, stack.width, before[2])  # where that layer reads the input again
            if stack.modulated:
                n = tile(norms, number - 1, before[2])
                modulated_grad(pull, n, stack.width, scalars, number - 1, inverses[number - 1], for_scalars)
            push = pull
        elif for_seen.shape[1] > 0:
            product(push, turned, for_seen)
