"""A peer beside ours in one run, on stand-ins for its libraries."""

import peers
import pytest
import torch

from distill import bench_peers, bench_run, training
from distill.bench_peers import against, table
from distill.bench_run import Wish

WISH = Wish("builtin:32", "hashgrid", "tiny", 4, batch=1024)
CPU = torch.device("cpu")


def test_both_are_measured_and_agree(monkeypatch):
    peers.stand_in(monkeypatch)
    monkeypatch.setattr(bench_run, "SIZES", ((4, 4),))
    for module in (bench_peers, training):
        monkeypatch.setattr(module, "RESOLUTION", 64)  # fewer cells to ask
    result = against(WISH, CPU, 3, 200)
    assert result["values"]["log_density"] < 0.05  # our decoder multiplies in bf16, the stand-in does not
    assert result["values"]["rgb"] < 0.01
    assert result["picture_db"] is None or result["picture_db"] > 60
    names = [row["what"] for row in result["rows"]]
    assert len(names) == 6 + 3 + 1
    samples = next(row for row in result["rows"] if row["what"] == "training step: samples_per_step")
    assert samples["nvidia"] == pytest.approx(samples["ours"], rel=0.2)  # the same rays; what they prune drifts apart
    for row in result["rows"]:
        assert row["ratio"] == pytest.approx(row["nvidia"] / row["ours"], rel=0.01)
    assert table(result).row_count == len(names)


def test_other_architectures_have_no_peer(monkeypatch):
    peers.stand_in(monkeypatch)
    with pytest.raises(ValueError, match="take --arch hashgrid"):
        against(Wish("builtin:32", "mlp", "tiny", 4, batch=1024), CPU, 3, 200)


def test_the_peer_is_a_field_of_its_own(monkeypatch):
    peers.stand_in(monkeypatch)
    run = bench_run.begun(WISH, bench_run.read(WISH), CPU)
    before = run.field
    bench_peers.swap(run)
    assert run.loss.field is run.field is run.run.field is not before
