"""Layers on tiles and packed additions, in Triton, against PyTorch."""

import pytest
import torch
import triton
import triton.language as tl

from fields.kernels.atomics_cuda import add_pair
from fields.kernels.tiles_cuda import linear, linear_grad, wide

BLOCK = 16


@triton.jit
def layer(x, weight, grad, out, for_x, for_weight, OUT: tl.constexpr, IN: tl.constexpr, BLOCK: tl.constexpr):
    row, i, o = tl.arange(0, BLOCK), tl.arange(0, wide(IN)), tl.arange(0, wide(OUT))
    given = tl.load(x + row[:, None] * IN + i[None, :], (i < IN)[None, :], 0.0)  # (BLOCK, wide(IN))
    tl.store(out + row[:, None] * OUT + o[None, :], linear(given, weight, OUT, IN, IN), (o < OUT)[None, :])
    push = tl.load(grad + row[:, None] * OUT + o[None, :], (o < OUT)[None, :], 0.0)  # (BLOCK, wide(OUT))
    pull = linear_grad(given, push, weight, for_weight, OUT, IN, IN)
    tl.store(for_x + row[:, None] * IN + i[None, :], pull, (i < IN)[None, :])


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 1e-5), (torch.float16, 2e-2)])  # half: 2^-11 x 64 terms
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 31), (3, 64), (16, 16), (1, 5)])
def test_a_layer_and_its_gradients(outputs, inputs, dtype, far, generator, device):
    x, weight = torch.randn(BLOCK, inputs, generator=generator), torch.randn(outputs, inputs, generator=generator)
    weight, push = weight.to(dtype).float(), torch.randn(BLOCK, outputs, generator=generator)
    x, weight, push = (v.to(device) for v in (x, weight, push))
    out, for_x, for_weight = torch.empty_like(push), torch.empty_like(x), torch.ones_like(weight)
    layer[(1,)](x, weight.to(dtype), push, out, for_x, for_weight, outputs, inputs, BLOCK)
    for got, want in ((out, x @ weight.T), (for_x, push @ weight), (for_weight - 1, push.T @ x)):
        torch.testing.assert_close(got, want, atol=far * want.abs().max().item(), rtol=0)


@triton.jit
def add(rows, values, sums, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(values + i, i < n, 0.0)  # (BLOCK,)
    add_pair(sums + 2 * tl.load(rows + i, i < n, 0), value, -value, i < n)


def test_pairs_are_added_where_several_meet(generator, device):
    rows, values = torch.randint(7, (50,), generator=generator), torch.rand(50, generator=generator)
    rows, values = rows.to(device), values.to(device)
    sums = torch.zeros(8, 2, device=device)
    add[(4,)](rows, values, sums, 50, BLOCK)
    want = torch.zeros(8, device=device).index_add(0, rows, values)
    torch.testing.assert_close(sums, torch.stack([want, -want], -1))


def launches():
    """For tests/compiled.py."""
    for dtype in (torch.float16, torch.float32):
        x, weight, push = torch.zeros(BLOCK, 31), torch.zeros(64, 31, dtype=dtype), torch.zeros(BLOCK, 64)
        layer[(1,)](x, weight, push, push, x, weight.float(), 64, 31, BLOCK)
    rows, values, sums = torch.zeros(50, dtype=torch.int64), torch.zeros(50), torch.zeros(8, 2)
    add[(4,)](rows, values, sums, 50, BLOCK)
