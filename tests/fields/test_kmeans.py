"""Weighted k-means finds what was put there."""

import torch

from fields.kmeans import kmeans

MIDDLES = torch.tensor([[0.2, 0.2, 0.2], [0.8, 0.2, 0.5], [0.5, 0.8, 0.8]])


def clouds(generator, each=2000):
    spread = torch.tensor([0.03, 0.01, 0.02])
    return (MIDDLES[:, None] + torch.randn(3, each, 3, generator=generator) * spread).view(-1, 3), spread


def test_finds_known_clusters_and_their_shapes(generator):
    points, spread = clouds(generator)
    start = torch.zeros(len(points))
    start[::2000] = 1e4  # one point of each cloud is all but sure to be drawn
    found = kmeans(points, start + 1, 3, generator)
    order = found.centres[:, 0].argsort()[[0, 2, 1]]
    pull = (points.view(3, -1, 3).mean(1) * 2e3 + points[::2000] * 1e4) / 1.2e4
    torch.testing.assert_close(found.centres[order], pull, atol=1e-4, rtol=0)  # sums of 1e4 in float32
    del spread


def test_equal_weights_give_means_and_covariances(generator):
    points, spread = clouds(generator)
    found = kmeans(points, torch.ones(len(points)), 1, generator)
    torch.testing.assert_close(found.centres[0], points.mean(0), atol=1e-4, rtol=0)  # sums of 6000 in float32
    torch.testing.assert_close(found.covariances[0], torch.cov(points.T), atol=1e-3, rtol=1e-3)
    one = kmeans(points[:2000], torch.ones(2000), 1, generator)
    torch.testing.assert_close(one.covariances[0].diagonal().sqrt(), spread, rtol=0.1, atol=0)  # 6 sigma of a std


def test_weights_are_honoured(generator):
    points, _ = clouds(generator)
    weights = torch.ones(len(points))
    weights[2000:] = 0
    found = kmeans(points, weights, 16, generator)
    assert bool(((found.centres - MIDDLES[0]).norm(dim=-1) < 0.2).all())
    torch.testing.assert_close(found.mass.sum(), torch.tensor(2000.0))
    weights = torch.where(torch.arange(len(points)) < 2000, 100.0, 1.0)
    found = kmeans(points, weights, 64, generator, rounds=0)
    assert ((found.centres - MIDDLES[0]).norm(dim=-1) < 0.2).float().mean() > 0.9  # 98 % of the weight is there


def test_clusters_without_points_stay(generator):
    points = torch.rand(2, 3, generator=generator)
    found = kmeans(points, torch.ones(2), 5, generator)
    assert bool(torch.isfinite(found.centres).all())
    assert bool((found.covariances[found.mass == 0] == 0).all())
    assert all(bool((points - c).norm(dim=-1).min() < 1e-6) for c in found.centres)


def test_the_same_generator_gives_the_same_clusters(generator):
    points, _ = clouds(generator)
    one, two = (kmeans(points, torch.ones(len(points)), 20, torch.Generator().manual_seed(s)).centres for s in (1, 1))
    assert torch.equal(one, two)
