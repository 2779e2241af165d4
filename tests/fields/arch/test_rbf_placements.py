"""RBF: both placements, and kernels that find the scene."""

import dataclasses

import pytest
import torch

from fields.arch import rbf
from fields.arch.rbf import PRESETS, SPREAD, SUPPORT, Config, GaussianReadout, Network, SpaceKernels, frames
from fields.files import Header, Model, ModelError, load, save
from fields.kernels.wendland import reach, unpacked
from fields.shape import Shape
from fields.space import Space

BOX = torch.tensor([[0.1, 0.2, 0.0], [0.9, 0.8, 1.0]])
SPACE = PRESETS["space-tiny"]
RADIUS = 0.3


def ball(x):
    """Opacity of a solid ball in the middle of the box."""
    return ((x - 0.5).norm(dim=-1) < RADIUS).float()


def sphere(x):
    """Opacity of a thin shell."""
    return (((x - 0.5).norm(dim=-1) - RADIUS).abs() < 0.01).float()


def placed(generator, config=SPACE):
    return Network(config, 3, generator).grown(sphere, generator)


def placed_field(generator):
    field = Shape("rbf", SPACE).build(Space(BOX), generator)
    field.architecture = field.architecture.grown(sphere, generator)
    return field


def written(field, path):
    config = dataclasses.asdict(field.architecture.config)
    header = Header("rbf", config, BOX.tolist(), 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0, 1.0, 1.0])
    save(path, Model(field, torch.zeros(1, 64**3 // 8, dtype=torch.uint8), header))


def test_the_readout_starts_at_zero_and_answers_to_tiny_features(generator):
    readout = GaussianReadout(8, 32, 16, generator)
    features = (torch.rand(100, 8, generator=generator) * 2 - 1) * 1e-4
    with torch.autocast("cpu", torch.bfloat16):
        values = readout(features)
    assert values.dtype == torch.float32  # bf16 would round all of these to one value
    assert float(values.detach().abs().max()) < 1e-2
    assert len(values[:, 0].unique()) > 50


def test_neurons_part_from_each_other(generator):
    """Learning a step of two features, at the features' own starting size: centres must spread, none may die."""
    readout = GaussianReadout(2, 16, 1, generator)
    table = torch.nn.Parameter((torch.rand(64, 2, generator=generator) * 2 - 1) * 1e-4)
    want = (torch.arange(64) % 3 - 1.0)[:, None] * 3
    adam = torch.optim.Adam([*readout.parameters(), table], 2e-2)
    for _ in range(200):
        adam.zero_grad()
        loss = (readout(table) - want).square().mean()
        loss.backward()
        adam.step()
    assert float(loss.detach()) < 0.1  # 6 at the start
    assert float(torch.pdist(readout.centres.detach()).min()) > 1e-2


def test_the_spectrum_of_the_untrained_network_follows_the_bandwidth(generator):
    line = torch.full((4096, 3), 0.37)
    line[:, 0] = (torch.arange(4096) + 0.5) / 4096
    means = []
    for bandwidth in Network.bandwidths[1:]:
        config = dataclasses.replace(PRESETS["small"], bandwidth=bandwidth)
        values = Network(config, 3, generator).features(line).detach()
        power = torch.fft.rfft(values - values.mean(0), dim=0).abs().square().sum(1)
        means.append(float((power * torch.arange(len(power))).sum() / power.sum()))
    assert means == sorted(means)
    assert means[-1] > 3 * means[0]


def test_grown_puts_kernels_where_the_scene_is(generator):
    network = placed(generator)
    kernels = network.beside[0]
    away = ((kernels.centres - 0.5).norm(dim=-1) - RADIUS).abs()
    assert float(away.max()) < 0.05  # a cluster's mean lies inside the sphere, by its sagitta
    assert network.config == dataclasses.replace(SPACE, placed=True) == Network.final(SPACE)
    assert network.growth == ()
    assert network.grown(sphere, generator) is network
    thin = torch.linalg.inv(unpacked(kernels.shapes)) / SUPPORT
    spread = torch.linalg.svdvals(thin)
    assert float(spread.min()) > SPREAD[0] * 0.99
    assert float(spread.max()) < SPREAD[1] * 1.01
    flat = (unpacked(kernels.shapes) @ torch.nn.functional.normalize(kernels.centres - 0.5, dim=-1)[..., None]).norm(
        dim=1
    )
    assert bool((flat[:, 0] > 1.5 / spread.amax(-1) / SUPPORT).all())  # across the shell kernels are thin


def test_kernels_go_where_features_change(generator):
    network = Network(SPACE, 3, generator)
    network.steepness = lambda x: (x[:, 0] > 0.5).float() + 0.01  # type: ignore[method-assign]
    kernels = network.grown(ball, generator).beside[0]
    assert float((kernels.centres[:, 0] > 0.5).float().mean()) > 0.9


def test_grown_keeps_what_was_learnt(generator):
    network = Network(SPACE, 3, generator)
    with torch.no_grad():
        network.table.copy_(torch.randn(network.table.shape, generator=generator))
    x = torch.rand(500, 3, generator=generator)
    before, after = network.features(x), network.grown(sphere, generator).features(x)
    torch.testing.assert_close(after, before, atol=2e-3, rtol=0)  # coefficients begin within 1e-4, columns within 1


def test_grown_without_a_scene_spreads_kernels_over_the_box(generator):
    kernels = Network(SPACE, 3, generator).grown(lambda x: torch.zeros(len(x)), generator).beside[0]
    assert bool((kernels.centres.std(0) > 0.15).all())


def test_frames_are_clipped_and_turned(generator):
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    covariance = turn @ torch.diag(torch.tensor([0.0, 0.3 * 0.05**2, 9.0])) @ turn.T
    upper = unpacked(frames(covariance[None]))[0]
    want = torch.tensor([SPREAD[0], 0.05, SPREAD[1]]) * SUPPORT
    torch.testing.assert_close((upper @ turn).norm(dim=0), 1 / want, rtol=1e-3, atol=0)
    assert bool((reach(frames(covariance[None])) < SPREAD[1] * SUPPORT * 1.001).all())


@pytest.mark.parametrize("points", [0, 1, 65])
def test_space_shapes_ranges_and_types(points, generator):
    field = placed_field(generator)
    sigma, features = field.density(torch.rand(points, 3, generator=generator))
    assert sigma.shape == (points,)
    assert features.shape == (points, field.architecture.width)
    assert sigma.dtype == torch.float32
    assert bool((sigma >= 0).all())


@pytest.mark.parametrize("grow", [False, True])
def test_space_every_parameter_gets_a_gradient(grow, generator):
    field = placed_field(generator) if grow else Shape("rbf", SPACE).build(Space(BOX), generator)
    x = torch.rand(4000, 3, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1)
    sigma, features = field.density(x)
    (sigma.sum() + field.color(features, d).square().sum()).backward()
    for label, parameter in field.named_parameters():
        assert parameter.grad is not None, label
        assert bool(parameter.grad.abs().sum() > 0), label


def test_space_density_has_the_gradient_of_its_point(generator):
    field = placed_field(generator).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    x = (torch.rand(40, 3, generator=generator) * 0.5 + 0.25).double().requires_grad_()
    (got,) = torch.autograd.grad(field.density(x)[1].sum(), x)
    assert bool((field.architecture.beside[0](field.space.unit(x)) != 0).any())
    h = 1e-7
    for axis in range(3):
        push = torch.zeros(3).double()
        push[axis] = h
        want = (field.density(x + push)[1] - field.density(x - push)[1]).sum(-1) / (2 * h)
        torch.testing.assert_close(got[:, axis], want.detach(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("grow", [False, True])
def test_space_a_saved_field_is_the_same_field(grow, generator, tmp_path):
    field = placed_field(generator) if grow else Shape("rbf", SPACE).build(Space(BOX), generator)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    written(field, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors").field
    x = torch.rand(500, 3, generator=generator)
    assert all(torch.equal(a, b) for a, b in zip(field.density(x), again.density(x), strict=True))


def test_lists_are_made_anew_after_load_state_dict(generator):
    network, other = placed(generator), Network(Network.final(SPACE), 3, torch.Generator().manual_seed(9))
    x = torch.rand(500, 3, generator=generator)
    assert not torch.equal(other.beside[0].members, network.beside[0].members)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.beside[0].members, network.beside[0].members)
    assert torch.equal(other.features(x), network.features(x))


def test_a_file_with_impossible_shapes_is_refused(generator, tmp_path):
    field = placed_field(generator)
    field.architecture.beside[0].shapes[3, 5] = -1.0
    written(field, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"shapes of kernels must have a diagonal of 0.1 to 100000"):
        load(tmp_path / "a.safetensors")


def test_kernels_that_all_overlap_or_lie_far_away_are_refused(generator, monkeypatch):
    kernels = SpaceKernels(64, 4, generator)
    with pytest.raises(ValueError, match="centres of kernels must lie within 2"):
        kernels.place(kernels.centres + 1e30, kernels.shapes)
    kernels = SpaceKernels(64, 4, generator)
    monkeypatch.setattr(rbf, "CROWD", 50)
    with pytest.raises(ValueError, match="rbf: 64 kernels overlap at a point, on average; at most 50 may"):
        kernels.place(kernels.centres, torch.tensor([0.1, 0, 0, 0.1, 0, 0.1]).repeat(64, 1))


def test_the_same_seed_gives_the_same_kernels():
    one, two = (placed(torch.Generator().manual_seed(3)).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", [n for n in PRESETS if n != "space-tiny"])
def test_presets_have_the_shapes_that_their_config_tells(name):
    with torch.device("meta"):
        network = Network(Network.final(PRESETS[name]), 3, None)
        count = sum(v.numel() for v in network.stored().values())
    assert 1e4 < count < 2e8


def test_the_space_form_has_the_published_size():
    with torch.device("meta"):
        network = Network(Network.final(PRESETS["space-base"]), 3, None)
    assert sum(v.numel() for v in network.stored().values()) == pytest.approx(17.74e6, rel=0.02)


def test_wrong_entries_are_told():
    with pytest.raises(ValueError, match="rbf: placement must be features or space, found 'spac'"):
        Config(placement="spac")
    with pytest.raises(ValueError, match="rbf: placed must be False where placement is features, found True"):
        Config(placed=True)
    with pytest.raises(ValueError, match=r"rbf: bandwidth must be a number from 32 to 32768, found 8\.0"):
        Config(coarsest=64, bandwidth=8.0)
    with pytest.raises(ValueError, match="rbf: placement space wants 3 coordinates, found 2"):
        Network(SPACE, 2, None)


def test_features_that_are_no_numbers_do_not_stop_growth(generator):
    network = Network(SPACE, 3, generator)
    with torch.no_grad():
        network.table.fill_(torch.nan)
    assert bool(torch.isfinite(network.grown(sphere, generator).beside[0].centres).all())
