"""RBF's device functions, in Triton, against the network in float64."""

from dataclasses import replace

import pytest
import torch
from asking_cuda import check, compilations, features

from fields.arch.rbf import PRESETS, Config, Network
from fields.kernels.rbf import LARGEST

GAUSSIANS = Config(levels=2, channels=2, table_bits=8, coarsest=4, bandwidth=16.0, neurons=5)
SPACE = replace(GAUSSIANS, placement="space", kernels=8, coefficients=6, width=24)
PLACED = replace(SPACE, placed=True)
# Float16: 2^-11 of a centre moves an answer by 2^-11, and `GAIN` times as much a feature. The readout is not asked in
# float16 (Operands.exact) but does not mind.
PRECISION = [(torch.float32, 2e-5), (torch.float16, 1e-2)]


def made(config, generator):
    """A network that has learnt something."""
    network = Network(config, 3, generator)
    with torch.no_grad():
        network.table.copy_(torch.randn(network.table.shape, generator=generator) * 0.5)
        for kernels in network.beside.children():
            kernels.coefficients.copy_(torch.randn(kernels.coefficients.shape, generator=generator))
        for name, parameter in network.named_parameters():
            if name.endswith("log_precision"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(("dtype", "far"), PRECISION)
@pytest.mark.parametrize("config", [GAUSSIANS, SPACE, PLACED])
def test_values_and_gradients(config, dtype, far, generator, device):
    check(made(config, generator), torch.rand(17, 3, generator=generator), dtype, device, far=far)


@pytest.mark.parametrize(("levels", "channels", "neurons"), [(1, 1, 4), (16, 2, 33), (5, 4, 40)])
def test_sizes_of_gaussians(levels, channels, neurons, generator, device):
    network = made(replace(GAUSSIANS, levels=levels, channels=channels, neurons=neurons), generator)
    check(network, torch.rand(20, 3, generator=generator), torch.float32, device, far=5e-5, block=64)


def test_precisions_are_held_and_get_no_gradient_beyond(generator, device):
    network = made(GAUSSIANS, generator)
    with torch.no_grad():
        network.decoder.log_precision[0, 0] = LARGEST + 5
        network.decoder.log_precision[1, 1] = -LARGEST - 5
        network.decoder.centres[0, 0] = 0
        network.table[:, 0] *= 1e-4
    check(network, torch.rand(20, 3, generator=generator), torch.float32, device, far=1e-3)  # e^10 (e - c) / |c|, each


@pytest.mark.parametrize("config", [GAUSSIANS, PLACED])
def test_points_outside_are_clamped_and_bad_ones_stay_in_the_table(config, generator, device):
    network = made(config, generator)
    x = torch.tensor([[-0.5, 0.3, 1.7], [torch.nan, torch.inf, -torch.inf]])
    want = network.features(x).detach()
    torch.testing.assert_close(features(network, x, torch.float32, device), want, atol=2e-4, rtol=0)


def test_shapes_without_a_fused_form():
    assert not Network(replace(GAUSSIANS, levels=32, channels=4), 3, None).operands().small
    assert Network(GAUSSIANS, 2, None).operands() is None
    operands = Network(GAUSSIANS, 3, None).operands()
    assert operands is not None
    assert operands.exact


def launches():
    """For tests/compiled.py."""
    for name in ("small", "base", "large"):
        compilations(Network(replace(PRESETS[name], table_bits=8), 3, torch.Generator()))
    compilations(Network(replace(PRESETS["space-base"], table_bits=8, kernels=8, placed=True), 3, torch.Generator()))
