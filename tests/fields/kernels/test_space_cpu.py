"""Scene units to the unit box on the CPU, against Space."""

import pytest
import torch
from numba import njit

from fields.kernels.space_cpu import unit
from fields.space import Space

placed = njit(lambda *given: unit(*given))  # Python cannot call `unit` itself
BOX = torch.tensor([[-0.3, 0.2, 0.0], [0.9, 0.8, 1.7]])


@pytest.mark.parametrize("contraction", ["none", "sphere"])
@pytest.mark.parametrize("count", [0, 1, 97])
def test_points_lie_where_space_has_them(contraction, count, generator):
    space, x = Space(BOX, contraction), torch.randn(count, 3, generator=generator) * 3
    x[50:51, 1] = torch.nan
    got = x.numpy().copy()
    placed(got, space.center.numpy(), space.side.numpy()[()], contraction == "sphere")
    torch.testing.assert_close(torch.from_numpy(got), space.unit(x), atol=1e-6, rtol=0, equal_nan=True)
