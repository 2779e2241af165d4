"""Shape: counted without memory as it is built, and the same again from its record."""

import json

import pytest
import torch

import fields
from fields.files import stored
from fields.shape import Shape, preset
from fields.space import CUBE


@pytest.mark.parametrize("name", fields.NAMES)
def test_counts_are_those_of_a_built_field(name, generator):
    shape = preset(name, "tiny").final
    field = shape.build(CUBE, generator)
    assert shape.parameters == field.parameter_count()
    assert shape.stored_bytes == sum(t.numel() * t.itemsize for t in stored(field).values())


@pytest.mark.parametrize("name", fields.NAMES)
def test_a_shape_comes_back_from_its_record(name):
    for size in fields.module(name).PRESETS:
        shape = preset(name, size)
        assert Shape.from_record(json.loads(json.dumps(shape.record()))) == shape


def test_an_outline_takes_no_memory():
    assert {p.device for p in preset("voxels", "large").outline().parameters()} == {torch.device("meta")}


def test_an_unknown_preset_is_told_which_there_are():
    with pytest.raises(ValueError, match=r"hashgrid has no preset 'huge' .*tiny"):
        preset("hashgrid", "huge")
