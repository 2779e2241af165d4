"""Kernels of the fused field, in Triton: what they leave alone, and that sums repeat. For values see test_fused.py."""

import pytest
import torch

import fields
from fields import fused
from fields.kernels import fused_cuda
from fields.operands import device_functions
from fields.shape import Shape, preset
from fields.space import Space

BOX = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
ARCHITECTURES = ["hashgrid", "rbf", "triplane", "vm", "voxels"]  # those with a fused form of their base preset


def given(count, generator, device):
    """Points, parts in float16, and a gradient of sigma (N,) and of RGB (N, 3)."""
    config = fields.module("vm").Config(4, 4, 4, density_rank=2, color_rank=2)
    field = Shape("vm", config).build(Space(BOX), generator).to(device)
    x, push = torch.rand(count, 3, generator=generator), torch.randn(count, 4, generator=generator)
    parts = fused.converted(field, fused.Asking())[1]
    points = fused_cuda.Points(x.to(device), x.to(device), field.space)
    return points, parts, push[:, 0].to(device), push[:, 1:].to(device)  # the latter in strides


def test_tiles_without_gradient_are_not_read(generator, device):
    points, parts, for_sigma, for_rgb = given(192, generator, device)
    block = fused_cuda.BACKWARD[2][0]
    for_sigma[block : 2 * block], for_rgb[block : 2 * block] = 0, 0
    kept = fused_cuda.radiance(points, parts, keep=True)[2]
    want = fused_cuda.radiance_grad(points, parts, kept, for_sigma, for_rgb)
    for memory in (points.x, points.d, kept):
        memory[block : 2 * block] = torch.nan
    got = fused_cuda.radiance_grad(points, parts, kept, for_sigma, for_rgb)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_sums_of_networks_repeat_and_do_not_depend_on_who_adds(generator, device, monkeypatch):
    points, parts, for_sigma, for_rgb = given(200, generator, device)
    kept = fused_cuda.radiance(points, parts, keep=True)[2]
    both = [fused_cuda.radiance_grad(points, parts, kept, for_sigma, for_rgb)[2:] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))
    monkeypatch.setattr(fused_cuda, "RESIDENT", 1)
    alone = fused_cuda.radiance_grad(points, parts, kept, for_sigma, for_rgb)[2:]
    for one, other in zip(alone, both[0], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * other.abs().max().item(), rtol=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_base_presets_have_a_fused_form(name):
    with torch.device("meta"):
        network = fields.module(name).Network(fields.module(name).PRESETS["base"], 3, None)
        assert network.operands().small
    assert device_functions(type(network), "cuda") is not None


def launches(names=tuple(ARCHITECTURES), halves=(torch.float16,)):
    """For tests/compiled.py: the shapes of the base presets."""
    x, sigma, rgb = torch.zeros(256, 3), torch.zeros(256), torch.zeros(256, 3)
    for name in names:
        field = preset(name, "base").build(Space(BOX), torch.Generator())
        for half in halves:
            parts = fused.converted(field, fused.Asking(half))[1]
            points = fused_cuda.Points(x, x, field.space)
            _, _, kept = fused_cuda.radiance(points, parts, keep=True)
            fused_cuda.thickness(points, parts)
            fused_cuda.radiance_grad(points, parts, kept, sigma, rgb)
