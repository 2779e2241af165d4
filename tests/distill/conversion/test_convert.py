"""A field teaches a field: each loss against what it promises, the teacher untouched, runs that continue exactly."""

import copy
import math
from dataclasses import replace
from typing import final

import pytest
import torch
from analytic import UNIT_BOX, G, camera, loaded
from torch import nn

import fields
from distill.conversion import distillation as convert
from distill.conversion.active import HARD, HARD_RAYS
from distill.conversion.distillation import DENSITY, Distillation, Lesson, inherit
from distill.conversion.settings import Active
from distill.learning.budget import FIRST_RAYS
from distill.learning.fit import Optimization, Schedule, fit
from fields.base import FEATURES, Architecture
from fields.field import Field
from fields.heads import radiance
from fields.shape import preset
from fields.space import CUBE
from render.occupancy import OccupancyGrid, pack
from render.rays import RayBatch, Samples
from render.renderer import Renderer

STEP = 1 / 96  # scene units between samples
BATCH = 1024  # samples
OFF, ALL = Active(False, False, False), Active(True, True, True)


@final
class Waves(Architecture):
    """A soft ball whose other features are waves of the place."""

    rate = 1e-2

    def __init__(self):
        super().__init__()
        self.config, self.scale = None, nn.Parameter(torch.tensor(1.0))
        turns = torch.randn(3, FEATURES - 1, generator=torch.Generator().manual_seed(5)) * 4
        self.register_buffer("turns", turns)

    def features(self, x):
        away = (x - 0.5).norm(dim=-1) - 0.3
        return torch.cat([(6 * torch.tanh(-20 * away))[:, None], self.scale * torch.sin(x @ self.turns)], -1)


def ball_grid():
    """Cells that the ball and its shell reach: beyond them, sigma * STEP is below 1e-3."""
    axis = (torch.arange(G) + 0.5) / G - 0.5
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return OccupancyGrid(pack((torch.stack([x, y, z], -1).norm(dim=-1) < 0.36 + 1 / G).view(1, -1)), UNIT_BOX, G)


