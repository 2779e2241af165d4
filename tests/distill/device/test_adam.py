"""Adam in one launch, in Triton, and its twins for the CPU and for any device, against PyTorch's own."""

import pytest
import torch

from distill.device import adam_cuda
from distill.device.adam_cuda import WATCHED
from distill.learning import adam, adam_cpu
from distill.learning.adam import BLOCK

SHAPES = [(1400, 2), (1,), (BLOCK,), (7, 5)]  # tiles: whole ones and a rest, one number, one whole, less than one
RATES = (0.02, 0.01, 0.3, 0.004)
UNUSED = 1100  # rows of the first tensor from here on never get a gradient: its last tile is not touched
BAD = {3: float("inf"), 4: float("nan"), 11: float("-inf")}  # step -> what one gradient holds then


@pytest.fixture(params=[adam, adam_cpu, adam_cuda], ids=["any", "cpu", "cuda"])
def arithmetic(request, device):
    if request.param is adam_cpu and device.type != "cpu":
        pytest.skip("Numba's works on the CPU alone")
    return request.param


class Buffers:
    """What the launchers work on, as Adam lays it out."""

    def __init__(self, parameters, half, device, arithmetic=adam_cuda):
        self.arithmetic = arithmetic
        tiles = [-(-p.numel() // BLOCK) for p in parameters]
        self.firsts = tuple(sum(tiles[:n]) for n in range(len(tiles)))
        self.mean, self.square = (torch.zeros(sum(tiles) * BLOCK, device=device) for _ in range(2))
        self.half = None if half is None else torch.full_like(self.mean, 7.0, dtype=half)
        self.counts = torch.zeros(4, dtype=torch.int64, device=device)
        self.steps = torch.zeros(len(tiles), device=device)
        self.corrections = torch.ones(2, len(tiles), device=device)
        self.parameters = parameters

    def step(self, grads, factor):
        given = tuple((n, p, g) for n, (p, g) in enumerate(zip(self.parameters, grads, strict=True)) if g is not None)
        self.arithmetic.watch(tuple(g for _, _, g in given), self.counts)
        self.arithmetic.tally(self.counts, self.steps, self.corrections, tuple(n for n, _, _ in given))
        factor = torch.tensor(factor, device=self.counts.device)
        moments, counted = (self.mean, self.square, self.half), (self.counts, self.steps, self.corrections)
        self.arithmetic.move(given, RATES, self.firsts, moments, counted, factor)

    def part(self, buffer, number):
        return buffer[self.firsts[number] * BLOCK :][: self.parameters[number].numel()].view(SHAPES[number])


def drawn(step, generator, device):
    """Gradients of many sizes; the second is there every third step only."""
    grads = [torch.randn(s, generator=generator) * 10.0 ** (step % 7 - 5) for s in SHAPES]
    grads[0][UNUSED:] = 0
    if step in BAD:
        grads[step % 4].view(-1)[-1] = BAD[step]
    return [None if n == 1 and step % 3 else g.to(device) for n, g in enumerate(grads)]


def test_thirty_steps_are_those_of_the_library(arithmetic, generator, device):
    starts = [torch.randn(s, generator=generator).to(device) for s in SHAPES]
    ours, theirs = ([torch.nn.Parameter(s.clone()) for s in starts] for _ in range(2))
    buffers = Buffers(ours, torch.float16, device, arithmetic)
    groups = [{"params": [p], "lr": rate / 2} for p, rate in zip(theirs, RATES, strict=True)]
    library = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
    for step in range(30):
        grads = drawn(step, generator, device)
        buffers.step(grads, 0.5)
        if step not in BAD:
            for p, grad in zip(theirs, grads, strict=True):
                p.grad = grad
            library.step()
    assert buffers.counts.tolist() == [0, 0, len(BAD), 0]
    for n, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        kept = library.state[q]
        assert float(buffers.steps[n]) == float(kept["step"])
        got = (p, buffers.part(buffers.mean, n), buffers.part(buffers.square, n))
        for value, want in zip(got, (q, kept["exp_avg"], kept["exp_avg_sq"]), strict=True):
            torch.testing.assert_close(value, want, rtol=2e-6, atol=1e-6)  # thirty steps of float32, in another order
        moved = slice(0, UNUSED if n == 0 else None)
        torch.testing.assert_close(buffers.part(buffers.half, n)[moved], p.detach()[moved].half(), rtol=0, atol=0)


def test_what_was_never_touched_is_neither_read_nor_written(device):
    parameters = [torch.nn.Parameter(torch.ones(s, device=device)) for s in SHAPES]
    with torch.no_grad():
        parameters[0][-1, -1] = float("nan")
    buffers = Buffers(parameters, torch.bfloat16, device)
    grads = [torch.zeros(s, device=device) for s in SHAPES]
    buffers.step(grads, 1.0)
    assert bool((buffers.half == 7).all())
    assert all(bool((p[:1] == 1).all()) for p in parameters)
    grads[0][-1, 0] = 1.0  # now the last tile, and none before it
    buffers.step(grads, 1.0)
    last = 2 * BLOCK // 2  # its first row
    assert bool((buffers.part(buffers.half, 0)[:last] == 7).all())
    assert bool((buffers.part(buffers.half, 0)[last:-1] == 1).all())
    assert float(parameters[0][-1, 0].detach()) < 1


def test_what_was_touched_once_moves_on_without_a_gradient(device):
    parameters = [torch.nn.Parameter(torch.zeros(s, device=device)) for s in SHAPES]
    buffers, grads = Buffers(parameters, None, device), [torch.zeros(s, device=device) for s in SHAPES]
    grads[3][0, 0] = 1.0
    buffers.step(grads, 1.0)
    before = float(parameters[3][0, 0].detach())
    grads[3][0, 0] = 0.0
    buffers.step(grads, 1.0)
    assert float(parameters[3][0, 0].detach()) < before < 0


@pytest.mark.parametrize("size", [1, WATCHED - 1, WATCHED, WATCHED + 1, 3 * adam_cpu.PIECE + 5])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 3e38, 1e-45])
def test_one_number_that_is_not_finite_is_seen_wherever_it_is(arithmetic, size, value, device):
    tensors = torch.zeros(3, device=device), torch.zeros(size, device=device), torch.zeros(0, device=device)
    tensors[1][-1] = value
    counts = torch.zeros(4, dtype=torch.int64, device=device)
    arithmetic.watch(tensors, counts)
    bad = not bool(torch.isfinite(tensors[1]).all()) or (arithmetic is adam and value == 3e38)  # whose square is not
    assert counts.tolist() == [int(bad), 0, 0, 0]


