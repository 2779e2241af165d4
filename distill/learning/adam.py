"""Adam by PyTorch, on any device, in the shape of its twins: distill/learning/adam_cpu.py in Numba, and
distill/device/adam_cuda.py in Triton, which see for every argument."""

import torch
from torch import Tensor
from torch.optim.adam import adam

BLOCK = 1024  # numbers of a tile, each parameter's moments begin with one: on a GPU, two loads of 16 bytes per thread
BETAS = (0.9, 0.99)
EPSILON = 1e-15


def watch(tensors: tuple[Tensor, ...], counts: Tensor) -> None:
    """counts[0] = 1 where any number of the tensors is not finite."""
    if tensors:
        counts[0] = ~torch.nn.utils.get_total_norm(tensors).isfinite()


def tally(counts: Tensor, steps: Tensor, corrections: Tensor, numbers: tuple[int, ...]) -> None:
    """Ends what `watch` began; here `move` lets steps go on, and corrects by itself."""
    bad = counts[0].clone()
    counts[1] = bad
    counts[2] += bad
    counts[3] = (counts[3] + 1) * bad
    counts[0] = 0


def move(
    given: tuple[tuple[int, Tensor, Tensor], ...], rates: tuple[float, ...], firsts: tuple[int, ...],
    moments: tuple[Tensor, Tensor, Tensor | None], counted: tuple[Tensor, Tensor, Tensor], factor: float | Tensor,
) -> None:  # fmt: skip
    """Adam's step of `given` parameters, all of one rate together."""
    counts, steps, _ = counted
    skipped = counts[1].float()
    for rate in dict.fromkeys(rates[number] for number, _, _ in given):
        some = [entry for entry in given if rates[entry[0]] == rate]
        parts = [[part(buffer, firsts[n], p) for n, p, _ in some] for buffer in moments if buffer is not None]
        parameters = [p for _, p, _ in some]
        adam(
            parameters, [grad for _, _, grad in some], parts[0], parts[1], [], [steps[n] for n, _, _ in some],
            fused=True, found_inf=skipped, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=rate * float(factor),
            weight_decay=0.0, eps=EPSILON, maximize=False,
        )  # fmt: skip
        for half, parameter in zip(parts[2] if len(parts) > 2 else [], parameters, strict=False):
            half.copy_(parameter)


def part(buffer: Tensor, first: int, parameter: Tensor) -> Tensor:
    """A parameter's part of a buffer, in its shape, from tile `first` on."""
    return buffer[first * BLOCK : first * BLOCK + parameter.numel()].view(parameter.shape)