def teacher():
    head = radiance.Readout(FEATURES, None, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for layer in head.network.layers:
            layer.mul_(2)  # colours that differ
    cameras = [camera((32, 32), azimuth=0.5 * i, elevation=0.3) for i in range(12)]
    return replace(loaded(Field(Waves(), head, CUBE).eval(), ball_grid(), cameras), renderer=Renderer(step=STEP))


def student(name="triplane", seed=2):
    return preset(name, "tiny").build(CUBE, torch.Generator().manual_seed(seed))


def distillation(field, active=OFF, seed=0):
    one = teacher()
    return Distillation(one, field, BATCH, seed, active)


def advance(run, source, steps, whole):
    """Take steps of a run of `whole` steps, up to number `steps`; what each gave."""
    done = []
    for step in fit(run, source.phases(), Schedule(whole)):
        done.append(step)
        if step.index + 1 == steps:
            break
    return done


def lesson_of(log_density):
    """One ray, samples of equal weight."""
    want = torch.as_tensor(log_density, dtype=torch.float32)
    n = len(want)
    rays = RayBatch(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
    samples = Samples(torch.zeros(n, dtype=torch.int64), torch.ones(n), torch.full((n,), STEP), torch.tensor([0, n]))
    features = torch.cat([want[:, None], torch.zeros(n, FEATURES - 1)], -1)
    return Lesson(rays, torch.zeros(1, dtype=torch.int64), samples, want.exp(), features, torch.full((n,), 1 / n))


def density_gradient(source, got, want):
    """The density's error, and its gradient (N,) by the student's log-density."""
    features = torch.zeros(len(got), FEATURES)
    features[:, 0] = torch.tensor(got)
    features.requires_grad_()
    error = source.density_error(features, lesson_of(want))
    error.backward()
    return float(error.detach()), features.grad[:, 0]


def test_log_density_counts_unless_both_are_beyond_the_same_bound():
    source = distillation(student())
    low, high = source.low, source.high
    error, gradient = density_gradient(source, [low - 9, low - 0.1, high + 5], [low - 2, low - 9, high + 0.1])
    assert error == 0
    assert not gradient.any()
    got = [low - 9, high + 9, low - 9, high + 9, 1.0, 1.0, 2.0]
    want = [high + 9, low - 9, 0.0, 0.0, low - 9, high + 9, 3.0]
    error, gradient = density_gradient(source, got, want)
    assert error > 0
    assert gradient.sign().tolist() == [-1, 1, -1, 1, 1, -1, -1]  # each is drawn to where the teacher is


def test_the_bounds_are_the_faintest_and_the_thickest_step_and_no_more_is_asked_than_to_reach_them():
    source = distillation(student())
    assert math.exp(source.low) * STEP == pytest.approx(1e-4)
    assert math.exp(source.high) * STEP == pytest.approx(5.0)
    near, _ = density_gradient(source, [source.low + 1.0], [source.low - 1.0])
    far, _ = density_gradient(source, [source.low + 1.0], [source.low - 50.0])
    assert near == far == pytest.approx(DENSITY * 0.5)  # Huber: half of the square of 1


def test_features_count_by_what_the_teacher_varies_and_by_weight(monkeypatch):
    source = distillation(student())
    lesson = source.lesson(0)
    monkeypatch.setattr(source, "lesson", lambda index: lesson)
    wrong = lesson.features.clone()
    wrong[:, 1:] += lesson.features[:, 1:].std(0)
    monkeypatch.setattr(source.field, "density", lambda x: (wrong[:, 0].exp(), wrong))
    weight = lesson.weight.double()
    want = lesson.features[:, 1:].double()
    spread = weight @ (want - weight @ want).square()
    by_hand = ((want.std(0).square()) / spread).mean()
    assert float(source.features(0).value) == pytest.approx(float(by_hand), rel=1e-3)  # float32 beside float64
    assert float(lesson.weight.sum()) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(source.field, "density", lambda x: (lesson.sigma, lesson.features))
    assert float(source.features(0).value) == 0


@pytest.mark.parametrize("phase", ["features", "points", "pixels"])
def test_a_student_equal_to_its_teacher_has_no_error(phase):
    source = distillation(copy.deepcopy(teacher().field))
    source.low, source.high = -1e3, 1e3
    loss = getattr(source, phase)(0)
    assert float(loss.value.detach()) < 1e-7
    assert math.isnan(loss.mse) == (phase == "features")
    assert math.isnan(loss.mse) or loss.mse < 1e-7


@pytest.mark.parametrize("phase", ["features", "points", "pixels"])
def test_the_student_gets_gradients_and_the_teacher_none(phase):
    field = student()
    source = distillation(field, ALL)
    before = copy.deepcopy(source.teacher.field.state_dict())
    getattr(source, phase)(0).value.backward()
    assert all(p.grad is None for p in source.teacher.field.parameters())
    assert all(torch.equal(v, source.teacher.field.state_dict()[k]) for k, v in before.items())
    told = {name for name, p in field.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert any(name.startswith("architecture.") for name in told)
    assert any(name.startswith("head.") for name in told) == (phase != "features")


def test_samples_are_those_that_the_teachers_light_reaches():
    source = distillation(student())
    lesson = source.lesson(0)
    s = lesson.samples
    before = torch.zeros(len(lesson.rays))
    for i in range(len(s)):  # light left, sample by sample, in the plain words of the equation
        ray = int(s.ray[i])
        assert float(torch.exp(-before[ray])) > source.teacher.renderer.stop * 0.99
        before[ray] += lesson.sigma[i] * s.dt[i]
    assert len(s) > 1000
    assert not lesson.sigma.requires_grad
    assert not lesson.features.requires_grad


def test_phases_are_three_where_widths_agree_and_two_where_they_do_not():
    assert student("voxels").architecture.width != student().architecture.width
    names = [p.name for p in distillation(student()).phases()]
    assert names == ["features", "samples", "rays"]
    fewer = distillation(student("voxels")).phases()
    assert [p.name for p in fewer] == ["samples", "rays"]
    for phases in (distillation(student()).phases(), fewer):
        assert sum(p.share for p in phases) == pytest.approx(1)


@pytest.mark.parametrize("name", fields.NAMES)
def test_a_head_is_taken_over_only_where_all_parts_are_alike(name):
    one, other = student(name), student("triplane", seed=9)
    before = copy.deepcopy(one.state_dict())
    network = {k: v for k, v in before.items() if k.startswith("architecture.")}
    parts = [{k: v.shape for k, v in f.head.state_dict().items()} for f in (one, other)]
    alike = type(one.head) is type(other.head) and parts[0] == parts[1]
    taken = inherit(one, other)
    assert taken == (sum(v.numel() for v in other.head.state_dict().values()) if alike else 0)
    giver = other.head.state_dict() if alike else {k[5:]: v for k, v in before.items() if k.startswith("head.")}
    assert all(torch.equal(v, giver[k]) for k, v in one.head.state_dict().items())
    assert all(torch.equal(v, one.state_dict()[k]) for k, v in network.items())


def test_a_wider_head_of_the_same_kind_is_not_taken_over():
    one = Field(student().architecture, radiance.Readout(FEATURES, None, torch.Generator().manual_seed(0), 32), CUBE)
    before = copy.deepcopy(one.state_dict())
    assert inherit(one, student()) == 0
    assert all(torch.equal(v, before[k]) for k, v in one.state_dict().items())


@pytest.mark.parametrize("active", [OFF, ALL])
def test_a_student_learns_its_teacher(active):
    field = student("vm")
    source = distillation(field, active)
    inherit(field, source.teacher.field)
    judge = distillation(field, OFF, seed=123)  # other cameras, and never hard rays
    with torch.no_grad():
        before = judge.pixels(0).mse
    advance(Optimization(field), source, 150, 150)
    judge = distillation(field, OFF, seed=123)
    with torch.no_grad():
        after = judge.pixels(0).mse
    assert after < before / 10  # three seeds: 46 to 73 times less with all levels off, 22 to 41 times with all on


def test_an_interrupted_run_continues_bit_for_bit(monkeypatch):
    monkeypatch.setattr(convert, "RENEW", 5)
    monkeypatch.setattr(convert, "SHARES", {"features": 0.2, "samples": 0.4, "rays": 0.4})

    def begun():
        field = student()
        source = distillation(field, ALL)
        return field, source, Optimization(field)

    whole, source, run = begun()
    advance(run, source, 40, 40)
    _, early, first = begun()
    advance(first, early, 23, 40)  # between two drawings of cameras: scores are under way
    state, weights = early.state(), first.state()
    assert len(early.hard) > 0
    assert len(early.poses.hard[0]) > 0
    assert early.poses.errors.any()
    advance(first, early, 40, 40)  # what was saved must not follow
    late, other, second = begun()
    other.restore(state)
    second.restore(weights)
    advance(second, other, 40, 40)
    assert all(torch.equal(v, late.state_dict()[k]) for k, v in whole.state_dict().items())
    assert source.state().keys() == other.state().keys()
    assert all(torch.equal(v, other.state()[k]) for k, v in source.state().items())


def test_hard_rays_come_again_from_the_second_step_and_are_those_with_the_largest_errors():
    source = distillation(student(), Active(False, True, False))
    source.pixels(0)
    assert len(source.hard) == round(HARD * FIRST_RAYS)
    pool = {tuple(d) for d in source.hard.directions.tolist()}
    lesson = source.lesson(1)
    again = len(lesson.rays) - len(lesson.camera)
    assert again == round(HARD * len(lesson.rays))
    assert all(tuple(d) in pool for d in lesson.rays.directions[-again:].tolist())
    assert not any(tuple(d) in pool for d in lesson.rays.directions[:-again].tolist())
    with torch.no_grad():
        sigma, _, rgb, want = source.asked(lesson)
        seen = source.seen(lesson, sigma, rgb, want)
    source.learnt(lesson, seen)
    errors = seen.difference.abs().sum(-1)
    count = round(HARD * len(errors))
    worst = errors.argsort(descending=True)[:count]
    assert {tuple(d) for d in source.hard.directions[:count].tolist()} == {
        tuple(d) for d in lesson.rays.directions[worst].tolist()
    }


def test_pools_stay_bounded():
    source = distillation(student(), ALL)
    source.rays = HARD_RAYS  # a tenth of it enters
    lesson = source.lesson(0)
    with torch.no_grad():
        sigma, _, rgb, want = source.asked(lesson)
        seen = source.seen(lesson, sigma, rgb, want)
    for _ in range(15):
        source.learnt(lesson, seen)
    assert len(source.hard) == HARD_RAYS


def test_each_level_works_without_the_others():
    only = {name: distillation(student(), replace(OFF, **{name: True})) for name in ("poses", "rays", "points")}
    for source in only.values():
        source.points(0)
        source.pixels(1)
    noted = {name for name, source in only.items() if source.poses.errors.any()}
    assert noted == {"poses"}
    assert {name for name, source in only.items() if len(source.hard)} == {"rays"}
    source = only["points"]
    lesson = source.lesson(2)
    with torch.no_grad():
        sigma, _, rgb, want = source.asked(lesson)
        seen = source.seen(lesson, sigma, rgb, want)
    focused = source.learnt(lesson, seen).weight
    most = torch.maximum(seen.ours, seen.theirs)
    torch.testing.assert_close(focused * most.sum(), most)
    assert float(focused.sum()) == pytest.approx(1, abs=1e-5)
    assert (seen.ours > 2 * seen.theirs).any()
    assert (seen.theirs > 2 * seen.ours).any()
    for name in ("poses", "rays"):
        assert only[name].learnt(lesson, seen) is lesson


def test_a_camera_is_charged_with_its_own_rays_only(monkeypatch):
    source = distillation(student(), Active(True, True, False))
    source.pixels(0)
    source.poses.renew(source.host)
    lesson = source.lesson(1)
    with torch.no_grad():
        sigma, _, rgb, want = source.asked(lesson)
        seen = source.seen(lesson, sigma, rgb, want)
    source.learnt(lesson, seen)
    errors = seen.difference.abs().sum(-1)
    for number in range(0, source.poses.count, 17):
        own = (lesson.camera == number).nonzero()[:, 0]
        at = source.poses.poses[number, :3, 3]
        assert all(torch.equal(lesson.rays.origins[i], at) for i in own.tolist())
        total, count = source.poses.errors[number].tolist()
        assert count == len(own)
        assert total == pytest.approx(float(errors[own].double().sum()), abs=1e-9)
    assert float(source.poses.errors[:, 1].sum()) == len(lesson.camera) < len(lesson.rays)


def test_a_ray_is_wrong_where_only_its_opacity_is():
    source = distillation(student())
    lesson = source.lesson(0)
    black = torch.zeros(len(lesson.samples), 3)
    other = 0.3 * lesson.sigma
    difference = source.seen(lesson, other, black, black).difference
    ours = 1 - torch.exp(torch.zeros(len(lesson.rays)).index_add(0, lesson.samples.ray, -other * lesson.samples.dt))
    theirs = 1 - torch.exp(
        torch.zeros(len(lesson.rays)).index_add(0, lesson.samples.ray, -lesson.sigma * lesson.samples.dt)
    )
    share = difference / (theirs - ours)[:, None].clamp(min=1e-6)  # the random background
    seen = theirs - ours > 0.01
    assert int(seen.sum()) > 20
    assert -1e-3 < share[seen].min() < 0.1  # float32
    assert 0.9 < share[seen].max() < 1 + 1e-3
    assert share[seen].std(1).mean() > 0.2  # of any colour: three uniform numbers spread by 0.27 on average


@final
class OtherHead(nn.Module):
    """Parts named and shaped as those of radiance.Readout, that mean something else."""

    def __init__(self):
        super().__init__()
        self.network = radiance.Readout(FEATURES, None, torch.Generator().manual_seed(3)).network


def test_a_head_of_another_kind_is_not_taken_over_even_where_its_parts_have_the_same_shapes():
    one, other = student(), student(seed=9)
    other.head = OtherHead()
    assert {k: v.shape for k, v in one.head.state_dict().items()} == {
        k: v.shape for k, v in other.head.state_dict().items()
    }
    assert inherit(one, other) == 0
