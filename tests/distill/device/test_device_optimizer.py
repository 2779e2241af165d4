"""The optimiser on a GPU against that of the CPU, and against everything that makes the host wait."""

import pytest
import torch
from hostfree import hostfree

import fields
from distill.device import adam_cuda
from distill.learning.learnables import of_field
from distill.learning.optimizer import Optimizer, inner, orthogonal, quintics
from fields.shape import Shape
from fields.space import Space

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
GRID = {"levels": 2, "table_bits": 9, "coarsest": 4, "finest": 12}  # few programs: the interpreter takes 8 ms for one
FIELDS = (("hashgrid", GRID, 0.03), ("mlp", {}, 0.03), ("hashgrid", GRID, 0.0))


def on_a_gpu(learnables, half=None):
    """The optimiser with the arithmetic of a GPU."""
    return Optimizer(learnables, half, adam_cuda)


def field_of(name, changes, rate, device):
    module = fields.module(name)
    shape = Shape(name, module.Config(**vars(module.PRESETS["tiny"]) | changes))
    field = shape.build(Space(BOX), torch.Generator().manual_seed(0))
    field.architecture.matrix_rate = rate
    return field.to(device)


def spoil(field, seed, bad=False):
    """A gradient for every parameter, but the head in every third step; some that are not finite where `bad`."""
    generator = torch.Generator().manual_seed(seed)
    for n, parameter in enumerate(field.parameters()):
        grad = torch.randn(parameter.shape, generator=generator)
        if bad and n == seed % 3:
            grad.view(-1)[seed % grad.numel()] = float("nan")
        parameter.grad = grad.to(parameter.device)
    if seed % 3 == 2:
        for parameter in field.head.parameters():
            parameter.grad = None


def factor_of(value, device):
    return torch.tensor(value, device=device)


