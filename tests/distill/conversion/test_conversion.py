"""One conversion as an object: what it begins with, that it grows, and that a resumed one ends as if never stopped."""

from dataclasses import replace

import pytest
import torch
from analytic import block_bounds, block_file

import fields
from distill.conversion.distillation import count_colored, heritage
from distill.conversion.job import Instruction, digest, origin, prepare, taken_over
from distill.conversion.settings import LEVELS, SHARES
from distill.learning.fit import Schedule
from distill.learning.run import Recipe
from fields.files import ModelError
from fields.shape import preset
from render.model import open_model

CPU = torch.device("cpu")
STEPS = 40
TOLD = Instruction(teacher="block", digest="1", edits="", phases=tuple(SHARES), active=LEVELS)
BASE = Recipe(
    data="", downscale=1, architecture="", preset="tiny", seed=0, steps=STEPS, batch=1024, device="cpu", source=TOLD
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A hash grid that holds a block."""
    return open_model(block_file(tmp_path_factory.mktemp("teacher") / "block.safetensors"), CPU)


def conversion(teacher, architecture, **changes):
    source = {name: changes.pop(name) for name in tuple(changes) if name in vars(TOLD)}
    recipe = replace(BASE, architecture=architecture, source=replace(TOLD, **source), **changes)
    return prepare(teacher, recipe, preset(architecture, "tiny"))


def walked(conversion, until=STEPS):
    """The same conversion after so many steps; the names of its phases in order."""
    names = []
    for step in conversion.steps(Schedule(STEPS)):
        names += [step.phase] if not names or names[-1] != step.phase else []
        if step.index + 1 == until:
            break
    return names


def state(conversion):
    """All tensors of a run, without the time that it took."""
    tensors = {**conversion.optimization.state(), **conversion.source.state()}
    tensors.pop("run.seconds")
    return tensors


@pytest.mark.parametrize("architecture", fields.NAMES)
def test_the_head_is_taken_over_where_it_fits_and_the_occupancy_always(teacher, architecture):
    one = conversion(teacher, architecture)
    theirs, ours = teacher.field.head.state_dict(), one.field.head.state_dict()
    fits = {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in ours.items()}
    assert (
        fits == bool(heritage(one.field, teacher.field)) == (architecture not in ("cam", "voxels"))
    )  # these have heads of their own
    if fits:
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
        assert ours["network.layers.0"].data_ptr() != theirs["network.layers.0"].data_ptr()  # a copy, free to change
    assert torch.equal(one.source.grid.bits, teacher.grid.bits)
    assert torch.equal(one.field.space.box, teacher.field.space.box)
    assert ("features" in [phase.name for phase in one.source.phases()]) == (
        count_colored(one.field) == count_colored(teacher.field)
    )
    assert ("head" in taken_over(one, teacher)) == fits


def test_the_teacher_stays_as_it_was(teacher):
    before = {k: v.clone() for k, v in teacher.field.state_dict().items()}
    walked(conversion(teacher, "triplane"), 8)
    assert all(torch.equal(before[name], value) for name, value in teacher.field.state_dict().items())
    assert all(p.grad is None for p in teacher.field.parameters())


def test_opacity_is_that_of_the_teacher_from_the_first_step(teacher):
    low, high = block_bounds()
    inside = (low + high)[None] / 2
    outside = torch.tensor([[0.9, 0.9, 0.9]])
    found = conversion(teacher, "vm").opacity(torch.cat([inside, outside]))
    assert float(found[0]) == pytest.approx(1 - 2.718281828 ** (-400 / 1024), rel=0.02)  # densities are in bfloat16
    assert float(found[1]) == 0


@pytest.mark.parametrize("architecture", ["vm", "voxels"])
def test_a_student_grows_on_its_way(teacher, architecture):
    one = conversion(teacher, architecture)
    begun, count = one.field.architecture.config, len(one.growth)
    names = walked(one)
    assert count > 0
    assert sum("growth" in name for name in names) == count
    phases = [name.partition(",")[0] for name in names]
    assert phases == sorted(phases, key=list(SHARES).index)
    final = one.field.architecture.config
    assert final != begun
    assert one.header().config == {k: getattr(final, k) for k in one.header().config}


@pytest.mark.parametrize(
    ("architecture", "stop"),
    [(name, 10) for name in fields.NAMES] + [("vm", 34), ("voxels", 34), ("triplane", 20), ("triplane", 34)],
)
def test_a_resumed_conversion_ends_as_if_it_had_never_stopped(teacher, tmp_path, architecture, stop):
    whole = conversion(teacher, architecture)
    for step in whole.steps(Schedule(STEPS)):
        if step.index + 1 == stop:
            whole.save_checkpoint(tmp_path / "c.safetensors")
            shape = whole.field.architecture.config
    resumed = conversion(teacher, architecture)
    resumed.load_checkpoint(tmp_path / "c.safetensors")
    assert resumed.optimization.index == stop
    assert resumed.field.architecture.config == shape
    walked(resumed)
    want, got = state(whole), state(resumed)
    assert want.keys() == got.keys()
    assert [name for name in want if not torch.equal(want[name], got[name])] == []


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "2"},
        {"edits": "--erase 0 0 0 1 1 1"},
        {"steps": 41},
        {"seed": 1},
        {"phases": ("rays",)},
        {"active": ()},
    ],
)
def test_a_checkpoint_of_another_conversion_is_refused(teacher, tmp_path, change):
    path = tmp_path / "c.safetensors"
    conversion(teacher, "voxels").save_checkpoint(path)
    with pytest.raises(ModelError, match=f"checkpoint has {next(iter(change))} "):
        conversion(teacher, "voxels", **change).load_checkpoint(path)


def test_phases_that_there_cannot_be_are_refused(teacher):
    with pytest.raises(ValueError, match="--phases features: not between hashgrid and voxels"):
        conversion(teacher, "voxels", phases=("features",))


def test_what_a_model_was_trained_on_in_the_end():
    assert origin({"recipe": {"data": "builtin:48", "downscale": 4}}) == ("builtin:48", 4)
    for strange in ({}, {"recipe": None}, {"recipe": {"data": 3, "downscale": "4"}}):
        assert origin(strange) == ("", 1)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a").startswith("ba7816bf8f01cfea")  # FIPS 180-4, example of SHA-256
