"""Compilation leaves Python's search for circular garbage as it was."""

import gc

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError
from numba.extending import overload

import fields.kernels.options_cpu  # noqa: F401  (it has the listener)

SEEN: list[bool] = []


def noted(x):
    """Numba asks for this while it compiles what calls it."""


@overload(noted)
def _(x):
    SEEN.append(gc.isenabled())
    return lambda x: x


@njit
def inner(x):
    return noted(x)


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_not_searched_for_while_numba_compiles(enabled):
    SEEN.clear()
    try:
        (gc.enable if enabled else gc.disable)()

        @njit
        def outer(x):
            return inner(x) + noted(x)

        assert outer(np.int8(2) if enabled else np.int16(2)) == 4
        assert len(SEEN) >= 1
        assert not any(SEEN)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_cannot_be_compiled_leaves_it_on():
    @njit
    def wrong(x):
        return x.nothing_of_this_name

    with pytest.raises(TypingError, match="nothing_of_this_name"):
        wrong(1.0)
    assert gc.isenabled()