def apart(one, two):
    """Largest difference of two fields' parameters."""
    return max(float((a - b).detach().abs().max()) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize(("name", "changes", "rate"), FIELDS)
def test_steps_are_those_of_the_cpu_and_bad_ones_change_nothing(name, changes, rate, device):
    one, two = (field_of(name, changes, rate, device) for _ in range(2))
    ours, theirs = on_a_gpu(of_field(one), torch.float16), Optimizer(of_field(two))
    bad = (2, 3, 7)
    for seed in range(9):
        spoil(one, seed, seed in bad)
        ours.step(factor_of(0.5, device))
        if seed not in bad:
            spoil(two, seed)
            theirs.step(0.5)
    assert apart(one, two) < (1e-3 if device.type == "cuda" and rate else 2e-6)  # float16 turns there, else rounding
    assert (int(ours.skipped), int(ours.row)) == (3, 0)
    assert {id(p) for p in ours.halves} == {id(p) for p in one.parameters()}
    assert all(torch.equal(half, p.detach().half()) for p, half in ours.halves.items())
    assert ("muon" in {key.split(".")[0] for key in ours.state()}) == bool(rate)


@pytest.mark.parametrize(("name", "changes", "rate"), FIELDS[:2])
def test_a_state_moves_both_ways(name, changes, rate, device):
    one, two = (field_of(name, changes, rate, device) for _ in range(2))
    first = Optimizer(of_field(one))
    for seed in range(2):
        spoil(one, seed)
        first.step(1.0)
    two.load_state_dict(one.state_dict())
    second = on_a_gpu(of_field(two), torch.bfloat16)
    places = [value.data_ptr() for _, value in second.kept()]
    second.restore(first.state() | {"weights.architecture.table": torch.zeros(1), "run.counts": torch.zeros(3)})
    assert [value.data_ptr() for _, value in second.kept()] == places  # a captured step goes on with them
    assert all(torch.equal(half, p.detach().bfloat16()) for p, half in second.halves.items())
    kept = second.state()
    for key, value in first.state().items():
        assert kept[key].dtype == value.dtype
        assert torch.equal(kept[key], value), key
    assert set(kept) == set(first.state())
    spoil(one, 3)
    spoil(two, 3)
    first.step(1.0)
    second.step(factor_of(1.0, device))
    assert apart(one, two) < (1e-3 if device.type == "cuda" else 2e-6)
    assert not any(torch.equal(kept[k], v) for k, v in second.state().items())  # what was kept was a copy
    back = Optimizer(of_field(one))
    back.restore(second.state())
    assert all(torch.equal(value, second.state()[key]) for key, value in back.state().items())


def test_what_a_state_does_not_have_begins_at_zero_and_the_row_ends(device):
    field = field_of(*FIELDS[0], device)
    optimizer = on_a_gpu(of_field(field))
    assert not optimizer.halves
    for seed, bad in ((0, False), (1, True)):
        spoil(field, seed, bad)
        optimizer.step(factor_of(1.0, device))
    assert int(optimizer.row) == 1
    optimizer.restore({})
    assert not any(bool(value.any()) for value in optimizer.state().values())
    assert (int(optimizer.row), int(optimizer.skipped)) == (0, 1)


@pytest.mark.parametrize("other", [("mlp", {}, 0.0), ("mlp", {}, 0.03), ("hashgrid", GRID, 0.03)])
def test_the_state_of_other_parameters_is_refused(other, device):
    state = on_a_gpu(of_field(field_of("mlp", {"width": 40}, 0.03, device))).state()
    with pytest.raises(ValueError, match=r"\.\d+\.\w+: \(.*\) kept of a parameter that is"):
        on_a_gpu(of_field(field_of(*other, device))).restore(state)


def test_a_loss_that_is_not_finite_skips_the_step_too(device):
    field = field_of(*FIELDS[0], device)
    optimizer, before = on_a_gpu(of_field(field)), [p.detach().clone() for p in field.parameters()]
    for loss in (1.0, float("inf")):
        spoil(field, 0)
        optimizer.step(factor_of(0.0 if loss == 1 else 1.0, device), torch.tensor(loss, device=device))
    assert (int(optimizer.skipped), int(optimizer.row)) == (1, 1)
    assert all(torch.equal(p, old) for p, old in zip(field.parameters(), before, strict=True))
    optimizer.clear()
    assert all(p.grad is None for p in field.parameters())


def test_the_fused_field_reads_the_copies_that_the_optimiser_keeps(device, generator, monkeypatch):
    monkeypatch.setattr("fields.fused.suits", lambda *_: True)  # as on a GPU, under autocast
    field = field_of(*FIELDS[0], device)
    optimizer = on_a_gpu(of_field(field), torch.float16)
    x, d = torch.rand(20, 3, generator=generator).to(device), torch.ones(20, 3, device=device) / 3**0.5
    spoil(field, 0)
    optimizer.step(factor_of(1.0, device))
    for ask in (lambda: field.radiance(x, d)[1], lambda: field.thickness(x)):
        with torch.no_grad():
            converted = ask()
            with field.copied(optimizer.halves):
                copied = ask()
            with field.copied({p: torch.zeros_like(half) for p, half in optimizer.halves.items()}):
                other = ask()
            assert torch.equal(converted, copied)
            assert bool((converted != other).any())
            assert torch.equal(converted, ask())  # outside they are converted again


@pytest.mark.parametrize(("name", "changes", "rate"), FIELDS[:2])
@pytest.mark.parametrize("seed", [0, 2])  # all gradients, and none of the head
def test_the_host_waits_for_nothing(name, changes, rate, seed, device):
    field = field_of(name, changes, rate, device)
    optimizer, factor, loss = (
        on_a_gpu(of_field(field), torch.float16),
        factor_of(1.0, device),
        factor_of(2.0, device),
    )
    spoil(field, seed)
    before = [p.detach().clone() for p in field.parameters() if p.grad is not None]
    with hostfree():
        optimizer.step(factor, loss)
    moved = [p for p in field.parameters() if p.grad is not None]
    assert all(bool((p != old).any()) for p, old in zip(moved, before, strict=True))


@pytest.mark.parametrize("name", fields.NAMES)
def test_parameters_and_state_are_those_of_the_cpu(name, device):
    field = field_of(name, {}, fields.module(name).Network.matrix_rate, device)
    ours, theirs = on_a_gpu(of_field(field)), Optimizer(of_field(field))
    assert [id(p) for p in ours.parameters()] == [id(p) for p in theirs.parameters()]
    for parameter in field.parameters():
        parameter.grad = torch.zeros_like(parameter)
    theirs.step(1.0)
    shapes = {key: value.shape for key, value in ours.state().items()}
    assert shapes == {key: value.shape for key, value in theirs.state().items()}


@pytest.mark.parametrize("shape", [(3, 64), (64, 31), (64, 64), (17, 5), (1, 1)])
def test_a_matrix_among_zeros_turns_as_it_does_alone(shape, generator, device):
    matrix, other = torch.randn(shape, generator=generator).to(device), torch.randn(64, 64, generator=generator)
    stack = torch.zeros(3, 64, 64, device=device)
    stack[0] = other.to(device)
    inner(stack[1], matrix).copy_(matrix)
    got = orthogonal(stack)
    wide = matrix if shape[0] <= shape[1] else matrix.mT
    alone = orthogonal(wide[None])[0]
    far = 1e-2 if device.type == "cuda" else 1e-5  # float16 there
    torch.testing.assert_close(inner(got[1], matrix), alone if wide is matrix else alone.mT, atol=far, rtol=0)
    assert float(got[1].square().sum()) == pytest.approx(float(inner(got[1], matrix).square().sum()))
    assert not bool(got[2].any())


@pytest.mark.parametrize("shape", [(64, 64), (256, 320)])
def test_float16_suffices_to_turn(shape, generator):
    x = torch.randn(1, *shape, generator=generator)
    x = x / x.norm()
    want = quintics(x)
    error = (quintics(x.half()).float() - want).norm() / want.norm()
    assert float(error) < 5e-3  # bfloat16: 0.02
