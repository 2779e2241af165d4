"""The loop: schedule, phases, skipping of bad steps, return to a good state, exact continuation."""

import math
from itertools import count
from types import SimpleNamespace

import pytest
import torch

import fields
from distill.learning.fit import KEEP, PATIENCE, RETURNS, WARMUP, Loss, Optimization, Phase, Schedule, Taken, fit
from fields.kernels.options_cpu import COMPILING
from fields.shape import Shape
from fields.space import Space

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def new_run(seed=0, name="hashgrid"):
    config = fields.module(name).PRESETS["tiny"]
    return Optimization(Shape(name, config).build(Space(BOX), torch.Generator().manual_seed(seed)))


@pytest.fixture
def clock(monkeypatch):
    """A clock in whose time every step takes half a second."""
    ticks = count()
    monkeypatch.setattr("distill.learning.fit.time", SimpleNamespace(perf_counter=lambda: next(ticks) / 2))


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
    steps = list(fit(run, (Phase("a", 1.0, regression(run)),), Schedule(150)))
    assert [s.index for s in steps] == list(range(150))
    assert steps[-1].mse < steps[0].mse / 10
    assert run.index == 150
    assert run.samples == 150 * 64
    assert steps[-1].seconds <= run.seconds
    assert not any(s.trouble for s in steps)


def test_stages_follow_each_other(clock):
    run = new_run()
    phases = (Phase("a", 0.4, regression(run)), Phase("b", 0.6, regression(run)))
    assert [s.phase for s in fit(run, phases, Schedule(5))] == ["a", "a", "b", "b", "b"]
    run = new_run()
    assert [s.phase for s in fit(run, phases, Schedule(10**9, seconds=2.5))] == ["a", "a", "b", "b", "b"]


def test_a_stage_may_change_the_field_and_the_optimiser_begins_anew():
    run = new_run()
    entered = []

    def swap():
        entered.append(run.index)
        config = fields.module("hashgrid").Config(levels=3, table_bits=10, finest=64)
        run.field.architecture = fields.module("hashgrid").Network(config, 3, torch.Generator().manual_seed(1))

    phases = (Phase("a", 0.5, regression(run)), Phase("b", 0.5, regression(run), swap))
    assert not [s.trouble for s in fit(run, phases, Schedule(60)) if s.trouble]
    assert entered == [30]
    known = {id(p) for p in run.optimizer.parameters()}
    assert known == {id(p) for p in run.field.parameters()}
    adam = run.optimizer.adam
    assert adam.steps.tolist() == [0 if p.grad is None else 30 for p in adam.parameters]
    assert bool(adam.steps.any())


def test_a_stage_that_is_jumped_over_begins_all_the_same():
    run = new_run()
    entered = []
    phases = (
        Phase("a", 0.5, regression(run)),
        Phase("b", 0.1, regression(run), lambda: entered.append("b")),
        Phase("c", 0.4, regression(run), lambda: entered.append("c")),
    )
    assert [s.phase for s in fit(run, phases, Schedule(2))] == ["a", "b"]
    assert entered == ["b"]
    run.index = 5
    assert [s.phase for s in fit(run, phases, Schedule(6))] == ["c"]
    assert entered == ["b", "c"]


def test_every_parameter_learns_at_its_own_rate():
    run = new_run()
    network = run.field.architecture
    network.rates = {"decoder": 0.25}
    run.renew()
    adam = run.optimizer.adam
    rates = {id(p): rate for p, rate in zip(adam.parameters, adam.rates, strict=True)}
    for name, parameter in run.field.named_parameters():
        wanted = 0.25 if name.startswith("architecture.decoder") else network.rate
        assert rates[id(parameter)] == wanted, name
    before = {n: p.detach().clone() for n, p in run.field.named_parameters()}
    next(iter(fit(run, (Phase("a", 1.0, regression(run)),), Schedule(10))))
    moved = {n: float((p.detach() - before[n]).abs().max()) for n, p in run.field.named_parameters()}
    assert moved["architecture.decoder.layers.1"] == pytest.approx(0.25 / WARMUP, rel=1e-3)
    assert moved["architecture.table"] == pytest.approx(network.rate / WARMUP, rel=1e-3)


def test_time_ends_a_run_and_moves_its_progress(clock):
    run = new_run()
    steps = list(fit(run, (Phase("a", 1.0, regression(run)),), Schedule(10**9, seconds=2.0)))
    assert [step.seconds for step in steps] == [0.5, 1.0, 1.5, 2.0]
    assert [step.progress for step in steps] == [0.0, 0.25, 0.5, 0.75]
    assert run.seconds == 2.0


