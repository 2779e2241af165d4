"""The report on a GPU, as far as a CPU can show: parts at tiny sizes, one that fails, the table."""

import json
import subprocess
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from distill.bench import gpu as bench_gpu
from distill.bench import gpu_report, timing
from distill.bench import run as bench_run
from distill.bench.gpu import GpuPlan, count_tests
from distill.bench.gpu_report import FIGURES, GPU_PARTS, GpuReport, report_gpu, run_part
from distill.bench.ops import OpTime
from distill.bench.timing import Machine
from distill.photographs import job

TINY = GpuPlan(
    "builtin:48", preset="tiny", device="cpu", points=300, repeats=3, steps=30, curve_steps=12, views=1, scores=2,
    lesson="builtin:32", lesson_batch=1024, lessons=8,
)  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(bench_run, "FRAME_SIZES", ((20, 20),))
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    monkeypatch.setitem(bench_run.BATCH, "cpu", 2048)
    monkeypatch.setitem(timing.COPIED, "cpu", 1 << 20)


@pytest.fixture
def in_this_process(monkeypatch):
    """Parts run here: a process imports for seconds."""

    def answer(name, plan, limit):
        try:
            printed = json.dumps(GPU_PARTS[name][0](plan, CPU).to_record())
            return SimpleNamespace(returncode=0, stdout=f"chatter\n{printed}\n", stderr="")
        except Exception as error:
            return SimpleNamespace(returncode=1, stdout="", stderr=f"Warning\n{type(error).__name__}: {error}\n")

    monkeypatch.setattr(gpu_report, "start_process", answer)


def test_parts_are_kept_as_they_come_and_one_that_fails_costs_only_itself(in_this_process, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setattr(bench_gpu, "time_field", broken)
    monkeypatch.setattr(bench_gpu.fields, "NAMES", ("hashgrid", "nonsense"))
    path = tmp_path / "report.json"
    report = report_gpu(TINY, ("fields", "curve", "agreement"), path, Console(quiet=True))
    result = report.to_record()
    assert result == json.loads(path.read_text())
    assert "illegal memory access" in result["fields"]["error"]
    assert result["curve"]["steps"] == 12
    assert result["curve"]["frames"]["20x20_ms"] > 0
    assert result["agreement"]["hashgrid"] > 90  # the same processor twice
    assert "No module named 'fields.arch.nonsense'" in result["agreement"]["nonsense"]
    assert "worst" not in result["agreement"]  # not all were compared
    assert report.to_table().row_count == len(FIGURES) + 1


def test_one_op_that_fails_leaves_the_others(monkeypatch):
    def broken():
        raise ValueError("no such instruction")

    second = OpTime("second", "2 points", 1.0, 8, 1e9, 0, None)
    monkeypatch.setattr(bench_gpu, "list_ops", lambda *_: [("first", broken), ("second", lambda: [second])])
    rows = bench_gpu.time_each_op(TINY, CPU).to_record()["rows"]
    assert rows[0] == {"op": "first", "error": "no such instruction"}
    assert rows[1] == second.to_record()
    assert len(rows) == 2


def test_every_figure_has_a_place_in_a_report():
    times = {"density": 0.4, "radiance with gradients": 3.0}
    parts = {
        "kernels": {"failed": 0},
        "training": {"mean_ms": 1.4},
        "cold": {"seconds": 12.0},
        "curve": {
            "seconds_to_db": {"33.3": None}, "seconds": 30.0, "psnr": 36.1, "frames": {"800x800_ms": 2.5},
            "peak_mebibytes": 900, "scored_on": "25 test pictures",
        },
        "fields": {"random": times, "along rays": times},
        "agreement": {"worst": 50.0},
    }  # fmt: skip
    result = GpuReport(GpuPlan("chair"), Machine("H200", 1, True, "2", "0", "AVX2"), parts)
    values = {figure.place: result.find(figure.place) for figure in FIGURES}
    assert [place for place, value in values.items() if value is None] == [("curve", "seconds_to_db", "33.3")]
    shown = result.to_table()
    verdicts = dict(zip(values, shown.columns[3].cells, strict=True))
    missed = {place for place, verdict in verdicts.items() if verdict == "no"}
    assert missed == {
        ("curve", "seconds_to_db", "33.3"), ("curve", "frames", "800x800_ms"),
        ("fields", "random", "radiance with gradients"), ("fields", "along rays", "radiance with gradients"),
    }  # fmt: skip
    assert "not reached" in list(shown.columns[2].cells)


def test_what_pytest_prints_is_counted():
    printed = "....F\nFAILED tests/test_a_cuda.py::test_b - no\n1 failed, 40 passed, 2 skipped in 60.1s\n"
    result = count_tests(printed, 1, "")
    assert (result.passed, result.failed) == (40, 1)
    assert result.failures == ("FAILED tests/test_a_cuda.py::test_b - no",)
    with pytest.raises(ValueError, match="ended with 4: no such option"):
        count_tests("", 4, "usage\nno such option\n")


def test_a_part_in_a_process_of_its_own_tells_why_it_failed():
    told = run_part("peers", TINY)["error"]
    assert told.startswith("ValueError: ") and "pip install" in told


def test_a_part_that_hangs_is_ended(monkeypatch):
    def slow(name, plan, limit):
        raise subprocess.TimeoutExpired(name, limit)

    monkeypatch.setattr(gpu_report, "start_process", slow)
    assert run_part("ops", TINY) == {"error": f"not done after {GPU_PARTS['ops'][1]} s"}


def test_the_limits_add_up_to_a_quarter_of_an_hour_at_most():
    assert sum(seconds for name, (_, seconds) in GPU_PARTS.items() if name not in gpu_report.ASIDE) <= 930
