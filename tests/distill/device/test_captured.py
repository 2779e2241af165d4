"""The step of fixed size: the same loss and gradients as on the CPU, no waiting, learning, buffers, memory, resume."""

import functools
import itertools
import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from hostfree import Waited, hostfree

import fields
from distill.device.captured import LAG, PATIENCE, fixed
from distill.device.captured import captured as captured_of
from distill.learning.fit import Schedule
from distill.learning.optimizer import Optimizer
from distill.learning.run import Recipe
from distill.photographs.job import STEPWISE, PhotographsRecipe, Teaching, prepare, teach
from distill.photographs.source import Photographs
from fields import tiled
from fields.files import ModelError
from render import rays
from render.occupancy import EVERYWHERE_UPDATES, OccupancyEstimate
from scenes.assemble import load
from scenes.evaluate import score_views
from scenes.options import ReadOptions
from scenes.placing.cells import possible_cells


@functools.cache
def pictures():
    return load("builtin:48", ReadOptions())


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few cells to ask, found once."""
    monkeypatch.setattr("distill.photographs.job.RESOLUTION", 32)
    monkeypatch.setattr("distill.photographs.job.possible_cells", lambda *_: cells())


@functools.cache
def cells():
    fine = possible_cells(pictures(), 1, 128)
    return fine.view(32, 4, 32, 4, 32, 4).any(5).any(3).any(1).view(1, -1)


def eager(device, name="hashgrid", steps=40, batch=2048, step=0.01):
    return made(device, STEPWISE, name, steps, batch, step)


def captured(device, name="hashgrid", steps=40, batch=2048, step=0.01):
    """A run whose steps are of fixed size, on any device."""
    return made(device, Teaching(captured_of, Optimizer), name, steps, batch, step)


def made(device, teaching, name, steps, batch, step):
    recipe = Recipe("builtin:48", 1, name, "tiny", 0, steps, batch, device.type, PhotographsRecipe(step))
    usual = prepare(pictures(), recipe, device)
    return teach(pictures(), recipe, usual.field, usual.renderer, teaching)


def advance(run, until):
    steps = run.steps(Schedule(run.recipe.steps))
    return list(itertools.islice(steps, until - run.optimization.index))


class Drawn:
    """Pixels that were drawn before."""

    def __init__(self, batch):
        self.batch = batch

    def prepare(self):
        pass

    def draw(self, *_):
        return self.batch


@pytest.fixture
def exact(monkeypatch):
    """Decoders compute in float32."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)


@pytest.mark.parametrize("name", ["hashgrid", "vm"])  # the second has a penalty
def test_loss_and_gradients_are_those_of_the_eager_step(name, device, exact):
    one, two = eager(device, name, batch=1 << 14), captured(device, name, batch=1 << 14)  # so that no ray is cut
    rays = int(one.source.rays)
    two.source.source.buffers = replace(two.source.source.buffers, rays=rays)
    pixels = one.source.pixels.draw(rays, torch.Generator().manual_seed(5))
    one.source.pixels = two.source.source.pixels = Drawn(pixels)
    want, got = one.source(1), two.source.source(1)
    assert torch.equal(two.source.grid.bits, one.source.grid.bits)
    assert (got.rays, got.samples) == (want.rays, want.samples)
    assert int(two.source.source.rays) == int(one.source.rays)
    assert got.mse == pytest.approx(want.mse, rel=1e-5)
    torch.testing.assert_close(got.value, want.value, rtol=1e-5, atol=1e-7)
    for loss in (got, want):
        loss.value.backward()
    for a, b in zip(two.field.parameters(), one.field.parameters(), strict=True):
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4 * float(b.grad.abs().max()))