def test_the_rate_warms_up_holds_and_decays():
    schedule = Schedule(10, last=0.1, hold=0.5)
    assert schedule.factor_at(0, 0.0) == pytest.approx(1 / WARMUP)
    assert schedule.factor_at(WARMUP, 0.4) == 1
    assert schedule.factor_at(10**4, 0.75) == pytest.approx(0.1**0.5)
    assert schedule.factor_at(10**5, 1.0) == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"steps": 0}, {"last": 0.0}, {"hold": 1.0}, {"seconds": math.nan}])
def test_impossible_schedules(bad):
    with pytest.raises(ValueError, match="schedule wants"):
        Schedule(**{"steps": 5} | bad)


def test_a_bad_step_is_skipped_and_told():
    run = new_run()
    before = []

    def spoil(index):
        if index == 5:
            before.append(run.state())
        return math.nan if index == 5 else 1.0

    for step in fit(run, (Phase("a", 1.0, regression(run, spoil)),), Schedule(8)):
        assert bool(step.trouble) == (step.index == 5)
        if step.index == 5:
            assert step.trouble == "loss is not finite"
            kept = run.state()
            assert all(torch.equal(kept[k], v) for k, v in before[0].items() if not k.startswith("run."))
    assert all(bool(torch.isfinite(p).all()) for p in run.field.parameters())


@pytest.mark.parametrize("name", ["hashgrid", "mlp"])
def test_a_gradient_that_is_not_finite_is_skipped_too(name):
    run = new_run(name=name)
    before = run.state()

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

    steps = list(fit(run, (Phase("a", 1.0, loss),), Schedule(2)))
    assert [s.trouble for s in steps] == ["gradient is not finite"] * 2
    assert all(torch.equal(v, before[k]) for k, v in run.state().items() if not k.startswith("run."))


def test_poisoned_weights_return_to_the_last_good_state():
    run = new_run()

    def poison(index):
        if index == KEEP + 10:
            with torch.no_grad():
                next(run.field.parameters()).fill_(torch.nan)
        return 1.0

    good = {}
    notes = []
    for step in fit(run, (Phase("a", 1.0, regression(run, poison)),), Schedule(KEEP + 40)):
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
    phases = (Phase("a", 1.0, regression(run, lambda index: math.nan)),)
    with pytest.raises(ValueError, match=r"training diverged at step .*: loss is not finite"):
        list(fit(run, phases, Schedule(10**4)))
    assert run.index == (PATIENCE + 1) * (RETURNS + 1) - 1


@pytest.mark.parametrize("name", ["hashgrid", "mlp"])  # the second has matrices
def test_state_and_restore_continue_bit_for_bit(name):
    whole = new_run(name=name)
    for _ in fit(whole, (Phase("a", 1.0, regression(whole)),), Schedule(30)):
        pass
    first = new_run(name=name)
    for step in fit(first, (Phase("a", 1.0, regression(first)),), Schedule(30)):
        if step.index == 11:
            break
    second = new_run(seed=9, name=name)
    second.restore(first.state())
    assert second.index == 12
    for _ in fit(second, (Phase("a", 1.0, regression(second)),), Schedule(30)):
        pass
    for a, b in zip(whole.field.parameters(), second.field.parameters(), strict=True):
        assert torch.equal(a, b)


def short_of_memory(run, when):
    """Memory runs out at these calls."""
    calls, loss = count(), regression(run)

    def fail(index):
        if next(calls) in when:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(index)

    return fail


def test_a_step_without_memory_halves_the_batch_once_and_says_so():
    run, sizes = new_run(), [512, 256]
    phase = Phase("a", 1.0, short_of_memory(run, {3}), halve=lambda: sizes.pop())
    steps = list(fit(run, (phase,), Schedule(8)))
    assert [s.index for s in steps] == list(range(8))
    assert {s.index: s.trouble for s in steps if s.trouble} == {3: "out of memory: the batch is halved, to 256 samples"}
    assert run.samples == 7 * 64
    phase = Phase("a", 1.0, short_of_memory(run, {1, 3}), halve=lambda: sizes.pop())
    with pytest.raises(ValueError, match="out of memory again, with half the batch at step 11: take a smaller --batch"):
        list(fit(run, (phase,), Schedule(20)))