def test_skipped_steps_are_counted_and_change_nothing(arithmetic, device):
    parameters = [torch.nn.Parameter(torch.ones(s, device=device)) for s in SHAPES]
    buffers, found = Buffers(parameters, None, device, arithmetic), []
    for bad in (True, True, False, True):
        grads = [torch.ones(s, device=device) for s in SHAPES]
        if bad:
            grads[2][5] = float("nan")
        buffers.step(grads, 1.0)
        found.append(buffers.counts.tolist())
    assert found == [[0, 1, 1, 1], [0, 1, 2, 2], [0, 0, 2, 0], [0, 1, 3, 1]]
    assert buffers.steps.tolist() == [1, 1, 1, 1]
    for p, rate in zip(parameters, RATES, strict=True):
        torch.testing.assert_close(p.detach(), torch.full_like(p, 1 - rate))  # the first step of Adam is its rate


def test_many_pieces_are_moved_as_one_would_be(generator):
    """Sizes off the pieces that threads take; strips that nothing has touched stay, and hide nothing beside them."""
    size = 3 * adam_cpu.PIECE + adam_cpu.STRIP + 7
    start, grad = torch.randn(2, size, generator=generator)
    grad[torch.rand(size // 50, generator=generator).argsort() * 50] = 0
    grad[5 * adam_cpu.STRIP : 9 * adam_cpu.STRIP] = 0
    grad[-1] = 0
    whole, pieces = start.clone(), start.clone()
    for parameter, most in ((whole, size), (pieces, 1000)):
        for part, push in zip(parameter.split(most), grad.split(most), strict=True):
            mean, square, counts = torch.zeros(len(part)), torch.zeros(len(part)), torch.zeros(4, dtype=torch.int64)
            steps, corrections = torch.zeros(1), torch.ones(2, 1)
            for factor in (1.0, 0.5):
                adam_cpu.tally(counts, steps, corrections, (0,))
                counted = (counts, steps, corrections)
                adam_cpu.move(((0, part, push),), (0.02,), (0,), (mean, square, None), counted, factor)
    assert torch.equal(whole, pieces)
    assert torch.equal(whole[grad == 0], start[grad == 0])
    assert bool((whole[grad != 0] != start[grad != 0]).all())


def launches():
    """For tests/compiled.py."""
    for half in (None, torch.float16, torch.bfloat16):
        parameters = [torch.nn.Parameter(torch.zeros(s)) for s in SHAPES]
        Buffers(parameters, half, torch.device("cpu")).step([torch.zeros(s) for s in SHAPES], 1.0)
