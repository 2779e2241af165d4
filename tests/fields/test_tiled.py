"""The fused field on the CPU against the same field op by op in float64, for every architecture and head that has
device functions."""

import copy

import numba
import pytest
import torch

from fields import tiled
from fields.field import Field
from fields.shape import Shape, preset
from fields.space import Space

BOX = torch.tensor([[0.1, 0.2, 0.0], [0.9, 0.8, 1.2]])
SHAPES = {  # architecture, preset, what differs, head
    "hashgrid": ("hashgrid", "tiny", {}, ""),
    "hashgrid-wide": ("hashgrid", "tiny", {"levels": 5, "channels": 8, "width": 72}, ""),
    "triplane": ("triplane", "tiny", {}, ""),
    "triplane-sum": ("triplane", "tiny", {"combine": "sum", "channels": 11, "width": 40}, ""),
    "vm": ("vm", "tiny", {"density_rank": 5}, ""),
    "rbf": ("rbf", "tiny", {"levels": 5, "neurons": 19}, ""),
    "rbf-space": ("rbf", "space-tiny", {"levels": 6, "placed": True}, ""),
    "mlp": ("mlp", "tiny", {"depth": 4, "width": 40, "skip": 2}, ""),
    "cam": ("cam", "tiny", {"width": 40, "skip": 1, "bits": 32}, ""),
    "cam-rounded": ("cam", "tiny", {}, ""),
    "voxels": ("voxels", "tiny", {"rows": 400, "degree": 2}, ""),  # the other vertices are pruned
}
COUNTS = [1, 95, 96, 97, 5000]


def shaped(name: str) -> Shape:
    architecture, size, changes, head = SHAPES[name]
    shape = preset(architecture, size)
    config = type(shape.config)(**{**vars(shape.config), **changes})
    return Shape(architecture, config, head)


