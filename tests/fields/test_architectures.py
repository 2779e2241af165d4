"""The contract that every architecture keeps. A new file in fields/arch is under test the moment it exists."""

import dataclasses

import pytest
import torch

import fields
from fields.base import Architecture
from fields.files import Header, Model, ModelError, load, save
from fields.shape import preset
from fields.space import Space

BOX = torch.tensor([[0.1, 0.2, 0.0], [0.9, 0.8, 1.0]])


def field_of(name, generator):
    return preset(name, "tiny").build(Space(BOX), generator)


@pytest.mark.parametrize("name", fields.NAMES)
@pytest.mark.parametrize("points", [0, 1, 65])
def test_shapes_ranges_and_types(name, points, generator):
    field = field_of(name, generator)
    x = torch.rand(points, 3, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(points, 3, generator=generator), dim=-1)
    sigma, features = field.density(x)
    rgb = field.color(features, d)
    assert sigma.shape == (points,)
    assert features.shape == (points, field.architecture.width)
    assert rgb.shape == (points, 3)
    assert sigma.dtype == rgb.dtype == torch.float32
    assert bool((sigma >= 0).all())
    assert bool(((rgb >= 0) & (rgb <= 1)).all())


@pytest.mark.parametrize("name", fields.NAMES)
def test_every_parameter_gets_a_gradient(name, generator):
    field = field_of(name, generator)
    x = torch.rand(4000, 3, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1)
    sigma, features = field.density(x)
    (sigma.sum() + field.color(features, d).square().sum()).backward()
    for label, parameter in field.named_parameters():
        assert parameter.grad is not None, label
        assert bool(parameter.grad.abs().sum() > 0), label


