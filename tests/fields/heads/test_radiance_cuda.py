"""Colour and its gradient on tiles, in Triton, against the radiance head in float64."""

import pytest
import torch
import triton
import triton.language as tl

from fields.base import FEATURES
from fields.heads import radiance
from fields.heads.radiance_cuda import color, color_grad

BLOCK = 16


@triton.jit
def colored(features, d, grad, out, pull, weights, weight_grads, SHAPE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.arange(0, BLOCK)
    live = row < BLOCK
    place = row[:, None] * SHAPE[0] + tl.arange(0, SHAPE[0])[None, :]
    f = tl.load(features + place)  # (BLOCK, F)
    dx, dy, dz = tl.load(d + row * 3), tl.load(d + row * 3 + 1), tl.load(d + row * 3 + 2)
    red, green, blue = color(f, dx, dy, dz, live, weights, SHAPE)
    tl.store(out + row * 3, red)
    tl.store(out + row * 3 + 1, green)
    tl.store(out + row * 3 + 2, blue)
    red, green, blue = tl.load(grad + row * 3), tl.load(grad + row * 3 + 1), tl.load(grad + row * 3 + 2)
    tl.store(pull + place, color_grad(f, dx, dy, dz, live, red, green, blue, weights, weight_grads, SHAPE))


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 1e-5), (torch.float16, 1e-2)])  # half: 2^-11, four products
@pytest.mark.parametrize("width", [64, 24])
@pytest.mark.parametrize("size", [1.0, 1e-9, 1e5])  # of the incoming gradient: halves alone hold 6e-8 to 7e4
def test_color_and_its_gradients(width, dtype, far, size, generator, device):
    head = radiance.Readout(FEATURES, None, generator, width)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(weight.to(dtype))
    features, push = torch.randn(2, BLOCK, FEATURES, generator=generator)
    features[:, 0] *= 1e6  # log-density: no colour may depend on it
    d = torch.nn.functional.normalize(torch.randn(BLOCK, 3, generator=generator), dim=-1)
    push = push[:, :3] * size
    operands = head.operands()
    weights = tuple(w.detach().to(device, dtype) for w in operands.weights)
    sums = tuple(torch.ones(w.shape, device=device) * size for w in weights)
    out, pull = torch.empty(BLOCK, 3, device=device), torch.empty(BLOCK, FEATURES, device=device)
    given = (v.to(device) for v in (features, d, push.contiguous()))
    colored[(1,)](*given, out, pull, weights, sums, operands.shape, BLOCK)

    head, asked = head.double(), features.double().requires_grad_()
    rgb = head.color(asked, d.double())
    wants = torch.autograd.grad(rgb, [asked, *head.parameters()], push.double())
    torch.testing.assert_close(out.cpu(), rgb.detach(), atol=far, rtol=0)
    assert bool((pull[:, 0] == 0).all())
    for got, want in zip((pull, *(s - size for s in sums)), wants, strict=True):
        torch.testing.assert_close(got.cpu().double(), want, atol=far * want.abs().max().item(), rtol=0)


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy's, where kernels are interpreted
def test_an_infinite_gradient_stays_visible(generator, device):
    head = radiance.Readout(FEATURES, None, generator)
    weights = tuple(w.detach().to(device, torch.float16) for w in head.operands().weights)
    sums = tuple(torch.zeros(w.shape, device=device) for w in weights)
    features, pull = torch.randn(2, BLOCK, FEATURES, generator=generator).to(device)
    d, grad = torch.ones(BLOCK, 3, device=device), torch.ones(BLOCK, 3, device=device)
    for bad in (float("inf"), float("nan")):
        grad[3, 1] = bad
        colored[(1,)](features, d, grad, torch.empty_like(d), pull, weights, sums, head.operands().shape, BLOCK)
        assert not bool(torch.isfinite(sums[2][1]).any())


def launches():
    """For tests/compiled.py: the sizes of every preset."""
    head = radiance.Readout(FEATURES, None, None)
    for dtype, block in ((torch.float16, 128), (torch.bfloat16, 128), (torch.float32, 16)):
        weights = tuple(w.detach().to(dtype) for w in head.operands().weights)
        sums = tuple(torch.zeros(w.shape) for w in weights)
        f, d = torch.zeros(block, FEATURES), torch.zeros(block, 3)
        colored[(1,)](f, d, d, d, f, weights, sums, head.operands().shape, block)
