"""`bench-scene`: every part is measured and told; how fast it is, is no test's business."""

import json
import sys

import pytest

from distill import bench_scene


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        bench_scene.main()
    return end.value.code


def test_ops_compare_kernel_and_reference(monkeypatch, capsys, tmp_path):
    path = tmp_path / "ops.json"
    assert run(monkeypatch, "--ops", "--points", 300, "--repeats", 3, "--json", "--out", path) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(path.read_text())
    assert set(printed) == {"machine", "ops"}
    names = [row["op"] for row in printed["ops"]]
    both = ["planes", "voxels", "rbf", "wendland", "modulate"]
    wanted = [f"{name}{part}" for name in both for part in ("", " with gradients")]
    rest = ["march", "composite", "composite backward"]
    assert names == ["grid encode", "grid encode backward", *wanted, *rest]
    for row in printed["ops"]:
        assert row["median_ms"] > 0
        assert row["ratio"] == pytest.approx(row["reference_ms"] / row["median_ms"], rel=0.2)  # rounded on the way


def test_training_and_frames_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(bench_scene, "SIDES", (20, 40))  # 30 steps leave fog, which is slow to draw
    monkeypatch.setitem(bench_scene.BATCH, "cpu", 4096)
    assert run(monkeypatch, "builtin:48", "--frames", "--steps", 30, "--preset", "tiny", "--repeats", 3, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"machine", "train", "frames"}
    assert printed["train"]["steps"] == 20
    assert printed["train"]["samples_per_second"] > 0
    assert set(printed["frames"]) == {f"{s}_{what}" for s in (20, 40) for what in ("ms", "samples_per_second")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--repeats", 1], "--repeats"),
        (["--distill", "--convert-seconds", 0], "--convert-seconds must be > 0, found 0.0"),
        (["--ablation"], "are for --distill"),
        (["--architectures", "--resume"], "are for --distill"),
        (["--distill", "--architectures"], "two runs"),
        (["--distill", "--only", "hashgrid"], "two architectures or more"),
        (["--distill", "--ablation", "--only", "hashgrid"], "two architectures or more"),
        (["--distill", "--only", "hashgrid", "hashgird"], "did you mean 'hashgrid'"),
        (["--distill", "--out", __file__], "with --distill, --out wants a folder"),
    ],
)
def test_bad_flags_are_refused(monkeypatch, capsys, words, told):
    assert run(monkeypatch, *words) == 2
    assert told in capsys.readouterr().err
