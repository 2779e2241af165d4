"""Another head takes one file: with `laplace.py`, a signed distance, fields train, render, are saved, convert both ways
and are cropped; with `rgb.py`, a signal, a field of two coordinates learns a picture. Nothing else knows of either."""

import textwrap
from dataclasses import replace

import pytest
import torch
from analytic import block_file
from safetensors import safe_open

import fields.heads
from distill.conversion.edited import GONE, edited
from distill.conversion.edits import Edits
from distill.conversion.job import Instruction
from distill.conversion.job import begin as begin_conversion
from distill.conversion.job import prepare as prepare_conversion
from distill.conversion.settings import LEVELS, ConversionSettings
from distill.learning.fit import Loss, Optimization, Phase, Schedule, fit
from distill.learning.run import Recipe
from distill.photographs.job import STEPWISE, PhotographsRecipe, teach
from distill.photographs.job import begin as begin_training
from distill.photographs.settings import Settings
from fields import fused
from fields.files import Header, Model, ModelError, load, read_header, save
from fields.shape import Shape, preset
from fields.space import Space
from render.model import open_model
from render.renderer import Renderer
from render.units import UNIT_STEP
from scenes.assemble import load as load_scene
from scenes.options import ReadOptions

CPU = torch.device("cpu")
LAPLACE = '''
    """Laplace: the first feature is a signed distance in scene units, the next three colour (Yariv et al. 2021)."""

    from typing import final

    import torch
    from torch import nn

    from fields.base import Volume


    @final
    class Readout(Volume):
        """Density by the Laplace distribution's cumulative function of the distance (eq. 2 and 3), alpha = 1 / beta."""

        def __init__(self, width, config, generator):
            super().__init__()
            self.beta = nn.Parameter(torch.tensor(0.05))

        def log_density(self, features):
            inside = -features[:, 0].float() / self.beta
            faint = inside.clamp(max=0) - 0.6931471805599453
            dense = torch.log1p(-0.5 * torch.exp(-inside.clamp(min=0)))
            return torch.where(inside <= 0, faint, dense) - self.beta.log()

        def color(self, features, d):
            return features[:, 1:4].float().sigmoid()

        def appearance(self, features):
            return features[:, 1:4]
'''
RGB = '''
    """Rgb: a colour at every point."""

    from typing import final

    from fields.base import Signal


    @final
    class Readout(Signal):
        def __init__(self, width, config, generator):
            super().__init__()

        def values(self, features):
            return features[:, :3].float().sigmoid()
'''


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    """A folder more in which heads are looked for, with both files."""
    folder = tmp_path_factory.mktemp("heads")
    for name, text in (("laplace", LAPLACE), ("rgb", RGB)):
        (folder / f"{name}.py").write_text(textwrap.dedent(text).lstrip())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields.heads, "__path__", [*fields.heads.__path__, str(folder)])
        yield


def laplace(name):
    """An architecture's tiny preset under the toy head."""
    return Shape(name, preset(name, "tiny").config, "laplace")


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """Model and checkpoint of a field with a signed distance, trained on the built-in scene, and its steps."""
    scene, shape = load_scene("builtin:32", ReadOptions()), laplace("hashgrid")
    field = shape.build(Space(scene.box), torch.Generator().manual_seed(0))
    sampled = PhotographsRecipe(4 * UNIT_STEP)
    recipe = Recipe("builtin:32", 1, "hashgrid", "tiny", 0, 45, 2048, "cpu", sampled, "laplace")
    run = teach(scene, recipe, field, Renderer(4 * UNIT_STEP), STEPWISE)
    steps = list(run.steps(Schedule(45)))
    folder = tmp_path_factory.mktemp("laplace")
    run.save_model(folder / "model.safetensors")
    run.save_checkpoint(folder / "checkpoint.safetensors")
    return run, steps, folder


def learn(teacher, shape):
    """Names of the phases of a conversion, its steps, and the student."""
    recipe = Recipe(
        "", 1, shape.name, "tiny", 0, 9, 2048, "cpu",
        Instruction("", "", "", ("features", "samples", "rays"), LEVELS),
    )  # fmt: skip
    run = prepare_conversion(teacher, recipe, shape)
    return [phase.name for phase in run.source.phases()], list(run.steps(Schedule(9))), run.field


