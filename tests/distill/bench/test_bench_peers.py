"""A peer beside ours in one run, on stand-ins for its libraries."""

import peers
import pytest
import torch

from distill.bench import peers as bench_peers
from distill.bench import run as bench_run
from distill.bench.curve import Course, follow
from distill.bench.peers import compare_engines
from distill.bench.run import Trial, read_pictures
from distill.learning.fit import Schedule
from distill.photographs import job

TRIAL = Trial("builtin:32", "hashgrid", "tiny", 4, batch=1024)
CPU = torch.device("cpu")


def test_both_are_measured_and_agree(monkeypatch):
    peers.stand_in(monkeypatch)
    monkeypatch.setattr(bench_run, "FRAME_SIZES", ((4, 4),))
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    result = compare_engines(TRIAL, CPU, 3, 200)
    assert result.values.log_density < 0.05  # our decoder multiplies in bf16, the stand-in does not
    assert result.values.rgb < 0.01
    assert result.picture_db is None or result.picture_db > 60
    names = [row.what for row in result.rows]
    assert len(names) == 6 + 3 + 1
    samples = next(row for row in result.rows if row.what == "training step: samples_per_step")
    assert samples.nvidia == pytest.approx(samples.ours, rel=0.2)  # the same rays; what they prune drifts apart
    for row in result.to_record()["rows"]:
        assert row["ratio"] == pytest.approx(row["nvidia"] / row["ours"], rel=0.01)
    assert result.to_table().row_count == len(names)


def test_other_architectures_have_no_peer(monkeypatch):
    peers.stand_in(monkeypatch)
    with pytest.raises(ValueError, match="take --arch hashgrid"):
        compare_engines(Trial("builtin:32", "mlp", "tiny", 4, batch=1024), CPU, 3, 200)


def test_the_peer_alone_is_trained_timed_and_scored(monkeypatch):
    peers.stand_in(monkeypatch)
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    scene = read_pictures(TRIAL)
    run = bench_peers.begin_peer(TRIAL, scene, CPU)
    assert run.source.field is run.field is run.optimization.field
    assert type(run.field.architecture).__module__ == type(run.field.head).__module__ == "fields.nvidia"
    found = follow(run, scene, Course(Schedule(4), 2, 2))
    assert found.steps == 4
    assert found.psnr is not None and found.psnr > 5
