"""Nearest centre in Triton: a program holds a block of points and goes through all centres, a tile at a time. Of each
column of a tile it keeps the nearest so far, and compares columns once at the end."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fields.kernels.nearest import nearest, reference

BLOCK = 128  # points of a program
TILE = 16  # centres looked at together


@triton.jit(do_not_specialize=["n", "count"])
def search(x, centres, out, n, count, BLOCK: tl.constexpr, TILE: tl.constexpr):
    """One program finds the number of the nearest of `count` centres (., 3) for BLOCK points x (n, 3)."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    u = tl.load(x + row * 3, row < n, 0.0)[:, None]  # (BLOCK, 1)
    v = tl.load(x + row * 3 + 1, row < n, 0.0)[:, None]
    w = tl.load(x + row * 3 + 2, row < n, 0.0)[:, None]
    best = tl.full((BLOCK, TILE), float("inf"), tl.float32)  # (BLOCK, TILE)
    number = tl.zeros((BLOCK, TILE), tl.int32)  # (BLOCK, TILE)
    first = count * 0
    while first < count:
        m = first + tl.arange(0, TILE)  # (TILE,)
        there = m < count
        a = u - tl.load(centres + m * 3, there, 0.0)[None, :]  # (BLOCK, TILE)
        b = v - tl.load(centres + m * 3 + 1, there, 0.0)[None, :]
        c = w - tl.load(centres + m * 3 + 2, there, 0.0)[None, :]
        away = a * a + b * b + c * c
        closer = (away < best) & there[None, :]
        best, number = tl.where(closer, away, best), tl.where(closer, m[None, :], number)
        first += TILE
    least = tl.min(best, 1)[:, None]
    found = tl.min(tl.where(best == least, number, count), 1)  # (BLOCK,), of equal ones the first
    tl.store(out + row, tl.minimum(found, count - 1).to(tl.int64), row < n)


@nearest.register_kernel("cuda")
def forward(x: Tensor, centres: Tensor) -> Tensor:
    """See nearest."""
    if x.dtype == torch.float64:
        return reference(x, centres)
    out = torch.empty(len(x), dtype=torch.int64, device=x.device)
    if len(x):
        grid = (triton.cdiv(len(x), BLOCK),)
        search[grid](x.contiguous(), centres.contiguous(), out, len(x), len(centres), BLOCK, TILE)
    return out
