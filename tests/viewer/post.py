"""A worker's pipe without a process: commands are put in by hand, reports are kept."""

from collections import deque


class Post:
    def __init__(self):
        self.closed, self.commands, self.reports = False, deque(), []

    def take(self):
        while self.commands:
            yield self.commands.popleft()

    def interrupts(self):
        return bool(self.commands)

    def wait(self, seconds):
        self.closed = True  # nothing is left to do: a test's worker ends here

    def report(self, report):
        self.reports.append(report)

    def of(self, kind):
        return [r for r in self.reports if isinstance(r, kind)]

    def last(self, kind):
        return self.of(kind)[-1]

    def troubles(self):
        from viewer.messages import Notice

        return [r.text for r in self.of(Notice) if r.trouble]
