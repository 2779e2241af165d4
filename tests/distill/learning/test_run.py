"""A run as a whole: a source with parameters of its own, as refined poses or exposures have, learns them beside the
field, keeps them over an interruption, and leaves none of them in the model."""

import json
import math
from dataclasses import dataclass

import pytest
import safetensors
import safetensors.torch
import torch
from analytic import G
from torch import nn

from distill.learning.budget import restored_rays
from distill.learning.fit import Loss, Phase, Schedule
from distill.learning.learnables import Group, Learnables, of_field
from distill.learning.run import CHECKPOINT_KEY, Place, Recipe, Run
from fields.files import ModelError, load
from fields.numbers import brief
from fields.shape import preset
from fields.space import CUBE
from render.occupancy import OccupancyGrid, pack
from render.renderer import Renderer
from scenes.results import digest

STEPS, BRIGHT, RATE = 40, 0.7, 0.05


class Dimmed:
    """Says that everything is of one colour, seen through a lens that darkens: by how much is learnt as well."""

    def __init__(self, field):
        self.field, self.generator = field, torch.Generator().manual_seed(0)
        self.grid = OccupancyGrid(pack(torch.ones(1, G**3, dtype=torch.bool)), CUBE.box, G)
        self.gain = nn.Parameter(torch.ones(()))

    def phases(self):
        return (Phase("told", 1.0, self),)

    def learnables(self):
        return Learnables((Group("exposure", (self.gain,), RATE),))

    def opacity(self, x):
        return torch.ones(len(x))

    def origin(self):
        return {"lens": "dim"}

    def state(self):
        return {"dimmed.generator": self.generator.get_state()}

    def restore(self, tensors):
        self.generator.set_state(tensors["dimmed.generator"])

    def __call__(self, index):
        x = torch.rand(256, 3, generator=self.generator)
        d = nn.functional.normalize(torch.randn(256, 3, generator=self.generator), dim=-1)
        _, rgb = self.field.radiance(x, d)
        error = (self.gain * rgb.float() - BRIGHT).square().mean() + (self.gain - 0.5).square()
        return Loss(error, math.nan, 1, 256)


@dataclass(frozen=True)
class Lens:
    """What must be equal of the source."""

    kind: str = "dim"


def begin(kind="dim"):
    """A run before its first step."""
    field = preset("hashgrid", "tiny").build(CUBE, torch.Generator().manual_seed(0))
    place = Place(CUBE.box, torch.eye(4, dtype=torch.float64), (1.0, 1.0, 1.0), (), ())
    recipe = Recipe("nothing", 1, "hashgrid", "tiny", 0, STEPS, 256, "cpu", Lens(kind))
    return Run(place, recipe, field, Dimmed(field), Renderer(1 / 64))


def end(run):
    for step in run.steps(Schedule(STEPS)):
        assert not step.trouble


def state(run):
    return {**run.optimization.state(), **run.source.state()}


def test_what_a_source_adds_is_learnt_beside_the_field():
    run = begin()
    before = [p.detach().clone() for p in run.field.parameters()]
    end(run)
    assert float(run.source.gain.detach()) < 0.8  # from 1 towards 0.5
    assert any(bool((p != old).any()) for p, old in zip(run.field.parameters(), before, strict=True))


def test_it_does_not_change_how_the_field_s_own_state_is_numbered():
    run = begin()
    end(run)
    kept = run.optimization.optimizer.state()
    own = sum(len(group.parameters) for group in of_field(run.field).groups if not group.matrices)
    assert kept[f"adam.{own}.exp_avg"].shape == ()  # behind them all
    assert f"adam.{own + 1}.exp_avg" not in kept


def test_an_interrupted_run_goes_on_with_it_bit_for_bit(tmp_path):
    whole, path = begin(), tmp_path / "checkpoint.safetensors"
    for step in whole.steps(Schedule(STEPS)):
        if step.index == 17:
            whole.save_checkpoint(path)
            gain = whole.source.gain.detach().clone()
    with safetensors.safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("learnt.exposure.0"), gain)
    second = begin()
    second.load_checkpoint(path)
    assert second.optimization.index == 18
    assert torch.equal(second.source.gain, gain)
    end(second)
    want, got = state(whole), state(second)
    assert [name for name in want if name != "run.seconds" and not torch.equal(want[name], got[name])] == []
    with pytest.raises(ModelError, match=r"nothing\.safetensors: no checkpoint to continue from"):
        begin().load_checkpoint(tmp_path / "nothing.safetensors")
    with pytest.raises(ModelError, match="checkpoint has kind 'dim', this run has 'bright'"):
        begin("bright").load_checkpoint(path)


