"""Weighted k-means: centres where the weight is, and the shape of what gathers around each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.kernels.nearest import nearest


@dataclass(frozen=True)
class Clusters:
    """M clusters of weighted points."""

    centres: Tensor  # (M, 3)
    covariances: Tensor  # (M, 3, 3), zero where `mass` is
    mass: Tensor  # (M,) sum of the weights of the cluster's points


def sums(number: Tensor, values: Tensor, clusters: int) -> Tensor:
    """(P, ...) summed by cluster: (M, ...)."""
    return values.new_zeros(clusters, *values.shape[1:]).index_add(0, number, values)


def drawn(points: Tensor, weights: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Points (M, 3) drawn in proportion to their weights, each once unless there are too few."""
    scarce = int((weights > 0).sum()) < clusters
    return points[torch.multinomial(weights, clusters, replacement=scarce, generator=generator)]


def kmeans(points: Tensor, weights: Tensor, clusters: int, generator: torch.Generator, rounds: int = 10) -> Clusters:
    """Lloyd's rounds with weights: each centre moves to the weighted mean of the points nearest to it, one without
    points stays. points (P, 3), weights (P,) >= 0, some of them > 0, at most 2^24 points."""
    centres = drawn(points, weights, clusters, generator)
    for _ in range(rounds):
        number = nearest(points, centres)
        mass = sums(number, weights, clusters)
        moved = sums(number, points * weights[:, None], clusters) / mass.clamp(min=1e-30)[:, None]
        centres = torch.where(mass[:, None] > 0, moved, centres)
    number = nearest(points, centres)
    mass = sums(number, weights, clusters)
    away = points - centres[number]
    outer = away[:, :, None] * away[:, None] * weights[:, None, None]
    return Clusters(centres, sums(number, outer, clusters) / mass.clamp(min=1e-30)[:, None, None], mass)
