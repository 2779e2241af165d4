"""Adam for all of a field's parameters in one launch, behind a guard against gradients that are not finite, in Triton
(Kingma and Ba 2015, algorithm 1; epsilon outside of the root, as PyTorch has it).

Three launches in a row, none of which the host waits for: `watch` looks at all gradients, `tally` counts the step and
its bias corrections, `move` moves what it may. Tensors are told apart inside: their tiles of BLOCK numbers are counted
through, and the moments lie in one buffer each, every tensor from a multiple of BLOCK on.

`counts` (4,) int64: whether a gradient of this step was not finite so far, whether one of the last step was, steps
skipped for that, and how many of them in a row up to now.
"""

import math

import triton
import triton.language as tl
from torch import Tensor

from distill.learning.adam import BETAS, BLOCK, EPSILON

WATCHED = 4096  # numbers that a program of `watch` reads


@triton.jit
def find(tile, tensors, sizes, SIZE: tl.constexpr):
    """Of the launch's tile: address and number of its tensor, size of that, and number of the tile in it."""
    address, number, size, begin, end = tensors[0], 0, sizes[0], 0, tl.cdiv(sizes[0], SIZE)
    for k in tl.static_range(1, len(sizes)):
        here = tile >= end
        address, number = tl.where(here, tensors[k], address), tl.where(here, k, number)
        size, begin = tl.where(here, sizes[k], size), tl.where(here, end, begin)
        end += tl.cdiv(sizes[k], SIZE)
    return address, number, size, tile - begin


@triton.jit
def pick(number, values):
    """values[number], where the number is known to the running program only."""
    found = values[0]
    for k in tl.static_range(1, len(values)):
        found = tl.where(number == k, values[k], found)
    return found


@triton.jit
def look(tensors, counts, sizes, SIZE: tl.constexpr):
    """One tile: counts[0] = 1 where a number in it is not finite. All who write it write the same."""
    address, _, size, tile = find(tl.program_id(0), tensors, sizes, SIZE)
    i = tile.to(tl.int64) * SIZE + tl.arange(0, SIZE)
    if (tile + 1) * SIZE <= size:  # noqa: SIM108 - whole: without a mask the loads are as wide as can be
        value = tl.load(address + i)  # (SIZE,)
    else:
        value = tl.load(address + i, i < size, 0.0)  # (SIZE,)
    if tl.max((~(tl.abs(value) < float("inf"))).to(tl.int32), 0) != 0:
        tl.store(counts, 1)


@triton.jit
def count(counts, steps, corrections, numbers, TENSORS: tl.constexpr, LANES: tl.constexpr, LOGS: tl.constexpr):
    """One program. steps (TENSORS,) float32 of those in `numbers` grow by one unless the step is to be skipped;
    corrections (2, TENSORS) = 1 / (1 - beta1^step), 1 / sqrt(1 - beta2^step)."""
    bad, row = tl.load(counts), tl.load(counts + 3)
    tl.store(counts + 1, bad)
    tl.store(counts + 2, tl.load(counts + 2) + bad)
    tl.store(counts + 3, (row + 1) * bad)
    tl.store(counts, bad * 0)
    lane = tl.arange(0, LANES)
    given = lane < 0  # (LANES,)
    for k in tl.static_range(len(numbers)):
        given |= lane == numbers[k]
    step = tl.load(steps + lane, lane < TENSORS, 0.0) + (given & (bad == 0)).to(tl.float32)  # (LANES,)
    tl.store(steps + lane, step, lane < TENSORS)
    power = tl.maximum(step, 1.0).to(tl.float64)  # float64: 1 - 0.99 keeps its digits
    first = 1 - tl.exp(power * tl.full((), LOGS[0], tl.float64))  # (LANES,)
    second = 1 - tl.exp(power * tl.full((), LOGS[1], tl.float64))  # (LANES,)
    tl.store(corrections + lane, (1 / first).to(tl.float32), lane < TENSORS)
    tl.store(corrections + TENSORS + lane, (1 / tl.sqrt(second)).to(tl.float32), lane < TENSORS)


