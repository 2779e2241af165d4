"""Photographs as teacher: pixels, budget, resume bit for bit, and that it learns."""

import functools

import pytest
import torch

from distill.learning.fit import PATIENCE, Schedule
from distill.learning.run import Recipe
from distill.photographs.job import PhotographsRecipe, prepare
from distill.photographs.pixels import HostPixels
from distill.photographs.source import Batching
from fields.files import ModelError
from fields.shape import preset
from render.camera import Camera, CameraBank, Intrinsics, look_at
from render.precision import precision
from scenes.assemble import load
from scenes.evaluate import score_views
from scenes.options import ReadOptions
from scenes.scene import View

CPU = torch.device("cpu")


@functools.cache
def pictures():
    return load("builtin:48", ReadOptions())


@pytest.fixture
def scene():
    return pictures()


def training(scene, steps=40, seed=0, batch=4096):
    recipe = Recipe("builtin:48", 1, "hashgrid", "tiny", seed, steps, batch, "cpu", PhotographsRecipe(0.003))
    return prepare(scene, recipe, CPU)


def advance(run, until):
    for step in run.steps(Schedule(run.recipe.steps)):
        if step.index == until - 1:
            return


@functools.cache
def learnt():
    """A run of 60 steps, and the samples of each; no test changes it."""
    run = training(pictures(), steps=60, batch=8192)
    return run, [step.samples for step in run.steps(Schedule(60))]


def same(one, two):
    first, second = ({**t.optimization.state(), **t.source.state()} for t in (one, two))
    return all(torch.equal(first[k], second[k]) for k in first if k != "run.seconds")


def view(size, seed, valid=None):
    width, height = size
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (height, width, 4), generator=generator).to(torch.uint8)
    pose = look_at(torch.tensor([3.0, seed, 1.0]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    camera = Camera(pose, Intrinsics(50, 60, width / 2, height / 2), size)
    return View(camera, image, torch.ones((), dtype=torch.bool).expand(height, width) if valid is None else valid, "v")


def test_drawn_pixels_are_those_of_their_rays():
    mask = torch.zeros(7, 5, dtype=torch.bool)
    mask[:, :2] = True
    views = (view((8, 4), 0), view((5, 7), 1, mask))
    batch = HostPixels(views, CPU, 0).draw(500, torch.Generator())
    bank = CameraBank.of([v.camera for v in views])
    seen = set()
    for index, one in enumerate(views):
        width, height = one.camera.size
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([columns, rows], -1).reshape(-1, 2)
        rays = bank.rays(torch.full((len(pixels),), index), pixels)
        for r in range(500):
            hit = (rays.origins == batch.rays.origins[r]).all(-1)
            hit &= (rays.directions == batch.rays.directions[r]).all(-1)
            if bool(hit.any()):
                column, row = pixels[hit][0].tolist()
                got = torch.cat([batch.rgb[r], batch.alpha[r : r + 1]]) * 255
                torch.testing.assert_close(got, one.image[row, column].float())
                assert bool(batch.valid[r]) == bool(one.valid[row, column])
                seen.add((index, row, column))
    assert len(seen) == 8 * 4 + 5 * 7  # 500 draws from 67 pixels miss one of them in 1 of 30 seeds; not in this one


def test_a_mesh_of_seeds_gives_the_same_run_and_another_seed_another(scene):
    one, two, other = training(scene), training(scene), training(scene, seed=1)
    for run in (one, two, other):
        advance(run, 4)
    assert same(one, two)
    assert not same(one, other)


def test_an_interrupted_run_continues_bit_for_bit(scene, tmp_path):
    whole = training(scene, steps=22)
    for step in whole.steps(Schedule(22)):
        if step.index == 12:
            whole.save_checkpoint(tmp_path / "checkpoint.safetensors")
    second = training(scene, steps=22)
    second.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert second.optimization.index == 13
    advance(second, 22)  # past the 16 updates of the occupancy that ask all cells
    assert same(whole, second)


def test_a_checkpoint_of_another_recipe_is_refused(scene, tmp_path):
    training(scene).save_checkpoint(tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match=r"c\.safetensors: checkpoint has seed 0, this run has 5"):
        training(scene, seed=5).load_checkpoint(tmp_path / "c.safetensors")
    content = (tmp_path / "c.safetensors").read_bytes()
    (tmp_path / "c.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="damaged checkpoint"):
        training(scene).load_checkpoint(tmp_path / "c.safetensors")


def test_the_ray_count_follows_the_sample_budget():
    _, counts = learnt()
    late = torch.tensor(counts[-20:]).double()
    assert 0.6 < float(late.mean()) / 8192 < 1.5
    assert max(counts) <= 2 * 8192


def test_it_learns(scene):
    run, _ = learnt()
    draw = lambda camera: run.renderer.image(run.field, run.source.grid, camera)  # noqa: E731
    scores = list(score_views(scene.test[:3], scene.background, draw))
    white = [float(-10 * torch.log10((1 - s.truth).square().mean())) for s in scores]
    assert min(s.score.psnr - w for s, w in zip(scores, white, strict=True)) > 5  # dB above an empty picture
    assert 0 < run.source.grid.share() < 0.4


def test_opacity_is_that_of_one_step_where_rays_go_and_zero_elsewhere(generator):
    run, _ = learnt()
    x = torch.rand(5000, 3, generator=generator)
    got = run.opacity(x)
    points = (x - 0.5) * run.field.space.side + run.field.space.center
    with torch.no_grad(), precision(CPU):
        sigma, _ = run.field.density(points)
    inside = run.source.grid.contains(points)
    want = torch.where(inside, 1 - torch.exp(-sigma * run.renderer.step), 0.0)
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-2)  # decoders compute in bf16 where the CPU has it
    assert 0 < float(inside.float().mean()) < 1
    assert got.max() > 0


def test_the_architectures_penalty_is_part_of_the_loss(scene, monkeypatch):
    values = []
    for extra in (0.0, 5.0):
        run = training(scene)
        monkeypatch.setattr(type(run.field.architecture), "penalty", lambda self, generator, e=extra: torch.tensor(e))
        values.append(float(run.source(0).value.detach()))
    assert values[1] - values[0] == pytest.approx(5.0, rel=1e-5)


def test_config_and_preset_errors():
    with pytest.raises(ValueError, match="batch must be 1024 to 1048576 samples, found 5"):
        Batching(batch=5)
    with pytest.raises(ValueError, match=r"hashgrid has no preset 'huge' \(there are: tiny, small, base, large\)"):
        preset("hashgrid", "huge")


def test_weights_that_are_not_finite_are_noticed_and_the_run_recovers(scene):
    run = training(scene, steps=40)
    notes = []
    for step in run.steps(Schedule(40)):
        if step.index == 12:
            with torch.no_grad():
                for parameter in run.field.parameters():
                    parameter.fill_(torch.nan)
        if step.trouble:
            notes.append(step.trouble)
    assert notes[0] == "loss is not finite"
    assert "went back to the state of step" in notes[-1]
    assert len(notes) == PATIENCE + 1
    assert all(bool(torch.isfinite(p).all()) for p in run.field.parameters())
    assert bool(torch.isfinite(run.source.occupancy.values).all())
    assert run.source.grid.share() > 0
