"""Sums of rows that meet in one entry, in Triton, without atomics: the same bits in every run.

Rows are sorted, and chunks of the sorted list are summed by segment. The first and the last segment of a chunk may go
on in its neighbours: their sums are two entries of a shorter sorted list, which is summed the same way, until one chunk
holds all of it. So a segment of a million rows takes no longer than a million segments of one.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 2048  # numbers of a chunk


@triton.jit
def join(head_a, a, head_b, b):
    """Sums up to here of two neighbouring stretches: one that begins anew forgets what came before."""
    return head_a | head_b, tl.where(head_b != 0, b, a + b)


@triton.jit(do_not_specialize=["n", "entries"])
def chunks(
    rows, order, values, out, ends, partial, n, entries,
    C: tl.constexpr, WIDE: tl.constexpr, CHUNK: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """One program takes CHUNK places of the sorted list rows (n,): segments that end inside go to out (entries, C); the
    first and the last one to place 2p and 2p + 1 of the next list, ends and partial (., C), unless LAST."""
    place = tl.program_id(0).to(tl.int64) * CHUNK + tl.arange(0, CHUNK)  # (CHUNK,)
    column = tl.arange(0, WIDE)  # (WIDE,)
    row = tl.load(rows + place, place < n, entries)  # (CHUNK,), past the end a row that is not stored
    before = tl.load(rows + place - 1, (place > 0) & (place <= n), -2)  # (CHUNK,)
    after = tl.load(rows + place + 1, place + 1 < n, entries + 1)  # (CHUNK,)
    source = tl.load(order + place, place < n, 0).to(tl.int64) if FIRST else place  # (CHUNK,)
    inside = (place < n)[:, None] & (column < C)[None, :]  # (CHUNK, WIDE)
    value = tl.load(values + source[:, None] * C + column[None, :], inside, 0.0)  # (CHUNK, WIDE)
    head = (row != before).to(tl.int32)[:, None] + tl.zeros((CHUNK, WIDE), tl.int32)  # (CHUNK, WIDE)
    _, total = tl.associative_scan((head, value), 0, join)  # (CHUNK, WIDE), of each segment up to here
    whole = (row != after) & (row >= 0) & (row < entries)  # (CHUNK,), ends here
    if not LAST:
        first = tl.load(rows + tl.program_id(0).to(tl.int64) * CHUNK)
        last = tl.load(rows + tl.minimum(tl.program_id(0).to(tl.int64) * CHUNK + CHUNK, n) - 1)
        whole = whole & (row != first) & (row != last)
        begin = tl.sum(tl.where((row == first)[:, None], value, 0.0), 0)  # (WIDE,)
        end = tl.sum(tl.where((row == last)[:, None] & (first != last), value, 0.0), 0)  # (WIDE,)
        next = partial + tl.program_id(0).to(tl.int64) * 2 * C + column  # (WIDE,)
        tl.store(next, begin, column < C)
        tl.store(next + C, end, column < C)
        tl.store(ends + tl.program_id(0) * 2, first)
        tl.store(ends + tl.program_id(0) * 2 + 1, last)
    tl.store(out + row.to(tl.int64)[:, None] * C + column[None, :], total, whole[:, None] & (column < C)[None, :])


def sums(rows: Tensor, values: Tensor, entries: int, *, chunk: int = 0) -> Tensor:
    """Sums (entries, C) of the values (M, C) float32 with the same row; rows (M,) int64, those outside [0, entries) are
    left out. The order of additions depends on `rows` alone. A chunk of 0 takes one that suits C; else 4 at least."""
    channels = values.shape[1]
    out = values.new_zeros(entries, channels)
    if not len(rows) or not entries:
        return out
    width = triton.next_power_of_2(channels)
    chunk = chunk or max(TILE // width, 32)
    rows, order = torch.sort(rows.int() if entries < 1 << 30 else rows, stable=True)
    values, first = values.contiguous(), True
    while True:
        parts = triton.cdiv(len(rows), chunk)
        ends, partial = rows.new_empty(2 * parts), values.new_empty(2 * parts, channels)
        shape = {"C": channels, "WIDE": width, "CHUNK": chunk, "FIRST": first, "LAST": parts == 1}
        chunks[(parts,)](rows, order, values, out, ends, partial, len(rows), entries, **shape)
        if parts == 1:
            return out
        rows, values, first = ends, partial, False
