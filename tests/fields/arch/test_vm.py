"""Vector-matrix tensor: its formula, growth that keeps the function, and its sparsity term."""

from dataclasses import replace

import pytest
import torch

from fields.arch.vm import PRESETS, SHIFT, SPARSITY, Config, Network, levels, resized

SMALL = Config(6, 6, 20, density_rank=2, color_rank=3)


def nothing(x):
    return torch.zeros(len(x))


def factors(table, size):
    """Plane (size, size, C), indexed [b, a], and line (size, C), of the three pairs."""
    parts = table.detach().split([size * size, size] * 3)
    return [(parts[2 * pair].view(size, size, -1), parts[2 * pair + 1]) for pair in range(3)]


def grown_fully(network, generator):
    seen = [network.config.resolution]
    while network.config.resolution < network.config.finest:
        network = network.grown(nothing, generator)
        seen.append(network.config.resolution)
    return network, seen


def test_features_are_the_published_formula(generator):
    network = Network(SMALL, 3, generator)
    i, j, k = torch.randint(6, (3, 40), generator=generator)
    x = torch.stack([i, j, k], 1) / 5  # on vertices, where every lookup is one number
    products = []
    for table in (network.density, network.color):
        (xy, z), (xz, y), (yz, along_x) = factors(table, 6)
        products.append(torch.cat([xy[j, i] * z[k], xz[k, i] * y[j], yz[k, j] * along_x[i]], 1))
    want = torch.cat([products[0].sum(1, keepdim=True) - SHIFT, network.basis(products[1])], 1)
    torch.testing.assert_close(network.features(x), want, atol=1e-5, rtol=1e-4)  # x is off by 2^-24, of 5 cells


def test_it_starts_thin_enough_to_see_through(generator):
    for preset in ("tiny", "small"):
        network = Network(PRESETS[preset], 3, generator)
        sigma = network.features(torch.rand(2000, 3, generator=generator))[:, 0].detach().exp()
        assert 0.1 < float(sigma.mean()) < 3


def test_refining_onto_a_lattice_that_holds_the_old_one_keeps_the_function(generator):
    coarse = Network(SMALL, 3, generator)
    fine = Network(replace(SMALL, resolution=11), 3, generator)  # 6 vertices and the 5 between them
    fine.density = torch.nn.Parameter(resized(coarse.density.detach(), 6, 11))
    fine.color = torch.nn.Parameter(resized(coarse.color.detach(), 6, 11))
    fine.basis.load_state_dict(coarse.basis.state_dict())
    x = torch.rand(300, 3, generator=generator)
    torch.testing.assert_close(fine.features(x), coarse.features(x), atol=1e-5, rtol=1e-4)  # 10 cells * 2^-24


def test_growing_keeps_a_smooth_function_and_ends_at_the_finest(generator):
    network = Network(SMALL, 3, generator)
    with torch.no_grad():  # a ramp along every factor, which bilinear lookup keeps whatever the lattice
        for table in (network.density, network.color):
            for plane, line in factors(table, 6):
                ramp = torch.linspace(-1, 1, 6)[:, None]
                plane.copy_((ramp[:, None] + 0.5 * ramp[None]).expand_as(plane))
                line.copy_((ramp + 0.3).expand_as(line))
    x = torch.rand(300, 3, generator=generator)
    want = network.features(x).detach()
    assert float(want.std(0).min()) > 0
    last, seen = grown_fully(network, generator)
    assert seen == levels(SMALL)
    assert len(seen) == len(network.growth) + 1
    assert last.config == Network.final(SMALL)
    assert last.grown(nothing, generator) is last
    assert last.growth == ()
    torch.testing.assert_close(
        last.features(x).detach(), want, atol=2e-5, rtol=1e-4
    )  # five resamplings of numbers up to 3


def test_growing_does_not_touch_the_old_network(generator):
    network = Network(SMALL, 3, generator)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    finer = network.grown(nothing, generator)
    with torch.no_grad():
        for parameter in finer.parameters():
            parameter += 1
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_levels_are_the_published_ones():
    assert levels(Config(coarsest=128, resolution=128, finest=300)) == [128, 152, 180, 213, 253, 300]


def test_growth_is_the_published_share_of_a_run_by_default(generator):
    network = Network(replace(PRESETS["tiny"], settled=Config().settled), 3, generator)
    assert network.growth == pytest.approx([2 / 30, 3 / 30, 4 / 30, 5.5 / 30, 7 / 30])


def test_the_penalty_is_the_sum_of_mean_absolute_density_factors(generator):
    for resolution, weight in ((6, SPARSITY[0]), (11, SPARSITY[1])):
        network = Network(replace(SMALL, resolution=resolution), 3, generator)
        parts = [part for pair in factors(network.density, resolution) for part in pair]
        want = weight * sum(part.abs().mean() for part in parts)
        torch.testing.assert_close(network.penalty(generator).detach(), want)
        network.penalty(generator).backward()
        assert network.color.grad is None


def test_settings_out_of_range_are_refused(generator):
    with pytest.raises(ValueError, match="vm: resolution must be a whole number from 128 to 300, found 301"):
        Config(resolution=301)
    with pytest.raises(ValueError, match="vm: reads 3 coordinates, found 4"):
        Network(SMALL, 4, generator)