def test_it_trains(trained):
    run, steps, _ = trained
    assert not any(step.trouble for step in steps)
    assert sum(s.mse for s in steps[-5:]) < 0.7 * sum(s.mse for s in steps[:5])
    assert run.field.head.beta.item() != pytest.approx(0.05)


def test_it_is_saved_opened_and_drawn(trained):
    run, _, folder = trained
    assert read_header(folder / "model.safetensors").head == "laplace"
    model = open_model(folder / "model.safetensors", CPU)
    assert model.header.shape == laplace("hashgrid")
    camera = run.place.train[0]
    want = run.renderer.image(run.field.eval(), run.source.grid, camera).pixels
    got = model.image(camera).pixels
    assert torch.equal(got.rgb, want.rgb)
    assert 0.05 < float(got.opacity.mean()) < 0.95


def test_its_checkpoint_names_the_head(trained):
    run, _, folder = trained
    with safe_open(str(folder / "checkpoint.safetensors"), "pt") as file:
        assert '"head": "laplace"' in file.metadata()["polyfield_checkpoint"]
    before = {k: v.clone() for k, v in run.field.state_dict().items()}
    run.load_checkpoint(folder / "checkpoint.safetensors")
    assert all(torch.equal(v, before[k]) for k, v in run.field.state_dict().items())


@pytest.mark.parametrize("name", ["mlp", "voxels"])
def test_it_teaches_fields_with_other_heads(name, trained):
    names, steps, student = learn(open_model(trained[2] / "model.safetensors", CPU), preset(name, "tiny"))
    assert names == ["samples", "rays"]  # features mean something else there
    assert not any(step.trouble for step in steps)
    assert student.head is not trained[0].field.head


def test_it_learns_from_a_field_with_another_head(tmp_path):
    names, steps, _ = learn(open_model(block_file(tmp_path / "block.safetensors"), CPU), laplace("mlp"))
    assert names == ["samples", "rays"]
    assert not any(step.trouble for step in steps)


def test_it_teaches_its_like_by_features_and_hands_its_head_on(trained):
    teacher = open_model(trained[2] / "model.safetensors", CPU)
    recipe = Recipe("", 1, "mlp", "tiny", 0, 9, 2048, "cpu", Instruction("", "", "", ("features",), ()))
    run = prepare_conversion(teacher, recipe, laplace("mlp"))
    assert [phase.name for phase in run.source.phases()] == ["features"]
    assert torch.equal(run.field.head.beta, teacher.field.head.beta)


def test_commands_take_it_by_its_name(trained):
    asked = Settings(arch="hashgrid", preset="tiny", head="laplace", steps=2, device="cpu")
    job = begin_training("builtin:32", asked, lambda lines: None, write=False)
    assert job.run.shape == laplace("hashgrid")
    assert job.again().run.shape == laplace("hashgrid")
    wanted = ConversionSettings("mlp", "tiny", "laplace", steps=2, device="cpu")
    path = str(trained[2] / "model.safetensors")
    assert begin_conversion(path, wanted, lambda lines: None, write=False).run.shape == laplace("mlp")
    with pytest.raises(ValueError, match="no head is named 'laplas'; did you mean 'laplace'"):
        begin_training("builtin:32", replace(asked, head="laplas"), lambda lines: None, write=False)


