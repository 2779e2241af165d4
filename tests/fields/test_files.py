"""Model files: what comes back, and what is refused."""

import json
import math
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from analytic import block_header

import fields
from fields import files
from fields.files import Header, Model, ModelError, find_free, load, read_header, save, write_beside
from fields.shape import Shape
from fields.space import Space

BOX = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.fixture
def model(generator):
    config = fields.module("hashgrid").PRESETS["tiny"]
    header = Header("hashgrid", asdict(config), BOX, 0.001, 0.0, 64, torch.eye(4).tolist(), [1.0, 1.0, 1.0])
    bits = torch.randint(0, 256, (1, 64**3 // 8), generator=generator).to(torch.uint8)
    return Model(Shape("hashgrid", config).build(Space(torch.tensor(BOX)), generator), bits, header)


@pytest.fixture
def saved(model, tmp_path):
    save(tmp_path / "m.safetensors", model)
    return tmp_path / "m.safetensors"


def rewritten(path: Path, model: Model, tensors=None, header=None) -> Path:
    weights = {f"weights.{k}": v.contiguous() for k, v in model.field.state_dict().items()}
    packed = bytearray(zlib.compress(model.occupancy.numpy().tobytes()))
    content = {**weights, "occupancy": torch.frombuffer(packed, dtype=torch.uint8), **(tensors or {})}
    text = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(safetensors.torch.save(content, {files.KEY: text}))
    return path


def deep(times):
    found: list = []
    for _ in range(times):
        found = [found]
    return found


def record(model, **changes):
    return {**model.header.record(), **changes}


def test_everything_comes_back(model, saved):
    again = load(saved)
    assert again.header == model.header
    assert torch.equal(again.occupancy, model.occupancy)
    for name, value in model.field.state_dict().items():
        assert torch.equal(again.field.state_dict()[name], value)
    assert read_header(saved) == model.header


def test_the_file_opens_with_plain_safetensors(saved):
    tensors = safetensors.torch.load_file(saved)
    assert tensors["occupancy"].dtype == torch.uint8
    assert "weights.architecture.table" in tensors


@pytest.mark.parametrize("keep", [0, 5, 100, 4000, -1])
def test_truncated(saved, keep):
    content = saved.read_bytes()
    saved.write_bytes(content[:keep])
    with pytest.raises(ModelError, match=r"m\.safetensors: "):
        load(saved)


def test_pickles_are_not_opened(tmp_path):
    for name, content in (("a", pickle.dumps({"a": 1})), ("b", b"PK\x03\x04" + b"0" * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match="is a pickle"):
            load(tmp_path / name)


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path, length):
    text = (
        json.dumps({"__metadata__": {files.KEY: json.dumps({"version": files.VERSIONS[-1] + 1})}})
        .encode()
        .ljust(length)
    )
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ModelError, match="upgrade it"):
        load(tmp_path / "m")


def test_enormous_header_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "a").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(ModelError, match="header of 1099511627776 bytes"):
        load(tmp_path / "a")


def test_newer_version(model, tmp_path):
    path = rewritten(tmp_path / "m", model, header=record(model, version=files.VERSIONS[-1] + 1))
    with pytest.raises(ModelError, match=r"format version 4; this Polyfield reads versions 2 and 3: upgrade"):
        load(path)
    path = rewritten(tmp_path / "m", model, header=record(model, version=1))
    with pytest.raises(ModelError, match=r"format version 1; .* an earlier one wrote this file"):
        load(path)


def packed(content: bytes) -> dict[str, torch.Tensor]:
    return {"occupancy": torch.frombuffer(bytearray(content), dtype=torch.uint8)}


