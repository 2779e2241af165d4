"""The loss of photographs on the CPU, in Numba, together with its gradients: rays in a row by one thread.

Colours, the light along each ray, the error of its pixel and the gradients of head and network are worked out while all
that belongs to a few hundred samples is in the cache: nothing is asked twice, and nothing goes to memory in between.
The kernel knows no architecture and no head, as those of fields/kernels/fused_cpu.py.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fields.kernels.fused_cpu import clear, color, color_grad, decode_grad, density_grad, moves, picked, put, rooms
from fields.kernels.options_cpu import INNER, KERNEL, LEAN
from fields.kernels.queue_cpu import take
from fields.kernels.tiles_cpu import TILE

RUN = 8 * TILE  # samples of rays in a row that are worked out together, unless one ray has more


class RayTargets(NamedTuple):
    """Rays with their samples, and what they should show."""

    directions: np.ndarray  # (R, 3) float32
    offsets: np.ndarray  # (R + 1,) int64
    ray: np.ndarray  # (N,) int64
    dt: np.ndarray  # (N,) float32, scene units
    rgb: np.ndarray  # (R, 3) float32
    background: np.ndarray  # (R, 3) float32
    weight: np.ndarray  # (R,) float32 of a channel's error


class Queried(NamedTuple):
    """What the field has answered, see Recall in fields/tiled.py."""

    index: np.ndarray  # (N,) int64
    seen: np.ndarray  # (M, E) float32
    features: np.ndarray  # (M, W) float32
    sigma: np.ndarray  # (M,) float32


class Results(NamedTuple):
    """What comes of it for each group of rays and each sample."""

    errors: np.ndarray  # (tasks, 2) float64, loss and squared error, weighted
    network: np.ndarray  # (tasks, S) float32, gradients of the network's matrices
    head: np.ndarray  # (tasks, S') float32, of the head's
    push: np.ndarray  # (N, E) float32, of what tables queried


class Scratch(NamedTuple):
    """A thread's memory for the samples that it works on, P of them."""

    kept: np.ndarray  # (P / TILE, head.kept) float32
    rgb: np.ndarray  # (P, 3) float32
    for_rgb: np.ndarray  # (P, 3) float32
    for_sigma: np.ndarray  # (P, 1) float32
    light: np.ndarray  # (P, 2) float64: behind a sample, and what it takes away


@njit(**KERNEL)
def split_runs(offsets):
    """Rays in runs: the first of each, and R, (K + 1,). A run has RUN samples at most, or one ray."""
    rays = len(offsets) - 1
    starts, count = np.empty(rays + 1, np.int64), 0
    for r in range(rays):
        if count == 0 or offsets[r + 1] - offsets[starts[count - 1]] > RUN:
            starts[count] = r
            count += 1
    starts[count] = rays
    return starts[: count + 1]


@njit(**INNER)
def huber_grad(difference, delta):
    """Derivative of the Huber loss over delta; not-a-numbers pass."""
    if difference > delta:
        return 1.0
    return -1.0 if difference < -delta else difference / delta


@njit(**INNER)
def huber(difference, delta):
    """Huber loss over delta."""
    size = abs(difference)
    return size - delta / 2 if size > delta else size * size / (2 * delta)