@torch.no_grad()
def test_it_is_cropped(trained, generator):
    model = open_model(trained[2] / "model.safetensors", CPU)
    back = torch.linalg.inv(model.transform)
    box = model.grid.box.double()
    middle = back[:3, :3] @ box.mean(0) + back[:3, 3]
    reach = 0.2 * float((box[1] - box[0]).min()) * float(torch.linalg.det(back[:3, :3]).abs() ** (1 / 3))
    crop = tuple((middle - reach).tolist() + (middle + reach).tolist())
    result = edited(model, Edits(crop, min_density=0.5))
    points = (box[0] + (box[1] - box[0]) * torch.rand(4000, 3, generator=generator).double()).float()
    (got, features), was = result.field.density(points), model.field.density(points)[0]
    away = (points.double() @ back[:3, :3].T + back[:3, 3] - middle).abs().amax(-1) - reach
    kept = (away < -1e-4) & (was > 0.5)
    assert int(kept.sum()) > 20
    torch.testing.assert_close(got[kept], was[kept], rtol=1e-3, atol=1e-3)
    assert bool((got[(away > 1e-4) | (was < 0.49)] < torch.tensor(GONE + 1).exp()).all())
    assert result.field.color(features, torch.nn.functional.normalize(points, dim=-1)).shape == (4000, 3)
    names, steps, _ = learn(result, preset("hashgrid", "tiny"))
    assert names == ["samples", "rays"]
    assert not any(step.trouble for step in steps)


def test_a_head_without_device_functions_is_asked_op_by_op(trained):
    assert not fused.fusible(trained[0].field)


@pytest.fixture(scope="module")
def pictured(files):
    """A field of two coordinates, a picture (16, 16, 3) that it learnt, and the steps."""
    space = Space(torch.tensor([[0.0, 0.0], [16.0, 12.0]]))
    shape = Shape("hashgrid", preset("hashgrid", "tiny").config, "rgb")
    field = shape.build(space, torch.Generator().manual_seed(0))
    rows, columns = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    x = torch.stack([columns, rows], -1).view(-1, 2)
    wanted = torch.stack([x[:, 0] / 16, x[:, 1] / 12, ((x[:, 0] // 4 + x[:, 1] // 4) % 2) * 0.8], -1)

    def loss(index):
        error = (field.values(x) - wanted).square().mean()
        return Loss(error, float(error.detach()), 0, len(x))

    steps = list(fit(Optimization(field), (Phase("picture", 1.0, loss),), Schedule(150)))
    return field, x, wanted, steps, shape


def test_a_signal_learns_a_picture(pictured):
    field, x, wanted, steps, _ = pictured
    assert not any(step.trouble for step in steps)
    assert steps[-1].mse < 0.02 * steps[0].mse
    assert float((field.values(x) - wanted).detach().abs().mean()) < 0.05


def test_a_signal_is_saved_without_occupancy_and_refused_by_the_renderer(pictured, tmp_path):
    field, x, _, _, shape = pictured
    header = Header(
        **shape.record(), **field.space.record(), step=0.0, cone=0.0, resolution=0,
        transform=torch.eye(4).tolist(), background=[0.0, 0.0, 0.0],
    )  # fmt: skip
    path = tmp_path / "picture.safetensors"
    save(path, Model(field, torch.zeros(0, 0, dtype=torch.uint8), header))
    with safe_open(str(path), "pt") as file:
        assert "occupancy" not in file.keys()  # noqa: SIM118
    again = load(path)
    assert again.header.shape == shape
    assert again.header.space.dims == 2
    assert again.occupancy.numel() == 0
    assert torch.equal(again.field.values(x), field.values(x))
    with pytest.raises(ModelError, match=r"holds a signal \(head 'rgb'\), no volume that could be rendered"):
        open_model(path, CPU)


def test_volumes_and_signals_are_told_apart(pictured, trained):
    with pytest.raises(ValueError, match="it is no volume"):
        pictured[0].density(pictured[1])
    with pytest.raises(ValueError, match="it is no signal"):
        trained[0].field.values(torch.zeros(1, 3))


def test_a_misspelt_head_gets_a_suggestion_and_one_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"no head is named 'radience'; did you mean 'radiance'\?"):
        Shape("mlp", preset("mlp", "tiny").config, "radience").outline()
    with pytest.raises(ValueError, match=r"head harmonics wants one of 4, 13, 28, 49 features, found 16"):
        Shape("mlp", preset("mlp", "tiny").config, "harmonics").outline()
    with pytest.raises(ValueError, match="head modulated wants azimuths, elevations, bits of the architecture"):
        Shape("mlp", preset("mlp", "tiny").config, "modulated").outline()
