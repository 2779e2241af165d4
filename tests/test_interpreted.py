"""A training run and a frame by Triton kernels alone, interpreted, beside the same by the CPU's kernels."""

from dataclasses import replace

import pytest
import torch
from interpreted import triton_kernels

import fields
from distill.device import adam_cuda, captured
from distill.learning.fit import Optimization, Schedule, fit
from distill.learning.optimizer import Optimizer
from fields.shape import Shape, preset
from fields.space import Space
from render.buffers import Fixed
from render.occupancy import OccupancyEstimate, cascades_for
from render.renderer import Renderer
from render.units import UNIT_STEP
from scenes.assemble import load
from scenes.options import ReadOptions

CELLS = 8  # per axis of the occupancy: interpreted, a point takes a tenth of a millisecond


def run(steps):
    """Losses of a small run, and what it leaves."""
    scene, generator = load("builtin", ReadOptions(10)), torch.Generator().manual_seed(0)
    shape = Shape("hashgrid", replace(preset("hashgrid", "tiny").config, levels=4, table_bits=10))
    field = shape.build(Space(scene.box), generator)
    renderer = Renderer(12 * UNIT_STEP)
    allowed = torch.rand(cascades_for(scene.box), CELLS**3, generator=generator) < 0.3
    occupancy = OccupancyEstimate(scene.box, renderer.step, allowed, CELLS)
    source = captured.captured(scene, field, renderer, occupancy, 1024, 0)
    learning = Optimization(field, lambda learnables: Optimizer(learnables, None, adam_cuda))
    taken = list(fit(learning, source.phases(), Schedule(steps)))
    return [step.loss for step in taken], (field, renderer, source.grid, scene)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("distill.photographs.source.FIRST_RAYS", 24)
    monkeypatch.setattr(captured, "fixed", lambda batch, room=0: Fixed(384, 256, 256))


def test_two_steps_and_a_frame(small):
    mine, (field, renderer, grid, scene) = run(2)
    with triton_kernels() as calls:
        theirs, (other, *_) = run(2)
    assert calls["march_fill"] == calls["composite_grad"] == 2
    assert not calls["grid_encode"]  # the fused field stood in for it
    torch.testing.assert_close(theirs, mine, atol=0, rtol=2e-3)  # products of 11 bits; the second step sees the first
    moved = field.architecture.table.detach() - other.architecture.table.detach()
    assert moved.abs().mean() < 0.05 * field.architecture.rate  # Adam moves by the sign: tiny gradients may turn
    camera = scene.test[0].camera.resized(7, 7)
    want = renderer.image(field, grid, camera).pixels
    with triton_kernels():
        got = renderer.image(field, grid, camera).pixels
    error = (got.over(torch.ones(3)) - want.over(torch.ones(3))).square().mean()
    assert -10 * error.log10() > 45  # dB


def asked(name):
    """Density, colour and all gradients of a tiny field at some points, op by op."""
    generator = torch.Generator().manual_seed(1)
    field = preset(name, "tiny").build(Space(torch.tensor([[0.0, 0, 0], [1, 1, 1]])), generator)
    x, push = torch.rand(12, 3, generator=generator), torch.randn(12, 4, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(12, 3, generator=generator), dim=-1)
    sigma, features = field.density(x)
    rgb = field.color(features, d)
    ((sigma * push[:, 0]).sum() + (rgb * push[:, 1:]).sum()).backward()
    return [sigma.detach(), rgb.detach(), *(p.grad for p in field.parameters())]


@pytest.mark.parametrize("name", fields.NAMES)
def test_every_architecture_asks_ops_for_what_they_do_on_a_gpu(name, monkeypatch):
    monkeypatch.setattr("fields.layers.SMALL_BLOCK", 16)  # rows that batches are padded to
    want = asked(name)
    with triton_kernels(whole=False) as calls:
        got = asked(name)
    assert calls or name == "mlp"  # which has no op of ours
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5 * theirs.abs().max().item(), rtol=0)
