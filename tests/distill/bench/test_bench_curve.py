"""Time to dB: scored at shares of the run that grow, by a clock that stands meanwhile."""

import time

import pytest
import torch

from distill.bench import curve as bench_curve
from distill.bench.curve import Course, curve, curve_table, reached
from distill.bench.run import Wish, begun, read
from distill.learning.fit import Schedule
from distill.photographs import training
from render.metrics import psnr
from scenes.evaluate import over_background


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(training, "RESOLUTION", 64)  # fewer cells to ask
    wish = Wish("builtin:48", "hashgrid", "tiny", 24, batch=2048)
    return begun(wish, read(wish), torch.device("cpu"))


def test_shares_end_with_the_run():
    shares = Course(Schedule(10), 1, 4).shares()
    assert shares[0] == pytest.approx(bench_curve.FIRST)
    assert shares[-1] == 1
    assert shares[1] / shares[0] == pytest.approx(shares[3] / shares[2])


def test_scoring_does_not_count_and_the_last_score_is_the_trained_field_s(run, monkeypatch):
    own, waited = bench_curve.Held.psnr, 0.4

    def slow(held):
        time.sleep(waited)
        return own(held)

    monkeypatch.setattr(bench_curve.Held, "psnr", slow)
    begin = time.perf_counter()
    result = curve(run, Course(Schedule(24), 3, 4))
    total = time.perf_counter() - begin
    assert len(result["points"]) == 4
    assert result["seconds"] < total - 4 * waited
    steps = [point["step"] for point in result["points"]]
    assert steps == sorted(steps)
    assert steps[-1] == result["steps"] == 24
    assert result["protocol"]["count"] == 3
    backdrop = torch.tensor(run.scene.background)
    found = []
    for view in run.scene.test[:: -(-len(run.scene.test) // 3)]:
        drawn = run.renderer.image(run.field, run.loss.grid, view.camera).pixels.over(backdrop).clamp(0, 1)
        found.append(psnr(drawn, over_background(view.image, backdrop)))
    assert result["psnr"] == pytest.approx(sum(found) / len(found), abs=1e-2)
    assert curve_table(result).row_count == 4 + len(bench_curve.TARGETS)


def test_a_target_is_reached_at_the_first_score_above_it():
    points = [{"seconds": 1.0, "psnr": 29.0}, {"seconds": 2.0, "psnr": 31.0}, {"seconds": 3.0, "psnr": 30.5}]
    assert reached(points, 30.0) == 2.0
    assert reached(points, 29.0) == 1.0
    assert reached(points, 33.0) is None
