"""CAM: what modulates what, directions, eight bits and the size of a file."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import layer_norm, linear, normalize

from fields.arch.cam import PRESETS, Config, Network
from fields.base import FEATURES
from fields.encodings import frequencies, octaves
from fields.field import Field
from fields.heads import modulated
from fields.space import Space

TINY = PRESETS["tiny"]
FLOAT = dataclasses.replace(TINY, bits=32)


def network(config=TINY, seed=0):
    return Network(config, 3, torch.Generator().manual_seed(seed))


def directions(count, generator):
    return normalize(torch.randn(count, 3, generator=generator), dim=-1)


def toward(azimuth, elevation):
    """Unit directions of angles in radians."""
    azimuth, elevation = torch.broadcast_tensors(azimuth.double(), torch.as_tensor(elevation).double())
    flat = elevation.cos()
    return torch.stack([azimuth.cos() * flat, azimuth.sin() * flat, elevation.sin()], -1).float()


def scrambled(module, generator, size=0.3):
    """The module with random grids, as after some training."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "grid" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    return module


def test_it_starts_as_the_normalised_network(generator):
    net = network(FLOAT).double()
    x = torch.rand(9, 3, generator=generator).double()
    seen = frequencies(x, octaves(4, 8.0).double())
    h = seen
    for number, layer in enumerate(net.body.hidden):
        h = layer_norm(linear(h, layer.weight, layer.bias), (32,)).relu()
        if number == 1:
            h = torch.cat([h, seen], -1)
    torch.testing.assert_close(net.features(x), linear(h, net.body.last.weight, net.body.last.bias))


def test_each_layer_reads_its_own_gamma_and_beta(generator):
    net = scrambled(network(FLOAT), generator).double()
    vertex = torch.tensor([[2, 3, 1]])
    x = (vertex.double() - 0.5) / (TINY.grid - 2)  # on a vertex, so that the grid needs no interpolation here
    scalars = net.grid[:, int(vertex @ torch.tensor([1, TINY.grid, TINY.grid**2]))]
    seen = frequencies(x, octaves(4, 8.0).double())
    h = seen
    for number, layer in enumerate(net.body.hidden):
        gamma, beta = 1 + scalars[2 * number], scalars[2 * number + 1]
        h = (gamma * layer_norm(linear(h, layer.weight, layer.bias), (32,)) + beta).relu()
        if number == 1:
            h = torch.cat([h, seen], -1)
    want = linear(h, net.body.last.weight, net.body.last.bias)
    torch.testing.assert_close(net.features(x), want, atol=1e-6, rtol=1e-6)  # the grid's scale is float32


@pytest.mark.parametrize("bits", [8, 32])
def test_every_grid_entry_that_is_touched_gets_a_gradient_at_the_first_step(bits, generator):
    net = network(dataclasses.replace(TINY, bits=bits))
    x = torch.rand(4000, 3, generator=generator)
    (net.features(x) * torch.randn(4000, 16, generator=generator)).sum().backward()
    touched = torch.zeros(TINY.grid**3, dtype=torch.bool)
    low = (x * (TINY.grid - 2) + 0.5).long()
    for corner in range(8):
        place = low + torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2])
        touched[place @ torch.tensor([1, TINY.grid, TINY.grid**2])] = True
    assert bool(touched.all())
    assert bool((net.grid.grad[:, touched] != 0).all())


def test_every_direction_s_gamma_and_beta_get_a_gradient_at_the_first_step(generator):
    head = modulated.Readout(FEATURES, TINY, generator)
    features = torch.randn(4000, 16, generator=generator)
    head.color(features, directions(4000, generator)).square().sum().backward()
    assert bool((head.grid.grad != 0).all())


def test_density_does_not_depend_on_direction_and_colour_does(generator):
    net = network()
    box = torch.tensor([[0.0, 0, 0], [1, 1, 1]])
    field = Field(net, scrambled(modulated.Readout(FEATURES, net.config, generator), generator), Space(box))
    x = torch.rand(50, 3, generator=generator)
    sigma, features = field.density(x)
    one, other = directions(50, generator), directions(50, generator)
    assert torch.equal(sigma, field.density(x)[0])
    shifted = features.clone()
    shifted[:, 0] += 1
    assert torch.equal(field.color(features, one), field.color(shifted, one))
    assert not torch.allclose(field.color(features, one), field.color(features, other))
    with torch.no_grad():  # the grid alone: no harmonics
        assert float((field.head.scalars(one) - field.head.scalars(other)).abs().max()) > 0.1


