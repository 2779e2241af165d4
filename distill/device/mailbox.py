"""Numbers on their way from the device to the host. Elsewhere than from a GPU they arrive at once."""

from collections import deque

import torch
from torch import Tensor


class Mailbox:
    """Numbers on their way to the host, which need not wait for them."""

    def __init__(self, size: int, device: torch.device, room: int) -> None:
        """`size` float64 numbers at a time, of which `room` may be on their way."""
        self.device = device
        pinned = device.type == "cuda"
        self.free = deque(torch.zeros(size, dtype=torch.float64, pin_memory=pinned) for _ in range(room))
        self.under_way: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def __len__(self) -> int:
        return len(self.under_way)

    def post(self, index: int, numbers: Tensor) -> None:
        """Send numbers (size,) float64; there must be room."""
        place, event = self.free.popleft(), None
        place.copy_(numbers, non_blocking=True)
        if self.device.type == "cuda":
            event = torch.cuda.Event()
            event.record()
        self.under_way.append((index, place, event))

    def fetch(self, most: int) -> list[tuple[int, list[float]]]:
        """What has arrived, with its index, in the order it was sent; waits until no more than `most` are under way."""
        result = []
        while self.under_way:
            index, place, event = self.under_way[0]
            if event is not None and not event.query():
                if len(self.under_way) <= most:
                    break
                event.synchronize()
            self.under_way.popleft()
            result.append((index, place.tolist()))
            self.free.append(place)
        return result
