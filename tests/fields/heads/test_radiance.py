"""Radiance head, encodings and decoder."""

import pytest
import torch

from fields.base import FEATURES
from fields.encodings import spherical_harmonics
from fields.exponential import TruncatedExp
from fields.heads import radiance
from fields.layers import Perceptron


def test_spherical_harmonics_are_orthonormal(generator):
    d = torch.nn.functional.normalize(torch.randn(400_000, 3, generator=generator).double(), dim=-1)
    y = spherical_harmonics(d)
    product = y.T @ y / len(d) * 4 * torch.pi
    torch.testing.assert_close(product, torch.eye(16).double(), atol=0.03, rtol=0)  # Monte Carlo: a few / sqrt(4e5)


def test_truncated_exp_is_exact_forward_and_bounded_backward():
    x = torch.tensor([-50.0, 0.0, 3.0, 40.0], requires_grad=True)
    y = TruncatedExp.apply(x)
    assert torch.equal(y, x.detach().exp())
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, x.detach().clamp(-15, 15).exp())


def test_density_ignores_all_but_the_first_feature(generator):
    head = radiance.Readout(FEATURES, None, generator)
    features = torch.randn(5, 16, generator=generator)
    other = torch.cat([features[:, :1], torch.randn(5, 15, generator=generator)], -1)
    assert torch.equal(head.density(features), head.density(other))
    torch.testing.assert_close(head.density(features), features[:, 0].exp())


def test_color_depends_on_direction_and_not_on_log_density(generator):
    head = radiance.Readout(FEATURES, None, generator)
    features = torch.randn(5, 16, generator=generator)
    d = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    shifted = features.clone()
    shifted[:, 0] += 3
    assert torch.equal(head.color(features, d), head.color(shifted, d))
    assert not torch.allclose(head.color(features, d), head.color(features, -d))


def test_perceptron_is_its_formula(generator):
    net = Perceptron((3, 5, 2), generator)
    x = torch.randn(7, 3, generator=generator)
    first, last = net.layers
    torch.testing.assert_close(net(x), (x @ first.T).relu() @ last.T)


@pytest.mark.parametrize("widths", [(4, 8), (4, 8, 8, 8)])
def test_perceptron_keeps_the_signal_s_size(widths, generator):
    out = Perceptron(widths, generator)(torch.randn(5000, 4, generator=generator))
    assert 0.4 < float(out.detach().std()) < 2.5