def test_damaged_occupancy(model, tmp_path):
    whole = zlib.compress(model.occupancy.numpy().tobytes())
    for content, words in (
        (whole[:-100], "occupancy cascades"),
        (whole[:50] + bytes(50) + whole[100:], "damaged|occupancy cascades"),
        (zlib.compress(bytes(100)), "occupancy cascades; wanted 1 to 8"),
        (zlib.compress(bytes(64**3 * 2)), "occupancy cascades; wanted 1 to 8"),  # 16 of them
    ):
        with pytest.raises(ModelError, match=words):
            load(rewritten(tmp_path / "m", model, packed(content), record(model)))
    with pytest.raises(ModelError, match=r"'occupancy' is F32 \(3,\); wanted a row of U8"):
        load(rewritten(tmp_path / "m", model, {"occupancy": torch.zeros(3)}, record(model)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "octree"}, "no architecture is named 'octree'"),
        ({"config": {"levels": 99}}, "levels must be a whole number from 1 to 32, found 99"),
        ({"config": {"depth": 9}}, "depth"),
        ({"head": "sdf"}, "no head is named 'sdf'"),
        ({"step": float("nan")}, "header holds NaN or infinity"),
        ({"step": 10**400}, "step must be a number from 0 to 1, found 1000"),
        ({"step": True}, "step must be a number from 0 to 1, found true"),
        ({"resolution": 10**6}, "resolution must be a whole number from 0 to 256, found 1000000"),
        ({"resolution": 65}, "resolution must be one of 32, 64, 128, 256 for a hashgrid, found 65"),
        ({"cone": 1.0}, "cone must be a number from 0 to 0.1, found 1"),
        ({"box": []}, r"box must be 2 x 3 numbers, found \[\]"),
        ({"box": [[0, 0, 0], [1e-300, 1, 1]]}, "box must be"),
        ({"transform": [[1e200] * 4] * 4}, "transform must be a number from"),
        ({"transform": [[1e-20, 0, 0, 0], [0, 1e-20, 0, 0], [0, 0, 1e-20, 0], [0, 0, 0, 1]]}, "is no similarity"),
        ({"background": [0, 0, 2]}, "background must be a number from 0 to 1, found 2"),
        ({"span": [0]}, "span must be 2 numbers, found"),
        ({"contraction": 7}, "contraction must be a text, found 7"),
        ({"provenance": []}, "provenance must be an object"),
        ({"metrics": {"psnr": deep(100)}}, "lists within lists"),
        ({"thumbnail": None}, "thumbnail must be a text, found null"),
        ({"config": {"levels": 10**400}}, "levels must be a whole number from 1 to 32, found 1000"),
        ({"config": {"x\x1b[31m": 1}}, r"config has an entry 'x\\x1b\[31m'"),
        ({"version": True}, "no format version"),
        ({"version": "one"}, "no format version"),
        ({"extra": 1}, "header does not fit"),
        ({"box": [[0, 0, 0], [0, 1, 1]]}, "box must be"),
        ({"box": "cube"}, "m: "),
    ],
)
def test_wrong_headers(model, tmp_path, changes, message):
    path = rewritten(tmp_path / "m", model, header=json.dumps(record(model, **changes)))
    with pytest.raises(ModelError, match=message):
        load(path)


def test_a_config_larger_than_the_file_is_refused_without_memory(model, tmp_path):
    huge = {"levels": 32, "channels": 8, "table_bits": 24, "finest": 65536}
    path = rewritten(tmp_path / "m", model, header=record(model, config=huge))
    with pytest.raises(ModelError, match=r"tensor 'weights\.architecture"):
        load(path)


def test_wrong_shape_missing_and_extra_tensors(model, tmp_path):
    table = {"weights.architecture.table": torch.zeros(10, 2)}
    with pytest.raises(ModelError, match=r"tensor 'weights.architecture.table' is F32 \(10, 2\); the header wants"):
        load(rewritten(tmp_path / "a", model, table, record(model)))
    with pytest.raises(ModelError, match=r"tensor 'other' is F32 \(3,\); the header wants None"):
        load(rewritten(tmp_path / "b", model, {"other": torch.zeros(3)}, record(model)))


def test_non_finite_weights(model, tmp_path):
    with torch.no_grad():
        next(model.field.parameters())[0] = torch.nan
    with pytest.raises(ModelError, match="not all finite"):
        load(rewritten(tmp_path / "m", model, header=record(model)))


def test_safetensors_of_somebody_else(tmp_path):
    (tmp_path / "m").write_bytes(safetensors.torch.save({"a": torch.zeros(3)}))
    with pytest.raises(ModelError, match="without a 'polyfield' entry"):
        load(tmp_path / "m")


def test_full_disk_keeps_the_old_file(model, saved, monkeypatch):
    before = saved.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(saved, replace(model, occupancy=torch.zeros_like(model.occupancy)))
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_write_beside_makes_folders_and_replaces(tmp_path):
    write_beside(tmp_path / "a" / "b.txt", b"one")
    write_beside(tmp_path / "a" / "b.txt", b"two")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"two"


def halves(model):
    return replace(model, header=replace(model.header, half=True))


def test_a_half_file_has_half_the_weights_and_gives_them_back_rounded(model, saved, tmp_path):
    size = save(tmp_path / "h", halves(model))
    parameters = model.field.parameter_count()
    assert abs(saved.stat().st_size - size - 2 * parameters) < 100  # the header's own length
    again = load(tmp_path / "h")
    assert again.header.half
    for name, value in model.field.state_dict().items():
        assert again.field.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.field.state_dict()[name], value.half().float())
    tensors = safetensors.torch.load_file(tmp_path / "h")
    assert {v.dtype for k, v in tensors.items() if k.startswith("weights.")} == {torch.float16}


@pytest.mark.parametrize("name", fields.NAMES)
def test_half_files_of_every_architecture(name, model, generator, tmp_path):
    config = fields.module(name).PRESETS["tiny"]
    field = Shape(name, config).build(Space(torch.tensor(BOX)), generator)
    header = replace(model.header, architecture=name, config=asdict(config), half=True)
    whole = save(tmp_path / "whole", replace(model, field=field, header=replace(header, half=False)))
    assert save(tmp_path / "half", replace(model, field=field, header=header)) < whole
    before = {k: v.dtype for k, v in safetensors.torch.load_file(tmp_path / "whole").items()}
    after = {k: v.dtype for k, v in safetensors.torch.load_file(tmp_path / "half").items()}
    assert all(after[k] in ({kind, torch.float16} if kind == torch.float32 else {kind}) for k, kind in before.items())
    files.round_to_half(field)
    x = torch.rand(50, 3, generator=generator)
    assert torch.equal(load(tmp_path / "half").field.density(x)[1], load_rounded(tmp_path, model, field, header, x))


