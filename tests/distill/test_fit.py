"""The loop: schedule, stages, skipping of bad steps, return to a good state, exact continuation."""

import math

import pytest
import torch

import fields
from distill.fit import KEEP, PATIENCE, RETURNS, WARMUP, Loss, Optimization, Schedule, Stage, fit
from fields.base import build

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def new_run(seed=0):
    config = fields.module("hashgrid").PRESETS["tiny"]
    return Optimization(build("hashgrid", config, BOX, torch.Generator().manual_seed(seed)))


def regression(run, spoil=lambda index: 1.0):
    """Density 3 everywhere; `spoil` multiplies the loss of a step."""

    def loss(index):
        factor = spoil(index)
        x = torch.rand(64, 3, generator=torch.Generator().manual_seed(index))
        error = (run.field.density(x)[0] - 3).square().mean()
        return Loss(error * factor, float(error.detach()), 8, 64)

    return loss


def test_the_loss_falls_and_steps_are_counted():
    run = new_run()
    steps = list(fit(run, (Stage("a", 150, regression(run)),), Schedule()))
    assert [s.index for s in steps] == list(range(150))
    assert steps[-1].mse < steps[0].mse / 10
    assert run.index == 150
    assert run.samples == 150 * 64
    assert steps[-1].seconds <= run.seconds
    assert not any(s.trouble for s in steps)


def test_stages_follow_each_other():
    run = new_run()
    stages = (Stage("a", 2, regression(run)), Stage("b", 3, regression(run)))
    assert [s.stage for s in fit(run, stages, Schedule())] == ["a", "a", "b", "b", "b"]


def test_time_ends_a_run_and_moves_its_progress():
    run = new_run()
    steps = list(fit(run, (Stage("a", 10**9, regression(run)),), Schedule(seconds=0.3)))
    assert 0.3 <= run.seconds < 2
    assert steps[-1].progress > 0.5


def test_the_rate_warms_up_holds_and_decays():
    schedule = Schedule(rate=0.02, last=0.1, hold=0.5)
    assert schedule.rate_at(0, 0.0) == pytest.approx(0.02 / WARMUP)
    assert schedule.rate_at(WARMUP, 0.4) == 0.02
    assert schedule.rate_at(10**4, 0.75) == pytest.approx(0.02 * 0.1**0.5)
    assert schedule.rate_at(10**5, 1.0) == pytest.approx(0.002)


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"rate": 2.0}, {"last": 0.0}, {"hold": 1.0}, {"rate": math.nan}])
def test_impossible_schedules(bad):
    with pytest.raises(ValueError, match="schedule wants"):
        Schedule(**bad)


def test_a_bad_step_is_skipped_and_told():
    run = new_run()
    before = []

    def spoil(index):
        if index == 5:
            before.append(run.state())
        return math.nan if index == 5 else 1.0

    for step in fit(run, (Stage("a", 8, regression(run, spoil)),), Schedule()):
        assert bool(step.trouble) == (step.index == 5)
        if step.index == 5:
            assert step.trouble == "loss is not finite"
            kept = run.state()
            assert all(torch.equal(kept[k], v) for k, v in before[0].items() if not k.startswith("run."))
    assert all(bool(torch.isfinite(p).all()) for p in run.field.parameters())


def test_a_gradient_that_is_not_finite_is_skipped_too():
    run = new_run()

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * math.inf

    def loss(index):
        error = run.field.density(torch.rand(9, 3))[0].mean()
        return Loss(Poison.apply(error), 1.0, 1, 9)

    steps = list(fit(run, (Stage("a", 2, loss),), Schedule()))
    assert [s.trouble for s in steps] == ["gradient is not finite"] * 2


def test_poisoned_weights_return_to_the_last_good_state():
    run = new_run()

    def poison(index):
        if index == KEEP + 10:
            with torch.no_grad():
                next(run.field.parameters()).fill_(torch.nan)
        return 1.0

    good = {}
    notes = []
    for step in fit(run, (Stage("a", KEEP + 40, regression(run, poison)),), Schedule()):
        if step.index == KEEP:
            good = run.state()
        if step.trouble:
            notes.append((step.index, step.trouble))
        if len(notes) == PATIENCE + 1 and step.trouble:
            now = run.state()
            assert all(torch.equal(now[k], v) for k, v in good.items() if k.startswith("weights."))
    assert notes[0] == (KEEP + 10, "loss is not finite")
    assert notes[-1][1].endswith(f"went back to the state of step {KEEP}")
    assert len(notes) == PATIENCE + 1
    assert run.index == KEEP + 40


def test_a_hopeless_run_ends_with_its_reason():
    run = new_run()
    stages = (Stage("a", 10**4, regression(run, lambda index: math.nan)),)
    with pytest.raises(ValueError, match=r"training diverged at step .*: loss is not finite"):
        list(fit(run, stages, Schedule()))
    assert run.index == (PATIENCE + 1) * (RETURNS + 1) - 1


def test_state_and_restore_continue_bit_for_bit():
    whole = new_run()
    for _ in fit(whole, (Stage("a", 30, regression(whole)),), Schedule()):
        pass
    first = new_run()
    for step in fit(first, (Stage("a", 30, regression(first)),), Schedule()):
        if step.index == 11:
            break
    second = new_run(seed=9)
    second.restore(first.state())
    assert second.index == 12
    for _ in fit(second, (Stage("a", 30, regression(second)),), Schedule()):
        pass
    for a, b in zip(whole.field.parameters(), second.field.parameters(), strict=True):
        assert torch.equal(a, b)
