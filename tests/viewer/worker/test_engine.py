"""The worker's engine, driven by hand: what it opens, draws, learns, converts, films, scores, and survives."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import block_file
from drawn import blender
from PIL import Image
from post import Post

from distill.photographs.settings import Settings
from fields.files import load
from viewer.messages import (
    Album,
    Close,
    Closed,
    Control,
    Convert,
    Drawn,
    Film,
    Filming,
    Learn,
    Open,
    Opened,
    Photograph,
    Photographs,
    Progress,
    Quit,
    Save,
    Score,
    Scores,
    Shot,
    Started,
    StopFilm,
    Told,
)
from viewer.worker import easel
from viewer.worker.engine import Engine

SMALL = (40, 30)


@pytest.fixture
def engine():
    post = Post()
    return Engine("cpu", post), post


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    blender(folder, train=4, test=2, size=(24, 24))
    return str(folder)


@pytest.fixture
def model(tmp_path):
    return block_file(tmp_path / "block.safetensors")


def settings(tmp_path, **changes):
    return Settings(out=tmp_path / "run", preset="tiny", steps=6, batch=1024, **changes)


def do(engine, *commands):
    for command in commands:
        engine.guarded(lambda command=command: engine.obey(command), "")


def until(engine, condition, slices=400):
    for _ in range(slices):
        if condition():
            return
        engine.guarded(engine.work, "")
    raise AssertionError(f"not reached in {slices} slices; last reports: {engine.inbox.reports[-5:]}")


def shot_of(post, number=1, view=0, **changes):
    spot = post.last(Album).spots[view]
    return replace(Shot(number, spot.camera.resized(*SMALL), (0,), view=view, passes=2), **changes)


def test_a_model_is_opened_described_and_drawn(engine, model):
    engine, post = engine
    do(engine, Open(str(model)))
    opened = post.last(Opened)
    assert (opened.pane, opened.name, opened.architecture) == (0, "block", "hashgrid")
    assert opened.model_bytes == model.stat().st_size
    assert opened.parameters == load(model).field.parameter_count()
    assert [s.split for s in post.last(Album).spots] == ["train"] * 3 + ["test"]
    do(engine, shot_of(post))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).final)
    drawn = post.last(Drawn)
    assert drawn.passes == 2 and drawn.image.shape == (30, 40, 3)
    assert drawn.image.std() > 10  # the block and its background
    assert not engine.work()  # and then there is nothing to do


def test_a_coarse_frame_comes_first_while_the_person_moves(engine, model):
    engine, post = engine
    do(engine, Open(str(model)))
    big = replace(shot_of(post), camera=post.last(Album).spots[0].camera.resized(400, 300), moving=True)
    do(engine, big)
    until(engine, lambda: bool(post.of(Drawn)))
    assert post.last(Drawn).image.shape[1] < 400
    assert not post.last(Drawn).final
    assert not engine.work()  # until the next shot


def test_once_the_person_rests_the_whole_picture_follows_the_coarse_one(engine, model):
    engine, post = engine
    do(engine, Open(str(model)))
    big = replace(shot_of(post), camera=post.last(Album).spots[0].camera.resized(800, 600), moving=True, passes=1)
    do(engine, big)
    until(engine, lambda: bool(post.of(Drawn)))
    do(engine, replace(big, number=2, moving=False))
    until(engine, lambda: post.last(Drawn).final)
    coarse, whole = post.of(Drawn)
    assert coarse.image.shape[1] < 800 and whole.image.shape == (600, 800, 3)


def test_only_the_newest_picture_is_finished(engine, model):
    engine, post = engine
    do(engine, Open(str(model)))
    do(engine, shot_of(post, 1), shot_of(post, 2, mode="depth"))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).final)
    assert {d.number for d in post.of(Drawn)} == {2}


def test_training_is_watched_paused_stepped_reset_and_finished(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)))
    assert post.troubles() == []
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 2)
    do(engine, Control(0, "pause"))
    assert not engine.work()
    do(engine, Control(0, "step"))
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 3)
    assert not engine.work() and post.last(Progress).life == "paused"
    do(engine, Control(0, "reset"))
    assert engine.shelf.panes[0].learning.run.index == 0
    do(engine, shot_of(post))
    until(engine, lambda: engine.shelf.panes[0].learner.life == "done")
    last = post.last(Progress)
    assert (last.life, last.step, last.steps) == ("done", 6, 6) and math.isfinite(last.loss)
    assert {p.life for p in post.of(Progress)} >= {"running", "paused", "scoring", "done"}
    for name in ("model.safetensors", "metrics.json", "log.jsonl", "test_sheet.png"):
        assert (tmp_path / "run" / name).is_file()
    assert len(post.of(Drawn)) > 1  # it was seen while it learnt


def test_a_live_frame_shows_the_field_as_it_stands(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)), Control(0, "pause"), Control(0, "step"))
    do(engine, shot_of(post))
    until(engine, lambda: post.of(Drawn) and engine.shelf.panes[0].learning.run.index == 1 and post.last(Drawn).final)
    before, count = post.last(Drawn).image, len(post.of(Drawn))
    do(engine, Control(0, "resume"))
    until(engine, lambda: engine.shelf.panes[0].learner.life == "done")
    until(engine, lambda: len(post.of(Drawn)) > count and post.last(Drawn).final)
    assert np.abs(before.astype(int) - post.last(Drawn).image).max() > 2


def test_the_photograph_of_a_view_is_sent_once_and_compared_with(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)), Control(0, "pause"))
    camera = post.last(Album).spots[1].camera
    do(engine, replace(shot_of(post, 1, 1), camera=camera))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).passes == 2)
    do(engine, replace(shot_of(post, 2, 1), camera=camera, mode="error"))
    until(engine, lambda: post.last(Drawn).number == 2)
    assert len(post.of(Photograph)) == 1 and post.last(Photograph).image.shape == (24, 24, 3)
    assert 3 < next(d.psnr for d in post.of(Drawn) if d.psnr is not None) < 60


def test_a_field_that_learns_is_compared_with_its_photograph_now_and_then(engine, tmp_path, data, monkeypatch):
    engine, post = engine
    monkeypatch.setattr(easel, "frame_size", lambda full, *_: (full[0] // 2, full[1] // 2))
    do(engine, Learn(data, replace(settings(tmp_path), steps=10_000)))
    do(engine, replace(shot_of(post, 1, 1), camera=post.last(Album).spots[1].camera))
    until(engine, lambda: sum(d.psnr is not None for d in post.of(Drawn)) == 2, 2000)
    assert all((d.psnr is not None) == (d.image.shape[0] == 24) for d in post.of(Drawn))


def test_a_conversion_runs_beside_its_teacher(engine, model, tmp_path):
    engine, post = engine
    do(engine, Open(str(model)), Convert(0, "vm", "tiny", steps=3, out=str(tmp_path / "vm.safetensors")))
    assert post.troubles() == []
    assert post.last(Opened).pane == 1 and post.last(Opened).architecture == "vm"
    do(engine, replace(shot_of(post), panes=(0, 1)))
    until(engine, lambda: engine.shelf.panes[1].learner.life == "done")
    assert {d.pane for d in post.of(Drawn)} == {0, 1}
    assert load(tmp_path / "vm.safetensors").header.architecture == "vm"


def test_the_teacher_s_picture_gets_finer_while_the_student_learns(engine, model, tmp_path):
    engine, post = engine
    do(engine, Open(str(model)), Convert(0, "vm", "tiny", steps=2000, out=str(tmp_path / "vm.safetensors")))
    do(engine, replace(shot_of(post), panes=(0, 1), passes=2))
    until(engine, lambda: any(d.final and d.pane == 0 for d in post.of(Drawn)), 2000)
    assert engine.shelf.panes[1].busy
    assert {d.pane for d in post.of(Drawn)} == {0, 1}


def test_what_is_still_learning_can_teach(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)))
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 2)
    do(engine, Control(0, "pause"), Convert(0, "triplane", "tiny", steps=2, out=str(tmp_path / "t.safetensors")))
    assert post.troubles() == []
    until(engine, lambda: engine.shelf.panes[1].learner.life == "done")


def test_a_crop_of_the_window_reaches_the_conversion_in_input_coordinates(engine, tmp_path):
    engine, post = engine
    straight = torch.diag(torch.tensor([0.5, 0.5, 0.5, 1.0], dtype=torch.float64))
    model = block_file(tmp_path / "straight.safetensors", transform=straight.tolist())
    low, high = (0.25, 0.25, 0.25), (0.5, 0.75, 0.75)
    out = str(tmp_path / "c.safetensors")
    do(engine, Open(str(model)), Convert(0, "vm", "tiny", steps=1, crop=(*low, *high), out=out))
    assert post.troubles() == []
    box = torch.tensor(post.last(Opened).box).view(2, 3)
    assert torch.allclose(box[1], torch.tensor(high), atol=0.02)


def test_a_crop_across_the_axes_of_the_data_set_is_refused(engine, model):
    engine, post = engine  # the block's transform turns
    do(engine, Open(str(model)), Convert(0, "vm", "tiny", steps=1, crop=(0.25, 0.25, 0.25, 0.5, 0.75, 0.75)))
    assert "does not lie along the axes" in post.troubles()[0]


def test_a_film_is_what_render_scene_draws(engine, model, tmp_path):
    engine, post = engine
    do(engine, Open(str(model)))
    cameras = tuple(s.camera.resized(32, 24) for s in post.last(Album).spots[:3])
    do(engine, Film(0, str(tmp_path / "a.gif"), cameras, 10.0))
    until(engine, lambda: post.of(Filming) and post.last(Filming).final)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3 and film.size == (32, 24)


def test_a_film_that_is_stopped_leaves_nothing(engine, model, tmp_path):
    engine, post = engine
    do(engine, Open(str(model)))
    cameras = tuple(post.last(Album).spots[0].camera.resized(32, 24) for _ in range(50))
    do(engine, Film(0, str(tmp_path / "film" / "a.mp4"), cameras, 10.0))
    until(engine, lambda: post.of(Filming) and post.last(Filming).done == 2)
    do(engine, StopFilm())
    assert post.last(Filming).final and engine.filmer is None
    assert list((tmp_path / "film").iterdir()) == []


def test_a_film_goes_on_while_a_field_learns_and_a_picture_gets_finer(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path, seed=1)))
    do(engine, replace(shot_of(post), passes=4096))
    cameras = tuple(s.camera.resized(32, 24) for s in post.last(Album).spots[:3])
    do(engine, Film(0, str(tmp_path / "a.gif"), cameras, 10.0))
    until(engine, lambda: post.of(Filming) and post.last(Filming).final, 60)
    assert (tmp_path / "a.gif").is_file()


def test_views_are_scored_one_by_one(engine, model, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)), Control(0, "pause"), Score(0))
    until(engine, lambda: post.of(Scores) and post.last(Scores).done)
    psnr = post.last(Scores).psnr
    assert len(psnr) == len(post.last(Album).spots) and all(3 < p < 60 for p in psnr)
    assert len(post.of(Scores)) > len(psnr) // 2


def test_photographs_become_the_album_of_a_model(engine, model, data):
    engine, post = engine
    do(engine, Open(str(model)), Photographs(data))
    assert all(spot.photographed for spot in post.last(Album).spots)


def test_a_field_is_saved_wherever_it_comes_from(engine, model, tmp_path, data):
    engine, _post = engine
    do(engine, Open(str(model)), Learn(data, settings(tmp_path)), Control(1, "pause"))
    do(engine, Save(0, str(tmp_path / "one")), Save(1, str(tmp_path / "two.safetensors")))
    assert (tmp_path / "one.safetensors").read_bytes() == model.read_bytes()
    assert load(tmp_path / "two.safetensors").header.architecture == "hashgrid"


def test_what_was_learnt_is_saved_when_the_pane_is_closed(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)))
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 2)
    do(engine, Close(0))
    assert post.last(Closed).pane == 0 and engine.shelf.panes == {}
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()
    assert load(tmp_path / "run" / "model.safetensors").header.provenance["steps"] == 2


def test_what_was_learnt_is_saved_when_the_front_end_goes(engine, tmp_path, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path, resume=False)))
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 2)
    post.commands.append(Quit())
    engine.run()
    assert post.of(Started) and (tmp_path / "run" / "checkpoint.safetensors").is_file()
    again, other = Engine("cpu", Post()), Learn(data, settings(tmp_path, resume=True))
    do(again, other)
    assert again.shelf.panes[0].learning.run.index == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Open("nowhere.safetensors"), "nowhere.safetensors"),
        (Learn("nowhere", Settings()), "nowhere"),
        (Learn("builtin", Settings(arch="wings")), "wings"),
        (Photographs("nowhere"), "nowhere"),
        (Convert(0, "wings"), "wings"),
        (Convert(7, "vm"), "pane 7 is closed"),
        (Control(0, "pause"), "read from a file"),
        (Save(0, "/proc/nowhere/a"), "/proc/nowhere"),
        (Score(0), "no photographs"),
        (Film(0, "a.txt", (), 24.0), "a.txt"),
        (Film(0, "a.mp4", (), 24.0), "at least one camera"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_else_stops(engine, model, command, said):
    engine, post = engine
    do(engine, Open(str(model)), command)
    for _ in range(3):
        engine.guarded(engine.work, "")
    [text] = post.troubles()
    assert said in text and "\n" not in text and not text.startswith(("KeyError", "AttributeError", "AssertionError"))
    do(engine, shot_of(post, 9))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).number == 9)


def test_a_model_that_is_deleted_while_open_stays_visible(engine, model):
    engine, post = engine
    do(engine, Open(str(model)))
    model.unlink()
    do(engine, shot_of(post))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).final)
    do(engine, Save(0, str(model)))
    assert "No such file" in post.troubles()[-1]


def test_learning_that_fails_is_told_and_the_field_stays_visible(engine, tmp_path, monkeypatch, data):
    engine, post = engine
    do(engine, Learn(data, settings(tmp_path)))
    until(engine, lambda: engine.shelf.panes[0].learning.run.index == 1)
    monkeypatch.setattr(engine.shelf.panes[0].learning.run.optimizer, "step", lambda factor: 1 / 0)
    until(engine, lambda: bool(post.troubles()), 20)
    assert "ZeroDivisionError" in post.troubles()[0]
    assert engine.shelf.panes[0].learner.life == "failed" and post.last(Progress).life == "failed"
    do(engine, shot_of(post))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).final)


def test_a_second_model_is_seen_by_the_same_camera(engine, model, tmp_path):
    engine, _post = engine
    moved = torch.eye(4, dtype=torch.float64)
    moved[:3, :3] *= 2
    other = block_file(tmp_path / "other.safetensors", transform=moved.tolist())
    do(engine, Open(str(model)), Open(str(other)))
    carry = engine.shelf.panes[1].carry
    first, second = (torch.tensor(load(p).header.transform, dtype=torch.float64) for p in (model, other))
    assert torch.allclose(carry @ first, second)
    assert torch.equal(engine.shelf.panes[0].carry, torch.eye(4, dtype=torch.float64))


def test_a_picture_that_fails_is_told_once_and_another_can_be_asked_for(engine, model, monkeypatch):
    engine, post = engine
    do(engine, Open(str(model)))
    do(engine, shot_of(post))
    monkeypatch.setattr(easel, "draw_pass", lambda *_: 1 / 0)
    for _ in range(5):
        engine.guarded(engine.work, "")
    assert post.troubles() == ["ZeroDivisionError: division by zero"]
    monkeypatch.undo()
    do(engine, shot_of(post, 2))
    until(engine, lambda: post.of(Drawn) and post.last(Drawn).final)


def test_errors_are_told_on_one_line(engine):
    engine, post = engine
    engine.guarded(lambda: open("/nowhere/at/all"), "")  # noqa: SIM115, PTH123
    assert post.of(Told)[-1].text == "/nowhere/at/all: No such file or directory"
