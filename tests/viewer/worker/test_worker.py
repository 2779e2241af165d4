"""The worker, driven by hand: what it opens, draws, learns, converts, films, scores, and survives."""

import math
import threading
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
from render.camera import Camera, Intrinsics
from viewer.messages import (
    Activity,
    CloseField,
    CompareWith,
    ControlRun,
    Convert,
    DrawFilm,
    FieldClosed,
    FieldOpened,
    FilmProgress,
    FrameDrawn,
    FrameRequest,
    LearnFrom,
    Notice,
    OpenModel,
    Photograph,
    QuitWorker,
    RunProgress,
    SaveModel,
    ScoreViews,
    ShowPhotographs,
    SmallPhotographs,
    StopFilm,
    Views,
    ViewScores,
    WorkerStarted,
)
from viewer.worker import frames as frames_module
from viewer.worker import open_fields, pacing
from viewer.worker import worker as worker_module
from viewer.worker.worker import Worker

SMALL = (40, 30)


@pytest.fixture
def worker():
    post = Post()
    return Worker("cpu", post), post


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


def wide(pixels: int) -> Camera:
    return Camera(torch.eye(4), Intrinsics(8, 8, 4, 4), (pixels, 8))


def do(worker, *commands):
    for command in commands:
        worker.guard(lambda command=command: worker.obey(command), "")


def until(worker, condition, slices=400):
    for _ in range(slices):
        if condition():
            return
        worker.guard(worker.work, "")
    raise AssertionError(f"not reached in {slices} slices; last reports: {worker.channel.reports[-5:]}")


def request_of(post, number=1, view=0, **changes):
    spot = post.last(Views).views[view]
    return replace(FrameRequest(number, spot.camera.resized(*SMALL), (0,), view=view, passes=2), **changes)


def test_a_model_is_opened_described_and_drawn(worker, model):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    opened = post.last(FieldOpened)
    assert (opened.pane, opened.name, opened.architecture) == (0, "block", "hashgrid")
    assert opened.model_bytes == model.stat().st_size
    assert opened.parameters == load(model).field.parameter_count()
    assert [s.split for s in post.last(Views).views] == ["train"] * 3 + ["test"]
    do(worker, request_of(post))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).final)
    drawn = post.last(FrameDrawn)
    assert drawn.passes == 2 and drawn.image.shape == (30, 40, 3)
    assert drawn.image.std() > 10  # the block and its background
    assert not worker.work()  # and then there is nothing to do


def test_a_coarse_frame_comes_first_while_the_person_moves(worker, model):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    big = replace(request_of(post), camera=post.last(Views).views[0].camera.resized(400, 300), moving=True)
    do(worker, big)
    until(worker, lambda: bool(post.of(FrameDrawn)))
    assert post.last(FrameDrawn).image.shape[1] < 400
    assert not post.last(FrameDrawn).final
    assert not worker.work()  # until the next request


def test_once_the_person_rests_the_whole_picture_follows_the_coarse_one(worker, model):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    big = replace(request_of(post), camera=post.last(Views).views[0].camera.resized(800, 600), moving=True, passes=1)
    do(worker, big)
    until(worker, lambda: bool(post.of(FrameDrawn)))
    do(worker, replace(big, number=2, moving=False))
    until(worker, lambda: post.last(FrameDrawn).final)
    coarse, whole = post.of(FrameDrawn)
    assert coarse.image.shape[1] < 800 and whole.image.shape == (600, 800, 3)


def test_only_the_newest_picture_is_finished(worker, model):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    do(worker, request_of(post, 1), request_of(post, 2, mode="depth"))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).final)
    assert {d.number for d in post.of(FrameDrawn)} == {2}


