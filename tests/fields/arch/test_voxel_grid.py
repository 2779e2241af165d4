"""Voxels: the head's formula, growth, what is pruned, the penalty, and files of pruned networks."""

import dataclasses
import math

import pytest
import torch

import fields
from fields.arch import voxels
from fields.arch.voxels import Config, Network, fewest, spread, variation
from fields.encodings import spherical_harmonics
from fields.field import Field
from fields.files import Header, Model, ModelError, load, save
from fields.heads import harmonics
from fields.kernels.voxels import EMPTY
from fields.shape import Shape
from fields.space import Space

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
START = Config(resolution=16, finest=64, degree=1, most=200_000)


def ball(x):
    """Opacity of a ball in the middle of the box."""
    return ((x - 0.5).norm(dim=-1) < 0.3).float()


def shell(x):
    """Opacity of a thin surface: four cells of 1 / 256."""
    return (((x - 0.5).norm(dim=-1) - 0.35).abs() < 2 / 256).float()


def network(generator, config=START):
    result = Network(config, 3, generator)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return result


def saved(path, net):
    shape = (BOX.tolist(), 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0] * 3)
    header = Header("voxels", dataclasses.asdict(net.config), *shape, thumbnail="A" * 64)
    bits = torch.zeros(1, 64**3 // 8, dtype=torch.uint8)
    return save(path, Model(Field(net, harmonics.Readout(net.width, None, None), Space(BOX)), bits, header))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_color_is_a_sigmoid_of_harmonics(degree, generator):
    head = harmonics.Readout(1 + 3 * (degree + 1) ** 2, None, None)
    features = torch.randn(40, head.width, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(40, 3, generator=generator), dim=-1)
    waves = spherical_harmonics(d)[:, : (degree + 1) ** 2]
    want = torch.einsum("nkc,nk->nc", features[:, 1:].view(40, -1, 3), waves).sigmoid()
    torch.testing.assert_close(head.color(features, d), want)
    assert not list(head.parameters())


def test_color_has_a_gradient_where_it_is_nearly_black_or_white():
    features = torch.zeros(2, 13)
    features[:, 1:4] = torch.tensor([-20.0, 20.0])[:, None]
    features.requires_grad_()
    harmonics.Readout(1 + 3 * (1 + 1) ** 2, None, None).color(
        features, torch.tensor([[0.0, 0.0, 1.0]]).expand(2, 3)
    ).sum().backward()
    assert bool((features.grad[:, 1:4] > 0).all())


def test_growing_keeps_the_function_where_there_is_something(generator):
    net = network(generator)
    x = torch.rand(3000, 3, generator=generator)
    inside = ball(x) > 0
    want = net.features(x)[inside]
    for resolution in (32, 64):
        net = net.grown(ball, generator)
        assert net.config.resolution == resolution
        torch.testing.assert_close(net.features(x)[inside], want, atol=1e-5, rtol=0)  # blends of blends, values to 5


def test_growing_keeps_the_whole_function_where_nothing_is_pruned(generator):
    net = network(generator)
    x = torch.rand(500, 3, generator=generator)
    grown = net.grown(lambda p: torch.ones(len(p)), generator)
    assert grown.config.rows == 33**3
    torch.testing.assert_close(grown.features(x), net.features(x), atol=1e-5, rtol=0)


def test_only_opaque_vertices_and_their_neighbours_get_rows(generator):
    net = network(generator).grown(ball, generator)
    place = torch.stack(voxels.places(net.vertices, 33), -1)
    far = ((place / 32 - 0.5).norm(dim=-1) - 0.3).clamp(min=0)
    assert float(far.max()) <= math.sqrt(3) / 32
    opaque = ball(voxels.points(torch.arange(33**3), 33)) > 0
    assert bool((net.index.flatten()[opaque] >= 0).all())
    assert net.config.rows == len(net.density) == len(net.coefficients) < 33**3 / 4
    outside = torch.tensor([[0.02, 0.02, 0.02]])
    torch.testing.assert_close(net.features(outside)[0, 0], torch.tensor(EMPTY))


def test_pruned_space_never_comes_back(generator):
    net = network(generator).grown(ball, generator)
    before = spread(net.index >= 0)
    after = net.grown(lambda p: torch.ones(len(p)), generator).index >= 0
    assert bool((after <= before).all())


def test_spread_holds_the_vertices_that_kept_ones_have_a_share_in():
    kept = torch.zeros(4, 4, 4, dtype=torch.bool)
    kept[1, 2, 0] = True
    want = torch.zeros(7, 7, 7, dtype=torch.bool)
    want[1:4, 3:6, 0:2] = True
    assert torch.equal(spread(kept), want)


def test_growth_never_keeps_more_than_allowed(generator):
    net = network(generator, dataclasses.replace(START, most=1000))
    shaded = lambda p: (0.5 - (p - 0.5).norm(dim=-1)).clamp(min=0)  # noqa: E731
    grown = net.grown(shaded, generator)
    assert 200 < grown.config.rows <= 1000
    middle = torch.tensor([[0.5, 0.5, 0.5]])  # the most opaque is what stays
    torch.testing.assert_close(grown.features(middle), net.features(middle), atol=1e-5, rtol=0)


def test_only_the_last_growth_prunes_what_may_still_form(generator):
    everywhere = lambda p: torch.where(ball(p) > 0, 0.3, 0.004)  # noqa: E731
    net = network(generator).grown(everywhere, generator)
    assert net.config.rows == 33**3
    assert net.grown(everywhere, generator).config.rows < 65**3 / 4


def test_where_all_is_faint_the_less_faint_is_kept(generator):
    net = network(generator, dataclasses.replace(START, finest=32))
    assert 33**3 / 3 < net.grown(lambda p: 0.001 * (1 + p[:, 0]), generator).config.rows < 33**3


def test_opacity_that_is_no_number_counts_as_none(generator):
    net = network(generator)
    spoilt = net.grown(lambda p: torch.where(p[:, 0] < 0.1, torch.nan, ball(p)), generator)
    assert torch.equal(spoilt.index, net.grown(ball, generator).index)


def test_nothing_opaque_changes_nothing(generator):
    net = network(generator)
    assert net.grown(lambda p: torch.zeros(len(p)), generator) is net


def test_base_after_growth_has_rows_for_the_surface_alone(generator):
    base = voxels.PRESETS["base"]
    net = Network(dataclasses.replace(base, degree=0), 3, generator).grown(shell, generator)
    assert net.config.resolution == 256
    surface = 4 * math.pi * (0.35 * 256) ** 2
    assert surface * 4 < net.config.rows < surface * 8  # four vertices thick, and one more on either side
    rows, bits = 257**3, -(-(257**3) // 8)
    held = sum(t.numel() * t.element_size() for t in (*net.parameters(), *net.buffers()))
    assert held < net.config.rows * 4 * 5 + rows * 4 + bits + 100  # tables with row addresses, index, mask
    assert Shape("voxels", base).final.parameters == base.most * 28


def test_growth_is_told_in_shares_and_ends_at_the_finest(generator):
    net = network(generator)
    assert len(net.growth) == 2
    for _ in net.growth:
        net = net.grown(ball, generator)
    assert net.config.resolution == net.config.finest
    assert net.growth == ()


def test_penalty_is_the_mean_length_of_differences(generator):
    net = network(generator)
    rows = net.neighbours(generator)
    assert rows.shape == (round(0.01 * 17**3 / voxels.RUN) * voxels.RUN, 4)
    i, j, k = voxels.places(rows, 17)
    for step, axis in enumerate((i, j, k), 1):
        assert torch.equal(axis[:, step], (axis[:, 0] + 1).clamp(max=16))
    want = (net.density[rows[:, 1:]] - net.density[rows[:, :1]]).square().sum(1).sqrt().mean()
    torch.testing.assert_close(variation(net.density[rows][..., None]), want, atol=1e-4, rtol=0)  # 1e-9 below the root


def test_penalty_moves_few_vertices_and_ends_with_the_last_growth(generator):
    net = network(generator)
    net.penalty(generator).backward()
    touched = float((net.density.grad != 0).float().mean())
    assert 0.005 < touched < 0.05
    assert bool((net.coefficients.grad != 0).any())
    for _ in net.growth:
        net = net.grown(ball, generator)
    assert not net.penalty(generator).requires_grad


def test_penalty_of_a_pruned_grid_asks_kept_vertices_only(generator):
    net = network(generator).grown(ball, generator)
    rows = net.neighbours(generator)
    assert int(rows.min()) >= 0
    assert int(rows.max()) < len(net.density)
    assert bool((rows[:, 1:] == rows[:, :1]).any())  # beside pruned ones
    place = torch.stack(voxels.places(net.vertices[rows], 33), -1)
    assert int((place[:, 1:] - place[:, :1]).sum(-1).max()) == 1


def test_a_pruned_network_comes_back_from_its_file(generator, tmp_path):
    net = network(generator).grown(ball, generator).grown(ball, generator)
    size = saved(tmp_path / "a.safetensors", net)
    assert size < len(net.density) * 13 * 4 + 65**3 / 8 + 40_000  # sparse: rows and bits, no index
    again = load(tmp_path / "a.safetensors").field
    x = torch.rand(500, 3, generator=generator)
    assert torch.equal(again.architecture.features(x), net.features(x))
    assert torch.equal(again.architecture.vertices, net.vertices)
    assert isinstance(again.head, harmonics.Readout)


def test_a_mask_that_does_not_fit_its_rows_is_refused(generator, tmp_path):
    net = network(generator).grown(ball, generator)
    count = len(net.density)
    net.mask[0] ^= 1
    saved(tmp_path / "a.safetensors", net)
    with pytest.raises(ModelError, match=f"voxels: mask keeps {count + 1} vertices; wanted {count}, one for each row"):
        load(tmp_path / "a.safetensors")


def test_weights_restored_into_a_network_of_the_config_bring_their_rows(generator):
    net = network(generator).grown(ball, generator)
    other = Shape("voxels", net.config).build(Space(BOX), generator)
    other.load_state_dict({f"architecture.{k}": v for k, v in net.state_dict().items()})
    assert isinstance(other.architecture, Network)
    assert torch.equal(other.architecture.index, net.index)
    assert torch.equal(other.architecture.vertices, net.vertices)


def test_settings_out_of_range_are_named():
    with pytest.raises(ValueError, match="voxels: finest must be resolution times 1, 2, 4, 8 or 16, found 96"):
        Config(resolution=64, finest=96)
    with pytest.raises(ValueError, match="voxels: rows must be a whole number from 0 to 729, found 730"):
        Config(resolution=8, finest=8, rows=730)
    with pytest.raises(ValueError, match="voxels: degree must be a whole number from 0 to 3, found 4"):
        Config(degree=4)
    with pytest.raises(ValueError, match="voxels: wants points of space, with 3 coordinates, found 2"):
        Network(START, 2, None)


def test_presets_are_as_large_as_they_say():
    counts = {name: Shape("voxels", config).parameters for name, config in voxels.PRESETS.items()}
    assert counts["tiny"] == 9**3 * 13
    assert counts["small"] == 41**3 * 28
    assert all(Network.final(c).resolution == c.finest for c in voxels.PRESETS.values())
    assert "voxels" in fields.NAMES


def test_a_few_rows_do_not_ask_for_the_index_of_a_large_grid(generator):
    with pytest.raises(ValueError, match="rows must be 0 or at least 125469 where resolution is 800, found 8"):
        Config(resolution=800, finest=800, rows=8)
    assert Config(resolution=256, finest=256, rows=8).rows == 8
    assert fewest(512) > 100


def test_growth_that_would_keep_too_few_rows_changes_nothing(generator, monkeypatch):
    net = network(generator)
    monkeypatch.setattr(voxels, "fewest", lambda resolution: 10**9)
    assert net.grown(lambda x: (x[:, 0] > 0.9).float(), generator) is net
