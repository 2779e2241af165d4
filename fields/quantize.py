"""Eight-bit numbers: tensors that are rounded while they are learnt, so that a file can hold them in a quarter.

Every row of a matrix has its own step s, so that its largest entry is 127 s (Lee et al. 2024 take one step for all rows
of a matrix). Gradients pass the rounding as if it were not there (Bengio et al. 2013).
"""

import torch
from torch import Tensor

LARGEST = 127
SMALLEST = 1e-30  # step of a row of zeros


def steps(w: Tensor) -> Tensor:
    """w (R, ...) -> (R,) step of each row, in the type of w.

    A bfloat16 number: its products with codes are exact then, so that w decoded has the steps and codes of w.
    """
    largest = w.detach().flatten(1).abs().amax(1)
    return (largest / LARGEST).clamp(min=SMALLEST).to(torch.bfloat16).to(w.dtype)


def codes(w: Tensor, step: Tensor) -> Tensor:
    """w (R, ...), step (R,) -> whole numbers from -127 to 127, in the type and shape of w."""
    return (w.detach() / along(step, w)).round_().clamp_(-LARGEST, LARGEST)


def along(step: Tensor, w: Tensor) -> Tensor:
    """step (R,) as (R, 1, ...), to be multiplied with w (R, ...)."""
    return step.view(-1, *(1,) * (w.dim() - 1))


def rounded(w: Tensor, bits: int) -> Tensor:
    """What a file of so many bits, 8 or 32, would give back of w (R, ...), with the gradient of w."""
    if bits == 32:
        return w
    step = steps(w)
    return codes(w, step) * along(step, w) + (w - w.detach())


def encode(tensors: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """At 8 bits, every tensor of two dimensions or more as int8 codes, and as bfloat16 steps (R,) under its name and
    `.step`; at 32, the tensors as they are."""
    result = {}
    for name, w in tensors.items():
        if w.dim() < 2 or bits == 32:
            result[name] = w
        else:
            step = steps(w)
            result |= {name: codes(w, step).to(torch.int8), f"{name}.step": step.to(torch.bfloat16)}
    return result


def decode(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of `encode`, as float32."""
    result = {name: w for name, w in tensors.items() if not name.endswith(".step")}
    for name in [name for name in result if f"{name}.step" in tensors]:
        result[name] = result[name].float() * along(tensors[f"{name}.step"].float(), result[name])
    return result