@pytest.mark.parametrize("name", fields.NAMES)
def test_the_host_waits_for_nothing(name, monkeypatch):
    monkeypatch.setattr(tiled, "form", lambda owner: None)  # as on a GPU: not by what is the CPU's own
    monkeypatch.setattr(OccupancyEstimate, "update_by_numba", OccupancyEstimate.update_by_torch)
    monkeypatch.setattr(
        rays, "positions", lambda o, d, ray, t: o.index_select(0, ray) + d.index_select(0, ray) * t[:, None]
    )
    run = captured(torch.device("cpu"), name, batch=1024)
    source, optimization = run.source, run.optimization

    class Still:
        clear, row = optimization.optimizer.clear, torch.zeros((), dtype=torch.int64)
        halves: ClassVar = {}

        def step(self, factor):
            grads = [p.grad for p in run.field.parameters()]
            assert all(g is not None for g in grads)

    optimization.optimizer = Still()
    source.take(optimization, 1.0)  # what is asked once is asked here
    source.taken(optimization)
    with hostfree():
        photographs = source.source
        source.factor.fill_(0.5)
        photographs.pixels.prepare()
        source.moved(optimization)
        source.update(optimization, photographs.occupancy.allowed)
        source.update(optimization, photographs.occupancy.drawn(photographs.generator))


def test_a_loss_that_is_not_finite_moves_nothing(device, monkeypatch):
    """Where all gradients are finite all the same."""
    run = captured(device, batch=1024)
    before = [p.detach().clone() for p in run.field.parameters()]
    monkeypatch.setattr(type(run.field.architecture), "penalty", lambda *_: torch.tensor(math.inf, device=device))
    assert [step.trouble for step in advance(run, 2)] == ["loss is not finite"] * 2
    assert all(torch.equal(a, b) for a, b in zip(before, run.field.parameters(), strict=True))


def test_growth_begins_the_queue_anew(device):
    run = captured(device, "voxels", steps=24, batch=1024)
    (share,) = run.growth
    steps = advance(run, 24)
    assert not any(step.trouble for step in steps)
    assert (
        run.field.architecture.config.resolution
        > prepare(pictures(), run.recipe, device).field.architecture.config.resolution
    )
    assert run.source.mover is run.optimization.optimizer
    assert {step.phase for step in steps if step.index > 24 * share} == {"photographs, growth 1"}


@pytest.mark.parametrize(
    "read",
    [
        lambda x: float(x.sum()), lambda x: x[x > 0], lambda x: x.tolist(), lambda x: x.nonzero(), lambda x: x.cpu(),
        lambda x: torch.tensor([1.0]) + x, lambda x: x.repeat_interleave(x.long()), lambda x: bool((x > 0).any()),
    ],
)  # fmt: skip
def test_waiting_is_noticed(read):
    x = torch.ones(3)
    with hostfree(), pytest.raises(Waited):
        read(x)


def decibels(run):
    draw = lambda camera: run.renderer.image(run.field, run.source.grid, camera)  # noqa: E731
    scores = list(score_views(pictures().test[:4], pictures().background, draw))
    return sum(s.score.psnr for s in scores) / len(scores)


def test_it_learns_as_the_eager_loop_does(device):
    one, two = eager(device, batch=4096), captured(device, batch=4096)
    steps = advance(two, 40)
    advance(one, 40)
    assert [s.index for s in steps] == list(range(40))
    late = [s.samples for s in steps[-20:]]
    assert 0.7 < sum(late) / len(late) / 4096 < 1.15
    assert abs(decibels(two) - decibels(one)) < 0.3


def test_an_interrupted_run_continues_bit_for_bit(device, tmp_path):
    whole, first = captured(device, steps=22, batch=1024), tmp_path / "checkpoint.safetensors"
    for step in whole.steps(Schedule(22)):
        if step.index == 17:
            whole.save_checkpoint(first)
    second = captured(device, steps=22, batch=1024)
    second.load_checkpoint(first)
    assert second.optimization.index == 18
    assert second.source.source.occupancy.updates > EVERYWHERE_UPDATES
    advance(second, 22)
    states = [{**run.optimization.state(), **run.source.state()} for run in (whole, second)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0] if k != "run.seconds")


def test_a_run_without_graphs_continues_with_them(device, tmp_path):
    one = eager(device, batch=1024)
    advance(one, 3)
    one.save_checkpoint(tmp_path / "c.safetensors")
    two = captured(device, batch=1024)
    two.load_checkpoint(tmp_path / "c.safetensors")
    assert int(two.source.source.rays) == int(one.source.rays)
    assert not any(step.trouble for step in advance(two, 5))
    damaged = {k: v for k, v in one.source.state().items() if not k.endswith("values")}
    one.source.state = lambda: damaged
    one.save_checkpoint(tmp_path / "d.safetensors")
    with pytest.raises(ModelError, match="damaged checkpoint"):
        captured(device, batch=1024).load_checkpoint(tmp_path / "d.safetensors")


