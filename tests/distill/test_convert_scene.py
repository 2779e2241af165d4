"""`convert-scene` as a person meets it: results, what the report says, edits, other teachers, one-line errors."""

import json
import os
import sys

import pytest
import safetensors.torch
import torch
from analytic import BLOCK_SIGMA, block_bits, block_field, block_file, block_header
from PIL import Image
from torch.nn import functional

import fields
from distill import convert_scene
from fields import files
from fields.files import Model, load, save
from render import render_scene
from render.metrics import psnr
from render.model import open_model
from render.pictures import bytes_of
from render.rays import RayBatch
from scenes import eval_scene, inspect_scene

CPU = torch.device("cpu")
QUICK = ("--preset", "tiny", "--batch", 1024, "--steps", 4)
RIGHT = 0.5, -9, -9, 9, 9, 9  # input units: what is at x above 0.5, where the block reaches from -0.6 to 1.4
DATA = {"recipe": {"data": "builtin:48", "downscale": 1}}  # as if the block had been trained on that


def ended(monkeypatch, module, *arguments):
    """Exit status of a command."""
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        module.main()
    return end.value.code


def convert(monkeypatch, *arguments):
    return ended(monkeypatch, convert_scene, *arguments)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A hash grid that holds an opaque block."""
    return block_file(tmp_path_factory.mktemp("teachers") / "block.safetensors", provenance=DATA)


@pytest.fixture(scope="module")
def student(teacher, tmp_path_factory):
    """The block in voxels."""
    out = tmp_path_factory.mktemp("students") / "voxels.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        assert convert(patch, teacher, "--to", "voxels", *QUICK, "--out", out) == 0
    return out


def printed(capsys):
    """The JSON on standard output; nothing else may be there."""
    return json.loads(capsys.readouterr().out)


def one_line(capsys):
    """What stands on standard error; it must be one line."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_results_lie_beside_the_model_and_json_is_all_that_is_printed(monkeypatch, teacher, tmp_path, capsys):
    out = tmp_path / "a" / "small.safetensors"
    assert convert(monkeypatch, teacher, "--to", "triplane", *QUICK, "--out", out, "--json") == 0
    said = printed(capsys)
    names = {"small.safetensors", "small_metrics.json", "small_log.jsonl", "small_sheet.png"}
    assert {p.name for p in out.parent.iterdir()} == names
    assert said == json.loads((out.parent / "small_metrics.json").read_text())
    assert said["steps"] == 4
    assert said["model_bytes"] == out.stat().st_size
    assert said["teacher"]["model_bytes"] == teacher.stat().st_size
    assert said["teacher"]["architecture"] == "hashgrid"
    assert said["protocol"]["split"] == "teacher's"
    assert len(said["images"]) == said["protocol"]["count"] == 1
    assert said["psnr"] == said["psnr_teacher"] == said["images"][0]["psnr"]
    assert (said["architecture"], said["preset"]) == ("triplane", "tiny")
    assert said["parameters"] == open_model(out, CPU).field.parameter_count()
    with Image.open(out.parent / "small_sheet.png") as sheet:
        assert sheet.size[0] > 100
    log = [json.loads(line) for line in (out.parent / "small_log.jsonl").read_text().splitlines()]
    assert log[0]["step"] == 1
    assert log[0]["stage"] == "features"


def test_results_lie_in_a_folder_and_the_report_is_told(monkeypatch, teacher, tmp_path, capsys):
    assert convert(monkeypatch, teacher, "--to", "mlp", *QUICK, "--out", tmp_path / "run") == 0
    names = {"model.safetensors", "metrics.json", "log.jsonl", "test_sheet.png"}
    assert {p.name for p in (tmp_path / "run").iterdir()} == names
    told = capsys.readouterr().out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "hashgrid into mlp tiny" in told
    assert f"{metrics['psnr_teacher']:.2f} dB" in told
    assert f"{metrics['model_bytes'] / 1e6:.2f} MB" in told
    assert "taken over from the teacher: the head" in told


