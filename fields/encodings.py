"""Encodings without parameters."""

import torch
from torch import Tensor

COEFFICIENTS = 16  # spherical harmonics up to degree 3


def spherical_harmonics(d: Tensor) -> Tensor:
    """Real orthonormal spherical harmonics of degrees 0 to 3: unit directions (N, 3) -> (N, 16)."""
    x, y, z = d.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.9461746957575601 * zz - 0.31539156525252005,
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            0.5900435899266435 * y * (yy - 3 * xx),
            2.890611442640554 * x * y * z,
            0.4570457994644658 * y * (1 - 5 * zz),
            0.3731763325901154 * z * (5 * zz - 3),
            0.4570457994644658 * x * (1 - 5 * zz),
            1.445305721320277 * z * (xx - yy),
            0.5900435899266435 * x * (3 * yy - xx),
        ],
        -1,
    )


def octaves(count: int, highest: float, lowest: float = 0.5) -> Tensor:
    """Frequencies (K,) in cycles per unit, in geometric progression from `lowest` to `highest`."""
    return lowest * (highest / lowest) ** torch.linspace(0, 1, count, device="cpu")


def frequencies(x: Tensor, cycles: Tensor) -> Tensor:
    """Points and their waves: x (N, D) in the unit box, cycles (K,) per box side -> (N, D + 2 D K), all in [-1, 1].

    First 2 x - 1, then sin(2 pi f x) and cos(2 pi f x) of every coordinate and frequency (Mildenhall et al. 2020,
    eq. 4, with any frequencies instead of powers of two). In the type of x: bf16 could not tell fine waves apart.
    """
    phase = (x[:, :, None] * (2 * torch.pi * cycles)).flatten(1)
    return torch.cat([2 * x - 1, phase.sin(), phase.cos()], -1)
