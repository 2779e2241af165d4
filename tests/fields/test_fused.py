"""The fused field against the same field op by op, for every architecture that has device functions."""

import sys

import pytest
import torch
import triton
import triton.language as tl
from torch import nn

import fields
from fields import fused
from fields.base import Architecture, Field, build
from fields.heads import FEATURES
from fields.kernels.tiles_cuda import linear_grad, matrix
from fields.operands import Operands

BOX = torch.tensor([[0.1, 0.2, 0.0], [0.9, 0.8, 1.2]])
COUNTS = [0, 1, 33, 130]  # a tile of halves holds 128, one of float32 16
HALF = {torch.float32: 2e-5, torch.float16: 1e-2}  # of the largest: 2^-24 and 2^-11, times sums and four layers


@triton.jit
def features(x, y, z, live, tables, weights, fixed, SHAPE: tl.constexpr):
    """A linear map of the point: all that a new architecture must bring."""
    return tl.dot(point(x, y, z), tl.trans(matrix(weights[0], 16, 3, 3)).to(tl.float32), input_precision="ieee")


@triton.jit
def point(x, y, z):
    place = tl.arange(0, 16)[None, :]
    others = tl.where(place == 1, y[:, None], tl.where(place == 2, z[:, None], 0.0))
    return tl.where(place == 0, x[:, None], others)


@triton.jit
def features_grad(
    x, y, z, live, grad, tables, weights, fixed, table_grads, weight_grads, SHAPE: tl.constexpr, PACKED: tl.constexpr
):
    """See `features`."""
    linear_grad(point(x, y, z), grad, weights[0], weight_grads[0], 16, 3, 3)


class Linear(Architecture):
    """Toy: features are a linear map of the point."""

    config, rate = None, 1e-2

    def __init__(self, generator):
        super().__init__()
        self.map = nn.Parameter(torch.randn(FEATURES, 3, generator=generator))

    def features(self, x):
        return x @ self.map.T

    def operands(self):
        return Operands((), (self.map,), (), (), FEATURES)


sys.modules[f"{__name__}_cuda"] = sys.modules[__name__]  # the toy's device functions lie here


def made(name, generator, device):
    """A field whose parameters are of a size at which every one matters."""
    if name == "toy":
        network = Linear(generator)
        field = Field(network, network.head(generator), BOX)
    else:
        field = build(name, fields.module(name).PRESETS["tiny"], BOX, generator)
        for _ in field.architecture.growth[:1]:
            field.architecture = field.architecture.grown(lambda x: torch.ones(len(x)), generator)
    with torch.no_grad():
        for parameter in field.architecture.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.copy_(parameter.half())
        for parameter in field.head.parameters():
            parameter.copy_(parameter.half())
    return field.to(device)


def asked(count, generator, device):
    """Points (N, 3), some outside the box, directions (N, 3), and gradients of sigma (N,) and of RGB (N, 3)."""
    x = torch.rand(count, 3, generator=generator) * 1.4 - 0.1
    d = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    pushes = torch.randn(count, generator=generator), torch.randn(count, 3, generator=generator)
    return [v.to(device) for v in (x, d, *pushes)]


def answers(found, field, for_sigma, for_rgb):
    """Densities, colours, and the gradient of every parameter by its name."""
    sigma, rgb = found
    names, parameters = zip(*field.named_parameters(), strict=True)
    loss = (sigma * for_sigma).sum() + (rgb * for_rgb).sum()
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {"sigma": sigma.detach(), "rgb": rgb.detach(), **dict(zip(names, grads, strict=True))}


def agree(got, want, far):
    for name, value in want.items():
        size = value.abs().max().item() if value.numel() else 0.0
        torch.testing.assert_close(got[name], value, atol=far * size, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def names():
    """Architectures that have a fused form in this installation, and the toy."""
    found = (n for n in fields.NAMES if fused.fusible(build(n, fields.module(n).PRESETS["tiny"], BOX, GENERATOR())))
    return ["toy", *found]


def GENERATOR():  # noqa: N802
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("half", HALF, ids=str)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", names())
def test_the_fused_field_is_the_field(name, count, half, generator, device):
    field = made(name, generator, device)
    x, d, *pushes = asked(count, generator, device)
    want = answers(field.radiance(x, d), field, *pushes)
    got = answers(fused.radiance(field, x, d, fused.Asking(half)), field, *pushes)
    agree(got, want, HALF[half])
    with torch.no_grad():
        sigma, rgb = fused.radiance(field, x, d, fused.Asking(half))
    assert torch.equal(sigma, got["sigma"])
    assert torch.equal(rgb, got["rgb"])
    assert torch.equal(fused.thickness(field, x, fused.Asking(half)), sigma)
