"""Tri-plane: what its planes span, how they are combined, and its total variation."""

from dataclasses import replace

import pytest
import torch

from fields.arch.triplane import PRESETS, Config, Network

SMALL = Config(coarsest=6, scales=2, channels=3, width=16)


def variation(network):
    """Of all cells, written plainly. The last row and column have no neighbour above or to the right."""
    total = 0.0
    for _, _, size, _, start in network.factors.tolist():
        plane = network.table[start : start + size * size].view(size, size, -1)
        here = plane[:-1, :-1]
        total += 0.5 * ((plane[:-1, 1:] - here).square().mean() + (plane[1:, :-1] - here).square().mean())
    return network.config.smooth * total / len(network.factors)


@pytest.mark.parametrize("combine", ["product", "sum"])
def test_features_are_the_published_formula(combine, generator):
    network = Network(replace(SMALL, combine=combine), 3, generator)
    x = torch.rand(50, 3, generator=generator)
    scales, start = [], 0
    for size in (6, 12):
        planes = []
        for a, b in ((0, 1), (0, 2), (1, 2)):  # xy xz yz
            plane = network.table[start : start + size * size].T.view(1, 3, size, size)
            place = (x[:, [a, b]] * 2 - 1)[None, None]
            planes.append(torch.nn.functional.grid_sample(plane, place, align_corners=True)[0, :, 0].T)
            start += size * size
        values = torch.stack(planes)
        scales.append(values.prod(0) if combine == "product" else values.sum(0))
    want = network.decoder(torch.cat(scales, 1))
    got = network.features(x)
    torch.testing.assert_close(got[:, 1:], want[:, 1:])
    torch.testing.assert_close(got[:, 0], want[:, 0] - 1)


@pytest.mark.parametrize("combine", ["product", "sum"])
def test_it_starts_thin_enough_to_see_through(combine, generator):
    for preset in ("tiny", "small"):
        network = Network(replace(PRESETS[preset], combine=combine), 3, generator)
        sigma = network.features(torch.rand(2000, 3, generator=generator))[:, 0].detach().exp()
        assert 0.1 < float(sigma.mean()) < 2


def test_the_variation_is_unbiased(generator):
    network = Network(replace(SMALL, smooth=5.0), 3, generator)
    want = float(variation(network).detach())
    with torch.no_grad():
        got = torch.stack([network.penalty(generator) for _ in range(3000)])
    spread = float(got.std()) / len(got) ** 0.5
    assert abs(float(got.mean()) - want) < 4 * spread
    assert spread < 0.02 * want


def test_the_variations_gradient_is_that_of_its_value(generator):
    network = Network(SMALL, 3, generator).double()
    seed = torch.Generator()
    (got,) = torch.autograd.grad(network.penalty(seed.manual_seed(7)), network.table)
    h, push = 1e-6, torch.randn(network.table.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        network.table += h * push
        high = network.penalty(seed.manual_seed(7))
        network.table -= 2 * h * push
        low = network.penalty(seed.manual_seed(7))
    torch.testing.assert_close((got * push).sum(), (high - low) / (2 * h))


def test_a_weight_of_zero_asks_nothing(generator):
    network = Network(replace(SMALL, smooth=0.0), 3, generator)
    before = generator.get_state()
    assert float(network.penalty(generator)) == 0
    assert torch.equal(before, generator.get_state())


def test_settings_out_of_range_are_refused(generator):
    with pytest.raises(ValueError, match="triplane: combine must be product or sum, found 'mean'"):
        Config(combine="mean")
    with pytest.raises(ValueError, match="triplane: scales must be a whole number from 1 to 5, found 6"):
        Config(scales=6)
    with pytest.raises(ValueError, match="triplane: reads 3 coordinates, found 4"):
        Network(SMALL, 4, generator)
