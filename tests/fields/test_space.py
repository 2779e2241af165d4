"""Space: the map into the unit box and back, contracted or not, with and without time."""

import itertools

import pytest
import torch

from fields.shape import preset
from fields.space import CUBE, Space, contract, expand

BOX = torch.tensor([[-1.0, 0.5, 0.0], [2.0, 1.5, 0.25]])
SPACES = [
    Space(box, contraction, span)
    for box, contraction, span in itertools.product((BOX, BOX[:, :2]), ("none", "sphere"), (None, (-1.0, 4.0)))
]


def ids(space):
    return f"{space.dims} {space.contraction} {space.span}"


@pytest.mark.parametrize("space", SPACES, ids=ids)
def test_back_is_the_inverse(space, generator):
    x = torch.randn(500, space.dims, generator=generator).double() * 3
    double = space.to(torch.float64)
    torch.testing.assert_close(double.scene(double.unit(x)), x, atol=1e-9, rtol=1e-9)
    if space.contraction == "sphere":
        inner = x if space.span is None else x[:, :-1]
        assert float((double.unit(x)[:, : inner.shape[1]] - 0.5).norm(dim=-1).max()) < 0.5


def test_the_linear_map_is_the_formula_bit_for_bit(generator):
    x = torch.randn(1000, 3, generator=generator)
    center, side = BOX.mean(0), (BOX[1] - BOX[0]).max()
    assert torch.equal(Space(BOX).unit(x), (x - center) / side + 0.5)
    assert torch.equal(Space(BOX).scene(x), (x - 0.5) * side + center)
    assert torch.equal(CUBE.unit(x), (x - 0.5) / 1 + 0.5)


def test_the_span_of_time_becomes_0_to_1():
    space = Space(BOX, span=(2.0, 6.0))
    got = space.unit(torch.tensor([[0.5, 1.0, 0.125, 2.0], [0.5, 1.0, 0.125, 5.0]]))
    torch.testing.assert_close(got, torch.tensor([[0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 0.75]]))


def test_contraction_by_hand():
    y = torch.tensor([[0.5, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, -4.0], [0.0, 0.0, 0.0]]).double()
    want = torch.tensor([[0.5, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, -1.75], [0.0, 0.0, 0.0]]).double()
    torch.testing.assert_close(contract(y), want)
    torch.testing.assert_close(expand(want), y)
    assert bool(torch.isinf(expand(torch.tensor([[2.0, 0.0, 0.0]]))[0, 0]))


def test_contraction_is_continuous_with_its_slope_at_the_sphere(generator):
    d = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator).double(), dim=-1)
    near = [(d * (1 + side * 1e-7)).requires_grad_() for side in (-1, 1)]
    out = [contract(y) for y in near]
    torch.testing.assert_close(*out, atol=3e-7, rtol=0)
    push = torch.randn(50, 3, generator=generator).double()
    slopes = [torch.autograd.grad(o, y, push)[0] for o, y in zip(out, near, strict=True)]
    torch.testing.assert_close(*slopes, atol=2e-6, rtol=0)


@pytest.mark.parametrize("far", [0.0, 1e-8, 1.0, 1e6])
def test_gradients_of_contraction_are_finite_and_those_of_differences(far, generator):
    y = (torch.nn.functional.normalize(torch.randn(20, 3, generator=generator).double(), dim=-1) * far).requires_grad_()
    (slope,) = torch.autograd.grad(contract(y).sum(), y)
    assert bool(torch.isfinite(slope).all())
    if far == 1e6:
        assert bool((slope.abs() < 1e-5).all())
    if far == 1e-8:
        torch.testing.assert_close(slope, torch.ones_like(slope))
    z = contract(y.detach() * 3 + 1.5).requires_grad_()
    assert torch.autograd.gradcheck(contract, (y.detach() * 3 + 1.5).requires_grad_())
    assert far == 1e6 or torch.autograd.gradcheck(expand, z)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space(torch.zeros(2, 3)), "box must be a low and a higher corner"),
        (lambda: Space(BOX.flip(0)), "box must be a low and a higher corner"),
        (lambda: Space(BOX[:, :1]), "box must be a low and a higher corner"),
        (lambda: Space(BOX * torch.nan), "box must be a low and a higher corner"),
        (lambda: Space(BOX, "cube"), "contraction must be none or sphere, found 'cube'"),
        (lambda: Space(BOX, span=(1.0, 1.0)), "span must be a first and a later moment"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_field_takes_its_space_along(generator):
    field = preset("hashgrid", "tiny").build(Space(BOX), generator)
    moved = field.double().space
    assert moved.center.dtype == moved.side.dtype == moved.box.dtype == torch.float64
    assert torch.equal(moved.center, BOX.mean(0).double())  # as it was rounded


@pytest.mark.parametrize("space", SPACES, ids=ids)
def test_a_field_of_any_space_has_density_and_gradients(space, generator):
    field = preset("mlp", "tiny").build(space, generator)
    x = torch.randn(64, space.dims, generator=generator, requires_grad=True)
    sigma, _ = field.density(x)
    sigma.sum().backward()
    assert bool(torch.isfinite(x.grad).all())
