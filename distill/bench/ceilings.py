"""What this processor can do at most: float32 multiply-adds, bytes of memory, random rows of a table; measured."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange

from distill.bench.timing import COPIED
from fields.compiled import kept
from fields.kernels.vector_cpu import load_some, plus_scaled, store

DEPTH = 128  # of the products whose rate is taken: all of it lies in L1
PRODUCTS = 1 << 13  # of each thread
ROWS = 1 << 17  # of the table: 16 bytes each, 2 MB, as much as a level of hashgrid's small preset takes
LOOKED = 1 << 18  # random rows that are read, and added to, by each thread
WIDTHS = ((0.0,) * 8, (0.0,) * 16)  # numbers of a register: AVX2's, AVX-512's; the faster one counts


@dataclass(frozen=True)
class Ceilings:
    """With all of Numba's threads."""

    threads: int
    multiply_adds: float  # FLOP per second, two of each multiply-add, float32 with registers full and data in L1
    copy: float  # bytes per second, read and written, of arrays larger than the caches
    read_ns: float  # of a random row of 16 bytes, the threads together: a table for all
    add_ns: float  # the same, added to: a table for each

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure_ceilings(repeats: int) -> Ceilings:
    """The best of so many repeats."""
    threads = get_num_threads()
    random = np.random.default_rng(0)
    rows = random.integers(ROWS, size=(threads, LOOKED), dtype=np.int32)
    tables, sums = np.zeros((threads * ROWS, 4), np.float32), np.zeros((threads, 4), np.float32)
    read = measure_fastest(lambda: read_rows(tables, rows, sums), repeats)
    add = measure_fastest(lambda: add_rows(tables, rows), repeats)
    every = threads * LOOKED / 1e9
    rate = max(measure_products(lanes, threads, repeats) for lanes in WIDTHS)
    source = np.ones(COPIED["cpu"] // 4, np.float32)
    target = np.empty_like(source)
    copy = measure_fastest(lambda: copy_all(source, target), repeats)
    moved = round(2 * source.nbytes / copy)
    return Ceilings(threads, rate, moved, round(read / every, 3), round(add / every, 3))


def measure_fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest call, after one in which kernels are compiled: a ceiling is what the machine can do, not
    what others leave of it."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure_products(lanes: tuple[float, ...], threads: int, repeats: int) -> float:
    """FLOP per second of a matrix product that stays in registers and L1."""
    wide = 2 * len(lanes)
    left, right = np.ones((DEPTH, 6), np.float32), np.ones((DEPTH, wide), np.float32)
    sums = np.zeros((threads, len(lanes)), np.float32)
    spent = measure_fastest(lambda: multiply(left, right, sums, lanes, PRODUCTS), repeats)
    return round(2 * 6 * wide * DEPTH * PRODUCTS * threads / spent)


@njit(parallel=True, cache=kept())
def multiply(left, right, sums, lanes, times):  # noqa: ANN001, ANN201
    """Each thread: left^T (6, DEPTH) times right (DEPTH, two registers), added up `times` times in twelve registers,
    and the sum of these in its row of sums."""
    low, high = np.uintp(0), np.uintp(len(lanes))
    for thread in prange(len(sums)):
        a = b = c = d = e = f = g = h = i = j = k = m = load_some(sums, np.uintp(thread), low, lanes)
        for _ in range(times):
            for depth in range(left.shape[0]):
                n = np.uintp(depth)
                near, far = load_some(right, n, low, lanes), load_some(right, n, high, lanes)
                a, b = plus_scaled(a, near, left[n, 0]), plus_scaled(b, far, left[n, 0])
                c, d = plus_scaled(c, near, left[n, 1]), plus_scaled(d, far, left[n, 1])
                e, f = plus_scaled(e, near, left[n, 2]), plus_scaled(f, far, left[n, 2])
                g, h = plus_scaled(g, near, left[n, 3]), plus_scaled(h, far, left[n, 3])
                i, j = plus_scaled(i, near, left[n, 4]), plus_scaled(j, far, left[n, 4])
                k, m = plus_scaled(k, near, left[n, 5]), plus_scaled(m, far, left[n, 5])
        for other in (b, c, d, e, f, g, h, i, j, k, m):
            a = plus_scaled(a, other, np.float32(1))
        store(sums, np.uintp(thread), low, a)


@njit(parallel=True, cache=kept())
def copy_all(source, target):  # noqa: ANN001, ANN201
    """All threads: target becomes source."""
    for n in prange(len(source)):
        target[n] = source[n]


@njit(parallel=True, cache=kept())
def read_rows(table, rows, sums):  # noqa: ANN001, ANN201
    """Each thread: the sum of its rows of the table's first ROWS, four numbers each."""
    for thread in prange(len(rows)):
        a, b, c, d = sums[thread]
        for row in rows[thread]:
            a, b, c, d = a + table[row, 0], b + table[row, 1], c + table[row, 2], d + table[row, 3]
        sums[thread, 0], sums[thread, 1], sums[thread, 2], sums[thread, 3] = a, b, c, d


@njit(parallel=True, cache=kept())
def add_rows(tables, rows):  # noqa: ANN001, ANN201
    """Each thread: one to every number of its rows of a table of its own."""
    size = len(tables) // len(rows)
    for thread in prange(len(rows)):
        for row in rows[thread]:
            for channel in range(4):
                tables[thread * size + row, channel] += np.float32(1)
