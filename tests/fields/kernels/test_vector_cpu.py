"""Vectors of eight: compiled, they do what their Python form says."""

import numpy as np
import pytest
from numba import njit, uintp

from fields.kernels.vector_cpu import LANES, load, plus_scaled, product, scaled, store


@njit
def use(table, out, weight):
    near, far = load(table, uintp(1), uintp(3)), load(table, uintp(2), uintp(0))
    store(out, uintp(0), uintp(2), scaled(near, weight))
    store(out, uintp(1), uintp(2), plus_scaled(near, far, weight))
    store(out, uintp(2), uintp(2), product(near, far))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_compiled_and_python_agree(kind):
    table = np.random.default_rng(0).normal(size=(4, LANES + 5)).astype(kind)
    got, want = (np.zeros((3, LANES + 4), kind) for _ in range(2))
    use(table, got, 0.3)
    getattr(use, "py_func", use)(table, want, 0.3)
    np.testing.assert_allclose(got, want, rtol=4 * np.finfo(kind).eps, atol=np.finfo(kind).eps)  # one rounding less
    near, far = table[1, 3:11], table[2, :8]
    np.testing.assert_allclose(want[:, 2:10], [near * 0.3, near + far * 0.3, near * far], rtol=1e-5, atol=1e-6)
    assert not got[:, :2].any()
    assert not got[:, 10:].any()
