"""Files of format version 2, written by code from before heads had names: they open, and show the same.

Beside each lies what that code drew of it, 16 x 16 pixels with opacity, in float16. Made by `train-scene builtin:32
--arch NAME --preset tiny --steps 150 --batch 4096`. Their headers call every head "radiance".
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.conversion.distillation import Distillation
from fields.files import Model, load, read_header, save
from fields.shape import preset
from render.camera import Camera
from render.model import open_model

OLD = Path(__file__).with_name("old")
CPU = torch.device("cpu")
HEADS = {"cam": "modulated", "voxels": "harmonics"}


def small(camera):
    """The same view in 16 x 16 pixels."""
    share, lens = 16 / camera.size[0], camera.intrinsics
    numbers = {name: getattr(lens, name) * share for name in ("fx", "fy", "cx", "cy")}
    return Camera(camera.pose, replace(lens, **numbers), (16, 16))


def picture(model):
    pixels = model.image(small(model.train_cameras[0])).pixels
    return torch.cat([pixels.rgb, pixels.opacity[..., None]], -1)


@pytest.mark.parametrize("name", HEADS)
def test_an_old_file_opens_and_is_drawn_as_it_was(name):
    model = open_model(OLD / f"{name}.safetensors", CPU)
    want = torch.from_numpy(np.load(OLD / f"{name}.npy").astype(np.float32))
    assert float(want.std()) > 0.2
    # 2^-11 of float16; the rest for processors that take products of bfloat16 in another order
    torch.testing.assert_close(picture(model), want, atol=1e-2, rtol=0)
    assert model.header.shape == replace(preset(name, "tiny").final, config=model.header.shape.config)


@pytest.mark.parametrize("name", HEADS)
def test_an_old_file_s_head_is_its_architecture_s_own(name):
    header = read_header(OLD / f"{name}.safetensors")
    assert header.head == ""
    assert header.shape.head == HEADS[name]
    assert header.metrics["psnr"] > 20
    assert header.provenance["recipe"]["architecture"] == name


@pytest.mark.parametrize("name", HEADS)
def test_an_old_file_written_again_names_its_head_and_is_the_same(name, tmp_path):
    path = OLD / f"{name}.safetensors"
    model = load(path)
    save(tmp_path / "again.safetensors", model)
    again = load(tmp_path / "again.safetensors")
    assert replace(again.header, head="") == model.header
    assert again.header.head == HEADS[name]
    assert torch.equal(picture(open_model(tmp_path / "again.safetensors", CPU)), picture(open_model(path, CPU)))


def test_what_version_2_can_say_is_written_as_version_2(tmp_path):
    model = load(OLD / "voxels.safetensors")
    shape = preset("hashgrid", "tiny")
    field = shape.build(model.header.space, torch.Generator().manual_seed(0))
    header = replace(model.header, **shape.record())
    assert header.record()["version"] == 2
    assert header.record().keys() & {"half", "contraction", "span"} == set()
    save(tmp_path / "a.safetensors", Model(field, model.occupancy, header))
    assert load(tmp_path / "a.safetensors").header.shape == shape
    for changes in ({"contraction": "sphere"}, {"span": [0.0, 1.0]}, {"architecture": "cam", "head": ""}):
        assert replace(header, **changes).record()["version"] == 3


@pytest.mark.parametrize("name", HEADS)
def test_an_old_file_teaches(name):
    teacher = open_model(OLD / f"{name}.safetensors", CPU)
    student = preset("hashgrid", "tiny").build(teacher.field.space, torch.Generator().manual_seed(0))
    phases = Distillation(teacher, student, 1024, 0).phases()
    assert [phase.name for phase in phases] == ["features", "samples", "rays"][name == "voxels" :]
    for index, phase in enumerate(phases):
        value = phase.loss(index).value
        assert bool(torch.isfinite(value))
        value.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in student.parameters())