def test_what_is_known_late_still_brings_the_good_state_back(device, monkeypatch):
    """The host learns of each step five steps later, as with a GPU."""
    run, waiting = captured(device, batch=1024), []
    fetch = run.source.mailbox.fetch

    def late(most):
        waiting.extend(fetch(0))
        ready = waiting[: max(len(waiting) - min(most, 5), 0)]
        del waiting[: len(ready)]
        return ready

    monkeypatch.setattr(run.source.mailbox, "fetch", late)
    notes = []
    for step in run.steps(Schedule(30)):
        if step.index == 8:
            with torch.no_grad():
                next(run.field.parameters()).fill_(math.nan)
        if step.trouble:
            notes.append((step.index, step.trouble))
    assert notes[0] == (9 + 5, "loss is not finite")
    assert [n for n, text in notes if "went back to the state of step 0" in text] == [notes[-1][0]]
    assert len(notes) == 5
    assert all(bool(p.isfinite().all()) for p in run.field.parameters())
    assert run.optimization.samples > 30 * 500  # of all steps, those known at the end included


def test_memory_that_runs_out_halves_the_batch_once(device, monkeypatch):
    run, calls = captured(device, steps=12), []

    def short(run, *, error=Photographs.error):
        def fail(*args):
            calls.append(len(calls))
            if len(calls) in run:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return error(*args)

        monkeypatch.setattr(Photographs, "error", fail)

    short({4})
    notes = [(s.index, s.trouble) for s in run.steps(Schedule(8)) if s.trouble]
    assert notes == [(3, "out of memory: the batch is halved, to 1024 samples")]
    assert run.source.source.buffers == fixed(1024, run.source.room)
    calls.clear()
    short({2, 3})
    other = captured(device, steps=12)
    with pytest.raises(ValueError, match="out of memory again, with half the batch at step 2: take a smaller --batch"):
        list(other.steps(Schedule(8)))


@pytest.mark.parametrize("make", [eager, captured])
def test_a_batch_is_halved_as_long_as_it_may_be(make, device):
    source = make(device, batch=2048).source
    photographs = getattr(source, "source", source)
    assert source.halve() == photographs.config.batch == 1024
    assert int(photographs.rays) == 512
    assert photographs.buffers == photographs.config.buffers(1024)
    assert source.halve() == 0
    assert photographs.config.batch == 1024


def test_the_first_buffer_grows_at_once_and_shrinks_after_a_while(device):
    source = captured(device, batch=1024).source
    source.fit_room(kept=100, marched=700)
    assert (source.room, source.source.buffers.marched) == (8, 8192)
    for _ in range(PATIENCE):
        source.fit_room(kept=100, marched=200)
    assert source.room == 8
    source.fit_room(kept=100, marched=200)
    assert (source.room, source.source.buffers.marched) == (4, 4096)
    assert [fixed(1 << n, 4).kept for n in (10, 16, 18)] == [2048, 73728, 294912]  # 2, 9 / 8, 9 / 8


def test_rays_follow_both_budgets(device):
    source = captured(device, batch=2048).source.source

    def after(rays, asked, kept, marched):
        source.rays.fill_(rays)
        return int(source.next_rays(*(torch.tensor(n, device=device) for n in (asked, kept, marched))))

    assert after(1000, 1000, 1500, 2000) == 1365  # 2048 / 1500
    assert after(1000, 1000, 100, 200) == 2000  # at most twice as many
    assert after(1000, 1000, 10**5, 10**5) == 500  # at least half
    assert after(1000, 900, 2048, 4 * 2048) == 900  # the rays that did not fit count with neither
    assert after(1000, 1000, 1000, 8192) == 900  # marched samples are the narrower way
    assert after(64, 64, 10**5, 10**5) == 64
    assert after(2048, 2048, 0, 0) == 2048


def test_the_queue_is_bounded(device):
    run = captured(device, batch=1024)
    assert len(run.source.mailbox.free) > LAG
    advance(run, 3)
    assert len(run.source.mailbox) == 0
