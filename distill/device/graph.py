"""Work recorded as a CUDA graph and repeated. Elsewhere than on a GPU it is simply called."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

WARM = 3  # times that work is called before it is recorded: kernels compile, libraries take their memory


class Replay:
    """Work without arguments or results, on tensors that stay where they are, with random numbers of one generator."""

    def __init__(self, work: Callable[[], None], generator: torch.Generator) -> None:
        self.work, self.generator, self.calls = work, generator, 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.plain = generator.device.type != "cuda"  # the work is called every time

    def __call__(self) -> str:
        """Have the work done once more, behind all that the device has to do. Returns why it cannot be recorded, once,
        where that turns out now."""
        self.calls += 1
        if self.plain:
            self.work()
        elif self.calls < WARM:
            self.aside(self.work)
        elif self.calls == WARM:
            return self.probe()
        else:
            if self.graph is None:
                self.graph = self.recorded()
            self.graph.replay()
        return ""

    def aside(self, work: Callable[[], None]) -> None:
        """Work on another stream, as it will be recorded, between what came before and what comes next."""
        main, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(main)
        try:
            with torch.cuda.stream(side):
                work()
        finally:
            main.wait_stream(side)

    def probe(self) -> str:
        """The work where the host may not wait: a graph could not hold it. Done without that rule if it breaks it."""
        before = self.generator.get_state()
        try:
            with unwaiting():
                self.aside(self.work)
        except RuntimeError as error:
            self.plain = "synchronizing" in str(error)
            if not self.plain:
                raise
        if not self.plain:
            return ""
        self.generator.set_state(before)
        self.work()
        return "the host has to wait in every step, so that no CUDA graph can hold it: steps go on without one"

    def recorded(self) -> torch.cuda.CUDAGraph:
        """The work as a graph, which is not run by recording it."""
        graph = torch.cuda.CUDAGraph()
        with warnings.catch_warnings(action="ignore"):  # later versions of PyTorch need not be told, and say so
            graph.register_generator_state(self.generator)  # every replay draws new numbers
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.work()
        return graph

    def drop(self) -> None:
        """Forget the graph, as soon as the device does not run it any more."""
        if self.graph is not None:
            torch.cuda.synchronize()
            self.graph = None
        self.calls = 0


@contextmanager
def unwaiting() -> Iterator[None]:
    """RuntimeError where the host waits for the device in here."""
    with warnings.catch_warnings(action="ignore"):  # that this is young
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