@pytest.mark.parametrize("name", fields.NAMES)
def test_density_has_the_gradient_of_its_point(name, generator):
    field = field_of(name, generator).double()
    with torch.no_grad():  # large weights, so that differences stand above rounding
        for parameter in field.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    x = (torch.rand(20, 3, generator=generator) * 0.5 + 0.25).double().requires_grad_()
    (got,) = torch.autograd.grad(field.density(x)[1].sum(), x)
    h = 1e-7
    for axis in range(3):
        push = torch.zeros(3).double()
        push[axis] = h
        want = (field.density(x + push)[1] - field.density(x - push)[1]).sum(-1) / (2 * h)
        torch.testing.assert_close(got[:, axis], want.detach(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", fields.NAMES)
def test_same_seed_same_field(name):
    one, two = (field_of(name, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    other = field_of(name, torch.Generator().manual_seed(4))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", fields.NAMES)
def test_a_saved_field_is_the_same_field(name, generator, tmp_path):
    field = field_of(name, generator)
    config = dataclasses.asdict(fields.module(name).PRESETS["tiny"])
    header = Header(name, config, BOX.tolist(), 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0, 1.0, 1.0])
    save(tmp_path / "a.safetensors", Model(field, torch.zeros(1, 64**3 // 8, dtype=torch.uint8), header))
    again = load(tmp_path / "a.safetensors").field
    x = torch.rand(50, 3, generator=generator)
    assert all(torch.equal(a, b) for a, b in zip(field.density(x), again.density(x), strict=True))


def ball(x):
    """Opacity of a ball in the middle of the unit box."""
    return ((x - 0.5).square().sum(-1) < 0.3**2).float() * 0.5


@pytest.mark.parametrize("name", fields.NAMES)
def test_growth_keeps_the_contract(name, generator, tmp_path):
    field = field_of(name, generator)
    shares = field.architecture.growth
    assert list(shares) == sorted(set(shares))
    assert all(0 < share < 1 for share in shares)
    for _ in shares:
        field.architecture = field.architecture.grown(ball, generator)
    config = dataclasses.asdict(field.architecture.config)
    assert preset(name, "tiny").final.parameters >= field.parameter_count()
    header = Header(name, config, BOX.tolist(), 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0, 1.0, 1.0])
    save(tmp_path / "a.safetensors", Model(field, torch.zeros(1, 64**3 // 8, dtype=torch.uint8), header))
    again = load(tmp_path / "a.safetensors").field
    x = torch.rand(4000, 3, generator=generator)
    assert all(torch.equal(a, b) for a, b in zip(field.density(x), again.density(x), strict=True))
    sigma, features = field.density(x)
    (sigma.sum() + features.square().sum()).backward()
    for label, parameter in field.architecture.named_parameters():
        assert parameter.grad is not None, label


@pytest.mark.parametrize("name", fields.NAMES)
def test_a_checkpoint_of_a_grown_field_fits_a_field_of_its_config(name, generator):
    field = field_of(name, generator)
    for _ in field.architecture.growth:
        field.architecture = field.architecture.grown(ball, generator)
    module = fields.module(name)
    other = module.Network(module.Config(**dataclasses.asdict(field.architecture.config)), 3, None)
    other.load_state_dict(field.architecture.state_dict())
    x = torch.rand(500, 3, generator=generator)
    assert torch.equal(field.architecture.features(x), other.features(x))


@pytest.mark.parametrize("name", fields.NAMES)
def test_the_penalty_is_a_finite_number_that_has_a_gradient_or_is_zero(name, generator):
    network = field_of(name, generator).architecture
    value = network.penalty(generator)
    assert value.shape == ()
    assert float(value.detach()) >= 0
    if value.requires_grad:
        value.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)
    else:
        assert float(value) == 0


@pytest.mark.parametrize("name", fields.NAMES)
def test_rates_name_parameters_and_bandwidths_fit_the_config(name, generator):
    network = field_of(name, generator).architecture
    names = [label for label, _ in network.named_parameters()]
    for prefix, rate in network.rates.items():
        assert any(label.startswith(prefix) for label in names), prefix
        assert 0 < rate < 1
    for bandwidth in network.bandwidths:
        dataclasses.replace(network.config, bandwidth=bandwidth)


@pytest.mark.parametrize("name", fields.NAMES)
def test_a_file_of_another_architecture_says_so(name, generator, tmp_path):
    other = next(n for n in fields.NAMES if n != name) if len(fields.NAMES) > 1 else "hashgrid"
    config = dataclasses.asdict(fields.module(name).PRESETS["tiny"])
    header = Header(other, config, BOX.tolist(), 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0, 1.0, 1.0])
    bits = torch.zeros(1, 64**3 // 8, dtype=torch.uint8)
    save(tmp_path / "a.safetensors", Model(field_of(name, generator), bits, header))
    if other != name:
        with pytest.raises(ModelError, match=other):
            load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", fields.NAMES)
def test_presets_are_configs_and_a_misspelt_entry_is_rejected(name):
    module = fields.module(name)
    assert set(module.PRESETS) >= {"tiny", "small", "base", "large"}
    assert issubclass(module.Network, Architecture)
    for config in module.PRESETS.values():
        assert module.Config(**dataclasses.asdict(config)) == config
    with pytest.raises(TypeError, match="levls"):
        module.Config(levls=3)


def test_hashgrid_says_which_entry_is_out_of_range():
    config = fields.module("hashgrid").Config
    with pytest.raises(ValueError, match=r"hashgrid: table_bits must be a whole number from 8 to 24, found 40"):
        config(table_bits=40)
    with pytest.raises(ValueError, match=r"channels must be 1, 2, 4 or 8, found 3"):
        config(channels=3)
    with pytest.raises(ValueError, match=r"finest must be a whole number from 64 to 65536, found 32"):
        config(coarsest=64, finest=32)


def test_a_misspelt_architecture_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"no architecture is named 'hashgird'; did you mean 'hashgrid'\?"):
        fields.module("hashgird")


def test_a_box_without_volume_is_refused(generator):
    with pytest.raises(ValueError, match="box must be a low and a higher corner"):
        preset("hashgrid", "tiny").build(Space(torch.zeros(2, 3)), generator)
