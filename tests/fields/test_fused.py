"""The fused field against the same field op by op, for every architecture that has device functions."""

import dataclasses
import sys

import pytest
import torch
import triton
import triton.language as tl
from torch import nn

import fields
from fields import fused
from fields.base import FEATURES, Architecture
from fields.field import Field
from fields.heads import radiance
from fields.kernels.tiles_cuda import linear_grad, matrix
from fields.operands import Operands
from fields.shape import Shape, preset
from fields.space import Space

BOX = torch.tensor([[0.1, 0.2, 0.0], [0.9, 0.8, 1.2]])
CASES = [(torch.float32, 0), (torch.float32, 1), (torch.float32, 17)]  # points; a tile of float32 holds 16,
CASES += [(torch.float16, 1), (torch.float16, 64), (torch.float16, 130), (torch.bfloat16, 63)]  # one of halves 64
SHAPES = {name: (name, "tiny", {}) for name in fields.NAMES}
SHAPES |= {  # few levels and kernels: the interpreter goes through them one by one
    "hashgrid": ("hashgrid", "tiny", {"levels": 2}),
    "rbf": ("rbf", "tiny", {"levels": 2}),
    "rbf-space": ("rbf", "space-tiny", {"levels": 2, "kernels": 8, "placed": True}),
    "triplane-sum": ("triplane", "tiny", {"combine": "sum"}),
    "voxels-radiance": ("voxels", "tiny", {}, "radiance"),  # 13 features
}
# Of the largest value, and of the length of a gradient: 2^-24, 2^-11 and 2^-8, times sums and layers; and in
# halves a neuron or two that is switched on there and off here, a few percent of a gradient of so few points.
FAR = {torch.float32: (2e-5, 2e-5), torch.float16: (4e-3, 6e-2), torch.bfloat16: (3e-2, 0.2)}


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):  # noqa: PLR0913
    """A linear map of the point: all that a new architecture must bring."""
    return tl.dot(point(x, y, z), tl.trans(matrix(weights[0], 16, 3, 3)).to(tl.float32), input_precision="ieee")


@triton.jit
def point(x, y, z):
    place = tl.arange(0, 16)[None, :]
    others = tl.where(place == 1, y[:, None], tl.where(place == 2, z[:, None], 0.0))
    return tl.where(place == 0, x[:, None], others)


@triton.jit
def features_grad(  # noqa: PLR0913
    x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr
):
    """See `features`."""
    linear_grad(point(x, y, z), grad, weights[0], weight_grads[0], 16, 3, 3)


class Linear(Architecture):
    """Toy: features are a linear map of the point."""

    config, rate = None, 1e-2

    def __init__(self, generator):
        super().__init__()
        self.map = nn.Parameter(torch.randn(FEATURES, 3, generator=generator))

    def features(self, x):
        return x @ self.map.T

    def operands(self):
        return Operands((), (self.map,), (), (), FEATURES)


class Bare(Linear):
    """A toy without a fused form."""

    def operands(self):
        return None


Linear.__module__, Bare.__module__ = (
    "linear",
    "bare",
)  # as if it lay in a file of its own, and its device functions beside it
sys.modules["linear_cuda"] = sys.modules[__name__]


def made(name, generator, device):
    """A field whose parameters are of a size at which every one matters."""
    if name in {"toy", "bare"}:
        network = {"toy": Linear, "bare": Bare}[name](generator)
        field = Field(network, radiance.Readout(FEATURES, None, generator), Space(BOX))
    else:
        name, size, changes, *head = SHAPES[name]
        shape = Shape(name, dataclasses.replace(preset(name, size).config, **changes), *head)
        field = shape.build(Space(BOX), generator)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.copy_(parameter.half())
        for parameter in field.head.parameters():
            parameter.copy_(parameter.half())
    return field.to(device)


def asked(count, generator, device):
    """Points (N, 3), some outside the box, directions (N, 3), and gradients of sigma (N,) and of RGB (N, 3)."""
    x = torch.rand(count, 3, generator=generator) * 1.4 - 0.1
    d = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    pushes = torch.randn(count, generator=generator), torch.randn(count, 3, generator=generator)
    return [v.to(device) for v in (x, d, *pushes)]


