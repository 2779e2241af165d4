"""The vector-matrix tensor's device functions, in Triton, against the network in float64."""

from dataclasses import replace

import pytest
import torch
from asking_cuda import check, compilations, features

from fields.arch.vm import PRESETS, Config, Network

SMALL = Config(6, 6, 20, density_rank=2, color_rank=6)
# float16: 2^-11 of each factor of a product, and of the map's products; density is a sum of 3 to 15 that is shifted
PRECISION = [(torch.float32, 2e-5), (torch.float16, 1e-2)]


@pytest.mark.parametrize(("dtype", "far"), PRECISION)
@pytest.mark.parametrize("ranks", [(2, 6), (5, 3), (16, 48)])  # in pairs, one by one, in parts
def test_values_and_gradients(ranks, dtype, far, generator, device):
    network = Network(replace(SMALL, density_rank=ranks[0], color_rank=ranks[1]), 3, generator)
    check(network, torch.rand(37, 3, generator=generator), dtype, device, far=far)


@pytest.mark.parametrize("size", [1e-9, 1e5])
def test_half_precision_holds_small_and_large_gradients(size, generator, device):
    network = Network(SMALL, 3, generator)
    check(network, torch.rand(16, 3, generator=generator), torch.float16, device, far=1e-2, size=size)


def test_points_outside_are_clamped_and_bad_ones_stay_in_the_table(generator, device):
    network = Network(SMALL, 3, generator)
    x = torch.tensor([[-0.5, 0.3, 1.7], [torch.nan, torch.inf, -torch.inf]])
    want = network.features(x).detach()
    torch.testing.assert_close(features(network, x, torch.float32, device), want, atol=1e-5, rtol=0)


def test_a_grown_network_has_the_same_kernel(generator, device):
    network = Network(SMALL, 3, generator)
    grown = network.grown(lambda x: torch.zeros(len(x)), generator)
    assert grown.config.resolution > network.config.resolution
    assert grown.operands().shape == network.operands().shape
    check(grown, torch.rand(16, 3, generator=generator), torch.float32, device, far=2e-5)


def launches():
    """For tests/compiled.py."""
    network = Network(replace(PRESETS["base"], coarsest=16, resolution=16), 3, None)
    compilations(network)