@triton.jit
def adam(
    parameters, grads, mean, square, half, counts, corrections, factor, sizes, firsts, rates, numbers,
    TENSORS: tl.constexpr, BETA1: tl.constexpr, BETA2: tl.constexpr, EPS: tl.constexpr, HALF: tl.constexpr,
    SIZE: tl.constexpr,
):  # fmt: skip
    """One tile of one parameter: m, v and p move, and p's half copy where HALF. Nothing is written, and p not read,
    where g, m and v are all zero, since p would stay as it is; nor where the step is to be skipped."""
    address, which, size, tile = find(tl.program_id(0), parameters, sizes, SIZE)
    if tl.load(counts + 1) == 0:
        begin, kept = tile.to(tl.int64) * SIZE, (pick(which, firsts) + tile).to(tl.int64) * SIZE
        number = pick(which, numbers)
        grad, rate = pick(which, grads), pick(which, rates) * tl.load(factor) * tl.load(corrections + number)
        root = tl.load(corrections + TENSORS + number)
        if begin + SIZE <= size:  # whole: without a mask loads and stores are as wide as can be
            step(
                address + begin, grad + begin, mean + kept, square + kept, half + kept, rate, root, SIZE,
                BETA1, BETA2, EPS, HALF, True, SIZE,
            )  # fmt: skip
        else:
            step(
                address + begin, grad + begin, mean + kept, square + kept, half + kept, rate, root, size - begin,
                BETA1, BETA2, EPS, HALF, False, SIZE,
            )  # fmt: skip


@triton.jit
def step(
    parameter, grad, mean, square, half, rate, root, size, BETA1: tl.constexpr, BETA2: tl.constexpr, EPS: tl.constexpr,
    HALF: tl.constexpr, WHOLE: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """The tile's first `size` numbers: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    p -= rate m / (root sqrt(v) + epsilon)."""
    i = tl.arange(0, SIZE)
    inside = None if WHOLE else i < size
    g = tl.load(grad + i, inside)  # (SIZE,)
    m, v = tl.load(mean + i, inside), tl.load(square + i, inside)  # (SIZE,)
    touched = (g != 0) | (m != 0) | (v != 0)
    if not WHOLE:
        touched &= inside
    if tl.max(touched.to(tl.int32), 0) != 0:
        m, v = m + (1 - BETA1) * (g - m), BETA2 * v + (1 - BETA2) * g * g  # (SIZE,)
        p = tl.load(parameter + i, inside) - rate * m / (root * tl.sqrt(v) + EPS)  # (SIZE,)
        tl.store(mean + i, m, inside)
        tl.store(square + i, v, inside)
        tl.store(parameter + i, p, inside)
        if HALF:
            tl.store(half + i, p.to(half.dtype.element_ty), inside)


def watch(tensors: tuple[Tensor, ...], counts: Tensor) -> None:
    """counts[0] = 1 where any number of the tensors, float32 and contiguous, is not finite."""
    sizes = tuple(tensor.numel() for tensor in tensors)
    programs = sum(triton.cdiv(size, WATCHED) for size in sizes)
    if programs:
        look[(programs,)](tensors, counts, sizes, WATCHED)


def tally(counts: Tensor, steps: Tensor, corrections: Tensor, numbers: tuple[int, ...]) -> None:
    """Ends what `watch` began: whether the step is skipped goes to counts[1], and all is counted that is told in the
    file's head. `numbers` are those of the parameters with a gradient, whose `steps` (T,) go on."""
    lanes = triton.next_power_of_2(max(16, len(steps)))
    count[(1,)](counts, steps, corrections, numbers, len(steps), lanes, tuple(map(math.log, BETAS)), num_warps=1)


def move(
    given: tuple[tuple[int, Tensor, Tensor], ...], rates: tuple[float, ...], firsts: tuple[int, ...],
    moments: tuple[Tensor, Tensor, Tensor | None], counted: tuple[Tensor, Tensor, Tensor], factor: float | Tensor,
) -> None:  # fmt: skip
    """Adam's step of `given` parameters: (number, parameter, gradient), float32, contiguous. Rates and first tiles
    are those of all parameters, `moments` m, v and the half copies, `counted` counts, steps and corrections;
    `factor` () on the device multiplies all rates."""
    numbers = tuple(number for number, _, _ in given)
    sizes = tuple(parameter.numel() for _, parameter, _ in given)
    programs = sum(triton.cdiv(size, BLOCK) for size in sizes)
    (mean, square, half), (counts, _, corrections) = moments, counted
    if programs:
        adam[(programs,)](
            tuple(parameter.detach() for _, parameter, _ in given), tuple(grad for _, _, grad in given), mean, square,
            mean if half is None else half, counts, corrections, factor, sizes, tuple(firsts[n] for n in numbers),
            tuple(rates[n] for n in numbers), numbers, len(rates), *BETAS, EPSILON, half is not None, BLOCK,
        )  # fmt: skip