@pytest.mark.parametrize("halve", [None, lambda: 0])
def test_a_batch_that_cannot_be_halved_ends_the_run(halve):
    run = new_run()
    phase = Phase("a", 1.0, short_of_memory(run, {2}), halve=halve)
    with pytest.raises(ValueError, match="out of memory at step 2: take a smaller --batch or a smaller preset"):
        list(fit(run, (phase,), Schedule(8)))


class Slow:
    """A queue whose steps become known `lag` steps later; steps in `bad` were skipped."""

    def __init__(self, lag, bad=()):
        self.lag, self.bad, self.waiting, self.factors = lag, bad, [], []

    def take(self, run, factor):
        self.factors.append(factor)
        trouble = "gradient is not finite" if run.index in self.bad else ""
        self.waiting.append(Taken(run.index, run.index / 10, 0.5, 3, 100, trouble))

    def taken(self, run, *, all_of_them=False):
        ready = self.waiting[: len(self.waiting) if all_of_them else max(len(self.waiting) - self.lag, 0)]
        del self.waiting[: len(ready)]
        return ready


def test_a_queue_takes_the_steps_and_is_known_later():
    run, queue = new_run(), Slow(3)
    steps = list(fit(run, (Phase("a", 1.0, regression(run), queue=queue),), Schedule(10)))
    assert [s.index for s in steps] == list(range(10))
    assert [s.loss for s in steps[3:]] == pytest.approx([n / 10 for n in range(7)])
    assert math.isnan(steps[2].loss)
    assert [s.samples for s in steps] == [0] * 3 + [100] * 7
    assert run.samples == 1000
    assert queue.factors == [Schedule(10).factor_at(n, n / 10) for n in range(10)]


def test_a_queue_that_was_sent_back_is_not_sent_back_for_the_same_steps_again():
    run, bad = new_run(), range(20, 20 + PATIENCE + 1 + 4)  # those under way are bad as well
    steps = list(fit(run, (Phase("a", 1.0, regression(run), queue=Slow(4, bad)),), Schedule(60)))
    notes = {s.index: s.trouble for s in steps if s.trouble}
    assert [n for n, text in notes.items() if "went back to the state of step 0" in text] == [20 + PATIENCE + 4]
    assert not [n for n in notes if n > 20 + PATIENCE + 4]


def test_only_a_state_that_turns_out_well_is_kept():
    run = new_run()
    bad = range(KEEP, KEEP + PATIENCE + 1)
    steps = list(fit(run, (Phase("a", 1.0, regression(run), queue=Slow(4, bad)),), Schedule(KEEP + 30)))
    assert [s.trouble for s in steps if "state" in s.trouble] == [
        "gradient is not finite; went back to the state of step 0"
    ]


@pytest.fixture
def hours(monkeypatch):
    """A clock that goes on when it is told to."""
    now = [0.0]
    monkeypatch.setattr("distill.learning.fit.time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr("fields.kernels.options_cpu.time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def compiling(now, seconds):
    """What Numba says of a kernel that takes so long to compile, another one inside of it."""
    COMPILING.on_start(None)
    COMPILING.on_start(None)
    now[0] += seconds
    COMPILING.on_end(None)
    assert COMPILING.busy
    COMPILING.on_end(None)
    assert not COMPILING.busy


def test_kernels_that_are_compiled_take_no_training_time(hours):
    run = new_run()
    learn = regression(run)

    def loss(index):
        if index in (0, 2):
            compiling(hours, 40)
        hours[0] += 1
        return learn(index)

    steps = list(fit(run, (Phase("a", 1.0, loss),), Schedule(10**9, seconds=3)))
    assert [s.seconds for s in steps] == [1, 2, 3]
    assert [s.progress for s in steps] == pytest.approx([0, 1 / 3, 2 / 3])


def test_a_phase_that_there_is_no_time_for_is_told(hours):
    run = new_run()
    learn, took = regression(run), iter([1, 7, 1, 1])

    def loss(index):
        hours[0] += next(took)
        return learn(index)

    phases = tuple(Phase(name, 0.25, loss) for name in "abcd")
    steps = list(fit(run, phases, Schedule(10**9, seconds=10)))
    assert [(s.phase, s.trouble) for s in steps] == [
        ("a", ""), ("a", ""), ("d", "there was no time for b, c"), ("d", "")
    ]  # fmt: skip
