"""`Optimizer` for a GPU: the host waits for none of its steps, and one that meets a gradient that is not finite changes
nothing, so that a CUDA graph can hold it."""

from collections.abc import Iterator
from itertools import accumulate
from typing import final

import torch
from torch import Tensor, nn

from distill.device import adam_cuda
from distill.learning.learnables import Learnables
from distill.learning.optimizer import MATCH, MOMENTUM, copied, fitting, quintics

SIDE = 64  # matrices are made orthogonal together where their sides, rounded up to a multiple of it, are equal


class DeviceOptimizer:
    """All that moves what is to be learnt, float32, as one; the counterpart of `Optimizer` with the same state.

    The buffers stay where they are as long as the optimiser lives, whatever is restored.
    """

    def __init__(self, learnables: Learnables, half: torch.dtype | None = None) -> None:
        device = learnables.groups[0].parameters[0].device
        self.counts = torch.zeros(4, dtype=torch.int64, device=device)  # see distill/device/adam_cuda.py
        self.skipped = self.counts[2]  # () int64, steps that changed nothing
        self.row = self.counts[3]  # () int64, of those, in a row up to now
        self.adam = DeviceAdam(learnables.moved(matrices=False), half, device)
        self.muon = DeviceMuon(learnables.moved(matrices=True), half)
        self.halves = self.muon.halves | self.adam.halves  # of every parameter where a type is given, else empty
        self.copy()

    def groups(self) -> list[dict]:
        """Parameters under `params`, their rate after warm-up under `initial_lr` and `lr`."""
        return [*self.muon.groups, *self.adam.groups]

    def parameters(self) -> list[nn.Parameter]:
        """All that is moved."""
        return self.muon.parameters + self.adam.parameters

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self, factor: Tensor, loss: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, at `factor` () float32 times its rate; unless a gradient, or the
        loss () if it is given, is not finite."""
        grads = [p.grad.contiguous() for p in self.parameters() if p.grad is not None]
        adam_cuda.watch((*grads, *(() if loss is None else (loss.detach().float().view(1),))), self.counts)
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
class DeviceAdam:
    """torch.optim.Adam, all parameters in one launch."""

    def __init__(self, groups: list[dict], half: torch.dtype | None, device: torch.device) -> None:
        self.groups = groups
        self.parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        self.rates = tuple(group["initial_lr"] for group in groups for _ in group["params"])
        tiles = [-(-p.numel() // adam_cuda.BLOCK) for p in self.parameters]
        *firsts, total = accumulate(tiles, initial=0)
        self.firsts = tuple(firsts)  # tile with which each parameter begins in the buffers
        self.mean = torch.zeros(total * adam_cuda.BLOCK, device=device)  # of gradients
        self.square = torch.zeros_like(self.mean)  # mean of squared gradients
        self.half = None if half is None else torch.zeros_like(self.mean, dtype=half)
        self.steps = torch.zeros(len(tiles), device=device)  # (T,) float32, of each parameter
        self.corrections = torch.ones(2, len(tiles), device=device)  # of bias, by the step that runs
        views = [] if self.half is None else [self.view(self.half, n) for n in range(len(tiles))]
        self.halves = dict(zip(self.parameters, views, strict=False))

    def view(self, buffer: Tensor, number: int) -> Tensor:
        """A parameter's part of a buffer, in its shape."""
        begin, parameter = self.firsts[number] * adam_cuda.BLOCK, self.parameters[number]
        return buffer[begin : begin + parameter.numel()].view(parameter.shape)

    def step(self, factor: Tensor, counts: Tensor) -> None:
        """One step at `factor` () times the rates, counted with all else that `counts` tells; or none, where they say
        that a gradient is not finite."""
        pairs = [(n, p.detach(), p.grad) for n, p in enumerate(self.parameters)]
        given = tuple((n, p, grad.contiguous()) for n, p, grad in pairs if grad is not None)
        adam_cuda.tally(counts, self.steps, self.corrections, tuple(n for n, _, _ in given))
        moments, counted = (self.mean, self.square, self.half), (counts, self.corrections)
        adam_cuda.move(given, self.rates, self.firsts, moments, counted, factor)


@final
class DeviceMuon:
    """`Muon`, matrices of about one shape together: they lie in stacks (K, S, L), turned so that no matrix is higher
    than wide, zeros around them; what is orthogonal stays so among zeros."""

    def __init__(self, groups: list[dict], half: torch.dtype | None) -> None:
        self.groups = groups
        self.parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        self.rate = groups[0]["initial_lr"] if groups else 0.0
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

    def step(self, factor: Tensor, good: Tensor) -> None:
        """One step of every matrix that has a gradient, at `factor` () times the rate, where `good` () says so."""
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

    def turn(self, numbers: tuple[int, ...], mean: Tensor, factor: Tensor, good: Tensor) -> None:
        """One step of some matrices, whose momentum is `mean` (K, S, L)."""
        grad, moved = torch.zeros_like(mean), [self.parameters[n] for n in numbers]
        for place, matrix in zip(grad, moved, strict=True):
            assert matrix.grad is not None
            inner(place, matrix).copy_(matrix.grad)
        mean.copy_(torch.where(good, mean.lerp(grad, 1 - MOMENTUM), mean))
        ahead = stacked_orthogonal(grad.lerp(mean, MOMENTUM)) * (factor * (self.rate * MATCH))
        step = torch.where(good, ahead, 0.0)
        for place, matrix in zip(step, moved, strict=True):
            matrix.sub_(inner(place, matrix), alpha=max(matrix.shape) ** 0.5)


def inner(place: Tensor, matrix: Tensor) -> Tensor:
    """The part of place (S, L) where a matrix (A, B) lies, in its shape."""
    short, long = sorted(matrix.shape)
    part = place[:short, :long]
    return part if len(matrix) == short else part.mT


def stacked_orthogonal(g: Tensor) -> Tensor:
    """g (K, S, L), S <= L -> (K, S, L) float32, see distill/learning/optimizer.py. In float16 on a GPU: all entries
    lie within 1 after the first division, and its 11 bits are three more than Muon was published with."""
    x = g / torch.linalg.vector_norm(g, dim=(1, 2), keepdim=True).clamp(min=1e-30)
    return quintics(x.to(torch.float16 if x.is_cuda else x.dtype), torch.baddbmm).float()
