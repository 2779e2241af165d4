"""The device functions of the voxels and of their head, in Triton, against the network in float64."""

import pytest
import torch
import triton
import triton.language as tl
from asking_cuda import check, close, compilations, features

from fields.arch.voxels import PRESETS, Config, Network
from fields.heads import harmonics
from fields.heads.harmonics_cuda import color, color_grad
from fields.kernels.tiles_cuda import wide

BLOCK = 16
PRECISION = [(torch.float32, 1e-5), (torch.float16, 1e-5)]  # sums are float32, and so are the gradients


def pruned(generator, degree):
    """A grown network, of which only the middle is kept."""
    network = Network(Config(resolution=8, finest=16, degree=degree, most=2000), 3, generator)
    with torch.no_grad():
        network.coefficients.copy_(torch.randn(network.coefficients.shape, generator=generator))
    return network.grown(lambda x: ((x - 0.5).norm(dim=-1) < 0.3).float(), generator)


@pytest.mark.parametrize(("dtype", "far"), PRECISION)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_values_and_gradients(degree, dtype, far, generator, device):
    network = pruned(generator, degree)
    assert 0 < int((network.index >= 0).sum()) < 17**3 // 2
    assert int(network.side) == 17
    check(network, torch.rand(37, 3, generator=generator), dtype, device, far=far)


def test_points_outside_are_clamped_and_bad_ones_stay_in_the_table(generator, device):
    network = pruned(generator, 1)
    x = torch.tensor([[-0.5, 0.3, 1.7], [0.5, 0.5, 0.5], [torch.nan, torch.inf, -torch.inf]])
    want = network.features(x).detach()
    torch.testing.assert_close(features(network, x, torch.float32, device), want, atol=1e-5, rtol=0)


@triton.jit
def colored(f, d, push, rgb, pull, SHAPE: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr):
    row, place = tl.arange(0, BLOCK), tl.arange(0, BLOCK)[:, None] * W + tl.arange(0, W)[None, :]
    live, tile = row < BLOCK, tl.load(f + place)  # (BLOCK, W)
    dx, dy, dz = tl.load(d + row * 3), tl.load(d + row * 3 + 1), tl.load(d + row * 3 + 2)
    red, green, blue = color(tile, dx, dy, dz, live, (), SHAPE)
    tl.store(rgb + row * 3, red)
    tl.store(rgb + row * 3 + 1, green)
    tl.store(rgb + row * 3 + 2, blue)
    red, green, blue = tl.load(push + row * 3), tl.load(push + row * 3 + 1), tl.load(push + row * 3 + 2)
    tl.store(pull + place, color_grad(tile, dx, dy, dz, live, red, green, blue, (), (), SHAPE))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_color_and_its_gradient(degree, generator, device):
    head = harmonics.Readout(1 + 3 * (degree + 1) ** 2, None, None)
    operands, width = head.operands(), wide(head.width)
    f = torch.randn(BLOCK, width, generator=generator)
    f[0, 0] = torch.inf  # log-density: no colour may depend on it
    d = torch.nn.functional.normalize(torch.randn(BLOCK, 3, generator=generator), dim=-1)
    push = torch.randn(BLOCK, 3, generator=generator)
    rgb, pull = torch.empty(BLOCK, 3, device=device), torch.empty(BLOCK, width, device=device)
    colored[(1,)](f.to(device), d.to(device), push.to(device), rgb, pull, operands.shape, width, BLOCK)
    asked = f[:, : head.width].double().requires_grad_()
    want = head.color(asked, d.double())
    (slope,) = torch.autograd.grad(want, asked, push.double())
    close(rgb.cpu(), want, 1e-6)
    close(pull.cpu()[:, : head.width], slope, 1e-6)
    assert not bool(pull[:, 0].any())
    assert not bool(pull[:, head.width :].any())


def launches():
    """For tests/compiled.py."""
    preset = PRESETS["base"]
    network = Network(Config(resolution=8, finest=8, degree=preset.degree), 3, None)
    compilations(network)
    f, d = torch.zeros(128, 32), torch.zeros(128, 3)
    colored[(1,)](f, d, d, d, f, harmonics.Readout(network.width, None, None).operands().shape, 32, 128)
