"""Asks the device functions of an architecture, one kernel each, and compares them with the network in float64."""

import copy
import importlib

import torch
import triton
import triton.language as tl

from fields.kernels.fused_cuda import BACKWARD, FORWARD
from fields.kernels.tiles_cuda import wide


@triton.jit
def forward(x, out, n, tables, weights, fixed, FEATURES: tl.constexpr, SHAPE: tl.constexpr, BLOCK: tl.constexpr):
    """One tile of points (n, 3) -> out (programs * BLOCK, W)."""
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = point < n
    px, py, pz = tl.load(x + point * 3, live), tl.load(x + point * 3 + 1, live), tl.load(x + point * 3 + 2, live)
    f = FEATURES(px, py, pz, live, tables, weights, fixed, SHAPE)
    tl.store(out + point[:, None] * f.shape[1] + tl.arange(0, f.shape[1])[None, :], f)


@triton.jit
def backward(
    x, grad, n, tables, weights, fixed, table_grads, weight_grads,
    GRAD: tl.constexpr, SHAPE: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Tiles one after the other: grad (programs * BLOCK, W)."""
    tile = 0
    while tile * BLOCK < n:
        point = tile * BLOCK + tl.arange(0, BLOCK)
        live = point < n
        px, py, pz = tl.load(x + point * 3, live), tl.load(x + point * 3 + 1, live), tl.load(x + point * 3 + 2, live)
        push = tl.load(grad + point[:, None] * W + tl.arange(0, W)[None, :])
        tl.debug_barrier()
        GRAD(px, py, pz, live, push, tables, weights, fixed, table_grads, weight_grads, SHAPE)
        tile += 1


def functions(network):
    """The module of the device functions of a network."""
    return importlib.import_module(f"{type(network).__module__}_cuda")


def given(network, dtype, device):
    """Operands, and their tensors in a type: tables, weights, fixed."""
    operands = network.operands()
    learnt = (tuple(p.detach().to(device, dtype) for p in part) for part in (operands.tables, operands.weights))
    return operands, (*learnt, tuple(f.to(device) for f in operands.fixed))


def features(network, x, dtype, device, block=16):
    """What `features` gives, and what the padded tiles hold past it."""
    operands, parts = given(network, dtype, device)
    blocks = triton.cdiv(len(x), block)
    out = torch.full((blocks * block, wide(operands.width)), torch.nan, device=device)
    forward[(blocks,)](x.to(device), out, len(x), *parts, functions(network).features, operands.shape, block)
    assert bool(torch.isfinite(out).all())
    return out[: len(x), : operands.width].cpu()


def features_grad(network, x, grad, dtype, device, block=16):
    """What `features_grad` adds, tables then weights; sums begin with one, so that what is stored instead is seen."""
    operands, parts = given(network, dtype, device)
    blocks, width = triton.cdiv(len(x), block), wide(operands.width)
    padded = torch.zeros(blocks * block, width, device=device)
    padded[: len(x), : operands.width] = grad.to(device)
    size = grad.abs().max()
    sums = tuple(tuple(torch.full(t.shape, float(size), device=device) for t in part) for part in parts[:2])
    constants = (functions(network).features_grad, operands.shape, width, block)
    backward[(1,)](x.to(device), padded, len(x), *parts, *sums, *constants)
    return [(s - size).cpu() for part in sums for s in part]


def check(network, x, dtype, device, *, far, block=16, size=1.0):
    """Values and gradients at x (N, 3) within `far` of the largest number of the network in float64."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.to(dtype))
    exact = copy.deepcopy(network).double()
    want = exact.features(x.double())
    close(features(network, x, dtype, device, block), want, far)
    push = torch.randn(want.shape, generator=generator) * size
    operands = exact.operands()
    wants = torch.autograd.grad(want, [*operands.tables, *operands.weights], push.double())
    for got, slope in zip(features_grad(network, x, push, dtype, device, block), wants, strict=True):
        close(got, slope, far)


def close(got, want, far):
    """Within `far` of the largest number."""
    want = want.detach()
    torch.testing.assert_close(got.double(), want, atol=far * float(want.abs().max()), rtol=0)


def compilations(network, dtype=torch.float16):
    """For tests/compiled.py: launches both kernels, with as many points and warps as the fused ones have."""
    operands, parts = given(network, dtype, torch.device("cpu"))
    asks, width = functions(network), wide(operands.width)
    sums = tuple(tuple(torch.zeros(t.shape) for t in part) for part in parts[:2])
    block, warps = FORWARD[dtype.itemsize]
    x, out = torch.zeros(block, 3), torch.zeros(block, width)
    forward[(1,)](x, out, block, *parts, asks.features, operands.shape, block, num_warps=warps)
    block, warps = BACKWARD[dtype.itemsize]
    constants = (asks.features_grad, operands.shape, width, block)
    backward[(1,)](x, out, block, *parts, *sums, *constants, num_warps=warps)
