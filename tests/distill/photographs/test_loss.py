"""The loss of photographs in one kernel against the same by the renderer's ops, in float64."""

import copy

import numpy as np
import pytest
import torch

from distill.photographs.loss import Targets, difference, error, fused_loss
from distill.photographs.loss_cpu import RUN, split_runs
from distill.photographs.pixels import PixelBatch
from fields.field import Field
from fields.shape import Shape, preset
from fields.space import Space
from fields.tiled import Recall
from render.buffers import Fitted
from render.kernels.composite import composite
from render.rays import RayBatch, Samples
from render.renderer import Pixels, Renderer

KINDS = ("hashgrid", "triplane", "vm", "rbf", "mlp", "cam", "voxels")
COUNTS = {  # samples of each ray
    "none": [0, 0, 0],
    "one": [1],
    "some": [0, 3, 95, 0, 1, 97, 0],
    "many": [20] * 150 + [0, 0, 1300] + [7] * 40,  # one that is longer than a run
}


def made(name: str) -> Field:
    generator = torch.Generator().manual_seed(1)
    shape = preset(name, "tiny")
    field = Shape(name, shape.config).build(Space(torch.tensor([[0.0, 0, 0], [1, 1, 1]])), generator)
    with torch.no_grad():
        for part, parameter in field.named_parameters():
            if part.endswith(("table", "coefficients", "density", "color", "grid")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return field


def lesson(counts: list[int]) -> tuple[Samples, Targets]:
    """Samples along random rays through the box, and what they should show; some pixels are masked out."""
    generator = torch.Generator().manual_seed(len(counts))
    rays, ends = len(counts), torch.tensor([0, *counts]).cumsum(0)
    directions = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=-1)
    ray = torch.repeat_interleave(torch.arange(rays), torch.tensor(counts))
    t = torch.rand(len(ray), generator=generator)
    samples = Samples(ray, t, torch.rand(len(ray), generator=generator) * 0.2, ends)
    colors, alpha = torch.rand(rays, 3, generator=generator), torch.rand(rays, generator=generator).round()
    batch = RayBatch(0.5 - 0.4 * directions, directions)
    pixels = PixelBatch(batch, colors, alpha, torch.rand(rays, generator=generator) > 0.1)
    return samples, Targets(pixels, torch.rand(rays, 3, generator=generator))


def op_by_op(field: Field, samples: Samples, targets: Targets) -> tuple[Field, torch.Tensor, torch.Tensor]:
    """A copy of the field in float64, and error and mean squared error by it."""
    exact, rays = copy.deepcopy(field).double(), targets.pixels.rays
    d = rays.directions.double()[samples.ray]
    x = rays.origins.double()[samples.ray] + d * samples.t.double()[:, None]
    features = exact.architecture.features(exact.space.unit(x))
    sigma, rgb = exact.volume.density(features), exact.volume.color(features, d)
    seen, opacity, far, _ = composite(sigma, rgb, samples.t.double(), samples.dt.double(), samples.offsets)
    pixels = targets.pixels
    wanted = PixelBatch(rays, pixels.rgb.double(), pixels.alpha.double(), pixels.valid)
    return exact, *difference(Pixels(seen, opacity, far), Targets(wanted, targets.background.double()))


def gradients(field: Field, loss: torch.Tensor) -> list[torch.Tensor]:
    """Of every parameter; zeros where the loss does not depend on it."""
    for parameter in field.parameters():
        parameter.grad = None
    loss.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in field.parameters()]


def recalled(field: Field, samples: Samples, targets: Targets) -> Recall:
    """What the field says of the samples' densities."""
    _, recall = field.glance(samples.positions(targets.pixels.rays))
    assert recall is not None
    return recall


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("counts", COUNTS)
def test_one_kernel_says_what_the_ops_say(name, counts):
    field, (samples, targets) = made(name), lesson(COUNTS[counts])
    exact, want, want_square = op_by_op(field, samples, targets)
    recall = recalled(field, samples, targets)
    near, _ = difference(Renderer().shade(field, targets.pixels.rays, samples, recall), targets)
    got, square = fused_loss(recall, samples, targets)
    assert float(got.detach()) == pytest.approx(float(want.detach()), rel=1e-4)
    assert float(square) == pytest.approx(float(want_square), rel=1e-4)
    assert not square.requires_grad
    mine = gradients(field, 2 * got)
    for one, other in zip(mine, gradients(field, 2 * near), strict=True):  # within rounding
        assert float((one - other).norm()) <= 1e-4 * float(other.norm())
    for one, other in zip(mine, gradients(exact, 2 * want), strict=True):  # among many a ReLU is on in one of both
        assert float((one - other).norm()) <= 5e-3 * float(other.norm())


def test_samples_that_were_not_asked_before_go_through_the_renderer():
    field, (samples, targets) = made("hashgrid"), lesson(COUNTS["some"])
    kept = Fitted(samples, torch.ones(7, dtype=torch.bool), samples.offsets[-1])
    got, _ = error(field, Renderer(), targets, kept)
    _, want, _ = op_by_op(field, samples, targets)
    assert float(got.detach()) == pytest.approx(float(want.detach()), rel=2e-5)


def test_spare_rays_are_nobodys():
    """What lies behind the last ray, in memory of fixed size, changes nothing."""
    field, (samples, targets) = made("hashgrid"), lesson(COUNTS["some"])
    error, _ = fused_loss(recalled(field, samples, targets), samples, targets)
    want = gradients(field, error)
    pad = torch.nn.functional.pad
    more = pad(samples.offsets, (0, 3), value=0) + torch.tensor([0] * 8 + [199, 203, 296])
    spare = Samples(pad(samples.ray, (0, 100)), pad(samples.t, (0, 100)), pad(samples.dt, (0, 100), value=9.0), more)
    got, _ = fused_loss(recalled(field, spare, targets), spare, targets)
    assert torch.equal(got, error)
    for one, other in zip(gradients(field, got), want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


def test_a_field_gone_bad_reaches_the_loss():
    field, (samples, targets) = made("hashgrid"), lesson(COUNTS["some"])
    with torch.no_grad():
        next(iter(field.parameters())).fill_(torch.nan)
    got, _ = fused_loss(recalled(field, samples, targets), samples, targets)
    got.backward()
    assert not torch.isfinite(got)
    assert not all(torch.isfinite(p.grad).all() for p in field.parameters() if p.grad is not None)


def test_runs_hold_whole_rays():
    offsets = np.cumsum([0, *COUNTS["many"]])
    starts = split_runs(offsets)
    assert starts[0] == 0
    assert starts[-1] == len(COUNTS["many"])
    assert (np.diff(starts) > 0).all()
    sizes = np.diff(offsets[starts])
    assert sorted(sizes[sizes > RUN]) == [1300]
    assert sizes[0] + 20 > RUN - 20
