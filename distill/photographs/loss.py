"""What photographs say about what rays see: the error of pixels and its gradients, on the CPU in one kernel where the
field has one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.photographs import loss_cpu as kernels
from distill.photographs.pixels import PixelBatch
from fields.field import Field
from fields.kernels.queue_cpu import share
from fields.tiled import Recall, most_groups
from render.buffers import Fitted
from render.rays import Samples
from render.renderer import Pixels, Renderer

HUBER = 0.1  # error at which the loss turns from quadratic to linear


@dataclass(frozen=True)
class Targets:
    """What rays should show."""

    pixels: PixelBatch  # R
    background: Tensor  # (R, 3), behind what is not opaque

    @property
    def rgb(self) -> Tensor:
        """(R, 3) in front of the background."""
        return torch.lerp(self.background, self.pixels.rgb, self.pixels.alpha[:, None])

    @property
    def weight(self) -> Tensor:
        """(R,) of a channel's error: the mean is taken over the pixels that are not masked out."""
        return self.pixels.valid.float() / (3 * self.pixels.valid.sum().clamp(min=1))


def error(field: Field, renderer: Renderer, targets: Targets, kept: Fitted) -> tuple[Tensor, Tensor]:
    """Error (), differentiable, and mean squared error () of what is seen by the samples that were kept."""
    if kept.recall and torch.is_grad_enabled():
        return fused_loss(kept.recall, kept.samples, targets)
    return difference(renderer.shade(field, targets.pixels.rays, kept.samples, kept.recall), targets)


def difference(result: Pixels, targets: Targets) -> tuple[Tensor, Tensor]:
    """Error () and mean squared error () without gradients of what rays saw."""
    target, got, weight = targets.rgb, result.over(targets.background), targets.weight[:, None]
    error = (torch.nn.functional.huber_loss(got, target, reduction="none", delta=HUBER) * weight).sum() / HUBER
    with torch.no_grad():
        return error, ((got - target).square() * weight).sum()


def fused_loss(recall: Recall, samples: Samples, targets: Targets) -> tuple[Tensor, Tensor]:
    """The same by one kernel, of samples whose density was asked before."""
    return FusedLoss.apply(recall, samples, targets, *recall.network.parameters, *recall.head.parameters)  # type: ignore[return-value]


class FusedLoss(torch.autograd.Function):
    """Error and mean squared error. The gradients of all parameters but tables are there as soon as these are."""

    @staticmethod
    def forward(ctx, recall: Recall, samples: Samples, targets: Targets, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        wanted = (targets.rgb, targets.background, targets.weight)
        offsets = samples.offsets[: len(targets.background) + 1]  # spare rays are nobody's
        given = (targets.pixels.rays.directions, offsets, samples.ray, samples.dt)
        rays = kernels.RayTargets(*(value.contiguous().numpy() for value in (*given, *wanted)))
        known = (recall.index, recall.seen, recall.features, recall.sigma)
        queried = kernels.Queried(*(value.numpy() for value in known))
        starts = kernels.split_runs(rays.offsets)
        longest, runs = int(np.diff(rays.offsets[starts]).max(initial=0)), len(starts) - 1
        both = (recall.network, recall.head)
        each = -(-runs // most_groups(max(part.room for part in both))) or 1
        tasks, push = -(-runs // each), recall.seen.new_empty(len(samples), recall.seen.shape[1])
        push[int(offsets[-1]) :] = 0
        sums = [np.empty((tasks, part.room), np.float32) for part in both]
        results = kernels.Results(np.empty((tasks, 2)), sums[0], sums[1], push.numpy())
        arrays = (part.arrays() for part in both)
        share(kernels.loss_and_gradients, rays, starts, each, longest, HUBER, queried, *arrays, results)
        ctx.recall, ctx.push, ctx.sums = recall, push, sums
        loss, square = torch.from_numpy(results.errors.sum(0)).float().unbind()
        ctx.mark_non_differentiable(square)
        return loss, square

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001  # pyright: ignore[reportIncompatibleMethodOverride]
        recall, network, head = ctx.recall, ctx.recall.network, ctx.recall.head
        factor = float(grads[0])
        tables = network.functions.table_grads(network.operands, recall.x.index_select(0, recall.index), ctx.push)
        matrices = [*network.gradients(ctx.sums[0]), *head.gradients(ctx.sums[1])]
        every = [*tables, *matrices]
        return None, None, None, *(every if factor == 1 else (grad * factor for grad in every))