def answers(found, field, for_sigma, for_rgb):
    """Densities, colours, and the gradient of every parameter by its name."""
    sigma, rgb = found
    names, parameters = zip(*field.named_parameters(), strict=True)
    loss = (sigma * for_sigma).sum() + (rgb * for_rgb).sum()
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {"sigma": sigma.detach(), "rgb": rgb.detach(), **dict(zip(names, grads, strict=True))}


def agree(got, want, half):
    """Values one by one, gradients as vectors."""
    for name, value in want.items():
        far = (got[name] - value).abs().max() if name in {"sigma", "rgb"} and len(value) else (got[name] - value).norm()
        size = value.abs().max() if name in {"sigma", "rgb"} and len(value) else value.norm()
        assert float(far) <= FAR[half][name not in {"sigma", "rgb"}] * float(size), name


def cases():
    """Architectures that have a fused form, once each in halves."""
    own = torch.Generator().manual_seed(0)
    found = [n for n in SHAPES if fused.fusible(made(n, own, torch.device("cpu")))]
    return [(n, 17, torch.float32) for n in found] + [(n, 65, torch.float16) for n in found if n in fields.NAMES]


@pytest.mark.parametrize(("name", "count", "half"), cases(), ids=str)
def test_the_fused_field_is_the_field(name, count, half, generator, device):
    field = made(name, generator, device)
    x, d, *pushes = asked(count, generator, device)
    want = answers(field.radiance(x, d), field, *pushes)
    got = answers(fused.radiance(field, x, d, fused.Asking(half)), field, *pushes)
    agree(got, want, half)


@pytest.mark.parametrize(("half", "count"), CASES, ids=str)
def test_any_number_of_points_with_gradients_and_without(count, half, generator, device):
    if half == torch.bfloat16 and device.type == "cpu":
        pytest.skip("Triton's interpreter multiplies bfloat16 as whole numbers")
    field = made("toy", generator, device)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.copy_(parameter.to(half))
    x, d, *pushes = asked(count, generator, device)
    want = answers(field.radiance(x, d), field, *pushes)
    got = answers(fused.radiance(field, x, d, fused.Asking(half)), field, *pushes)
    agree(got, want, half)
    with torch.no_grad():
        sigma, rgb = fused.radiance(field, x, d, fused.Asking(half))
    assert torch.equal(sigma, got["sigma"])
    assert torch.equal(rgb, got["rgb"])
    assert torch.equal(fused.thickness(field, x, fused.Asking(half)), sigma)


def test_the_slope_of_density_is_held_where_log_density_is_far_from_zero(generator, device):
    field = made("toy", generator, device)
    with torch.no_grad():
        field.architecture.map[0] = 12
    x, d, *pushes = asked(17, generator, device)
    want = answers(field.radiance(x, d), field, *pushes)
    assert float(want["sigma"].log().max()) > 16
    got = answers(fused.radiance(field, x, d, fused.Asking(torch.float32)), field, *pushes)
    torch.testing.assert_close(got["sigma"], want["sigma"], rtol=1e-4, atol=0)  # an exponential of up to 40, in float32
    torch.testing.assert_close(got["architecture.map"], want["architecture.map"], rtol=1e-4, atol=0.1)


def test_a_contracted_space(generator, device):
    field = made("toy", generator, device)
    field.space = Space(BOX, "sphere").to(device)
    x, d, *pushes = asked(130, generator, device)
    x *= 3  # most lie outside the ball
    want = answers(field.radiance(x, d), field, *pushes)
    agree(answers(fused.radiance(field, x, d, fused.Asking(torch.float32)), field, *pushes), want, torch.float32)
    assert torch.equal(fused.thickness(field, x), fused.radiance(field, x, d)[0])


def test_a_field_of_other_coordinates_has_no_fused_form(generator):
    field = made("toy", generator, torch.device("cpu"))
    assert fused.fusible(field)
    field.space = Space(BOX, span=(0.0, 1.0))
    assert not fused.fusible(field)


