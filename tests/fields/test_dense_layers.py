"""Layers with bias: formula, size of signals, padding, type of arithmetic."""

import pytest
import torch

from fields.layers import BLOCK, SMALL_BLOCK, Dense, arithmetic, padded
from fields.quantize import rounded


@pytest.mark.parametrize("bits", [8, 32])
def test_dense_is_its_formula(bits, generator):
    layer = Dense(5, 7, generator, bits=bits)
    with torch.no_grad():
        layer.bias.copy_(torch.randn(7, generator=generator))
    x = torch.randn(9, 5, generator=generator)
    torch.testing.assert_close(layer(x), x @ rounded(layer.weight, bits).T + layer.bias)
    assert torch.equal(rounded(layer.weight, bits), layer.weight) == (bits == 32)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_gain_is_the_variance_that_unit_signals_get(gain, generator):
    out = Dense(64, 256, generator, gain=gain)(torch.randn(4000, 64, generator=generator)).detach()
    assert abs(float(out.var()) / gain - 1) < 0.05  # 64 * 256 weights
    assert float(out.mean().abs()) < 0.05


@pytest.mark.parametrize("rows", [0, 1, SMALL_BLOCK, SMALL_BLOCK + 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_rows_are_padded_with_zeros_to_a_multiple(rows):
    got, block = padded(torch.ones(rows, 2)), BLOCK if rows > BLOCK else SMALL_BLOCK
    assert len(got) % block == 0
    assert len(got) - rows < block
    assert float(got[:rows].sum()) == float(got.sum()) == 2 * rows


def test_arithmetic_follows_autocast():
    x = torch.zeros(2, 3)
    assert arithmetic(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert arithmetic(x).dtype == torch.bfloat16
    assert arithmetic(x.double()).dtype == torch.float64
