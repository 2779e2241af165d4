"""What a run gave, as values, as JSON and for a person."""

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from distill.learning.metrics import Effort, Metrics, Teacher, table
from render.metrics import Protocol, Quality, Score

PROTOCOL = Protocol("test", (1.0, 1.0, 1.0), (20, 16), 2)
QUALITY = Quality((Score("a.png", 29.0, 0.9), Score("b.png", 31.0, 0.7)), PROTOCOL)
EFFORT = Effort(61.2, 700, 9_000_000, 147_059, 120_000, 500_000, 2 << 30, "cpu, 2 threads", "cam", "small")
TEACHER = Teacher("block.safetensors", "vm", 2_000_000, 41.0, 35.0, Score("block.safetensors", 31.5, 0.8))
TRAINED = Metrics(QUALITY, EFFORT, 80.4, 1_000_000)
CONVERTED = Metrics(QUALITY, EFFORT, 80.4, None, TEACHER)


@pytest.mark.parametrize(
    "metrics", [TRAINED, CONVERTED, replace(CONVERTED, teacher=replace(TEACHER, photographs=None))]
)
def test_metrics_survive_json(metrics):
    assert Metrics.from_record(json.loads(json.dumps(metrics.to_record(), allow_nan=False))) == metrics


def test_the_keys_of_metrics_json_are_those_that_are_read_elsewhere():
    """In this order, as they have stood in every file since the first."""
    common = ["psnr", "ssim", "images", "protocol", "scored_on"]
    took = ["train_seconds", "steps", "samples", "samples_per_second", "parameters", "model_bytes"]
    took += ["peak_memory_bytes", "device", "architecture", "preset", "frame_ms_median"]
    assert list(TRAINED.to_record()) == [*common, *took, "frame_samples_per_second"]
    record = CONVERTED.to_record()
    assert list(record) == [*common, "psnr_teacher", *took, "teacher", "photographs"]
    assert list(record["teacher"]) == ["file", "architecture", "model_bytes", "frame_ms_median"]
    assert record["photographs"] == {"teacher_psnr": 31.5, "teacher_ssim": 0.8}
    assert (record["psnr"], record["scored_on"]) == (30.0, str(PROTOCOL))


def test_the_header_gets_all_but_pictures_and_its_own_size():
    assert set(TRAINED.to_record()) - set(TRAINED.summary()) == {"images", "model_bytes"}
    assert TRAINED.written(7).effort.model_bytes == 7


def test_equal_pictures_leave_no_infinity_in_json():
    quality = Quality((Score("a.png", math.inf, 1.0),), PROTOCOL)
    record = json.loads(json.dumps(Metrics(quality, EFFORT, 1.0, None, replace(TEACHER, psnr=math.inf)).to_record()))
    assert record["psnr"] == record["psnr_teacher"] == "inf"
    again = Metrics.from_record(record)
    assert again.quality.psnr == math.inf
    assert again.teacher is not None and again.teacher.psnr == math.inf


@pytest.mark.parametrize(
    "broken", [{}, [], TRAINED.to_record() | {"steps": None}, {**CONVERTED.to_record(), "teacher": 1}]
)
def test_damaged_metrics_are_refused(broken):
    with pytest.raises(ValueError, match="damaged"):
        Metrics.from_record(broken)


def shown(metrics):
    console = Console(file=io.StringIO(), width=200)
    console.print(table(metrics))
    return " ".join(console.file.getvalue().split())  # a caption is broken at the table's width


def test_the_table_shows_both_and_the_difference():
    words = ("vm into cam small", "35.00 dB", "30.00 dB (-1.50)", "31.50 dB", "0.50 MB", "2.00 MB", "80 ms", "41 ms")
    for word in (*words, "61 s, 700 steps", str(PROTOCOL)):
        assert word in shown(CONVERTED)


def test_the_table_of_a_field_from_photographs():
    words = (
        "cam small",
        "30.00 dB",
        "0.8000",
        "61 s, 700 steps",
        "0.15 M samples/s",
        "80 ms",
        "0.5 MB, 0.12 M parameters",
    )
    for word in (*words, "2.15 GB", "cpu, 2 threads", str(PROTOCOL)):
        assert word in shown(TRAINED)
