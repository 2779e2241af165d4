"""Memory for the samples of a batch of rays: as much as they turn out to need, or a fixed size."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from fields.tiled import Recall
from render.occupancy import Walk
from render.rays import Samples, rows

ENDLESS = 1 << 60  # samples
SPARE = 256  # rays that own what lies past the last sample
FAR = 1e6  # scene units; a ray that begins there has no samples


@dataclass(frozen=True)
class Fitted:
    """Samples of R rays in their memory. Rays that did not fit any more are cut whole, from the last one on."""

    samples: Samples  # N, offsets (R + 1,), or (R + 1 + SPARE,) in memory of fixed size, the last of which is N
    fits: Tensor  # (R,) bool, False for rays that were cut
    wanted: Tensor  # () int64, samples of all rays, those that were cut included
    recall: Recall | None = None  # what the field has been asked about these samples, see Field.glance

    @property
    def count(self) -> Tensor:
        """() int64, samples of the rays that were not cut."""
        return self.samples.offsets[len(self.fits)]


class Buffers(ABC):
    """Where samples go as a grid is marched, and those that are kept of them."""

    marched: int  # samples at most before those are dropped that no light reaches
    kept: int  # samples at most that carry gradients

    @abstractmethod
    def batch(self, rays: Tensor) -> int:
        """Rays to be drawn where `rays` () int64 are to count."""

    @abstractmethod
    def size(self, offsets: Tensor, most: int) -> int:
        """Of memory for rays that end as `offsets` (R + 1,) say, `most` samples at most."""

    @abstractmethod
    def closed(self, offsets: Tensor, size: int) -> Tensor:
        """Offsets (R + 1,) -> (R + 1,) or more, the last of which is `size`."""

    @abstractmethod
    def places(self, mask: Tensor, ends: Tensor, offsets: Tensor, size: int) -> Tensor:
        """(size,) int64: where mask (N,) is true, whose running sum is `ends`, as far as rays end by offsets (R + 1,)
        afterwards."""

    @final
    def march(self, walk: Walk) -> Fitted:
        """The samples of a walk."""
        ends = torch.nn.functional.pad(walk.counts.cumsum(0), (1, 0))
        fits, offsets = cut(ends, self.marched)
        size = self.size(offsets, self.marched)
        samples = walk.fill(offsets, size)
        closed = Samples(samples.ray, samples.t, samples.dt, self.closed(offsets, size))
        return Fitted(closed, fits, ends[-1])

    @final
    def keep(self, marched: Fitted, mask: Tensor) -> Fitted:
        """The samples where mask (N,) is true, whatever it says of spare rays."""
        samples, ends = marched.samples, mask.cumsum(0)
        before = rows(torch.nn.functional.pad(ends, (1, 0)), samples.offsets[: len(marched.fits) + 1])  # (R + 1,)
        fits, offsets = cut(before, self.kept)
        size = self.size(offsets, self.kept)
        index = self.places(mask, ends, offsets, size)
        ray, t, dt = (rows(values, index) for values in (samples.ray, samples.t, samples.dt))
        recall = marched.recall.at(index) if marched.recall else None
        return Fitted(Samples(ray, t, dt, self.closed(offsets, size)), fits & marched.fits, before[-1], recall)


def cut(ends: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Where rays end that follow each other, (R + 1,) from 0 on -> which of them end by `most` (R,), and where these
    end when the others are empty (R + 1,)."""
    inside = ends <= most
    return inside[1:], torch.where(inside, ends, 0).cummax(0).values


@final
@dataclass(frozen=True)
class Exact(Buffers):
    """As much as samples need. The host asks the device how many there are, and waits for the answer."""

    kept: int = ENDLESS
    marched: int = ENDLESS

    def batch(self, rays: Tensor) -> int:
        """See Buffers: just these."""
        return int(rays)

    def size(self, offsets: Tensor, most: int) -> int:
        """See Buffers: as many as there are."""
        return int(offsets[-1])

    def closed(self, offsets: Tensor, size: int) -> Tensor:
        """See Buffers: they are."""
        return offsets

    def places(self, mask: Tensor, ends: Tensor, offsets: Tensor, size: int) -> Tensor:
        """See Buffers."""
        return mask.nonzero()[:size, 0]


@final
@dataclass(frozen=True)
class Fixed(Buffers):
    """Of fixed size, for a step that a CUDA graph repeats: nothing has a size that depends on data, and the host never
    waits.

    What lies past the last sample belongs to spare rays behind the R ones, many, so that none is long: nobody looks at
    these, and so the gradients of their samples are zero. Of kept samples it repeats the last, of marched ones it is
    zero.
    """

    marched: int
    kept: int
    rays: int  # that are drawn, at most so many of them to count

    def batch(self, rays: Tensor) -> int:
        """See Buffers: always as many."""
        return self.rays

    def size(self, offsets: Tensor, most: int) -> int:
        """See Buffers: always the same."""
        return most

    def closed(self, offsets: Tensor, size: int) -> Tensor:
        """See Buffers: spare rays share what lies from the last sample to `size`."""
        part = torch.arange(1, SPARE + 1, device=offsets.device)
        return torch.cat([offsets, offsets[-1] + (size - offsets[-1]) * part // SPARE])

    def places(self, mask: Tensor, ends: Tensor, offsets: Tensor, size: int) -> Tensor:
        """See Buffers: the n-th is where the sum gets to n."""
        slots = torch.arange(1, size + 1, device=ends.device)
        return torch.searchsorted(ends, torch.minimum(slots, offsets[-1]))
