"""MLP: its formula, the size of its signals, what bandwidth does, and that no kind dies."""

import dataclasses

import pytest
import torch

from fields.arch.mlp import Config, Network, gaussian
from fields.encodings import frequencies, octaves

TINY = Config(depth=3, width=32, skip=0, frequencies=6, bandwidth=8.0, waist=12)
KINDS = [(activation, block) for activation in ("relu", "sine", "gaussian") for block in ("plain", "hourglass")]


def network(activation, block, seed=0, **entries):
    config = dataclasses.replace(TINY, activation=activation, block=block, **entries)
    return Network(config, 3, torch.Generator().manual_seed(seed))


def test_plain_is_its_formula_with_the_waves_read_again(generator):
    config = dataclasses.replace(TINY, depth=4, skip=2)
    net = Network(config, 3, generator).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.rand(9, 3, generator=generator).double()
    seen = frequencies(x, octaves(6, 8.0).double())
    h = seen
    for number, layer in enumerate(net.body.layers):
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
        if number == 1:
            h = torch.cat([h, seen], -1)
    torch.testing.assert_close(net.features(x), h @ net.last.weight.T + net.last.bias)
    assert [layer.weight.shape[1] for layer in net.body.layers] == [39, 32, 32 + 39, 32]


def test_sine_is_siren(generator):
    net = network("sine", "plain").double()
    x = torch.rand(9, 3, generator=generator).double()
    h = ((2 * x - 1) @ net.read.weight.T + net.read.bias).sin()
    for layer in net.body.layers:
        h = (h @ layer.weight.T + layer.bias).sin()
    torch.testing.assert_close(net.features(x), h @ net.last.weight.T + net.last.bias)
    assert len(net.body.layers) == 2
    assert 0.9 * torch.pi * 8 < float(net.read.weight.detach().abs().max()) <= torch.pi * 8


def test_hourglass_is_its_formula(generator):
    net = network("relu", "hourglass").double()
    x = torch.rand(9, 3, generator=generator).double()
    h = frequencies(x, octaves(6, 8.0).double()) @ net.lift.weight.T + net.lift.bias
    for narrow, wide in zip(net.body.narrow, net.body.wide, strict=True):
        h = h + (h @ narrow.weight.T + narrow.bias).relu() @ wide.weight.T + wide.bias
    torch.testing.assert_close(net.features(x), h @ net.last.weight.T + net.last.bias)
    assert net.body.narrow[0].weight.shape == (12, 32)


@pytest.mark.parametrize("activation", ["relu", "sine", "gaussian"])
def test_the_lift_of_an_hourglass_is_stored_and_not_learnt(activation):
    net = network(activation, "hourglass")
    lift = {"relu": "lift", "sine": "read", "gaussian": "read"}[activation]
    assert f"{lift}.weight" in net.stored()
    assert not any(name.startswith(lift) for name, _ in net.named_parameters())
    again = network(activation, "hourglass", seed=1)
    x = torch.rand(20, 3)
    assert not torch.equal(net.features(x), again.features(x))
    again.restore(net.stored())
    assert torch.equal(net.features(x), again.features(x))


def test_gaussian_keeps_mean_and_variance_of_standard_normal_signals(generator):
    out = gaussian(torch.randn(400_000, generator=generator).double())
    assert abs(float(out.mean())) < 0.01  # a few / sqrt(4e5)
    assert abs(float(out.var()) - 1) < 0.02


@pytest.mark.parametrize(("activation", "block"), KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_signals_keep_their_size_and_rays_see_through_at_the_start(activation, block, seed, generator):
    net = network(activation, block, seed, depth=6, width=64)
    out = net.features(torch.rand(4000, 3, generator=generator)).detach()
    varying = out.std(0).mean()
    assert 0.15 < float(varying) < 2.5
    assert -2.5 < float(out[:, 0].exp().mean().log()) < 2.5  # density per scene unit: a ray crosses one unit


@pytest.mark.parametrize(("activation", "block"), KINDS)
def test_every_parameter_gets_a_gradient(activation, block, generator):
    net = network(activation, block)
    net.features(torch.rand(4000, 3, generator=generator)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert float(parameter.grad.abs().sum()) > 0, name


def centroid(net: Network) -> float:
    """Mean frequency, cycles per side, of the untrained features along lines through the box."""
    t = torch.arange(512) / 512
    power = torch.zeros(256)
    for axis in range(3):
        x = torch.full((512, 3), 0.4)
        x[:, axis] = t
        signal = net.features(x).detach()
        power += torch.fft.rfft(signal - signal.mean(0), dim=0).abs().square().sum(1)[1:]
    return float((power * torch.arange(1, 257)).sum() / power.sum())


@pytest.mark.parametrize(("activation", "block"), KINDS)
def test_bandwidth_shifts_the_spectrum_of_the_untrained_network(activation, block):
    def mean_centroid(bandwidth):
        nets = (network(activation, block, seed, width=64, bandwidth=bandwidth) for seed in range(3))
        return sum(centroid(net) for net in nets) / 3

    low, middle, high = mean_centroid(4.0), mean_centroid(16.0), mean_centroid(64.0)
    assert middle > 1.5 * low
    assert high > 1.5 * middle


@pytest.mark.parametrize(("activation", "block"), KINDS)
def test_bf16_arithmetic_still_tells_fine_places_apart(activation, block, generator):
    net = network(activation, block, bandwidth=256.0)
    x = torch.rand(500, 3, generator=generator) / 2 + 0.5  # bf16 numbers lie 1/256 apart there
    near = x + torch.tensor([1 / 1024, 0, 0])  # a quarter of a cycle of the finest wave
    with torch.no_grad():
        want = net.features(near) - net.features(x)
        with torch.autocast("cpu", torch.bfloat16):
            got = (net.features(near) - net.features(x)).float()
    error = (got - want).square().mean() / want.square().mean()
    assert float(error) < 0.02  # amplitude within a tenth or so: products of 8 bits through four layers


@pytest.mark.parametrize(("activation", "block"), KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_seed_dies(activation, block, seed, generator):
    net = network(activation, block, seed)
    x = torch.rand(1024, 3, generator=generator)
    want = torch.sin(12 * x[:, :1]) * torch.cos(9 * x[:, 1:2]) + x[:, 2:] - 0.5
    adam = torch.optim.Adam(net.parameters(), lr=net.rate, betas=(0.9, 0.99), eps=1e-15)
    for _ in range(80):
        adam.zero_grad()
        loss = (net.features(x) - want).square().mean()
        loss.backward()
        adam.step()
    assert float(loss.detach()) < 0.5 * float(want.var())


def test_entries_out_of_range_are_refused():
    with pytest.raises(ValueError, match="mlp: skip must be a whole number from 0 to 2, found 3"):
        dataclasses.replace(TINY, skip=3)
    with pytest.raises(ValueError, match="mlp: skip must be a whole number from 0 to 0, found 1"):
        dataclasses.replace(TINY, activation="sine", skip=1)
    with pytest.raises(ValueError, match="mlp: activation must be relu, sine or gaussian, found 'tanh'"):
        dataclasses.replace(TINY, activation="tanh")
    with pytest.raises(ValueError, match=r"mlp: bandwidth must be a number from 0.5 to 4096, found 0"):
        dataclasses.replace(TINY, bandwidth=0)
