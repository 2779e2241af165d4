"""Gaussian layer in Triton: a program holds the answers of all neurons for a block of points in registers and walks the
features; (N, K, D) is never formed."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.kernels.rbf import LARGEST, gradient_of, precision, rbf, rbf_grad, reference

NUMBERS = 4096  # of a program's tile of answers
PARTS = 512  # programs with sums of their own in the gradients at most: their number alone decides the order of sums
SUMS = 1 << 23  # numbers in all those sums together


@triton.jit
def spread(log_precision):
    """e^b with b held in [-20, 20], as `precision` in fields/kernels/rbf.py."""
    return tl.exp(tl.minimum(tl.maximum(log_precision, -20.0), 20.0))


@triton.jit
def away(f, centre, beta):
    """-1/2 beta (f - c)^2 (BLOCK, K) of one feature f (BLOCK,), centres and precisions (K,)."""
    e = f[:, None] - centre[None, :]
    return -0.5 * beta[None, :] * e * e


@triton.jit
def pulls(h, f, centre, beta):
    """Gradients by one feature f (BLOCK,): dL/df (BLOCK,), dL/dcentre (K,) and dL/dlog_precision (K,), with h (BLOCK,
    K) = dL/dphi phi."""
    e = f[:, None] - centre[None, :]  # (BLOCK, K)
    along = h * beta[None, :] * e  # (BLOCK, K)
    return -tl.sum(along, 1), tl.sum(along, 0), -0.5 * tl.sum(along * e, 0)


@triton.jit(do_not_specialize=["n"])
def answers(
    features, centres, beta, out, n,
    D: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program answers for BLOCK points. features (n, D), centres and beta (D, K) -> out (n, K)."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    k = tl.arange(0, WIDE)  # (WIDE,)
    total = tl.zeros((BLOCK, WIDE), tl.float32)  # (BLOCK, WIDE)
    for d in range(D):
        f = tl.load(features + row * D + d, row < n, 0.0).to(tl.float32)  # (BLOCK,)
        total += away(f, tl.load(centres + d * K + k, k < K, 0.0), tl.load(beta + d * K + k, k < K, 0.0))
    tl.store(out + row[:, None] * K + k[None, :], tl.exp(total), (row < n)[:, None] & (k < K)[None, :])


@triton.jit(do_not_specialize=["n", "parts"])
def gradients(
    grad, phi, features, centres, beta, down, move, widen, n, parts,
    D: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program takes every parts-th block of points: dL/dfeatures to down (n, D), and its own sums of dL/dcentres
    and dL/dlog_precision to move and widen (parts, D, K), which come with zeros."""
    part, k = tl.program_id(0).to(tl.int64), tl.arange(0, WIDE)  # (WIDE,)
    block = part
    while block * BLOCK < n:
        row = block * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
        place, inside = row[:, None] * K + k[None, :], (row < n)[:, None] & (k < K)[None, :]  # (BLOCK, WIDE)
        push = tl.load(grad + place, inside, 0.0).to(tl.float32)  # (BLOCK, WIDE)
        some = tl.max((push != 0).to(tl.int32)) > 0
        h = push * tl.load(phi + place, inside & (push != 0), 0.0)  # (BLOCK, WIDE)
        for d in range(D):
            if some:
                own = (part * D + d) * K + k  # (WIDE,)
                f = tl.load(features + row * D + d, row < n, 0.0).to(tl.float32)  # (BLOCK,)
                centre, width = tl.load(centres + d * K + k, k < K, 0.0), tl.load(beta + d * K + k, k < K, 0.0)
                for_f, for_centre, for_log = pulls(h, f, centre, width)
                tl.store(down + row * D + d, for_f, row < n)
                tl.store(move + own, tl.load(move + own, k < K, 0.0) + for_centre, k < K)
                tl.store(widen + own, tl.load(widen + own, k < K, 0.0) + for_log, k < K)
            else:
                tl.store(down + row * D + d, tl.zeros((BLOCK,), tl.float32), row < n)
        tl.debug_barrier()  # another thread may add to an entry in the next block
        block += parts


def shape(centres: Tensor) -> dict[str, int]:
    """Constants of both kernels."""
    wide = max(triton.next_power_of_2(len(centres)), 4)
    return {"D": centres.shape[1], "K": len(centres), "WIDE": wide, "BLOCK": max(NUMBERS // wide, 4)}


def columns(centres: Tensor, log_precision: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and precisions (D, K) float32: neurons side by side."""
    return centres.float().T.contiguous(), precision(log_precision.float()).T.contiguous()


@rbf.register_kernel("cuda")
def forward(features: Tensor, centres: Tensor, log_precision: Tensor) -> Tensor:
    """See rbf."""
    if features.dtype == torch.float64:
        return reference(features, centres, log_precision)
    given, out = shape(centres), features.new_empty(len(features), len(centres))
    if out.numel():
        grid = (triton.cdiv(len(features), given["BLOCK"]),)
        answers[grid](features.contiguous(), *columns(centres, log_precision), out, len(features), **given)
    return out


@rbf_grad.register_kernel("cuda")
def gradient(
    grad: Tensor, phi: Tensor, features: Tensor, centres: Tensor, log_precision: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """See rbf_grad."""
    if features.dtype == torch.float64:
        return gradient_of(grad, phi, features, centres, log_precision)
    given, down = shape(centres), torch.empty_like(features, memory_format=torch.contiguous_format)
    blocks = triton.cdiv(len(features), given["BLOCK"])
    parts = max(min(blocks, PARTS, max(SUMS // max(centres.numel(), 1), 16)), 1)
    sums = centres.new_zeros(2, parts, *centres.T.shape, dtype=torch.float32)
    if features.numel():
        inputs = [v.contiguous() for v in (grad, phi, features)]
        gradients[(parts,)](
            *inputs, *columns(centres, log_precision), down, sums[0], sums[1], len(features), parts, **given
        )
    for_centres, for_log = sums.sum(1).mT.contiguous().to(centres.dtype).unbind()
    return down, for_centres.clone(), for_log.masked_fill(log_precision.abs() > LARGEST, 0)