def test_training_is_watched_paused_stepped_reset_and_finished(worker, tmp_path, data, monkeypatch):
    monkeypatch.setattr(pacing, "SHARE", 1.0)  # or a slow first frame uses up the time for others
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)))
    assert post.troubles() == []
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 2)
    do(worker, ControlRun(0, "pause"))
    assert not worker.work()
    do(worker, ControlRun(0, "step"))
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 3)
    assert not worker.work() and post.last(RunProgress).life == "paused"
    do(worker, ControlRun(0, "reset"))
    assert worker.fields.panes[0].learning.optimization.index == 0
    do(worker, request_of(post))
    until(worker, lambda: worker.fields.panes[0].learner.life == "done")
    last = post.last(RunProgress)
    assert (last.life, last.step, last.steps) == ("done", 6, 6) and math.isfinite(last.loss)
    assert {p.life for p in post.of(RunProgress)} >= {"running", "paused", "scoring", "done"}
    for name in ("model.safetensors", "metrics.json", "log.jsonl", "test_sheet.png"):
        assert (tmp_path / "run" / name).is_file()
    assert len(post.of(FrameDrawn)) > 1  # it was seen while it learnt


def test_a_live_frame_shows_the_field_as_it_stands(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)), ControlRun(0, "pause"), ControlRun(0, "step"))
    do(worker, request_of(post))
    until(
        worker,
        lambda: (
            post.of(FrameDrawn)
            and worker.fields.panes[0].learning.optimization.index == 1
            and post.last(FrameDrawn).final
        ),
    )
    before, count = post.last(FrameDrawn).image, len(post.of(FrameDrawn))
    do(worker, ControlRun(0, "resume"))
    until(worker, lambda: worker.fields.panes[0].learner.life == "done")
    until(worker, lambda: len(post.of(FrameDrawn)) > count and post.last(FrameDrawn).final)
    assert np.abs(before.astype(int) - post.last(FrameDrawn).image).max() > 2


def test_the_photograph_of_a_view_is_sent_once_and_compared_with(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)), ControlRun(0, "pause"))
    camera = post.last(Views).views[1].camera
    do(worker, replace(request_of(post, 1, 1), camera=camera))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).passes == 2)
    do(worker, replace(request_of(post, 2, 1), camera=camera, mode="error"))
    until(worker, lambda: post.last(FrameDrawn).number == 2)
    assert len(post.of(Photograph)) == 1 and post.last(Photograph).image.shape == (24, 24, 3)
    assert 3 < next(d.psnr for d in post.of(FrameDrawn) if d.psnr is not None) < 60


def test_a_field_that_learns_is_compared_with_its_photograph_now_and_then(worker, tmp_path, data, monkeypatch):
    worker, post = worker
    monkeypatch.setattr(frames_module, "choose_size", lambda full, *_: (full[0] // 2, full[1] // 2))
    do(worker, LearnFrom(data, replace(settings(tmp_path), steps=10_000)))
    do(worker, replace(request_of(post, 1, 1), camera=post.last(Views).views[1].camera))
    until(worker, lambda: sum(d.psnr is not None for d in post.of(FrameDrawn)) == 2, 2000)
    assert all((d.psnr is not None) == (d.image.shape[0] == 24) for d in post.of(FrameDrawn))


def test_a_conversion_runs_beside_its_teacher(worker, model, tmp_path):
    worker, post = worker
    do(worker, OpenModel(str(model)), Convert(0, "vm", "tiny", steps=3, out=str(tmp_path / "vm.safetensors")))
    assert post.troubles() == []
    assert post.last(FieldOpened).pane == 1 and post.last(FieldOpened).architecture == "vm"
    do(worker, replace(request_of(post), panes=(0, 1)))
    until(worker, lambda: worker.fields.panes[1].learner.life == "done")
    assert {d.pane for d in post.of(FrameDrawn)} == {0, 1}
    assert load(tmp_path / "vm.safetensors").header.architecture == "vm"


def test_the_teacher_s_picture_gets_finer_while_the_student_learns(worker, model, tmp_path):
    worker, post = worker
    do(worker, OpenModel(str(model)), Convert(0, "vm", "tiny", steps=2000, out=str(tmp_path / "vm.safetensors")))
    do(worker, replace(request_of(post), panes=(0, 1), passes=2))
    until(worker, lambda: any(d.final and d.pane == 0 for d in post.of(FrameDrawn)), 2000)
    assert worker.fields.panes[1].busy
    assert {d.pane for d in post.of(FrameDrawn)} == {0, 1}


def test_what_is_still_learning_can_teach(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)))
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 2)
    do(worker, ControlRun(0, "pause"), Convert(0, "triplane", "tiny", steps=2, out=str(tmp_path / "t.safetensors")))
    assert post.troubles() == []
    until(worker, lambda: worker.fields.panes[1].learner.life == "done")