def test_no_model_file_holds_it(tmp_path):
    run = begin()
    end(run)
    run.save_model(tmp_path / "model.safetensors")
    model = load(tmp_path / "model.safetensors")
    assert all(torch.equal(p, q) for p, q in zip(model.field.parameters(), run.field.parameters(), strict=True))
    assert model.header.provenance["lens"] == "dim"
    assert model.header.provenance["recipe"] == run.recipe.record()
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert all(name == "occupancy" or name.startswith("weights.") for name in file.keys())  # noqa: SIM118


def test_it_goes_back_with_the_field_to_the_last_good_state():
    run = begin()
    for step in run.steps(Schedule(STEPS)):
        if step.index == 10:
            with torch.no_grad():
                run.source.gain.fill_(math.nan)
    assert math.isfinite(float(run.source.gain.detach()))


def test_a_run_in_memory_is_the_model_that_it_would_write():
    run = begin()
    model = run.model()
    assert model.field is run.field
    assert model.header.architecture == "hashgrid"
    assert model.header.box == CUBE.box.tolist()


def test_a_phase_of_the_source_begins_where_it_begins_and_growth_where_it_is_due():
    run, begun = begin(), []
    run.source.phases = lambda: (
        Phase("one", 0.5, run.source),
        Phase("two", 0.5, run.source, begin=lambda: begun.append(run.optimization.index)),
    )
    run.__dict__["growth"] = (0.25, 0.75)
    run.field.architecture.grown = lambda opacity, generator: run.field.architecture
    names = [step.phase for step in run.steps(Schedule(STEPS))]
    assert list(dict.fromkeys(names)) == ["one", "one, growth 1", "two", "two, growth 2"]
    assert begun == [STEPS // 2]


def test_data_is_known_by_where_it_lies_unless_all_has_moved(tmp_path):
    here, gone = str(tmp_path), str(tmp_path / "gone")
    recipe = Recipe("base", 1, "hashgrid", "tiny", 0, STEPS, 256, "cpu", Lens(), location=here)
    record = recipe.record()
    for text, where in (("base", here), ("other", here), ("base", digest(here)), ("base", gone), (here, None)):
        assert recipe.difference(record | {"data": text}, where) == ""
    for text, where in (
        ("other", gone),
        ("base", "/"),
        ("base", digest("/")),
        ("base", None),
        (None, None),
        ("base", ""),
    ):
        assert recipe.difference(record | {"data": text}, where).startswith(
            f"data {brief(text)}, this run has {here!r}"
        )
    assert recipe.difference(record | {"preset": "small"}, here) == "preset 'small', this run has 'tiny'"
    assert here not in str(recipe.origin()) and recipe.origin()["location"] == digest(here)


def weight(tensors):
    return next(name for name in tensors if name.startswith("weights.architecture"))


def without(tensors):
    del tensors[weight(tensors)]


def longer(tensors):
    tensors[weight(tensors)] = tensors[weight(tensors)][:-1].clone()


def spoilt(tensors):
    tensors[weight(tensors)].view(-1)[0] = math.nan


def counted_back(tensors):
    tensors["run.counts"] = torch.tensor([-5, 0, 0])


def endless(tensors):
    tensors["run.seconds"] = torch.tensor(math.inf)


def before_the_first(tensors):
    tensors["adam.0.step"] -= 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (before_the_first, "adam.0.step must not be negative"),
        (without, "is missing, or has another shape or type"),
        (longer, "is missing, or has another shape or type"),
        (spoilt, "holds numbers that are not finite"),
        (counted_back, "run.counts must be a whole number from 0"),
        (endless, "'run.seconds' holds numbers that are not finite"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_its_name(tmp_path, change, message):
    path = tmp_path / "c.safetensors"
    begin().save_checkpoint(path)
    with safetensors.safe_open(path, framework="pt") as file:
        words, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors, words))
    with pytest.raises(ModelError, match=r"c\.safetensors: damaged checkpoint: .*" + message):
        begin().load_checkpoint(path)


def test_a_checkpoint_of_a_field_larger_than_its_file_takes_no_memory(tmp_path):
    path = tmp_path / "c.safetensors"
    begin().save_checkpoint(path)
    with safetensors.safe_open(path, framework="pt") as file:
        words, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    record = json.loads(words[CHECKPOINT_KEY])
    record["config"] |= {"levels": 32, "channels": 8, "table_bits": 24, "finest": 65536}  # 17 GB
    path.write_bytes(safetensors.torch.save(tensors, {CHECKPOINT_KEY: json.dumps(record)}))
    with pytest.raises(ModelError, match=r"c\.safetensors: damaged checkpoint: .* another shape"):
        begin().load_checkpoint(path)


@pytest.mark.parametrize("rays", [0, -128, 10**9])
def test_rays_that_no_step_leaves_are_refused(rays):
    assert int(restored_rays(torch.tensor(64), 4096)) == 64
    with pytest.raises(ValueError, match="rays must be one number from 1 to 4096"):
        restored_rays(torch.tensor(rays), 4096)
