"""The MLP's device functions, in Triton, against the network in float64."""

from dataclasses import replace

import pytest
import torch
from asking_cuda import check, compilations, features

from fields.arch.mlp import PRESETS, Config, Network

SMALL = Config(depth=3, width=24, skip=2, frequencies=3, bandwidth=8.0)
# float16: 2^-11 of each product's factor, of four layers; and a neuron whose sum is near zero may answer or not, which
# moves the gradient by what it gets of one of few points
PRECISION = [(torch.float32, 2e-5), (torch.float16, 8e-2)]


@pytest.mark.parametrize(("dtype", "far"), PRECISION)
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_values_and_gradients(skip, dtype, far, generator, device):
    network = Network(replace(SMALL, skip=skip), 3, generator)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    points = 37 if dtype == torch.float32 else 16
    check(network, torch.rand(points, 3, generator=generator), dtype, device, far=far)


@pytest.mark.parametrize("size", [1e-9, 1e5])
def test_half_precision_holds_small_and_large_gradients(size, generator, device):
    check(
        Network(SMALL, 3, generator), torch.rand(16, 3, generator=generator), torch.float16, device, far=1e-2, size=size
    )


def test_points_outside_the_box(generator, device):
    network = Network(SMALL, 3, generator)
    x = torch.randn(20, 3, generator=generator) * 2
    want = network.features(x).detach()
    torch.testing.assert_close(features(network, x, torch.float32, device), want, atol=1e-4, rtol=0)


def test_shapes_without_a_fused_form():
    others = {"activation": "sine", "skip": 0}, {"block": "hourglass", "skip": 0}
    for changes in others:
        assert Network(replace(SMALL, **changes), 3, None).operands() is None
    for changes in ({"width": 65}, {"frequencies": 11}, {"depth": 5}):
        assert not Network(replace(SMALL, **changes), 3, None).operands().small
    assert Network(SMALL, 2, None).operands() is None


def launches():
    """For tests/compiled.py."""
    compilations(Network(PRESETS["tiny"], 3, torch.Generator()))
    compilations(Network(replace(PRESETS["small"], width=64), 3, torch.Generator()))