def test_a_crop_of_the_window_reaches_the_conversion_in_input_coordinates(worker, tmp_path):
    worker, post = worker
    straight = torch.diag(torch.tensor([0.5, 0.5, 0.5, 1.0], dtype=torch.float64))
    model = block_file(tmp_path / "straight.safetensors", transform=straight.tolist())
    low, high = (0.25, 0.25, 0.25), (0.5, 0.75, 0.75)
    out = str(tmp_path / "c.safetensors")
    do(worker, OpenModel(str(model)), Convert(0, "vm", "tiny", steps=1, crop=(*low, *high), out=out))
    assert post.troubles() == []
    box = torch.tensor(post.last(FieldOpened).box).view(2, 3)
    assert torch.allclose(box[1], torch.tensor(high), atol=0.02)


def test_a_crop_across_the_axes_of_the_data_set_is_refused(worker, model):
    worker, post = worker  # the block's transform turns
    do(worker, OpenModel(str(model)), Convert(0, "vm", "tiny", steps=1, crop=(0.25, 0.25, 0.25, 0.5, 0.75, 0.75)))
    assert "does not lie along the axes" in post.troubles()[0]


def test_a_film_is_what_render_scene_draws(worker, model, tmp_path):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    cameras = tuple(s.camera.resized(32, 24) for s in post.last(Views).views[:3])
    do(worker, DrawFilm(0, str(tmp_path / "a.gif"), cameras, 10.0))
    until(worker, lambda: post.of(FilmProgress) and post.last(FilmProgress).final)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3 and film.size == (32, 24)


def test_a_film_that_is_stopped_leaves_nothing(worker, model, tmp_path):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    cameras = tuple(post.last(Views).views[0].camera.resized(32, 24) for _ in range(50))
    do(worker, DrawFilm(0, str(tmp_path / "film" / "a.mp4"), cameras, 10.0))
    until(worker, lambda: post.of(FilmProgress) and post.last(FilmProgress).done == 2)
    do(worker, StopFilm())
    assert post.last(FilmProgress).final and worker.film_writer is None
    for thread in threading.enumerate():  # which nobody but this test waits for
        if thread.name == "clearing":
            thread.join()
    assert list((tmp_path / "film").iterdir()) == []


def test_a_worker_that_has_to_end_waits_for_saves_and_films_that_are_cleared_away(worker, model, tmp_path, monkeypatch):
    worker, post = worker
    seen, write = [], worker_module.write_beside
    do(worker, OpenModel(str(model)))
    monkeypatch.setattr(worker_module, "write_beside", lambda *a: seen.append(worker.unsaved) or write(*a))
    do(worker, SaveModel(0, str(tmp_path / "copy.safetensors")))
    assert seen == [True]
    assert not worker.unsaved
    camera = post.last(Views).views[0].camera
    do(worker, DrawFilm(0, str(tmp_path / "film" / "a.mp4"), (camera,) * 30, 10.0))
    until(worker, lambda: post.of(FilmProgress) and post.last(FilmProgress).done == 2)
    assert worker.unsaved
    do(worker, StopFilm(), QuitWorker())
    worker.run()
    assert list((tmp_path / "film").iterdir()) == []
    assert not worker.unsaved


def test_a_film_goes_on_while_a_field_learns_and_a_picture_gets_finer(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path, seed=1)))
    do(worker, replace(request_of(post), passes=4096))
    cameras = tuple(s.camera.resized(32, 24) for s in post.last(Views).views[:3])
    do(worker, DrawFilm(0, str(tmp_path / "a.gif"), cameras, 10.0))
    until(worker, lambda: post.of(FilmProgress) and post.last(FilmProgress).final, 60)
    assert (tmp_path / "a.gif").is_file()


