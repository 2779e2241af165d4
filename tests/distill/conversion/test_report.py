"""The end of a conversion: which pictures are compared, what is written, what a person reads."""

import io
import json

import pytest
import torch
from analytic import UNIT_BOX, block_file, camera, loaded
from PIL import Image
from rich.console import Console

from distill.conversion.job import Instruction, prepare
from distill.conversion.report import VIEWS, Compared, HeldOut, blank, cameras, finish, milliseconds, view_of
from distill.conversion.settings import SHARES
from distill.learning.files import Files
from distill.learning.fit import Schedule
from distill.learning.metrics import table
from distill.learning.run import Recipe
from fields.files import load
from fields.shape import preset
from render.metrics import psnr
from render.model import open_model
from scenes.evaluate import over_background
from scenes.scene import View

CPU = torch.device("cpu")
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A hash grid that holds a block."""
    return open_model(block_file(tmp_path_factory.mktemp("teacher") / "block.safetensors"), CPU)


@pytest.fixture(scope="module")
def conversion(teacher):
    """Into voxels, a few steps long."""
    return learnt(teacher, "voxels", 6)


def learnt(teacher, architecture, steps):
    """A conversion whose steps are over."""
    told = Instruction("block.safetensors", "1", "", tuple(SHARES), ())
    recipe = Recipe("", 1, architecture, "tiny", 0, steps, 1024, "cpu", told)
    result = prepare(teacher, recipe, preset(architecture, "tiny"))
    for _ in result.steps(Schedule(steps)):
        pass
    return result


def finished(teacher, conversion, photographs, files):
    """What it gave, when all is scored and written."""
    work = finish(Compared(teacher, "block.safetensors", 1234, photographs), conversion, files)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_test_cameras_are_compared_else_some_training_ones_else_some_around(teacher):
    many = tuple(camera(azimuth=0.1 * i) for i in range(30))
    assert cameras(teacher) == teacher.test_cameras
    only_training = loaded(teacher.field, teacher.grid)
    object.__setattr__(only_training, "train_cameras", many)
    assert len(cameras(only_training)) == VIEWS
    assert set(map(id, cameras(only_training))) <= set(map(id, many))
    around = cameras(loaded(teacher.field, teacher.grid))
    assert len(around) == VIEWS
    for one in around:
        toward = UNIT_BOX.mean(0) - one.pose[:3, 3]
        assert float(-one.pose[:3, 2] @ toward / toward.norm()) == pytest.approx(1, abs=1e-5)  # looks at the middle


def test_the_picture_of_the_teacher_is_what_it_draws(teacher):
    one = teacher.test_cameras[0]
    view, seconds = view_of(teacher, one, 3, WHITE)
    drawn = teacher.image(one).pixels.over(torch.ones(3)).detach()
    assert view.name == "view 003"
    assert view.image.shape == (24, 32, 4)
    assert bool(view.valid.all())
    assert seconds > 0
    assert float((over_background(view.image, torch.ones(3)) - drawn).abs().max()) <= 0.5 / 255 + 1e-6  # bytes


def test_a_blank_view_has_the_camera_s_size():
    view = blank(camera((5, 7)), 0)
    assert view.image.shape == (7, 5, 4)
    assert view.valid.shape == (7, 5)


def test_against_the_teacher_alone(teacher, conversion, tmp_path):
    files = Files.within(tmp_path)
    got = finished(teacher, conversion, None, files).to_record()
    assert json.loads(json.dumps(got)) == json.loads(files.metrics.read_text())
    assert "photographs" not in got
    assert got["teacher"]["model_bytes"] == 1234
    assert got["model_bytes"] == files.model.stat().st_size
    background = torch.tensor(teacher.header.background)
    want = over_background(view_of(teacher, teacher.test_cameras[0], 0, teacher.header.background)[0].image, background)
    frame = conversion.renderer.image(conversion.field, conversion.source.grid, teacher.test_cameras[0])
    assert got["psnr_teacher"] == pytest.approx(
        psnr(frame.pixels.over(background).clamp(0, 1).detach(), want), abs=1e-6
    )
    stored = load(files.model).header.metrics
    assert stored["psnr_teacher"] == got["psnr_teacher"]
    assert "images" not in stored
    with Image.open(files.sheet) as sheet:
        assert sheet.size[0] >= 3 * 32  # teacher, student and difference side by side


def test_against_photographs_as_well(teacher, conversion, tmp_path):
    """HeldOut that are the teacher's own pictures: the teacher is as good as bytes can be."""
    views = tuple(view_of(teacher, one, n, WHITE)[0] for n, one in enumerate(teacher.train_cameras))
    got = finished(teacher, conversion, HeldOut(views, WHITE, "test", 2), Files.within(tmp_path)).to_record()
    assert got["protocol"]["count"] == 3
    assert got["protocol"]["downscale"] == 2
    assert "3 test pictures" in got["scored_on"]
    assert got["photographs"]["teacher_psnr"] > 50  # rounding to bytes: 1/12 of a squared step, 58.9 dB
    assert got["psnr"] < 40
    assert got["psnr"] != got["psnr_teacher"]
    assert len(got["images"]) == 3


@pytest.mark.parametrize(("side", "ssim"), [(16, 1.0), (8, "nan")])  # SSIM wants 11 pixels
def test_numbers_that_json_has_not_are_told_in_words(teacher, conversion, tmp_path, side, ssim):
    """HeldOut that show nothing but white, as both draw it: infinite dB."""
    one = camera((side, side))
    away = one.pose.clone()
    away[:3, 3] += torch.tensor([0.0, 0.0, 50.0])
    white = torch.full((side, side, 4), 255, dtype=torch.uint8)
    view = View(type(one)(away, one.intrinsics, one.size), white, torch.ones(side, side, dtype=torch.bool), "white")
    files, console = Files.within(tmp_path), Console(file=io.StringIO(), width=200)
    metrics = finished(teacher, conversion, HeldOut((view,), WHITE, "test", 1), files)
    console.print(table(metrics))
    got = metrics.to_record()
    assert got["psnr"] == got["photographs"]["teacher_psnr"] == "inf"
    assert got["ssim"] == got["photographs"]["teacher_ssim"] == ssim
    json.loads(files.metrics.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert "inf dB" in console.file.getvalue()


def test_milliseconds_are_the_median():
    assert milliseconds([0.001, 0.5, 0.0042]) == 4.2


def test_a_model_without_cameras_is_converted_and_drawn(tmp_path):
    path = block_file(tmp_path / "block.safetensors", cameras=[])
    teacher, files = open_model(path, CPU), Files.within(tmp_path)
    metrics = finished(teacher, learnt(teacher, "vm", 2), None, files)
    assert len(metrics.quality.scores) == VIEWS
    assert load(files.model).header.thumbnail