@njit(**LEAN)
def ray_loss(r, at, rays, queried, scratch, delta, errors):
    """Loss of ray r, whose first sample lies at `at` of the scratch, and the gradients of its samples' colours and
    densities. See render/kernels/composite.py."""
    first, count = rays.offsets[r], rays.offsets[r + 1] - rays.offsets[r]
    light, red, green, blue = 1.0, 0.0, 0.0, 0.0
    for n in range(count):
        sigma = queried.sigma[queried.index[first + n]]
        after = light * math.exp(-float(sigma) * float(rays.dt[first + n]))
        w = light - after  # in float64, where even tau = 1e-6 keeps ten digits
        light = after
        scratch.light[at + n, 0], scratch.light[at + n, 1] = after, w
        red += w * scratch.rgb[at + n, 0]
        green += w * scratch.rgb[at + n, 1]
        blue += w * scratch.rgb[at + n, 2]
    weight, back = float(rays.weight[r]), rays.background[r]
    red, green, blue = (
        red + light * back[0] - rays.rgb[r, 0],
        green + light * back[1] - rays.rgb[r, 1],
        blue + light * back[2] - rays.rgb[r, 2],
    )
    errors[0] += weight * (huber(red, delta) + huber(green, delta) + huber(blue, delta))
    errors[1] += weight * (red * red + green * green + blue * blue)
    red, green, blue = huber_grad(red, delta), huber_grad(green, delta), huber_grad(blue, delta)
    red, green, blue = weight * red, weight * green, weight * blue
    behind, beyond = 0.0, red * back[0] + green * back[1] + blue * back[2]  # of weights: the background takes the rest
    for n in range(count - 1, -1, -1):
        i = at + n
        u = red * scratch.rgb[i, 0] + green * scratch.rgb[i, 1] + blue * scratch.rgb[i, 2] - beyond
        w = scratch.light[i, 1]
        scratch.for_sigma[i, 0] = (u * scratch.light[i, 0] - behind) * rays.dt[first + n]
        behind += w * u
        scratch.for_rgb[i, 0], scratch.for_rgb[i, 1], scratch.for_rgb[i, 2] = w * red, w * green, w * blue


@njit(**KERNEL)
def loss_and_gradients(queue, rays, starts, each, longest, delta, queried, network, head, results):
    """Loss and gradients of rays, in runs that begin with these, `each` of them together. longest: samples of a run at
    most; delta: error at which the loss turns from quadratic to linear."""
    runs, tiles = len(starts) - 1, (longest + TILE - 1) // TILE
    scratch = Scratch(
        np.empty((tiles, head.kept), np.float32), np.empty((tiles * TILE, 3), np.float32),
        np.empty((tiles * TILE, 3), np.float32), np.empty((tiles * TILE, 1), np.float32),
        np.empty((tiles * TILE, 2)),
    )  # fmt: skip
    f, read, way = rooms(queried.features.shape[1], queried.seen.shape[1], 3)
    pull, out, _ = rooms(queried.features.shape[1], queried.seen.shape[1], 1)
    while True:
        task = take(queue)
        if task * each >= runs:
            break
        clear(results.errors[: task + 1], task)
        clear(results.network[: task + 1], task)
        clear(results.head[: task + 1], task)
        for run in range(task * each, min((task + 1) * each, runs)):
            begin, end = rays.offsets[starts[run]], rays.offsets[starts[run + 1]]
            for first in range(begin, end, TILE):
                place, last = first - begin, min(first + TILE, end)
                picked(queried.features, queried.index, first, last, f)
                picked(rays.directions, rays.ray, first, last, way)
                color(head, f, way, scratch.kept[place // TILE], scratch.rgb[place : place + TILE])
            for r in range(starts[run], starts[run + 1]):
                ray_loss(r, rays.offsets[r] - begin, rays, queried, scratch, delta, results.errors[task])
            for first in range(begin, end, TILE):
                place, last = first - begin, min(first + TILE, end)
                for_rgb, for_sigma = scratch.for_rgb[place : place + TILE], scratch.for_sigma[place : place + TILE]
                clear(for_rgb, last - first)
                clear(for_sigma, last - first)
                if not (moves(for_rgb) or moves(for_sigma)):
                    clear(results.push[:last], first)
                    continue
                picked(queried.features, queried.index, first, last, f)
                picked(rays.directions, rays.ray, first, last, way)
                picked(queried.seen, queried.index, first, last, read)
                shown = scratch.rgb[place : place + TILE]
                color_grad(head, way, scratch.kept[place // TILE], shown, for_rgb, results.head[task], pull)
                density_grad(head, f, for_sigma[:, 0], pull)
                decode_grad(network, read, pull, results.network[task], out)
                put(out, first, last, results.push)