def test_a_film_of_depth_means_the_same_in_every_frame(worker, model, tmp_path, monkeypatch):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    one = post.last(Views).views[0].camera
    away = one.pose.clone()
    away[:3, 3] += 2 * away[:3, 2]
    orders, draw = [], worker_module.draw_pass
    monkeypatch.setattr(worker_module, "draw_pass", lambda *a: orders.append(a[3]) or draw(*a))
    do(worker, DrawFilm(0, str(tmp_path / "a.gif"), (one, replace(one, pose=away)), 10.0, "depth"))
    until(worker, lambda: post.of(FilmProgress) and post.last(FilmProgress).final)
    spans = [order.span for order in orders]
    assert spans[:2] == [None, None]  # looked at first, small
    assert spans[2] == spans[3] is not None
    near, far = spans[2]
    assert far - near > 1.9
    assert post.last(FilmProgress).seconds > 0


def test_the_photographs_come_small_and_on_white(worker, data, model):
    worker, post = worker
    do(worker, OpenModel(str(model)), ShowPhotographs())
    assert set(post.last(SmallPhotographs).images) == {None}  # a model names cameras only
    do(worker, CompareWith(data), ShowPhotographs())
    images = post.last(SmallPhotographs).images
    assert len(images) == 6
    assert all(image.shape == (24, 24, 3) and image.dtype == np.uint8 for image in images)
    assert (images[0][0, 0] == 255).all()


def test_reading_says_how_far_it_is_and_ends(worker, data):
    worker, post = worker
    do(worker, CompareWith(data))
    told = post.of(Activity)
    assert told[0] == Activity(f"{data}: reading")
    assert told[-1] == Activity("")
    shares = [one.share for one in told if one.share is not None]
    assert shares == sorted(shares)
    do(worker, CompareWith(str(data) + "nothing"))
    assert post.last(Activity) == Activity("")
    assert post.last(Notice).trouble


def test_panes_show_depth_between_the_same_distances(worker, model, monkeypatch):
    worker, post = worker
    orders, draw = [], frames_module.draw_pass
    monkeypatch.setattr(frames_module, "draw_pass", lambda *a: orders.append(a[3]) or draw(*a))
    do(worker, OpenModel(str(model)), OpenModel(str(model)))
    until(worker, lambda: len(post.of(FieldOpened)) == 2)
    do(worker, replace(request_of(post, mode="depth"), panes=(0, 1)))
    until(worker, lambda: {d.pane for d in post.of(FrameDrawn) if d.final} == {0, 1})
    one, other = ([d for d in post.of(FrameDrawn) if d.pane == number][-1] for number in (0, 1))
    spans = [order.span for order in orders]
    assert spans[0] is None  # between what is seen by the first pane; the second is told, whatever it shows
    assert set(spans[1:]) == {spans[1]} != {None}
    assert one.legend == other.legend is not None
    assert np.array_equal(one.image, other.image)
    assert one.depth.dtype == np.float16
    assert np.isinf(one.depth).any() and np.isfinite(one.depth).any()


def test_views_are_scored_one_by_one(worker, model, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)), ControlRun(0, "pause"), ScoreViews(0))
    until(worker, lambda: post.of(ViewScores) and post.last(ViewScores).done)
    psnr = post.last(ViewScores).psnr
    assert len(psnr) == len(post.last(Views).views) and all(3 < p < 60 for p in psnr)
    assert len(post.of(ViewScores)) > len(psnr) // 2


def test_photographs_become_the_views_of_a_model(worker, model, data):
    worker, post = worker
    do(worker, OpenModel(str(model)), CompareWith(data))
    assert all(spot.photographed for spot in post.last(Views).views)


def test_a_field_is_saved_wherever_it_comes_from(worker, model, tmp_path, data):
    worker, _post = worker
    do(worker, OpenModel(str(model)), LearnFrom(data, settings(tmp_path)), ControlRun(1, "pause"))
    do(worker, SaveModel(0, str(tmp_path / "one")), SaveModel(1, str(tmp_path / "two.safetensors")))
    assert (tmp_path / "one.safetensors").read_bytes() == model.read_bytes()
    assert load(tmp_path / "two.safetensors").header.architecture == "hashgrid"


