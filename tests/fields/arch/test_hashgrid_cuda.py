"""Hash grid in Triton: features and gradients of a tile of points against the network in float64."""

import pytest
import torch
import triton
import triton.language as tl

from fields.arch.hashgrid import PRESETS, Config, Network
from fields.arch.hashgrid_cuda import features, features_grad

BLOCK = 64


@triton.jit
def ask(x, table, first, second, scales, vertices, offsets, out, n, SHAPE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a, b, c = tl.load(x + 3 * i, i < n, 0.0), tl.load(x + 3 * i + 1, i < n, 0.0), tl.load(x + 3 * i + 2, i < n, 0.0)
    found = features(a, b, c, i < n, (table,), (first, second), (scales, vertices, offsets), SHAPE)  # (BLOCK, 16)
    tl.store(out + i[:, None] * 16 + tl.arange(0, 16)[None, :], found)


@triton.jit
def pull(
    x, grad, table, first, second, scales, vertices, offsets, for_table, for_first, for_second, n,
    SHAPE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0)
    i = p * BLOCK + tl.arange(0, BLOCK)
    a, b, c = tl.load(x + 3 * i, i < n, 0.0), tl.load(x + 3 * i + 1, i < n, 0.0), tl.load(x + 3 * i + 2, i < n, 0.0)
    push = tl.load(grad + i[:, None] * 16 + tl.arange(0, 16)[None, :], (i < n)[:, None], 0.0)  # (BLOCK, 16)
    own = for_first + p * SHAPE[2] * SHAPE[0] * SHAPE[1], for_second + p * 16 * SHAPE[2]
    fixed = (scales, vertices, offsets)
    features_grad(a, b, c, i < n, push, (table,), (first, second), fixed, (for_table,), own, SHAPE)


def made(config, generator, device, dtype):
    network = Network(config, 3, generator).to(device)
    network.table.data.normal_(generator=generator if device.type == "cpu" else None)
    for weight in network.parameters():
        weight.data = weight.data.to(dtype).float()
    given = network.operands()
    tensors = [t.detach().to(dtype) for t in (*given.tables, *given.weights)]
    return network, [*tensors, *given.fixed], given.shape


# levels, channels, width; bfloat16 is not here, as the interpreter multiplies its bits as whole numbers
CASES = [(5, 2, 48, torch.float32), (3, 4, 16, torch.float16), (2, 1, 16, torch.float32)]


@pytest.mark.parametrize(("levels", "channels", "width", "dtype"), CASES)
def test_features_and_gradients(levels, channels, width, dtype, generator, device):
    config = Config(levels=levels, channels=channels, table_bits=9, coarsest=3, finest=40, width=width)
    network, given, shape = made(config, generator, device, dtype)
    n, x = 70, torch.rand(1, 3, generator=generator) + torch.linspace(-0.1, 0.3, 70)[:, None]
    x, push = x.to(device), torch.randn(n, 16, generator=generator).to(device)
    out = torch.full((2 * BLOCK, 16), torch.nan, device=device)
    ask[(2,)](x, *given, out, n, shape, BLOCK)
    sums = [torch.zeros(network.table.shape, device=device)]
    sums += [torch.zeros(2, *weight.shape, device=device) for weight in network.decoder.layers]
    pull[(2,)](x, push, *given, *sums, n, shape, BLOCK)
    network.double()  # scales and all
    want = network.features(x.double())
    slopes = torch.autograd.grad(want, [network.table, *network.decoder.layers], push.double())
    far = 1e-5 if dtype == torch.float32 else 5e-3  # a few roundings of what is multiplied
    assert out.isfinite().all()
    for got, exact in zip((out[:n], sums[0], sums[1].sum(0), sums[2].sum(0)), (want, *slopes), strict=True):
        torch.testing.assert_close(got.double(), exact, atol=far * exact.abs().max().item(), rtol=0)


def test_all_presets_have_a_fused_form_and_shapes_that_do_not_fit_have_none():
    none = (Config(width=256), 3, False), (Config(levels=16, channels=8, table_bits=8), 3, False), (Config(), 2, False)
    for config, dims, fits in [*((c, 3, True) for c in PRESETS.values()), *none]:
        with torch.device("meta"):
            given = Network(config, dims, None).operands()
        assert (given is not None and given.small) == fits
        if fits and given is not None is not None:
            assert [tuple(w.shape) for w in given.weights] == [(64, config.levels * config.channels), (16, 64)]


def launches():
    """For tests/compiled.py: the presets' shapes."""
    half, single, whole = (torch.zeros(64, dtype=t) for t in (torch.float16, torch.float32, torch.int64))
    for name in ("small", "base"):
        shape = (PRESETS[name].levels, PRESETS[name].channels, PRESETS[name].width, 16)
        given = (half, half, half, single, whole, whole)
        ask[(1,)](single, *given, single, 64, shape, 64, num_warps=8)
        pull[(1,)](single, single, *given, single, single, single, 64, shape, 64, num_warps=8)
