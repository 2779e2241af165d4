"""What moves parameters: orthogonalised momentum for groups of matrices, Adam for all others."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from distill.learning.learnables import Learnables

MOMENTUM = 0.9  # of the gradients of matrices, as Adam's first
QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c: they take singular values from 0 to 1 towards 1 (Jordan et al. 2024)
ROUNDS = 5  # of the quintic: singular values from 2e-3 of the norm then lie in 0.68 to 1.21
MATCH = 0.2  # root mean square of an Adam step, in units of its rate (Liu et al. 2025, eq. 4)


def orthogonal(g: Tensor) -> Tensor:
    """g (A, B) -> (A, B), about U V^T where g = U S V^T; zeros stay zeros (Newton-Schulz, Jordan et al. 2024).

    In the type of g: processors without arithmetic in bfloat16 take 0.5 s instead of 8 ms for 256 x 256 in it.
    """
    wide = g.mT if len(g) > g.shape[1] else g
    x = quintics(wide / wide.norm().clamp(min=1e-30), torch.addmm)
    return x.mT if len(g) > g.shape[1] else x


def quintics(x: Tensor, add_product: Callable[..., Tensor]) -> Tensor:
    """x (..., S, L), S <= L, of norm 1 -> U V^T where x = U S V^T; `add_product` is torch.addmm or torch.baddbmm."""
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.mT  # (..., S, S)
        x = add_product(x, add_product(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


@final
class Muon(torch.optim.Optimizer):
    """Nesterov momentum of matrices (A, B), made orthogonal, in steps as large as Adam's at the same rate.

    torch.optim.Muon without weight decay is the same, but for its arithmetic: see `orthogonal`.
    """

    def __init__(self, groups: list[dict]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self.move(matrix, matrix.grad, group["lr"])

    def move(self, matrix: Tensor, grad: Tensor, rate: float) -> None:
        """One step of one matrix."""
        mean = self.state[matrix].setdefault("mean", torch.zeros_like(grad)).lerp_(grad, 1 - MOMENTUM)
        ahead = grad.lerp(mean, MOMENTUM)
        matrix.sub_(orthogonal(ahead), alpha=rate * MATCH * max(matrix.shape) ** 0.5)


class Optimizer:
    """All that moves what is to be learnt, as one."""

    def __init__(self, learnables: Learnables) -> None:
        turned, rest = learnables.moved(matrices=True), learnables.moved(matrices=False)
        self.parts: dict[str, torch.optim.Optimizer] = {}
        if turned:
            self.parts["muon"] = Muon(turned)
        if rest:
            self.parts["adam"] = torch.optim.Adam(rest, betas=(0.9, 0.99), eps=1e-15, fused=True)

    def groups(self) -> list[dict]:
        """Parameters under `params`, their rate after warm-up under `initial_lr`, and that of the last step."""
        return [group for part in self.parts.values() for group in part.param_groups]

    def clear(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, at `factor` times its rate."""
        for group in self.groups():
            group["lr"] = group["initial_lr"] * factor
        for part in self.parts.values():
            part.step()

    def state(self, device: torch.device | None = None) -> dict[str, Tensor]:
        """What an exact continuation needs, as PART.NUMBER.NAME, on `device` or where it lies; shares no memory with
        the optimiser."""
        entries = [(name, n, e) for name, part in self.parts.items() for n, e in part.state_dict()["state"].items()]
        return {f"{name}.{n}.{k}": copied(v, device) for name, n, entry in entries for k, v in entry.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`, of the same parameters; ValueError where they are not. Other tensors are left alone."""
        for name, part in self.parts.items():
            parameters = [p for group in part.param_groups for p in group["params"]]
            entries: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                kind, _, rest = key.partition(".")
                if kind == name:
                    number, _, inner = rest.partition(".")
                    entries.setdefault(int(number), {})[inner] = fitting(key, value, parameters).clone()
            part.load_state_dict({**part.state_dict(), "state": entries})


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
