"""The time that training will take: a probe that answers, and what is made of it."""

import re

import psutil
import pytest

from scenes import inspection, probe
from scenes.assemble import load
from scenes.checks import examine
from scenes.options import ReadOptions


def test_a_speed_is_measured():
    assert probe.flops() == pytest.approx(probe.flops(), rel=100)
    assert probe.flops() > 1e6
    assert 0 <= probe.busy() <= 1


def test_the_estimate_is_that_of_the_machines_it_was_measured_on():
    assert probe.seconds(205e9) == pytest.approx(37, rel=0.05)  # s of the default run and speed, measured together
    assert probe.seconds(410e9) > 37 / 2  # not all of a step goes faster with products
    assert probe.seconds(50e9) > 100


@pytest.mark.parametrize(("minutes", "text"), [(0.4, "24 s"), (1.4, "84 s"), (1.6, "2 min"), (75.0, "75 min")])
def test_durations_are_for_people(minutes, text):
    assert inspection.duration(minutes) == text


@pytest.mark.parametrize("percent", [3.0, 60.0])
def test_other_work_is_told(percent, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: percent)
    report = examine(load("builtin:48", ReadOptions()), "builtin", "")
    inspection.show(report, tmp_path)
    said = capsys.readouterr().out
    assert re.search(r"about \d+ (s|min) for 1300 steps of 32768 samples on this CPU", said)
    assert ("other programs keep it 60% busy now" in said) == (percent == 60)