def test_directions_read_their_grid(generator):
    head = scrambled(modulated.Readout(FEATURES, FLOAT, generator), generator)
    azimuths = torch.arange(10)
    for level in (1, 2, 3):
        # vertex v + 1 / 2 of the lookup is azimuth v of the grid, counted from -x
        d = toward((azimuths - 0.5) / 10 * 2 * math.pi - math.pi, level / 4 * math.pi - math.pi / 2)
        torch.testing.assert_close(head.scalars(d), head.grid[:, level].T, atol=1e-5, rtol=0)


def test_gamma_and_beta_are_continuous_where_azimuth_closes(generator):
    head = scrambled(modulated.Readout(FEATURES, FLOAT, generator), generator)
    elevation = torch.linspace(-1.5, 1.5, 60)
    before, behind = (head.scalars(toward(torch.full((60,), side), elevation)) for side in (3.14159, -3.14159))
    torch.testing.assert_close(before, behind, atol=1e-4, rtol=0)  # 5e-6 radians apart, slopes of a few per radian
    ring = head.scalars(toward(torch.linspace(-math.pi, math.pi, 2001), 0.0)).detach()
    assert float(ring.diff(dim=0).abs().max()) < 0.02  # no jump: a cell's difference of about 1 in 200 parts
    assert float((ring.amax(0) - ring.amin(0)).min()) > 0.1


@pytest.mark.parametrize("pole", [-1.0, 1.0])
def test_poles_have_one_value_and_both_hemispheres_their_own(pole, generator):
    head = scrambled(modulated.Readout(FEATURES, FLOAT, generator), generator)
    around = toward(torch.linspace(-3, 3, 50), torch.full((50,), pole * (math.pi / 2 - 1e-5)))
    at = torch.tensor([[0.0, 0.0, pole]])
    torch.testing.assert_close(head.scalars(around), head.scalars(at).expand(50, -1), atol=1e-4, rtol=0)
    row = head.grid[:, -1 if pole > 0 else 0]
    torch.testing.assert_close(head.scalars(at)[0], row.mean(1), atol=1e-5, rtol=0)


def test_a_checkpoint_of_floats_can_be_continued(generator):
    net, other = scrambled(network(), generator), network(seed=1)
    other.load_state_dict(net.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert all(v.dtype == torch.float32 for v in net.state_dict().values())


@pytest.mark.parametrize("bits", [8, 32])
def test_what_is_stored_gives_exactly_the_same_output(bits, generator):
    config = dataclasses.replace(TINY, bits=bits)
    net = scrambled(network(config), generator)
    head = scrambled(modulated.Readout(FEATURES, net.config, generator), generator)
    assert {v.dtype for v in net.stored().values() if v.dim() > 1} == {torch.int8 if bits == 8 else torch.float32}
    other = network(config, seed=1)
    other_head = modulated.Readout(FEATURES, other.config, generator)
    other.restore(net.stored())
    other_head.restore(head.stored())
    x, d = torch.rand(500, 3, generator=generator), directions(500, generator)
    features = net.features(x)
    assert torch.equal(features, other.features(x))
    assert torch.equal(head.color(features, d), other_head.color(features, d))
    again = other.stored()
    assert all(torch.equal(v, again[k]) for k, v in net.stored().items())


def test_a_base_field_needs_less_than_half_a_megabyte():
    with torch.device("meta"):
        net = Network(PRESETS["base"], 3, None)
        tensors = [*net.stored().values(), *modulated.Readout(FEATURES, net.config, None).stored().values()]
    size = sum(v.numel() * v.element_size() for v in tensors)
    assert 400_000 < size < 500_000


def test_entries_out_of_range_are_refused():
    with pytest.raises(ValueError, match="cam: skip must be a whole number from 0 to 2, found 3"):
        dataclasses.replace(TINY, skip=3)
    with pytest.raises(ValueError, match="cam: bits must be 8 or 32, found 6"):
        dataclasses.replace(TINY, bits=6)
    with pytest.raises(ValueError, match="cam: azimuths must be a whole number from 3 to 64, found 2"):
        Config(azimuths=2)