def test_nothing_is_saved_over_what_is_there(worker, model, tmp_path, data):
    worker, post = worker
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    do(worker, OpenModel(str(model)), LearnFrom(data, settings(tmp_path)), ControlRun(1, "pause"))
    for pane in (0, 1, 0):
        do(worker, SaveModel(pane, str(tmp_path / "mine")))
    assert post.troubles() == []
    names = [f"mine{number}.safetensors" for number in ("", "_2", "_3", "_4")]
    assert [n for n in names if f"wrote {tmp_path / n}" in [r.text for r in post.of(Notice)]] == names[1:]
    assert (tmp_path / names[0]).read_bytes() == b"mine"
    same = [(tmp_path / name).read_bytes() == model.read_bytes() for name in names[1:]]
    assert same == [True, False, True]


def test_every_conversion_has_a_folder_of_its_own_and_says_which(worker, model, tmp_path, monkeypatch):
    worker, post = worker
    monkeypatch.chdir(tmp_path)
    first = tmp_path / "runs" / "block_vm"
    first.mkdir(parents=True)
    (first / "log.jsonl").write_text("mine")
    do(worker, OpenModel(str(model)), Convert(0, "vm", "tiny", steps=1))
    until(worker, lambda: worker.fields.panes[1].learner.life == "done")
    do(worker, Convert(0, "vm", "tiny", steps=1), Convert(0, "vm", "tiny", steps=1))
    assert post.troubles() == [] and sorted(path.name for path in first.iterdir()) == ["log.jsonl"]
    assert (first / "log.jsonl").read_text() == "mine"
    for number in (2, 3, 4):
        assert f"block: is converted into runs/block_vm_{number}" in [report.text for report in post.of(Notice)]
        assert (tmp_path / "runs" / f"block_vm_{number}").is_dir()
    (tmp_path / "file.safetensors").touch()
    do(worker, Convert(0, "vm", "tiny", steps=1, out="file.safetensors"))
    assert "block: is converted into file_2.safetensors" in [report.text for report in post.of(Notice)]


def test_no_more_fields_are_opened_than_may_be(worker, model, data, tmp_path, monkeypatch):
    worker, post = worker
    monkeypatch.setattr(open_fields, "MOST", 2)
    do(worker, OpenModel(str(model)), OpenModel(str(model)))
    assert post.troubles() == []
    out = str(tmp_path / "vm")
    do(worker, OpenModel(str(model)), LearnFrom(data, settings(tmp_path)), Convert(0, "vm", "tiny", out=out))
    assert post.troubles() == ["2 fields are open, and no more are opened: close one"] * 3
    assert len(worker.fields.panes) == 2 and not (tmp_path / "vm").exists() and not (tmp_path / "run").exists()
    do(worker, CloseField(0), OpenModel(str(model)))
    assert sorted(worker.fields.panes) == [1, 2]


def test_a_run_that_has_not_begun_is_not_begun_again(worker, data, tmp_path):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)))
    learner = worker.fields.panes[0].learner
    do(worker, *[ControlRun(0, "reset")] * 3)
    assert worker.fields.panes[0].learner is learner
    do(worker, ControlRun(0, "pause"), ControlRun(0, "reset"))
    assert worker.fields.panes[0].learner is not learner and post.last(RunProgress).life == "running"


def test_what_was_learnt_is_saved_when_the_pane_is_closed(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)))
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 2)
    do(worker, CloseField(0))
    assert post.last(FieldClosed).pane == 0 and worker.fields.panes == {}
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()
    assert load(tmp_path / "run" / "model.safetensors").header.provenance["steps"] == 2