def test_the_student_is_seen_from_where_the_teacher_was_and_says_where_it_comes_from(teacher, student):
    theirs, ours = load(teacher).header, load(student).header
    for name in ("box", "transform", "background", "train_cameras", "test_cameras", "step", "cone", "resolution"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours.train_cameras) == 3
    assert ours.architecture == "voxels"
    assert ours.thumbnail
    assert ours.provenance["recipe"]["data"] == "builtin:48"
    assert ours.provenance["recipe"]["teacher"] == str(teacher)
    assert len(ours.provenance["recipe"]["digest"]) == 64
    assert ours.provenance["teacher"] == theirs.provenance
    assert ours.provenance["command"][0] == "convert-scene"
    assert ours.metrics["psnr_teacher"] > 0
    assert torch.equal(load(student).occupancy, load(teacher).occupancy)


@pytest.mark.parametrize("architecture", fields.NAMES)  # each is stored in its own way
def test_the_report_says_of_the_written_file_what_eval_scene_says(monkeypatch, teacher, tmp_path, capsys, architecture):
    out = tmp_path / "s.safetensors"
    words = ("--to", architecture, *QUICK, "--data", "builtin:48", "--downscale", 2, "--out", out, "--json")
    assert convert(monkeypatch, teacher, *words) == 0
    said = printed(capsys)
    for model, psnr_said, ssim_said in (
        (out, said["psnr"], said["ssim"]),
        (teacher, said["photographs"]["teacher_psnr"], said["photographs"]["teacher_ssim"]),
    ):
        assert ended(monkeypatch, eval_scene, model, "--downscale", 2, "--out", tmp_path / "e", "--json") == 0
        scored = printed(capsys)
        assert psnr_said == pytest.approx(scored["psnr"], abs=1e-9)  # the same pictures, drawn in the same way
        assert ssim_said == pytest.approx(scored["ssim"], abs=1e-9)
    assert said["scored_on"] == "8 test pictures, 24 x 24, downscaled by 2, on background 1 1 1, sRGB values"


def test_the_report_says_of_the_written_file_how_near_the_teacher_it_is(monkeypatch, teacher, tmp_path, capsys):
    out = tmp_path / "s.safetensors"
    assert convert(monkeypatch, teacher, "--to", "cam", *QUICK, "--out", out, "--json") == 0
    one, two = open_model(out, CPU), open_model(teacher, CPU)
    pink = torch.tensor(two.header.background)
    got, want = (m.image(two.test_cameras[0]).pixels.over(pink).clamp(0, 1).detach() for m in (one, two))
    want = torch.from_numpy(bytes_of(want)) / 255
    assert printed(capsys)["psnr_teacher"] == pytest.approx(psnr(got, want), abs=1e-4)  # dB; blended in another order


def test_a_student_teaches_and_opens_everywhere(monkeypatch, student, tmp_path, capsys):
    out = tmp_path / "again.safetensors"
    assert convert(monkeypatch, student, "--to", "rbf", *QUICK, "--out", out) == 0
    assert "the head" not in capsys.readouterr().out.partition("phases")[0]  # voxels have another one
    provenance = load(out).header.provenance
    assert provenance["recipe"]["data"] == "builtin:48"
    assert provenance["teacher"]["recipe"]["architecture"] == "voxels"
    assert provenance["teacher"]["teacher"] == DATA
    assert ended(monkeypatch, eval_scene, out, "--out", tmp_path / "eval", "--json") == 0
    assert printed(capsys)["protocol"]["count"] == 8
    assert ended(monkeypatch, inspect_scene, out) == 0
    assert "rbf" in capsys.readouterr().out
    still = tmp_path / "still.png"
    assert ended(monkeypatch, render_scene, out, still, "--size", 16) == 0
    assert still.stat().st_size > 0


