"""Modulate in Triton: a program holds a block of whole rows, so that each row is read and written once."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.kernels.modulate import gradient_of, modulate, modulate_grad, reference

NUMBERS = 4096  # of a program's tile


@triton.jit
def normalized(z, C: tl.constexpr):
    """Norm of rows z (BLOCK, WIDE) float32 with zeros past column C, zeros there too; and 1 / root of (variance +
    1e-5), (BLOCK, 1)."""
    mean = tl.sum(z, 1)[:, None] / C
    centred = tl.where((tl.arange(0, z.shape[1]) < C)[None, :], z - mean, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1)[:, None] / C + 1e-5)
    return centred * inverse, inverse


@triton.jit
def modulated(z, gamma, beta, C: tl.constexpr):
    """relu(gamma Norm(z) + beta): z (BLOCK, WIDE) float32, gamma and beta (BLOCK,); NaN stays."""
    value = gamma[:, None] * normalized(z, C)[0] + beta[:, None]
    return tl.where(value <= 0, 0.0, value)


@triton.jit
def modulated_grad(grad, z, gamma, beta, C: tl.constexpr):
    """dL/dz (BLOCK, WIDE), dL/dgamma and dL/dbeta (BLOCK,), as modulate_grad has them; grad has zeros past column C."""
    norm, inverse = normalized(z, C)
    u = tl.where(gamma[:, None] * norm + beta[:, None] > 0, grad, 0.0)  # (BLOCK, WIDE)
    for_beta, for_gamma = tl.sum(u, 1), tl.sum(u * norm, 1)
    rest = (for_beta[:, None] + norm * for_gamma[:, None]) / C
    return gamma[:, None] * inverse * (u - rest), for_gamma, for_beta


@triton.jit
def block(n, C: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """This program's rows (BLOCK,), which are there, their places (BLOCK, WIDE) in (n, C), and which of those are."""
    row, c = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, WIDE)
    live = row < n
    return row, live, row[:, None] * C + c[None, :], live[:, None] & (c < C)[None, :]


@triton.jit(do_not_specialize=["n"])
def rows(z, gamma, beta, out, n, C: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """One program takes BLOCK rows. z (n, C), gamma (n,), beta (n,) -> out (n, C)."""
    row, live, place, inside = block(n, C, WIDE, BLOCK)
    given = tl.load(z + place, inside, 0.0).to(tl.float32)  # (BLOCK, WIDE)
    value = modulated(given, tl.load(gamma + row, live, 0.0), tl.load(beta + row, live, 0.0), C)  # (BLOCK, WIDE)
    tl.store(out + place, value, inside)


@triton.jit(do_not_specialize=["n"])
def rows_grad(
    grad, z, gamma, beta, for_z, for_gamma, for_beta, n, C: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr
):
    """One program takes BLOCK rows: dL/dz to for_z (n, C), dL/dgamma and dL/dbeta to for_gamma and for_beta (n,)."""
    row, live, place, inside = block(n, C, WIDE, BLOCK)
    push = tl.load(grad + place, inside, 0.0).to(tl.float32)  # (BLOCK, WIDE)
    given = tl.load(z + place, inside, 0.0).to(tl.float32)  # (BLOCK, WIDE)
    scale, shift = tl.load(gamma + row, live, 0.0), tl.load(beta + row, live, 0.0)  # (BLOCK,)
    pull, by_gamma, by_beta = modulated_grad(push, given, scale, shift, C)
    tl.store(for_z + place, pull, inside)
    tl.store(for_gamma + row, by_gamma, live)
    tl.store(for_beta + row, by_beta, live)


def shape(channels: int) -> dict[str, int]:
    """Constants of both kernels."""
    wide = triton.next_power_of_2(channels)
    return {"C": channels, "WIDE": wide, "BLOCK": max(min(NUMBERS // wide, 128), 1)}


@modulate.register_kernel("cuda")
def forward(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """See modulate; z may also be float16."""
    if z.dtype == torch.float64:
        return reference(z, gamma, beta)
    out, given = torch.empty_like(z, memory_format=torch.contiguous_format), shape(z.shape[1])
    if len(z):
        grid = (triton.cdiv(len(z), given["BLOCK"]),)
        rows[grid](z.contiguous(), gamma.contiguous(), beta.contiguous(), out, len(z), **given)
    return out


@modulate_grad.register_kernel("cuda")
def gradient(grad: Tensor, z: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See modulate_grad."""
    if z.dtype == torch.float64:
        return gradient_of(grad, z, gamma, beta)
    outs = [torch.empty_like(v, memory_format=torch.contiguous_format) for v in (z, gamma, beta)]
    if len(z):
        given = shape(z.shape[1])
        inputs = [v.contiguous() for v in (grad, z, gamma, beta)]
        rows_grad[(triton.cdiv(len(z), given["BLOCK"]),)](*inputs, *outs, len(z), **given)
    return outs[0], outs[1], outs[2]