def test_points_past_the_limit_are_not_asked(generator, device):
    field = made("toy", generator, device)
    x, d, *pushes = asked(130, generator, device)
    want = answers(fused.radiance(field, x[:70], d[:70]), field, *(p[:70] for p in pushes))
    x[70:], d[70:] = torch.nan, torch.nan  # memory that nobody has written
    asking = fused.Asking(limit=torch.tensor(70, device=device))
    got = answers(fused.radiance(field, x, d, asking), field, *pushes)
    assert bool((got["sigma"][70:] == 0).all())
    assert bool((got["rgb"][70:] == 0).all())
    agree({**got, "sigma": got["sigma"][:70], "rgb": got["rgb"][:70]}, want, torch.float32)  # but for the order of sums
    assert bool((fused.thickness(field, x, asking)[70:] == 0).all())


def test_copies_of_parameters_are_read_instead_of_them(generator, device):
    field = made("toy", generator, device)
    x, *_ = asked(20, generator, device)
    other = (field.architecture.map.detach() + 1).half()
    got = fused.thickness(field, x, fused.Asking(copies={field.architecture.map: other}))
    with torch.no_grad():
        field.architecture.map.copy_(other)
    assert torch.equal(got, fused.thickness(field, x))


def test_frozen_parameters_get_no_gradient(generator, device):
    field = made("toy", generator, device)
    field.head.requires_grad_(False)
    x, d, *_ = asked(20, generator, device)
    sum(v.sum() for v in fused.radiance(field, x, d)).backward()
    assert field.architecture.map.grad is not None
    assert all(p.grad is None for p in field.head.parameters())
    field.requires_grad_(False)
    assert not fused.radiance(field, x, d)[0].requires_grad


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy's, where kernels are interpreted
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_arrive(bad, generator, device):
    field = made("toy", generator, device)
    x, d, for_sigma, for_rgb = asked(70, generator, device)
    for_sigma[68] = bad
    got = answers(fused.radiance(field, x, d), field, for_sigma, for_rgb)
    assert not bool(torch.isfinite(got["architecture.map"][0]).any())
    for_sigma[68], for_rgb[3, 2] = 0, bad
    got = answers(fused.radiance(field, x, d), field, for_sigma, for_rgb)
    assert not bool(torch.isfinite(got["head.network.layers.2"][2]).any())


@pytest.mark.parametrize("size", [1e-12, 1e8])
def test_the_size_of_gradients_does_not_matter(size, generator, device):
    field = made("toy", generator, device)
    x, d, *pushes = asked(70, generator, device)
    want = answers(fused.radiance(field, x, d), field, *pushes)
    got = answers(fused.radiance(field, x, d), field, *(p * size for p in pushes))
    for name, _ in field.named_parameters():
        torch.testing.assert_close(got[name] / size, want[name], rtol=2e-2, atol=2e-3 * want[name].abs().max().item())


def test_who_suits(generator, device):
    field, bare = made("toy", generator, device), made("bare", generator, device)
    x, d, *_ = asked(20, generator, device)
    with torch.autocast(device.type, torch.bfloat16):
        assert fused.suits(field, x, d) == (device.type == "cuda" and fused.TRITON)
        assert not fused.suits(bare, x, d)
        assert not fused.suits(field, x.requires_grad_(), d)
    assert not fused.suits(field, x, d)
    with pytest.raises(ValueError, match="bare: a fused form was asked for"):
        fused.thickness(bare, x)


def test_the_field_asks_in_one_kernel_where_that_suits(generator, device, monkeypatch):
    monkeypatch.setattr(fused, "suits", lambda field, *points: True)
    field = made("toy", generator, device)
    x, d, *_ = asked(20, generator, device)
    assert all(torch.equal(a, b) for a, b in zip(field.radiance(x, d), fused.radiance(field, x, d), strict=True))
    with torch.no_grad():
        assert torch.equal(field.thickness(x), fused.thickness(field, x))
    field.thickness(x).sum().backward()
    assert field.architecture.map.grad is not None