def test_what_was_learnt_is_saved_when_the_front_end_goes(worker, tmp_path, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path, resume=False)))
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 2)
    post.commands.append(QuitWorker())
    worker.run()
    assert post.of(WorkerStarted) and (tmp_path / "run" / "checkpoint.safetensors").is_file()
    again, other = Worker("cpu", Post()), LearnFrom(data, settings(tmp_path, resume=True))
    do(again, other)
    assert again.fields.panes[0].learning.optimization.index == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (OpenModel("nowhere.safetensors"), "nowhere.safetensors"),
        (LearnFrom("nowhere", Settings()), "nowhere"),
        (LearnFrom("builtin", Settings(arch="wings")), "wings"),
        (CompareWith("nowhere"), "nowhere"),
        (Convert(0, "wings"), "wings"),
        (Convert(7, "vm"), "pane 7 is closed"),
        (ControlRun(0, "pause"), "read from a file"),
        (SaveModel(0, "/proc/nowhere/a"), "/proc/nowhere"),
        (ScoreViews(0), "no photographs"),
        (DrawFilm(0, "a.txt", (), 24.0), "a.txt"),
        (DrawFilm(0, "a.mp4", (), 24.0), "at least one camera"),
        (DrawFilm(0, "a.gif", (), 60.0), "a .gif counts hundredths of a second"),
        (DrawFilm(0, "a.mp4", (wide(16_385),), 24.0), "at most 16384 pixels along a side"),
        (DrawFilm(0, "a.mp4", (wide(8),) * 100_001, 24.0), "a film has at most 100000"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_else_stops(worker, model, command, said):
    worker, post = worker
    do(worker, OpenModel(str(model)), command)
    for _ in range(3):
        worker.guard(worker.work, "")
    [text] = post.troubles()
    assert said in text and "\n" not in text and not text.startswith(("KeyError", "AttributeError", "AssertionError"))
    do(worker, request_of(post, 9))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).number == 9)


def test_a_model_that_is_deleted_while_open_stays_visible(worker, model):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    model.unlink()
    do(worker, request_of(post))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).final)
    do(worker, SaveModel(0, str(model)))
    assert "No such file" in post.troubles()[-1]


def test_learning_that_fails_is_told_and_the_field_stays_visible(worker, tmp_path, monkeypatch, data):
    worker, post = worker
    do(worker, LearnFrom(data, settings(tmp_path)))
    until(worker, lambda: worker.fields.panes[0].learning.optimization.index == 1)
    monkeypatch.setattr(worker.fields.panes[0].learning.optimization.optimizer, "step", lambda factor: 1 / 0)
    until(worker, lambda: bool(post.troubles()), 20)
    assert "ZeroDivisionError" in post.troubles()[0]
    assert worker.fields.panes[0].learner.life == "failed" and post.last(RunProgress).life == "failed"
    do(worker, request_of(post))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).final)


def test_a_second_model_is_seen_by_the_same_camera(worker, model, tmp_path):
    worker, _post = worker
    moved = torch.eye(4, dtype=torch.float64)
    moved[:3, :3] *= 2
    other = block_file(tmp_path / "other.safetensors", transform=moved.tolist())
    do(worker, OpenModel(str(model)), OpenModel(str(other)))
    carry = worker.fields.panes[1].carry
    first, second = (torch.tensor(load(p).header.transform, dtype=torch.float64) for p in (model, other))
    assert torch.allclose(carry @ first, second)
    assert torch.equal(worker.fields.panes[0].carry, torch.eye(4, dtype=torch.float64))


def test_a_picture_that_fails_is_told_once_and_another_can_be_asked_for(worker, model, monkeypatch):
    worker, post = worker
    do(worker, OpenModel(str(model)))
    do(worker, request_of(post))
    monkeypatch.setattr(frames_module, "draw_pass", lambda *_: 1 / 0)
    for _ in range(5):
        worker.guard(worker.work, "")
    assert post.troubles() == ["ZeroDivisionError: division by zero"]
    monkeypatch.undo()
    do(worker, request_of(post, 2))
    until(worker, lambda: post.of(FrameDrawn) and post.last(FrameDrawn).final)


def test_errors_are_told_on_one_line(worker):
    worker, post = worker
    worker.guard(lambda: open("/nowhere/at/all"), "")  # noqa: SIM115, PTH123
    assert post.of(Notice)[-1].text == "/nowhere/at/all: No such file or directory"
