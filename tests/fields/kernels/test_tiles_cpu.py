"""Products of tiles against NumPy in float64, and the exponential against its own."""

import numpy as np
import pytest
from numba import njit

from fields.kernels.tiles_cpu import (
    LANES,
    TILE,
    add_outer,
    add_product,
    add_product_relu,
    exponential,
    packed,
    product,
    product_masked,
    product_relu,
    sigmoid,
    sine,
    unpacked,
    wide,
)

SIZES = [(16, 16), (32, 64), (64, 48), (48, 112), (272, 32)]


@njit
def every(x, w, mask, start, sums):
    """All products of one tile."""
    plain, relu, masked = np.empty_like(start), np.empty_like(start), np.empty_like(start)
    added, both = start.copy(), start.copy()
    product(x, w, plain)
    product_relu(x, w, relu)
    product_masked(x, w, masked, mask)
    add_product(x, w, added)
    add_product_relu(x, w, both)
    add_outer(x, mask, sums)
    return plain, relu, masked, added, both


@njit
def powers(x):
    """exp and sigmoid of each number."""
    out, share = np.empty_like(x), np.empty_like(x)
    for n in range(len(x)):
        out[n], share[n] = exponential(x[n]), sigmoid(x[n])
    return out, share


def drawn(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("spare", [0, 16])
@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_products_are_numpys(inputs, outputs, spare):
    x, w, mask, start = (
        drawn(TILE, inputs + spare),
        drawn(inputs, outputs),
        drawn(TILE, outputs),
        drawn(TILE, outputs),
    )
    sums = drawn(inputs, outputs)
    before = sums.astype(np.float64)
    want = x[:, :inputs].astype(np.float64) @ w.astype(np.float64)
    got = every(x, w, mask, start, sums)
    wanted = (want, np.maximum(want, 0), np.where(mask > 0, want, 0), start + want, np.maximum(start + want, 0))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=inputs**0.5 * 2e-6)
    outer = x[:, :inputs].T.astype(np.float64) @ mask.astype(np.float64)
    np.testing.assert_allclose(sums, before + outer, atol=3e-5)


def test_not_a_number_passes_a_relu_and_a_mask():
    x, w = drawn(TILE, 16), drawn(16, 16)
    x[5, 3] = np.nan
    mask = drawn(TILE, 16)
    mask[7] = np.nan
    _, relu, masked, _, both = every(x, w, mask, drawn(TILE, 16), np.zeros((16, 16), np.float32))
    assert np.isnan(relu[5]).all()
    assert np.isnan(both[5]).all()
    assert np.isfinite(relu[6]).all()
    assert np.isfinite(masked[7]).all()
    assert (masked[7] != 0).all()


@pytest.mark.parametrize("lead", [0, 1])
@pytest.mark.parametrize("shape", [(3, 64), (64, 31), (16, 16), (64,), (3,)])
def test_a_packed_matrix_comes_back(shape, lead):
    weight = drawn(*shape)
    room = packed(weight, lead)
    assert all(side % LANES == 0 for side in room.shape)
    assert room.shape[-1] == wide(shape[0])
    np.testing.assert_array_equal(unpacked(room, shape, lead), weight)
    assert np.count_nonzero(room) == weight.size
    if len(shape) == 2:
        np.testing.assert_array_equal(room[lead : lead + shape[1], : shape[0]], weight.T)


def test_exponential_is_exact_to_rounding():
    x = np.linspace(-86, 88.7, 100003).astype(np.float32)
    got, share = powers(x)
    want = np.exp(x.astype(np.float64))
    assert np.abs(got / want - 1).max() < 2.4e-7
    np.testing.assert_allclose(share, 1 / (1 + 1 / want), rtol=4e-7)


def test_exponential_at_its_ends():
    got, share = powers(np.array([np.nan, np.inf, -np.inf, 0, 89, 1e30, -1e30, -103], np.float32))
    assert np.isnan(got[0])
    np.testing.assert_array_equal(got[1:7], np.array([np.inf, 0, 1, np.inf, np.inf, 0], np.float32))
    assert 0 < got[7] < 1e-44
    np.testing.assert_array_equal(share[1:4], np.array([1, 0, 0.5], np.float32))


@njit
def sines(turns):
    """sin(2 pi turns) of each number."""
    out = np.empty_like(turns)
    for n in range(len(turns)):
        out[n] = sine(turns[n])
    return out


@pytest.mark.parametrize("reach", [1, 8192])
def test_sine_is_exact_to_rounding(reach):
    turns = np.linspace(-reach, reach, 100003).astype(np.float32)
    want = np.sin(2 * np.pi * np.remainder(turns.astype(np.float64), 1))
    np.testing.assert_allclose(sines(turns), want, atol=2e-7)
    np.testing.assert_array_equal(sines(np.array([0, 0.5, 2000], np.float32)), np.zeros(3))
    assert np.isnan(sines(np.array([np.nan, np.inf], np.float32))).all()