def load_rounded(tmp_path, model, field, header, x):
    """Features of the rounded field, through a file of float32: some architectures round again when they store."""
    save(tmp_path / "rounded", replace(model, field=field, header=replace(header, half=False)))
    return load(tmp_path / "rounded").field.density(x)[1]


def test_numbers_beyond_float16_are_refused_before_anything_is_written(model, tmp_path):
    with torch.no_grad():
        model.field.head.network.layers[0][0, 0] = 7e4
    with pytest.raises(ModelError, match=r"h: tensor 'weights.head.network.layers.0' holds 70000; float16 \(--half\)"):
        save(tmp_path / "h", halves(model))
    assert not (tmp_path / "h").exists()


def test_a_file_that_lies_about_half(model, saved, tmp_path):
    with pytest.raises(ModelError, match=r"is F32 .*; the header wants F16"):
        load(rewritten(tmp_path / "a", model, header=record(model, half=True)))
    table = {"weights.architecture.table": model.field.architecture.table.detach().half()}
    with pytest.raises(ModelError, match=r"table' is F16 .*; the header wants F32"):
        load(rewritten(tmp_path / "b", model, table, record(model)))
    with pytest.raises(ModelError, match="half must be true or false, found 3"):
        load(rewritten(tmp_path / "c", model, header=record(model, half=3)))
    assert "half" not in json.loads(safetensors.safe_open(str(saved), "pt").metadata()[files.KEY])


@pytest.mark.parametrize(
    ("metrics", "want"), [({}, None), ({"psnr": 30.5}, 30.5), ({"psnr": "inf"}, math.inf), ({"psnr": []}, None)]
)
def test_a_header_says_what_the_model_was_scored_with(metrics, want):
    assert block_header(metrics=metrics).scored == want


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    """A process writes a file and a folder of parts and is killed; those of a living one stay, and others' files."""
    code = (
        "import sys, tempfile; from pathlib import Path; from fields.files import part_name\n"
        "folder = Path(sys.argv[1])\n"
        "tempfile.mkstemp(*part_name(folder / 'model.safetensors'), folder)\n"
        "Path(tempfile.mkdtemp(*part_name(folder / 'film.mp4'), folder), 'film.mp4').touch()\n"
        "print(flush=True); input()"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        for name in (".mine.part", ".a.abcdefgh.part", "b.abcdefgh.999999999.part", "model.safetensors"):
            (tmp_path / name).touch()
        before = {path.name for path in tmp_path.iterdir()}
        files.sweep(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == before
        process.kill()
    files.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".mine.part", ".a.abcdefgh.part", "b.abcdefgh.999999999.part", "model.safetensors"
    }  # fmt: skip
    files.sweep(tmp_path / "nowhere")


@pytest.mark.parametrize("call", ["mkstemp", "fsync", "replace"])
def test_a_full_disk_names_the_file_that_was_asked_for(call, tmp_path, monkeypatch):
    path = tmp_path / ("a" * 200 + ".bin")
    path.write_bytes(b"old")

    def full(*given, **_):
        raise OSError(28, "No space left on device", f"{tmp_path}/.hidden")

    owner = {"mkstemp": files.tempfile, "fsync": files.os, "replace": files.Path}[call]
    monkeypatch.setattr(owner, call, full)
    with pytest.raises(OSError) as caught:
        files.write_beside(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_goes_while_a_file_is_written_comes_again(tmp_path, monkeypatch):
    real = files.os.fsync

    def removed(number):
        real(number)
        monkeypatch.setattr(files.os, "fsync", real)
        shutil.rmtree(tmp_path / "run")

    monkeypatch.setattr(files.os, "fsync", removed)
    files.write_beside(tmp_path / "run" / "model.bin", b"new")
    assert (tmp_path / "run" / "model.bin").read_bytes() == b"new"


def test_a_free_name_is_the_next_one_where_nothing_is(tmp_path):
    path = tmp_path / "scan.v1.safetensors"
    assert find_free(path, ".safetensors") == path
    path.touch()
    assert find_free(path, ".safetensors") == tmp_path / "scan.v1_2.safetensors"
    (tmp_path / "scan.v1_2.safetensors").symlink_to("nowhere")  # what it leads to may come back
    assert find_free(path, ".safetensors") == tmp_path / "scan.v1_3.safetensors"
    (tmp_path / "scan.v1").mkdir()
    assert find_free(tmp_path / "scan.v1") == tmp_path / "scan.v1_2"
