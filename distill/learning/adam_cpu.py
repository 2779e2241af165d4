"""Adam on the CPU in Numba, in one pass over memory: see distill/learning/adam.py.

Threads take pieces one after the other, so that one on a busy core takes fewer. Where gradient and both moments of a
strip are zero, as in what of a table no point has come near, the parameter is not even read: it would stay as it is.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from distill.learning.adam import BETAS, EPSILON, part
from fields.kernels.options_cpu import INNER, KERNEL
from fields.kernels.queue_cpu import share, take

PIECE = 1 << 16  # numbers that a thread takes at once
STRIP = 1024  # numbers that are looked at together
KEEP1, KEEP2, NEW1, NEW2 = (np.float32(b) for b in (*BETAS, 1 - BETAS[0], 1 - BETAS[1]))  # float64 is slower
SMALL = np.float32(EPSILON)
EXPONENT, LAST = np.uint32(0x7F800000), np.uint32(1 << 23)  # bits of a float32; what counts all ones over into its sign


@njit(**INNER)
def exceeds(bits):
    """Whether the exponent of any float32 of which the bits (N,) uint32 are given is all ones, as that of infinities
    and NaN is. A loop from 0 over a slice is one of many numbers at a time."""
    over = np.uint32(0)
    for n in range(len(bits)):
        over |= np.uint32((bits[n] & EXPONENT) + LAST)
    return over >> np.uint32(31) != 0


@njit(**INNER)
def touches(one, two, three):
    """Whether any bit is set in three arrays (N,) uint32."""
    found = np.uint32(0)
    for n in range(len(one)):
        found |= one[n] | two[n] | three[n]
    return found != 0


@njit(**INNER, fastmath={"contract"})
def shift(parameter, grad, mean, square, rate, root):
    """p -= rate m / (root sqrt(v) + epsilon) with m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, all (N,)
    float32."""
    for n in range(len(parameter)):
        g = grad[n]
        m, v = KEEP1 * mean[n] + NEW1 * g, KEEP2 * square[n] + NEW2 * g * g
        mean[n], square[n] = m, v
        parameter[n] -= rate * m / (root * np.sqrt(v) + SMALL)


@njit(**KERNEL)
def look(queue, bits, found):
    """found[0] = 1 where any of the numbers of which bits (N,) are given is not finite."""
    piece = take(queue)
    while piece * PIECE < len(bits):
        if exceeds(bits[piece * PIECE : (piece + 1) * PIECE]):
            found[0] = 1
        piece = take(queue)


@njit(**KERNEL)
def step(queue, parameter, grad, mean, square, bits, rate, root):
    """`shift` wherever a strip is not untouched; `bits` are those of gradient and moments as uint32."""
    g, m, v = bits
    piece = take(queue)
    while piece * PIECE < len(parameter):
        for first in range(piece * PIECE, min((piece + 1) * PIECE, len(parameter)), STRIP):
            part = slice(first, first + STRIP)
            if touches(g[part], m[part], v[part]):
                shift(parameter[part], grad[part], mean[part], square[part], rate, root)
        piece = take(queue)


def watch(tensors: tuple[Tensor, ...], counts: Tensor) -> None:
    """counts[0] = 1 where any number of the tensors, float32 and contiguous, is not finite."""
    found = np.zeros(1, np.int64)
    for tensor in tensors:
        run(look, tensor.numel(), tensor.detach().view(-1).numpy().view(np.uint32), found)
    counts[0] = int(found[0])


def tally(counts: Tensor, steps: Tensor, corrections: Tensor, numbers: tuple[int, ...]) -> None:
    """Ends what `watch` began: see distill/device/adam_cuda.py."""
    bad = int(counts[0])
    counts.copy_(torch.stack([counts[0] * 0, counts[0], counts[2] + bad, (counts[3] + 1) * bad]))
    steps[list(numbers)] += 1 - bad
    powers = steps.clamp(min=1).double()
    corrections[0] = 1 / (1 - BETAS[0] ** powers)
    corrections[1] = (1 - BETAS[1] ** powers).rsqrt()


def move(
    given: tuple[tuple[int, Tensor, Tensor], ...], rates: tuple[float, ...], firsts: tuple[int, ...],
    moments: tuple[Tensor, Tensor, Tensor | None], counted: tuple[Tensor, Tensor, Tensor], factor: float | Tensor,
) -> None:  # fmt: skip
    """Adam's step of `given` parameters, contiguous, one after the other."""
    counts, _, corrections = counted
    if counts[1]:
        return
    first, second = corrections.tolist()
    for number, parameter, grad in given:
        mean, square, half = (None if m is None else part(m, firsts[number], parameter) for m in moments)
        assert mean is not None
        assert square is not None
        numbers = [t.detach().view(-1).numpy() for t in (parameter, grad, mean, square)]
        bits = tuple(values.view(np.uint32) for values in numbers[1:])
        rate = np.float32(rates[number] * float(factor) * first[number])
        run(step, parameter.numel(), *numbers, bits, rate, np.float32(second[number]))
        if half is not None:
            half.copy_(parameter)


def run(kernel, size: int, *arguments) -> None:
    """In several threads where there is enough for them."""
    if size > PIECE:
        share(kernel, *arguments)
    else:
        kernel(np.zeros(1, np.int64), *arguments)
