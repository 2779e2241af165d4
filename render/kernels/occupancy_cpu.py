"""An occupancy's update on the CPU in Numba: one pass over the cells before the field is asked, two after.

What `OccupancyEstimate.update_by_torch` does is the same to the last bit, but for the order in which a mean is summed.
One thread does it: all passes together take less than the field's answers by far, and a kernel for several threads
takes seconds to compile.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fields.kernels.options_cpu import KERNEL

THICKEST = 1e4  # stands for an infinite value
UNASKED = np.float32(-0.5)  # see render/occupancy.py


@njit(**KERNEL)
def decay_cells(values, decay):
    """Values (N,) that are not negative times `decay`."""
    for n in range(len(values)):
        value = values[n]
        values[n] = value * decay if value >= 0 else value


@njit(**KERNEL)
def place_points(cells, resolution, places):
    """Jitter (M, 3) in [0, 1) becomes points in scene units, in cells (M,) of all cascades, counted through. Whole
    numbers are divided as float64 ones, half a cell off all edges: exact below 2^40, and many at a time."""
    size, half, sides = resolution**3, places.dtype.type(0.5), places.dtype.type(resolution)
    per_cascade, per_row = 1 / size, 1 / resolution
    for n in range(len(cells)):
        cascade = int((cells[n] + 0.5) * per_cascade)
        cell = cells[n] - cascade * size
        row = int((cell + 0.5) * per_row)
        layer = int((row + 0.5) * per_row)
        side = places.dtype.type(1 << cascade)
        places[n, 0] = ((places.dtype.type(cell - row * resolution) + places[n, 0]) / sides - half) * side + half
        places[n, 1] = ((places.dtype.type(row - layer * resolution) + places[n, 1]) / sides - half) * side + half
        places[n, 2] = ((places.dtype.type(layer) + places[n, 2]) / sides - half) * side + half


@njit(**KERNEL)
def raise_cells(values, cells, sigma, step):
    """Values (N,) at cells (M,) become at least sigma (M,) times step; NaN is nothing, infinity THICKEST."""
    for n in range(len(cells)):
        thickness = sigma[n] * step
        if thickness == np.inf:
            thickness = values.dtype.type(THICKEST)
        if not thickness >= 0:
            thickness = values.dtype.type(0)
        if thickness > values[cells[n]]:
            values[cells[n]] = thickness


@njit(**KERNEL, fastmath={"reassoc", "nsz"})
def sum_cells(values):
    """Sum of the values (N,) above zero, in float64."""
    total = 0.0
    for n in range(len(values)):
        total += np.float64(values[n] if values[n] > 0 else values.dtype.type(0))
    return total


@njit(**KERNEL)
def mark_cells(values, threshold, occupied, bits):
    """occupied (N,) becomes values (N,) > threshold or UNASKED, bits (N / 8,) the same, bit k of byte n being cell
    8 n + k."""
    for n in range(len(bits)):
        byte = 0
        for k in range(8):
            full = values[8 * n + k] > threshold or values[8 * n + k] == UNASKED
            occupied[8 * n + k] = full
            byte |= int(full) << k
        bits[n] = byte


@njit(**KERNEL)
def join_cascades(bits, resolution):
    """A cell of a cascade becomes occupied where any finer cell inside it is: bits (K, G^3 / 8)."""
    width, start = resolution // 8, resolution // 4
    for coarse in range(1, bits.shape[0]):
        fine = bits[coarse - 1]
        for k in range(resolution // 2):
            for j in range(resolution // 2):
                above = resolution * (start + j + resolution * (start + k)) + start
                row = width * (2 * j + resolution * 2 * k)
                for a in range(width):
                    low, high = row + a, row + a + width * resolution
                    byte = fine[low] | fine[low + width] | fine[high] | fine[high + width]
                    if byte:
                        for pair in range(4):
                            if byte >> (2 * pair) & 3:
                                cell = above + 4 * a + pair
                                bits[coarse, cell >> 3] |= 1 << (cell & 7)


@njit(**KERNEL)
def write_places(full, words, out):
    """Where full (N,) bool is true, in order, into `out`, which has room for one more; words (N / 8,) are the same
    memory. What is not true is written too, and then written over: no branch is guessed wrong."""
    count = 0
    for word in range(len(words)):
        if words[word] != 0:
            for n in range(8 * word, 8 * word + 8):
                out[count] = n
                count += full[n]


def fade(values: Tensor, decay: float) -> None:
    """Values (K, G^3) of cells that may be occupied, times `decay`."""
    decay_cells(values.view(-1).numpy(), np.float32(decay))


def points(cells: Tensor, jitter: Tensor, resolution: int) -> Tensor:
    """Points (M, 3) in scene units in the cells (M,) of all cascades, counted through; in the memory of the jitter."""
    place_points(cells.numpy(), resolution, jitter.numpy())
    return jitter


def rise(values: Tensor, cells: Tensor, sigma: Tensor, step: float) -> None:
    """Values (K, G^3) at cells (M,) become at least sigma (M,) times step."""
    raise_cells(values.view(-1).numpy(), cells.numpy(), sigma.contiguous().numpy(), np.float32(step))


def settle(values: Tensor, resolution: int, allowed: int, highest: float, occupied: Tensor, bits: Tensor) -> None:
    """Which cells are above min(highest, mean of so many allowed ones), as booleans (K, G^3), and as bits (K, G^3 / 8)
    in which coarser cascades hold the finer ones."""
    flat = values.view(-1).numpy()
    threshold = np.float32(min(sum_cells(flat) / max(allowed, 1), highest))
    mark_cells(flat, threshold, occupied.view(-1).numpy(), bits.view(-1).numpy())
    join_cascades(bits.numpy(), resolution)


def places_in(full: np.ndarray) -> Tensor:
    """(N,) bool -> (M,) int64, where it is true, in order."""
    count = np.count_nonzero(full)
    out = torch.empty(count + 1, dtype=torch.int64)
    write_places(full, full.view(np.uint64), out.numpy())
    return out[:count]


def listed(occupied: Tensor) -> Tensor:
    """(K, G^3) bool -> (M,) int64, the cells that are occupied, in order."""
    return places_in(occupied.view(-1).numpy())


def distinct(cells: Tensor, count: int) -> Tensor:
    """(M,) int64, each below `count` -> the same in order, each once."""
    marks = np.zeros(count, np.bool_)
    marks[cells.numpy()] = True
    return places_in(marks)
