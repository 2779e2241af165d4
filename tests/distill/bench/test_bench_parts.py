"""The parts of a step and the machine's ceilings: what is timed is there, and nothing else changes."""

import itertools

import numpy as np
import pytest
import torch

from distill.bench import ceilings, step_parts
from distill.bench.ceilings import Ceilings, measure_ceilings
from distill.bench.run import Trial, begin_trial, read_pictures, time_parts
from distill.bench.step_parts import PARTS, Watch, count_work, watching
from distill.learning.fit import Schedule
from distill.photographs import job

CPU = torch.device("cpu")
MACHINE = Ceilings(2, 2e9, 1e9, 2.0, 4.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(job, "RESOLUTION", 64)  # fewer cells to ask
    monkeypatch.setattr(ceilings, "PRODUCTS", 1)
    monkeypatch.setattr(ceilings, "ROWS", 1 << 6)
    monkeypatch.setattr(ceilings, "LOOKED", 1 << 8)
    monkeypatch.setitem(ceilings.COPIED, "cpu", 1 << 12)


@pytest.fixture(scope="module")
def scene():
    return read_pictures(Trial("builtin:32", "", "", 0))


def begin(scene, architecture="hashgrid", steps=30):
    return begin_trial(Trial("builtin:32", architecture, "tiny", steps, batch=1024), scene, CPU)


@pytest.mark.parametrize("lanes", ceilings.WIDTHS)
def test_products_are_the_products(lanes):
    random, width = np.random.default_rng(0), len(lanes)
    left, right = (random.integers(-4, 5, (7, n)).astype(np.float32) for n in (6, 2 * width))
    sums = np.zeros((3, width), np.float32)
    ceilings.multiply(left, right, sums, lanes, 2)
    whole = 2 * (left.T @ right).sum(0)
    assert (sums == whole[:width] + whole[width:]).all()


def test_rows_are_read_and_added_to():
    random = np.random.default_rng(0)
    rows = random.integers(5, size=(2, 9), dtype=np.int32)
    tables, sums = random.integers(9, size=(10, 4)).astype(np.float32), np.zeros((2, 4), np.float32)
    ceilings.read_rows(tables, rows, sums)
    assert (sums == tables[rows].sum(1)).all()
    ceilings.add_rows(added := np.zeros_like(tables), rows)
    assert (added == np.concatenate([np.bincount(r, minlength=5) for r in rows])[:, None]).all()


def test_ceilings_are_numbers():
    found = measure_ceilings(3)
    assert min(found.multiply_adds, found.copy, found.read_ns, found.add_ns) > 0


def test_one_part_runs_at_a_time(monkeypatch):
    clock = itertools.count()  # a second between two looks
    monkeypatch.setattr(step_parts.time, "perf_counter", lambda: float(next(clock)))
    watch = Watch()
    inner = watch.timed(lambda: "found", "prune", "loss")
    outer = watch.timed(inner, "loss", "rest")
    assert outer() == "found"
    watch.note()
    assert {part: spent for part, spent in watch.spent.items() if spent} == {"rest": 2, "loss": 2, "prune": 1}
    with pytest.raises(ZeroDivisionError):
        watch.timed(lambda: 1 // 0, "march", "rest")()
    assert watch.part == "rest"


def test_every_part_of_a_step_is_found(scene):
    result = time_parts(begin(scene), 3)
    inside = result.inside
    assert inside is not None
    assert set(inside.parts_ms) == set(inside.parts_main_thread_ms) == set(PARTS)
    assert min(inside.parts_ms.values()) > 0
    assert inside.occupancy_updates == 5 + 7  # from step 11 on every step, from step 16 on every other one, up to 29
    assert inside.work.marched >= inside.work.kept == result.samples_per_step
    record = result.to_record()
    assert record.keys() >= {
        "mean_ms",
        "parts_ms",
        "page_faults",
        "processor_ms",
        "ceilings",
        "at_ceilings_ms",
        "shares",
    }
    assert "inside" not in record
    assert result.to_table().row_count > len(PARTS)


def test_a_watched_run_learns_the_same_and_is_left_as_it_was(scene):
    states = []
    for watched in (True, False):
        run = begin(scene, steps=6)
        if watched:
            with watching(run):
                list(run.steps(Schedule(6)))
            assert not {"march", "visible"} & vars(run.renderer).keys()
            assert not {"loss", "error"} & vars(run.source).keys()
            assert "step" not in vars(run.optimization.optimizer)
        else:
            list(run.steps(Schedule(6)))
        states.append(run.optimization.state())
    one, other = states
    for name in one.keys() - {"run.seconds"}:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("owner", ["source.pixels.draw", "renderer.march", "renderer.visible", "source.error"])
def test_what_a_step_no_longer_has_is_told(scene, monkeypatch, owner):
    run = begin(scene)
    *path, name = owner.split(".")
    place = run
    for part in path:
        place = getattr(place, part)
    monkeypatch.delattr(type(place), name)
    with pytest.raises(AttributeError, match=name), watching(run):
        pass


def test_a_new_optimizer_is_timed_too(scene):
    run = begin(scene)
    with watching(run) as watch:
        run.optimization.renew()
        list(run.steps(Schedule(2)))
        assert watch.spent["optimiser"] > 0
    assert "step" not in vars(run.optimization.optimizer)


def test_work_is_counted(scene):
    field = begin(scene).field  # 8 levels of 2 features, 16-64-16, then 31-64-64-3
    shape, head = 16 * 64 + 64 * 16, 31 * 64 + 64 * 64 + 64 * 3
    work = count_work(field, 10, 4)
    assert work.networks == 2 * shape * 10 + 2 * head * 4 + 4 * (shape + head) * 4
    assert (work.rows_read, work.rows_added) == (8 * 8 * 10, 8 * 8 * 4)
    assert work.optimiser == 32 * field.parameter_count()
    least = work.at_ceilings(MACHINE)
    assert least["networks"] == pytest.approx(work.networks / 2e6, abs=0.01)
    assert least["table_rows_added"] == pytest.approx(work.rows_added * 4e-6, abs=0.01)


def test_a_field_without_a_grid_reads_no_rows(scene):
    assert count_work(begin(scene, "mlp").field, 10, 4).rows_read == 0
