"""What moves parameters: orthogonalised momentum for groups of matrices, Adam for all others.

A step that meets a gradient which is not finite changes nothing and is counted; no device is waited for to know, so
that a CUDA graph can hold it.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol, final

import torch
from torch import Tensor, nn

from distill.learning import adam, adam_cpu
from distill.learning.learnables import Group, Learnables

MOMENTUM = 0.9  # of the gradients of matrices, as Adam's first
QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c: they take singular values from 0 to 1 towards 1 (Jordan et al. 2024)
ROUNDS = 5  # of the quintic: singular values from 2e-3 of the norm then lie in 0.68 to 1.21
MATCH = 0.2  # root mean square of an Adam step, in units of its rate (Liu et al. 2025, eq. 4)
SIDE = 64  # matrices are made orthogonal together where their sides, rounded up to a multiple of it, are equal


class Arithmetic(Protocol):
    """The guard and Adam: distill/learning/adam.py anywhere, adam_cpu.py and distill/device/adam_cuda.py on their
    device."""

    def watch(self, tensors: tuple[Tensor, ...], counts: Tensor) -> None: ...

    def tally(self, counts: Tensor, steps: Tensor, corrections: Tensor, numbers: tuple[int, ...]) -> None: ...

    def move(
        self, given: tuple[tuple[int, Tensor, Tensor], ...], rates: tuple[float, ...], firsts: tuple[int, ...],
        moments: tuple[Tensor, Tensor, Tensor | None], counted: tuple[Tensor, Tensor, Tensor],
        factor: float | Tensor,
    ) -> None: ...  # fmt: skip


class Optimizer:
    """All that moves what is to be learnt, float32, as one. Its memory stays where it is, whatever is restored."""

    def __init__(
        self, learnables: Learnables, half: torch.dtype | None = None, arithmetic: Arithmetic | None = None
    ) -> None:
        """Keeps copies of all parameters in the type `half` up to date, where one is given."""
        turned, rest = (tuple(g for g in learnables.groups if g.matrices == kind) for kind in (True, False))
        device = learnables.groups[0].parameters[0].device
        self.arithmetic = arithmetic or (adam_cpu if device.type == "cpu" else adam)
        self.counts = torch.zeros(4, dtype=torch.int64, device=device)  # see distill/device/adam_cuda.py
        self.skipped = self.counts[2]  # () int64, steps that changed nothing
        self.row = self.counts[3]  # () int64, of those, in a row up to now
        self.adam, self.muon = Adam(rest, half, device, self.arithmetic), Muon(turned, half)
        self.halves: dict[Tensor, Tensor] = {**self.muon.halves, **self.adam.halves}  # of every parameter, or empty
        self.copy()

    def parameters(self) -> list[nn.Parameter]:
        """All that is moved."""
        return self.muon.parameters + self.adam.parameters

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self, factor: float | Tensor, loss: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, at `factor` times its rate, () float32 where the device is not to
        be waited for; unless a gradient, or the loss () if it is given, is not finite."""
        grads = [p.grad.contiguous() for p in self.parameters() if p.grad is not None]
        self.arithmetic.watch((*grads, *(() if loss is None else (loss.detach().float().view(1),))), self.counts)
        self.adam.step(factor, self.counts)
        self.muon.step(factor, self.counts[1] == 0)

    @torch.no_grad()
    def copy(self) -> None:
        """Bring the half copies up to date with parameters that something else has changed."""
        for parameter, half in self.halves.items():
            half.copy_(parameter)

    def state(self, device: torch.device | None = None) -> dict[str, Tensor]:
        """What an exact continuation needs, as PART.NUMBER.NAME, on `device` or where it lies; shares no memory with
        the optimiser."""
        return {key: copied(value, device) for key, value in self.kept()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`, of the same parameters, whose half copies are made anew; ValueError where they are not.
        Other tensors are left alone."""
        moved = {"muon": self.muon.parameters, "adam": self.adam.parameters}
        for key, value in tensors.items():
            kind = key.partition(".")[0]
            if kind in moved:
                fitting(key, value, moved[kind])
            if kind == "adam" and not key.endswith("exp_avg") and bool((value < 0).any()):
                raise ValueError(f"{key} must not be negative")
        for key, place in self.kept():
            place.copy_(tensors[key]) if key in tensors else place.zero_()
        self.row.zero_()
        self.copy()

    def kept(self) -> Iterator[tuple[str, Tensor]]:
        """Names and memory of the state."""
        for n, mean in enumerate(self.muon.means):
            yield f"muon.{n}.mean", mean
        for n in range(len(self.adam.parameters)):
            yield f"adam.{n}.step", self.adam.steps[n]
            yield f"adam.{n}.exp_avg", self.adam.view(self.adam.mean, n)
            yield f"adam.{n}.exp_avg_sq", self.adam.view(self.adam.square, n)


@final
class Adam:
    """torch.optim.Adam of some groups, whose moments lie in one buffer each, every parameter from a tile on."""

    def __init__(
        self, groups: tuple[Group, ...], half: torch.dtype | None, device: torch.device, arithmetic: Arithmetic
    ) -> None:
        self.arithmetic = arithmetic
        self.parameters = [p for group in groups for p in group.parameters]
        self.rates = tuple(group.rate for group in groups for _ in group.parameters)
        *firsts, total = accumulate((-(-p.numel() // adam.BLOCK) for p in self.parameters), initial=0)
        self.firsts = tuple(firsts)  # tile with which each parameter begins in the buffers
        self.mean = torch.zeros(total * adam.BLOCK, device=device)  # of gradients
        self.square = torch.zeros_like(self.mean)  # mean of squared gradients
        self.half = None if half is None else torch.zeros_like(self.mean, dtype=half)
        self.steps = torch.zeros(len(firsts), device=device)  # (T,) float32, of each parameter
        self.corrections = torch.ones(2, len(firsts), device=device)  # of bias, by the step that runs
        views = [] if self.half is None else [self.view(self.half, n) for n in range(len(firsts))]
        self.halves = dict(zip(self.parameters, views, strict=False))

    def view(self, buffer: Tensor, number: int) -> Tensor:
        """A parameter's part of a buffer, in its shape."""
        return adam.part(buffer, self.firsts[number], self.parameters[number])

    def step(self, factor: float | Tensor, counts: Tensor) -> None:
        """One step at `factor` times the rates, counted with all else that `counts` tells; or none, where they say
        that a gradient is not finite."""
        pairs = [(n, p.detach(), p.grad) for n, p in enumerate(self.parameters)]
        given = tuple((n, p, grad.contiguous()) for n, p, grad in pairs if grad is not None)
        self.arithmetic.tally(counts, self.steps, self.corrections, tuple(n for n, _, _ in given))
        moments, counted = (self.mean, self.square, self.half), (counts, self.steps, self.corrections)
        self.arithmetic.move(given, self.rates, self.firsts, moments, counted, factor)


@final
class Muon:
    """Nesterov momentum of matrices (A, B), made orthogonal, in steps as large as Adam's at the same rate; matrices of
    about one shape together. They lie in stacks (K, S, L), turned so that no matrix is higher than wide, zeros around
    them; what is orthogonal stays so among zeros.

    torch.optim.Muon without weight decay is the same, but for its arithmetic: see `orthogonal`.
    """

    def __init__(self, groups: tuple[Group, ...], half: torch.dtype | None) -> None:
        self.parameters = [p for group in groups for p in group.parameters]
        self.rates = [group.rate for group in groups for _ in group.parameters]
        shapes: dict[tuple[int, int], list[int]] = {}
        for number, matrix in enumerate(self.parameters):
            short, long = (-(-side // SIDE) * SIDE for side in sorted(matrix.shape))
            shapes.setdefault((short, long), []).append(number)
        self.stacks = [
            (tuple(numbers), self.parameters[numbers[0]].new_zeros(len(numbers), *shape))
            for shape, numbers in shapes.items()
        ]  # numbers of the matrices, and the momentum (K, S, L) of them
        places = {n: mean[k] for numbers, mean in self.stacks for k, n in enumerate(numbers)}
        self.means = [inner(places[n], p) for n, p in enumerate(self.parameters)]
        self.halves = {} if half is None else {p: torch.zeros_like(p, dtype=half) for p in self.parameters}

    def step(self, factor: float | Tensor, good: Tensor) -> None:
        """One step of every matrix that has a gradient, at `factor` times its rate, where `good` () bool says so."""
        for numbers, stack in self.stacks:
            chosen = [k for k, n in enumerate(numbers) if self.parameters[n].grad is not None]
            if len(chosen) == len(numbers):
                self.turn(numbers, stack, factor, good)
            elif chosen:
                some = torch.stack([stack[k] for k in chosen])
                self.turn(tuple(numbers[k] for k in chosen), some, factor, good)
                for k, mean in zip(chosen, some, strict=True):
                    stack[k].copy_(mean)
        for matrix, half in self.halves.items():
            half.copy_(matrix)

    def turn(self, numbers: tuple[int, ...], mean: Tensor, factor: float | Tensor, good: Tensor) -> None:
        """One step of some matrices, whose momentum is `mean` (K, S, L)."""
        grad, moved = torch.zeros_like(mean), [self.parameters[n] for n in numbers]
        for place, matrix in zip(grad, moved, strict=True):
            assert matrix.grad is not None
            inner(place, matrix).copy_(matrix.grad)
        mean.copy_(torch.where(good, mean.lerp(grad, 1 - MOMENTUM), mean))
        step = torch.where(good, orthogonal(grad.lerp(mean, MOMENTUM)) * factor, 0.0)
        for n, place, matrix in zip(numbers, step, moved, strict=True):
            matrix.sub_(inner(place, matrix), alpha=self.rates[n] * MATCH * max(matrix.shape) ** 0.5)


def inner(place: Tensor, matrix: Tensor) -> Tensor:
    """The part of place (S, L) where a matrix (A, B) lies, in its shape."""
    short, long = sorted(matrix.shape)
    part = place[:short, :long]
    return part if len(matrix) == short else part.mT


def orthogonal(g: Tensor) -> Tensor:
    """g (K, S, L), S <= L -> (K, S, L), about U V^T where g = U S V^T, each for itself; zeros stay zeros
    (Newton-Schulz, Jordan et al. 2024).

    On a GPU in float16: all entries lie within 1 after the first division, and its 11 bits are three more than Muon was
    published with. Elsewhere in the type of g: processors without arithmetic in bfloat16 take 0.5 s instead of 8 ms for
    256 x 256 in it.
    """
    x = g / torch.linalg.vector_norm(g, dim=(1, 2), keepdim=True).clamp(min=1e-30)
    return quintics(x.to(torch.float16 if x.is_cuda else x.dtype)).to(g.dtype)


def quintics(x: Tensor) -> Tensor:
    """x (K, S, L), S <= L, of norm 1 -> U V^T where x = U S V^T."""
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.mT  # (K, S, S)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def copied(value: Tensor, device: torch.device | None) -> Tensor:
    """A copy in row order on `device`, or where the value lies."""
    return value.detach().to(device or value.device, copy=True, memory_format=torch.contiguous_format)


def fitting(key: str, value: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """The value, where it is a number or has the shape of its parameter, as everything kept of a parameter does."""
    number = int(key.split(".")[1])
    if number >= len(parameters) or value.shape not in (torch.Size(), parameters[number].shape):
        found = parameters[number].shape if number < len(parameters) else None
        raise ValueError(f"{key}: {tuple(value.shape)} kept of a parameter that is {found and tuple(found)} now")
    return value
