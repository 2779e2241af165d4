"""`bench-scene`: every part is measured and told; how fast it is, is no test's business."""

import json
import sys

import pytest
import torch

from distill import bench_scene
from distill.bench import ceilings, measure, timing
from distill.bench import run as bench_run
from distill.bench.step_parts import PARTS
from distill.photographs import job
from render.camera import Camera, Intrinsics

NEEDED = {"op", "size", "median_ms", "bytes", "gigabytes_per_second", "share_of_copy"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    monkeypatch.setitem(bench_run.BATCH, "cpu", 2048)
    monkeypatch.setattr(ceilings, "PRODUCTS", 1)
    monkeypatch.setitem(timing.COPIED, "cpu", 1 << 20)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench-scene", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        bench_scene.main()
    return end.value.code


def test_ops_compare_kernel_and_reference(monkeypatch, capsys, tmp_path):
    path = tmp_path / "ops.json"
    words = ["--ops", "--points", 300, "--repeats", 3, "--preset", "tiny", "--json", "--out", path]
    assert run(monkeypatch, *words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(path.read_text())
    assert set(printed) == {"machine", "engine", "copy_bytes_per_second", "ops", "fields"}
    names = [row["op"] for row in printed["ops"]]
    both = ["planes", "voxels", "rbf", "wendland", "modulate"]
    wanted = [f"{name}{part}" for name in both for part in ("", " with gradients")]
    rest = ["march", "composite", "composite backward"]
    assert names == ["grid encode", "grid encode backward", *wanted, *rest]
    for row in printed["ops"]:
        assert row["median_ms"] > 0
        exact = row["reference_ms"] / row["median_ms"]  # from rounded numbers; ratio is to a tenth
        assert row["ratio"] == pytest.approx(exact, rel=0.2, abs=0.05)
    assert {row["op"] for row in printed["ops"] if "teraflops" in row} == {"rbf", "rbf with gradients"}
    assert [row["op"] for row in printed["fields"]] == ["density", "radiance", "radiance with gradients"] * 2
    assert ["along rays" in row["size"] for row in printed["fields"]] == [False] * 3 + [True] * 3
    for row in [*printed["ops"], *printed["fields"]]:
        assert row.keys() >= NEEDED
        assert row["gigabytes_per_second"] == pytest.approx(row["bytes"] / row["median_ms"] / 1e6, rel=0.2, abs=0.2)


def test_training_and_frames_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(bench_run, "FRAME_SIZES", ((20, 20), (40, 30)))  # 30 steps leave fog, which is slow to draw
    assert run(monkeypatch, "builtin:48", "--frames", "--steps", 30, "--preset", "tiny", "--repeats", 3, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"machine", "engine", "train", "frames"}
    assert printed["train"]["steps"] == 19
    assert printed["train"]["samples_per_second"] > 0
    assert 0 < printed["train"]["mean_ms"] < 60_000
    assert printed["train"]["peak_memory_bytes"] > 1 << 20
    assert set(printed["train"]["parts_ms"]) == set(PARTS)
    assert printed["machine"]["instructions"]
    assert set(printed["frames"]) == {
        f"{s}_{what}" for s in ("20x20", "40x30") for what in ("ms", "samples_per_second")
    }


def test_a_frame_of_another_shape_keeps_its_pixels_square():
    camera = Camera(torch.eye(4), Intrinsics(100.0, 100.0, 50.0, 50.0), (100, 100))
    wide = bench_run.reframe(camera, 384, 216)
    assert wide.size == (384, 216)
    assert wide.intrinsics.fx == pytest.approx(wide.intrinsics.fy) == pytest.approx(216)
    assert (wide.intrinsics.cx, wide.intrinsics.cy) == pytest.approx((192, 108))


def test_time_to_db_is_told_with_its_protocol(monkeypatch, capsys):
    monkeypatch.setitem(measure.SCORES, "cpu", 2)
    words = ["builtin:48", "--curve", "--curve-steps", 30, "--views", 2, "--preset", "tiny", "--json"]
    assert run(monkeypatch, *words) == 0
    printed = json.loads(capsys.readouterr().out)["curve"]
    assert printed["steps"] == 30
    assert "2 test pictures, 48 x 48, on background 1 1 1" in printed["scored_on"]


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
        (["--curve", "--views", 0], "--views 1 or more"),
        (["--against", "cpu", "--durations", 0], "--durations must be > 0"),
    ],
)
def test_bad_flags_are_refused(monkeypatch, capsys, words, told):
    assert run(monkeypatch, *words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--gpu-report"], "finds no CUDA device here"),
        (["--gpu-report", "--device", "cpu", "--only", "opps"], "no part 'opps' (there are: kernels,"),
        (["--against", "nvidia"], "pip install 'git+https://github.com/NVlabs/tiny-cuda-nn"),
        (["--train", "--engine", "nvidia"], "pip install 'git+https://github.com/NVlabs/tiny-cuda-nn"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(monkeypatch, capsys, words, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    assert run(monkeypatch, *words) == 2
    found = capsys.readouterr().err
    assert told in found
    assert found.count("\n") == 1
