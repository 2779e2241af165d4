"""Everything runs on a device that is not the CPU, see remote.py. Called by test_device.py, in a process of its own."""

import pytest
import torch
from analytic import block_file
from remote import Remote, chosen, remote

import fields
from distill.conversion import job as conversion
from distill.conversion.settings import ConversionSettings
from distill.learning.fit import Schedule
from distill.learning.run import Recipe
from distill.photographs.job import PhotographsRecipe, prepare
from fields.files import load
from render.looks import normal
from render.occupancy import OccupancyGrid
from render.renderer import color
from render.units import UNIT_STEP
from scenes.assemble import load as load_scene
from scenes.options import ReadOptions

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch warns of its own ways with a Python backend


@pytest.fixture(scope="module")
def scene():
    return load_scene("builtin", ReadOptions(8))


def test_a_cpu_tensor_is_refused_and_waiting_is_counted():
    with remote() as device:
        there = torch.ones(3, device=device)
        with pytest.raises(RuntimeError, match=r"a CPU tensor \(3,\)"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="wants a generator on remote"):
            torch.rand(3, generator=torch.Generator(), device=device)
        assert float((there + 1).sum()) == 6
        assert Remote.reads["aten._local_scalar_dense.default"] == 1
        assert there.cpu().tolist() == [1, 1, 1]
        assert Remote.reads["aten._to_copy.default"] == 1


@pytest.mark.parametrize("name", fields.NAMES)
def test_training_drawing_and_files(name, scene, tmp_path):
    with remote() as device:
        recipe = Recipe("builtin", 8, name, "tiny", 0, 5, 1024, "cpu", PhotographsRecipe(6 * UNIT_STEP))
        training = prepare(scene, recipe, device)
        steps = list(training.steps(Schedule(5)))
        assert not any(step.trouble for step in steps)
        assert all(p.device == device for p in training.field.parameters())
        camera = scene.test[0].camera.resized(12, 12)
        grid = training.source.grid
        for look in (color, normal):
            drawn = training.renderer.image(training.field, grid, camera, look).pixels
            assert drawn.rgb.device == device
        training.save_checkpoint(tmp_path / "checkpoint.safetensors")
        training.load_checkpoint(tmp_path / "checkpoint.safetensors")
        assert all(p.device == device for p in training.field.parameters())
        training.save_model(tmp_path / "model.safetensors")
        there = training.renderer.image(training.field, grid, camera).pixels.rgb.cpu()
    model = load(tmp_path / "model.safetensors")
    bits = OccupancyGrid(model.occupancy, model.field.space.box, model.header.resolution)
    here = training.renderer.image(model.field, bits, camera).pixels.rgb
    torch.testing.assert_close(there, here, atol=2e-2 if name == "cam" else 1e-2, rtol=0)  # decoders in bf16, 8 bits


def test_conversion_through_all_its_phases(tmp_path):
    teacher = block_file(tmp_path / "block.safetensors")
    settings = ConversionSettings(
        to="vm", preset="tiny", steps=9, batch=1024, out=tmp_path / "out", active=("poses", "rays", "points")
    )
    with chosen() as device:
        run = conversion.begin(str(teacher), settings, lambda lines: None).run
        steps = list(run.steps(Schedule(9)))
        assert not any(step.trouble for step in steps)
        assert len({step.phase for step in steps}) > 2
        assert run.field.space.box.device == device
