"""Numbers on their way: in order, and waited for only where too many are under way."""

import torch

from distill.device.mailbox import Mailbox


class Event:
    """Of a device that is behind by as many posts as `behind` says."""

    behind, now = 0, 0

    def record(self):
        self.at = Event.now = Event.now + 1

    def query(self):
        return self.at <= Event.now - Event.behind

    def synchronize(self):
        Event.behind = min(Event.behind, Event.now - self.at)


def test_numbers_arrive_in_order_and_are_waited_for_only_where_too_many_are_under_way(monkeypatch):
    monkeypatch.setattr("torch.cuda.Event", Event)
    box = Mailbox(2, torch.device("cpu"), 6)
    box.device = torch.device("cuda")
    Event.behind, Event.now = 3, 0
    seen = []
    for n in range(10):
        box.post(n, torch.tensor([n, n / 2], dtype=torch.float64))
        got = box.fetch(5)
        assert len(box) == min(n + 1, 3)
        seen += got
    assert seen == [(n, [n, n / 2]) for n in range(7)]
    Event.behind = 100
    assert box.fetch(2) == [(7, [7, 3.5])]
    assert [n for n, _ in box.fetch(0)] == [8, 9]
    assert len(box.free) == 6


def test_numbers_on_the_cpu_are_there_at_once():
    box = Mailbox(1, torch.device("cpu"), 2)
    for n in range(5):
        box.post(n, torch.tensor([float(n)], dtype=torch.float64))
        assert box.fetch(1) == [(n, [n])]
