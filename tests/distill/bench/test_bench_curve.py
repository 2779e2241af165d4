"""Time to dB: scored at shares of the run that grow, by a clock that stands meanwhile."""

import time

import pytest
import torch

from distill.bench import curve as bench_curve
from distill.bench.curve import Course, LearningCurve, Milestone, ScoredViews, follow
from distill.bench.run import Trial, begin_trial, read_pictures
from distill.learning.fit import Schedule
from distill.photographs import job
from render.metrics import Protocol, psnr
from scenes.evaluate import over_background


@pytest.fixture
def begun(monkeypatch):
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    trial = Trial("builtin:48", "hashgrid", "tiny", 24, batch=2048)
    scene = read_pictures(trial)
    return begin_trial(trial, scene, torch.device("cpu")), scene


def test_shares_end_with_the_run():
    shares = Course(Schedule(10), 1, 4).shares()
    assert shares[0] == pytest.approx(bench_curve.FIRST_SCORE)
    assert shares[-1] == 1
    assert shares[1] / shares[0] == pytest.approx(shares[3] / shares[2])


def test_scoring_does_not_count_and_the_last_score_is_the_trained_field_s(begun, monkeypatch):
    run, scene = begun
    own, waited = ScoredViews.score, 0.4

    def slow(held):
        time.sleep(waited)
        return own(held)

    monkeypatch.setattr(ScoredViews, "score", slow)
    begin = time.perf_counter()
    result = follow(run, scene, Course(Schedule(24), 3, 4))
    total = time.perf_counter() - begin
    assert len(result.points) == 4
    assert result.seconds < total - 4 * waited
    steps = [point.step for point in result.points]
    assert steps == sorted(steps)
    assert steps[-1] == result.steps == 24
    assert result.protocol.count == 3
    backdrop = torch.tensor(scene.background)
    found = []
    for view in scene.test[:: -(-len(scene.test) // 3)]:
        drawn = run.image(view.camera).pixels.over(backdrop).clamp(0, 1)
        found.append(psnr(drawn, over_background(view.image, backdrop)))
    assert result.psnr == pytest.approx(sum(found) / len(found), abs=1e-2)
    assert result.to_table().row_count == 4 + len(bench_curve.TARGETS)


def test_a_target_is_reached_at_the_first_score_above_it():
    points = Milestone(1, 1.0, 29.0), Milestone(2, 2.0, 31.0), Milestone(3, 3.0, 30.5)
    found = LearningCurve(points, 3.0, 3, 100, Protocol("test", (1.0, 1.0, 1.0), (4, 4), 1))
    assert found.first_at(30.0) == 2.0
    assert found.first_at(29.0) == 1.0
    assert found.first_at(33.0) is None
    record = found.to_record()
    keys = "points", "seconds_to_db", "seconds", "steps", "samples", "psnr", "protocol", "scored_on"
    assert tuple(record) == keys  # as published tables have them
    assert record["points"][1] == {"step": 2, "seconds": 2.0, "psnr": 31.0}
    assert record["seconds_to_db"] == {"30": 2.0, "33": None, "33.3": None, "35": None}