def made(name: str, contraction: str = "none") -> Field:
    """A field whose answers vary over the box."""
    generator = torch.Generator().manual_seed(1)
    field = shaped(name).build(Space(BOX, contraction), generator)
    with torch.no_grad():
        for part, parameter in field.named_parameters():
            if part.endswith(("table", "coefficients", "density", "color", "grid")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return field


def asked(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points, some outside of the box, and directions."""
    generator = torch.Generator().manual_seed(count)
    x = torch.rand(count, 3, generator=generator) * 1.4 - 0.2
    return x, torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def op_by_op(field: Field, x, d, kind=torch.float64):
    """A copy of a field in float64 or float32, and its sigma and colours."""
    exact = copy.deepcopy(field).to(kind)
    features = exact.architecture.features(exact.space.unit(x.to(kind)))
    return exact, exact.volume.density(features), exact.volume.color(features, d.to(kind))


def close(got, want, share: float = 2e-5) -> None:
    """Equal within a share of the largest value."""
    assert got.shape == want.shape
    got, want = got.detach().double(), want.detach().double()
    assert float((got - want).abs().max()) <= share * max(float(want.abs().max()), 1e-6)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SHAPES)
def test_values(name, count):
    field, (x, d) = made(name), asked(count)
    assert tiled.suits(field, x, d)
    _, sigma, rgb = op_by_op(field, x, d)
    got, shown = tiled.radiance(field, x, d)
    close(got, sigma)
    close(shown, rgb)
    close(tiled.thickness(field, x), sigma)


@pytest.mark.parametrize("name", SHAPES)
def test_a_contracted_space(name):
    field, (x, d) = made(name, "sphere"), asked(100)
    _, sigma, rgb = op_by_op(field, x * 5, d)
    got, shown = tiled.radiance(field, x * 5, d)
    close(got, sigma, 1e-4)
    close(shown, rgb, 1e-4)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SHAPES)
def test_gradients(name, count):
    field, (x, d) = made(name), asked(count)
    generator = torch.Generator().manual_seed(0)
    for_sigma, for_rgb = torch.randn(count, generator=generator), torch.randn(count, 3, generator=generator)
    for_sigma[: count // 3], for_rgb[: count // 3] = 0, 0  # whole tiles without a gradient, where there are some
    kinds = [torch.float64, torch.float32][
        : 1 + (count > 1000)
    ]  # among many a neuron is on in one and off in the other
    references = [op_by_op(field, x, d, kind) for kind in kinds]
    for _, sigma, rgb in references:
        ((sigma * for_sigma).sum() + (rgb * for_rgb).sum()).backward()
    got, shown = field.radiance(x, d)
    ((got * for_sigma).sum() + (shown * for_rgb).sum()).backward()
    for one, *others in zip(field.parameters(), *(exact.parameters() for exact, _, _ in references), strict=True):
        assert one.grad is not None
        assert one.grad.dtype == torch.float32
        if len(others) == 1:
            close(one.grad, others[0].grad, 5e-5)
        else:
            assert min(float((one.grad - other.grad).norm() / other.grad.norm()) for other in others) <= 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_density_and_colour_apart(name):
    field, (x, d) = made(name), asked(130)
    generator = torch.Generator().manual_seed(0)
    exact, _, _ = op_by_op(field, x, d)
    for one in (field, exact):
        kind = next(one.parameters()).dtype
        sigma, features = one.density(x.to(kind))
        rgb = one.color(features, d.to(kind))
        wanted = (sigma, features, rgb)
        generator.manual_seed(0)
        sum((w * torch.randn(w.shape, generator=generator)).sum() for w in wanted).backward()  # type: ignore[union-attr]
    for one, other in zip(field.parameters(), exact.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        close(one.grad, other.grad, 5e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_what_was_read_serves_again(name):
    field, (x, d) = made(name), asked(3000)
    index = torch.arange(0, 3000, 3)
    sigma, recall = field.glance(x)
    assert recall is not None
    with torch.no_grad():
        assert torch.equal(sigma, field.thickness(x))
    got = recall.at(index).radiance(d, index)
    want = field.radiance(x[index], d[index])
    assert torch.equal(got[0], want[0])
    assert torch.equal(got[1], want[1])
    assert torch.equal(got[0], sigma[index])
    some = recall.at(index).at(torch.tensor([5, 2, 2])).radiance(d[:1], torch.zeros(3, dtype=torch.int64))[0]
    assert torch.equal(some, sigma[[15, 6, 6]])


@pytest.mark.parametrize("name", SHAPES)
def test_no_points(name):
    field, nothing = made(name), torch.zeros(0, 3)
    sigma, rgb = field.radiance(nothing, nothing)
    (sigma.sum() + rgb.sum()).backward()
    assert sigma.shape == (0,)
    assert rgb.shape == (0, 3)
    assert field.thickness(nothing).shape == (0,)
    assert all(p.grad is None or not bool(p.grad.any()) for p in field.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_a_bad_parameter_reaches_the_loss(name):
    field, (x, d) = made(name), asked(200)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter.fill_(torch.nan)
    want = op_by_op(field, x, d)[1].isnan()  # not where all vertices were pruned
    assert bool(want.any())
    assert torch.equal(field.radiance(x, d)[0].isnan(), want)


@pytest.mark.parametrize("name", SHAPES)
def test_results_repeat_whatever_the_number_of_threads(name):
    field, (x, d) = made(name), asked(20000)
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):  # pyright: ignore[reportAttributeAccessIssue]
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        sigma, rgb = field.radiance(x, d)
        grads = torch.autograd.grad(sigma.sum() + rgb.sum(), list(field.parameters()))
        numba.set_num_threads(before)
        results.append((sigma, rgb, *grads))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_a_second_derivative_is_refused():
    field, (x, d) = made("hashgrid"), asked(5)
    for value, part in zip(field.radiance(x, d), (field.architecture, field.head), strict=True):
        first = torch.autograd.grad(value.square().sum(), list(part.parameters()), create_graph=True)
        with pytest.raises(RuntimeError, match="differentiate twice"):
            torch.stack([g.square().sum() for g in first]).sum().backward()


def test_who_is_not_asked_here():
    field, (x, d) = made("hashgrid"), asked(5)
    assert not tiled.suits(field, x.double(), d)
    assert not tiled.suits(copy.deepcopy(field).double(), x, d)
    x.requires_grad_()
    assert not tiled.suits(field, x, d)
    field.radiance(x, d)[0].sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        assert tiled.suits(field, x, d)
