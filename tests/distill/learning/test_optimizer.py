"""What moves the parameters: who gets which rule, size and direction of steps, exact continuation."""

import pytest
import torch

import fields
from distill.learning.learnables import Group, matrices, of_field
from distill.learning.optimizer import MATCH, MOMENTUM, Muon, Optimizer, orthogonal
from fields.layers import Dense
from fields.shape import Shape
from fields.space import Space

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
SHAPES = [(1, 1), (1, 7), (7, 1), (9, 9), (5, 17), (17, 5), (64, 31)]


def field_of(name, rate, **changes):
    module = fields.module(name)
    shape = Shape(name, module.Config(**vars(module.PRESETS["tiny"]) | changes))
    field = shape.build(Space(BOX), torch.Generator().manual_seed(0))
    field.architecture.matrix_rate = rate
    return field


def muon_of(matrix):
    """What moves one matrix."""
    return Muon((Group("one", (matrix,), 0.1, matrices=True),), None)


def turned(g):
    """One matrix (A, B) for itself, made orthogonal."""
    return orthogonal(g[None])[0] if len(g) <= g.shape[1] else orthogonal(g.mT[None])[0].mT


@torch.no_grad()
def step(muon):
    muon.step(1.0, torch.tensor(True))


def spoil(field, seed):
    """A gradient for every parameter."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in field.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e10])
def test_orthogonal_keeps_directions_and_evens_out_their_sizes(shape, scale, generator):
    rank = min(shape)
    u, _ = torch.linalg.qr(torch.randn(shape[0], rank, generator=generator).double())
    v, _ = torch.linalg.qr(torch.randn(shape[1], rank, generator=generator).double())
    sizes = torch.logspace(-2, 0, rank).double()  # least: above 2e-3 of the norm, from where on the bounds hold
    got = u.T @ turned((u * sizes) @ v.T * scale) @ v
    assert bool(((got.diag() > 0.68) & (got.diag() < 1.21)).all())
    torch.testing.assert_close(got, got.diag().diag(), atol=1e-9, rtol=0)  # float64, fifteen products


def test_zeros_stay_zeros():
    assert torch.equal(turned(torch.zeros(3, 5)), torch.zeros(3, 5))


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_the_library_but_for_its_bfloat16(shape, generator):
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    muon = muon_of(ours)
    settings = {"lr": 0.1, "weight_decay": 0.0, "momentum": MOMENTUM, "adjust_lr_fn": "match_rms_adamw"}
    library = torch.optim.Muon([theirs], **settings)
    for _ in range(4):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        step(muon)
        library.step()
    error = (ours - theirs).detach().norm() / (theirs - start).detach().norm()
    assert float(error) < 0.06  # bfloat16 has 8 bits, and the quintic triples an error once a round near zero


def test_a_step_is_as_large_as_one_of_adam(generator):
    for shape in ((64, 64), (64, 16), (16, 64)):
        matrix = torch.nn.Parameter(torch.zeros(shape))
        matrix.grad = torch.randn(shape, generator=generator)
        step(muon_of(matrix))
        size = float(matrix.detach().square().mean().sqrt())
        assert 0.6 * MATCH * 0.1 < size < 1.21 * MATCH * 0.1, shape  # singular values of 0.68 to 1.2, and few at 0


@pytest.mark.parametrize("name", fields.NAMES)
def test_the_rate_of_matrices_is_a_rate(name):
    assert 0 <= fields.module(name).Network.matrix_rate < 1


@pytest.mark.parametrize("name", fields.NAMES)
@pytest.mark.parametrize("rate", [0.0, 0.03])
def test_every_parameter_is_moved_by_one_rule(name, rate):
    field = field_of(name, rate)
    optimizer = Optimizer(of_field(field))
    assert sorted(map(id, optimizer.parameters())) == sorted(id(p) for p in field.parameters())
    assert {id(p) for p in optimizer.muon.parameters} == {id(p) for p in matrices(field)}
    spoil(field, 0)
    before = [p.detach().clone() for p in field.parameters()]
    optimizer.step(1.0)
    assert all(bool((p != old).any()) for p, old in zip(field.parameters(), before, strict=True))


def test_matrices_are_weights_of_full_layers_and_nothing_else():
    field = field_of("mlp", 0.03, activation="sine", skip=0)
    moved = {id(p) for p in Optimizer(of_field(field)).muon.parameters}
    body = [layer.weight for layer in field.architecture.modules() if isinstance(layer, Dense)]
    assert moved == {id(p) for p in (*body, *field.head.parameters())}
    ridges = field.architecture.get_parameter("read.weight")
    assert id(ridges) not in moved
    assert not matrices(field_of("mlp", 0.0))


def test_layers_that_are_not_learnt_are_left_alone():
    field = field_of("mlp", 0.03, block="hourglass", skip=0)
    assert {id(p) for p in matrices(field)} <= {id(p) for p in field.parameters()}
    spoil(field, 0)
    before = field.architecture.get_buffer("lift.weight").clone()
    Optimizer(of_field(field)).step(1.0)
    assert torch.equal(field.architecture.get_buffer("lift.weight"), before)


def test_the_factor_holds_for_both():
    moved = {}
    for factor in (1.0, 0.25):
        field = field_of("mlp", 0.03)
        before = [p.detach().clone() for p in field.parameters()]
        spoil(field, 0)
        Optimizer(of_field(field)).step(factor)
        moved[factor] = [float((p.detach() - old).norm()) for p, old in zip(field.parameters(), before, strict=True)]
    assert moved[0.25] == pytest.approx([0.25 * size for size in moved[1.0]], rel=1e-3)  # differences of float32


def test_a_parameter_without_gradient_stays():
    field = field_of("mlp", 0.03)
    optimizer = Optimizer(of_field(field))
    for seed in (0, 1):
        spoil(field, seed)
        for parameter in field.head.parameters():
            parameter.grad = None
        head = [p.detach().clone() for p in field.head.parameters()]
        optimizer.step(1.0)
    assert all(torch.equal(p, old) for p, old in zip(field.head.parameters(), head, strict=True))
    optimizer.clear()
    assert all(p.grad is None for p in field.parameters())


@pytest.mark.parametrize("name", ["hashgrid", "mlp"])
def test_a_restored_optimiser_goes_on_bit_for_bit(name):
    one, two = field_of(name, 0.03), field_of(name, 0.03)
    whole = Optimizer(of_field(one))
    for seed in range(3):
        spoil(one, seed)
        whole.step(1.0)
    two.load_state_dict(one.state_dict())
    kept = whole.state()
    assert {key.split(".")[0] for key in kept} == {"muon", "adam"}
    again = Optimizer(of_field(two))
    again.restore(kept | {"weights.architecture.table": torch.zeros(1), "run.counts": torch.zeros(3)})
    for seed in range(3, 6):
        for field, optimizer in ((one, whole), (two, again)):
            spoil(field, seed)
            optimizer.step(0.5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not any(torch.equal(kept[k], v) for k, v in whole.state().items())  # what was kept was a copy


@pytest.mark.parametrize("other", [("mlp", 0.0), ("mlp", 0.03), ("hashgrid", 0.03)])
def test_the_state_of_other_parameters_is_refused(other):
    field = field_of("mlp", 0.03, width=40)
    spoil(field, 0)
    optimizer = Optimizer(of_field(field))
    optimizer.step(1.0)
    with pytest.raises(ValueError, match=r"\.\d+\.\w+: \(.*\) kept of a parameter that is"):
        Optimizer(of_field(field_of(*other))).restore(optimizer.state())