def opacity(model, x):
    """Highest opacity along rays through the model's whole box, all at input x, parallel to the y axis."""
    z = torch.linspace(-1.0, 2.0, 31)
    origins = torch.stack([torch.full_like(z, x), torch.full_like(z, -4.0), z], -1).double()
    at = origins @ model.transform[:3, :3].T + model.transform[:3, 3]
    along = functional.normalize(model.transform[:3, 1], dim=0).expand(31, 3)
    rays = RayBatch(at.float(), along.float())
    pixels = model.renderer.rays(model.field, model.grid, rays, torch.Generator().manual_seed(0))
    return float(pixels.opacity.detach().max())


@pytest.mark.parametrize(
    "edit",
    [("--erase", *RIGHT), ("--crop", -9, -9, -9, 0.5, 9, 9), ("--erase", *RIGHT, "--erase", -1, -1, 0.8, 0.4, 1, 2)],
)
def test_boxes_are_baked_into_the_student(monkeypatch, teacher, tmp_path, edit):
    out = tmp_path / "cut.safetensors"
    assert convert(monkeypatch, teacher, "--to", "voxels", *QUICK, *edit, "--out", out) == 0
    before, after = open_model(teacher, CPU), open_model(out, CPU)
    assert opacity(before, 0.8) > 0.99
    assert opacity(after, 0.8) == opacity(after, 1.2) == 0  # more than a cell of 0.125 from where was cut
    assert opacity(after, 0.2) > 0.1  # sigma = 1 per scene unit before the first step
    assert load(out).header.provenance["recipe"]["edits"].startswith(edit[0])


def test_a_threshold_is_baked_into_the_student(monkeypatch, teacher, tmp_path, capsys):
    words = (teacher, "--to", "voxels", *QUICK, "--out", tmp_path / "cut.safetensors")
    assert convert(monkeypatch, *words, "--min-density", 2 * BLOCK_SIGMA) == 2
    assert "nothing of the model is left; the densest point that was found has 40" in one_line(capsys)
    assert convert(monkeypatch, *words, "--min-density", BLOCK_SIGMA / 2) == 0
    assert load(tmp_path / "cut.safetensors").header.provenance["recipe"]["edits"] == "--min-density 200"


def test_another_size_of_the_same_architecture(monkeypatch, student, tmp_path):
    out = tmp_path / "large.safetensors"
    words = ("--to", "voxels", "--preset", "small", "--batch", 1024, "--steps", 1, "--out", out)
    assert convert(monkeypatch, student, *words) == 0
    assert load(out).header.config["resolution"] == 40


def test_the_same_shape_only_with_an_edit(monkeypatch, student, tmp_path, capsys):
    words = (student, "--to", "voxels", *QUICK, "--out", tmp_path / "same.safetensors")
    assert convert(monkeypatch, *words) == 2
    assert "is already of this shape, voxels tiny" in one_line(capsys)
    assert not list(tmp_path.iterdir())
    assert convert(monkeypatch, *words, "--erase", *RIGHT) == 0


def test_auto_tells_what_it_chose_and_why(monkeypatch, teacher, tmp_path, capsys):
    words = ("--to", "auto", "--max-bytes", "1MB", "--batch", 1024, "--steps", 2, "--out", tmp_path / "o")
    assert convert(monkeypatch, teacher, *words) == 0
    told = capsys.readouterr().out
    assert "meets --max-bytes 1.00 MB" in told
    assert "second: " in told
    assert (tmp_path / "o" / "model.safetensors").stat().st_size < 1e6


def test_limits_that_the_result_misses_are_told(monkeypatch, teacher, tmp_path, capsys):
    words = ("--to", "mlp", *QUICK, "--min-psnr", 60, "--max-frame-ms", 0.001, "--out", tmp_path / "o")
    assert convert(monkeypatch, teacher, *words) == 0
    told = capsys.readouterr().out
    assert "is less than --min-psnr 60" in told
    assert "more than --max-frame-ms 0.001" in told


PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
0 1 0
0 0 1
"""


def mesh(path, faces=("0 2 1", "0 1 3", "0 3 2", "1 2 3")):
    path.write_text(PLY.format(faces=len(faces)) + "".join(f"3 {face}\n" for face in faces))
    return path


def test_a_mesh_teaches(monkeypatch, tmp_path, capsys):
    source, out = mesh(tmp_path / "corner.ply"), tmp_path / "corner.safetensors"
    words = ("--to", "voxels", *QUICK, "--downscale", 20, "--out", out, "--json")
    assert convert(monkeypatch, source, *words) == 0
    said = printed(capsys)
    assert said["architecture"] == "voxels"
    assert said["model_bytes"] == out.stat().st_size
    assert load(out).header.provenance["recipe"]["data"] == str(source)


def test_posed_pictures_teach(monkeypatch, tmp_path, capsys):
    assert convert(monkeypatch, "builtin:48", "--to", "mlp", *QUICK, "--out", tmp_path / "o", "--json") == 0
    said = printed(capsys)
    assert said["protocol"]["split"] == "test"
    assert load(tmp_path / "o" / "model.safetensors").header.provenance["recipe"]["data"] == "builtin:48"


def text(path):
    path.write_text("hello")


def picture(path):
    Image.new("RGB", (8, 8)).save(path, format="PNG")


def pickled(path):
    torch.save({"weights": torch.zeros(3)}, path)


def cut_short(path):
    block_file(path)
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path):
    block_file(path)
    path.write_bytes(path.read_bytes()[:100])


def nothing(path):
    path.write_bytes(b"")


def another_file(path):
    safetensors.torch.save_file({"weights": torch.zeros(3)}, path)


def without_occupancy(path):
    save(path, Model(block_field(), torch.zeros_like(block_bits()), block_header()))


def without_cells(path):
    """A model whose occupancy cannot be read."""
    tensors = safetensors.torch.load(block_file(path).read_bytes())
    tensors.pop("occupancy", None)
    safetensors.torch.save_file(tensors, path)


@pytest.mark.parametrize(
    "make",
    [text, picture, pickled, cut_short, cut_in_the_header, nothing, another_file, without_cells, without_occupancy],
)
def test_a_file_that_can_teach_nothing_is_one_line_and_leaves_nothing(monkeypatch, tmp_path, capsys, make):
    source = tmp_path / "source.safetensors"
    make(source)
    assert convert(monkeypatch, source, "--to", "mlp", "--out", tmp_path / "o") == 2
    error = one_line(capsys)
    assert str(source) in error
    assert len(error) < 300
    assert {p.name for p in tmp_path.iterdir()} == {"source.safetensors"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "no such file or folder; wanted a model file, a data set or a mesh"),
        ("nowhere.safetensors", "wanted a model file, a data set or a mesh"),
        ("empty", "empty"),
        ("folder.safetensors", "empty"),
        ("notes.txt", "notes.txt"),
        ("photo.png", "photo.png"),
    ],
)
def test_a_source_that_is_none_is_one_line_and_leaves_nothing(monkeypatch, tmp_path, capsys, name, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    text(tmp_path / "notes.txt")
    picture(tmp_path / "photo.png")
    assert convert(monkeypatch, tmp_path / name, "--to", "mlp", "--out", tmp_path / "o") == 2
    error = one_line(capsys)
    assert words in error
    assert str(tmp_path / name) in error
    assert not (tmp_path / "o").exists()


def test_a_mesh_without_faces(monkeypatch, tmp_path, capsys):
    source = mesh(tmp_path / "points.ply", ())
    assert convert(monkeypatch, source, "--to", "mlp", "--out", tmp_path / "o") == 2
    assert str(source) in one_line(capsys)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "--to wants an architecture"),
        (("--to", "hashgird"), "did you mean 'hashgrid'?"),
        (("--to", "mlp", "--preset", "huge"), "there are: tiny, small, base, large"),
        (("--to", "auto", "--max-bytes", "100"), "the smallest is "),
        (("--to", "mlp", "--max-bytes", "1kB"), "the smallest is mlp tiny"),
        (("--to", "mlp", "--preset", "tiny", "--max-bytes", "1kB"), "mlp tiny takes about"),
        (("--to", "mlp", "--max-bytes", "many"), "--max-bytes wants a size such as 600kB"),
        (("--to", "mlp", "--crop", 50, 50, 50, 60, 60, 60), "lies outside the model's box"),
        (("--to", "mlp", "--erase", 50, 50, 50, 60, 60, 60), "lies outside the model's box"),
        (("--to", "mlp", "--erase", -9, -9, -9, 9, 9, 9), "nothing of the model is left"),
        (("--to", "mlp", "--crop", 1, 0, 0, 0, 1, 1), "--crop wants six numbers"),
        (("--to", "mlp", "--crop", "nan", 0, 0, 1, 1, 1), "--crop wants six numbers"),
        (("--to", "mlp", "--erase", 0, 0, 0, 1, 1, "inf"), "--erase wants six numbers"),
        (("--to", "mlp", "--crop", *RIGHT, "--crop", *RIGHT), "--crop"),
        (("--to", "mlp", "--min-density", "nan"), "--min-density must be 0 or more"),
        (("--to", "mlp", "--min-density", -1), "--min-density must be 0 or more"),
        (("--to", "mlp", "--batch", 7), "--batch must be 1024 to 1048576 samples, found 7"),
        (("--to", "mlp", "--batch", 1 << 21), "--batch must be 1024 to 1048576 samples"),
        (("--to", "mlp", "--steps", -1), "--steps must be >= 0"),
        (("--to", "mlp", "--max-seconds", "nan"), "--max-seconds and --save-every > 0"),
        (("--to", "mlp", "--save-every", 0), "--max-seconds and --save-every > 0"),
        (("--to", "mlp", "--downscale", 0), "downscale"),
        (("--to", "mlp", "--resume"), "checkpoint.safetensors"),
        (("--to", "mlp", "--data", "/nowhere/at/all"), "/nowhere/at/all"),
        (("--to", "mlp", "--data", "builtin:7"), "builtin:7"),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(monkeypatch, teacher, tmp_path, capsys, flags, words):
    monkeypatch.setattr("distill.learning.monitor.watch", lambda *given: pytest.fail("the work began"))
    assert convert(monkeypatch, teacher, *flags, "--out", tmp_path / "o") == 2
    assert words in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_out_that_cannot_be_written_to(monkeypatch, tmp_path, capsys):
    source = block_file(tmp_path / "block.safetensors")
    before = source.read_bytes()
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").write_text("mine")
    words = {
        "block.safetensors": "is the teacher itself; --out wants another file",
        "folder.safetensors": "is a folder; --out wants a file there",
        "file": "is a file; --out wants a folder",
        "file/below": "Not a directory",
    }
    for name, text in words.items():
        assert convert(monkeypatch, source, "--to", "voxels", *QUICK, "--out", tmp_path / name) == 2
        assert text in one_line(capsys), name
    assert source.read_bytes() == before
    assert (tmp_path / "file").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"block.safetensors", "folder.safetensors", "file"}


def test_a_teacher_in_the_results_folder_is_not_overwritten(monkeypatch, tmp_path, capsys):
    source = block_file(tmp_path / "model.safetensors")
    before = source.read_bytes()
    assert convert(monkeypatch, source, "--to", "voxels", *QUICK, "--out", tmp_path) == 2
    assert "is the teacher itself" in one_line(capsys)
    assert source.read_bytes() == before


@pytest.mark.parametrize("after", [0, 1, 2])  # writes of the model that succeed: for a try, before and after scoring
def test_a_full_disk_leaves_a_whole_model(monkeypatch, teacher, tmp_path, capsys, after):
    out = tmp_path / "s.safetensors"
    out.write_bytes(b"old")
    real, large = os.fsync, []

    def full(number):
        if os.fstat(number).st_size > 10_000:
            large.append(number)
        if len(large) > after:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(files.os, "fsync", full)
    assert convert(monkeypatch, teacher, "--to", "voxels", *QUICK, "--out", out, "--overwrite") == 2
    assert capsys.readouterr().err.endswith("s.safetensors: No space left on device\n")
    assert out.read_bytes() == b"old" if after < 2 else load(out).header.architecture == "voxels"
    assert not list(tmp_path.glob(".*"))
