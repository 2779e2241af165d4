"""The tri-plane's device functions, in Triton, against the network in float64."""

from dataclasses import replace

import pytest
import torch
from asking_cuda import check, compilations, features

from fields.arch.triplane import PRESETS, Config, Network

SMALL = Config(coarsest=6, scales=2, channels=8, width=24)
# float16: 2^-11 of each product's factor, of three layers; features are sums of up to 64 products of either sign
PRECISION = [(torch.float32, 2e-5), (torch.float16, 1e-2)]


@pytest.mark.parametrize(("dtype", "far"), PRECISION)
@pytest.mark.parametrize("combine", ["product", "sum"])
def test_values_and_gradients(combine, dtype, far, generator, device):
    network = Network(replace(SMALL, combine=combine), 3, generator)
    check(network, torch.rand(37, 3, generator=generator), dtype, device, far=far)


@pytest.mark.parametrize("channels", [1, 40])  # gradients added one by one; two parts, one of them narrow
def test_any_number_of_channels(channels, generator, device):
    network = Network(replace(SMALL, channels=channels), 3, generator)
    check(network, torch.rand(17, 3, generator=generator), torch.float32, device, far=2e-5)


@pytest.mark.parametrize("size", [1e-9, 1e5])
def test_half_precision_holds_small_and_large_gradients(size, generator, device):
    network = Network(SMALL, 3, generator)
    check(network, torch.rand(16, 3, generator=generator), torch.float16, device, far=1e-2, size=size)


def test_points_outside_are_clamped_and_bad_ones_stay_in_the_table(generator, device):
    network = Network(SMALL, 3, generator)
    x = torch.tensor([[-0.5, 0.3, 1.7], [torch.nan, torch.inf, -torch.inf]])
    want = network.features(x).detach()
    torch.testing.assert_close(features(network, x, torch.float32, device), want, atol=1e-5, rtol=0)


def launches():
    """For tests/compiled.py."""
    network = Network(replace(PRESETS["base"], coarsest=16), 3, None)
    compilations(network)
