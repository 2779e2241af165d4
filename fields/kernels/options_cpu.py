"""How Numba compiles kernels and what they call.

Numba makes each function callable from Python and from C as well as by others, with a copy of its machine code for
either: a tenth of the time that a first run spent compiling. Without them a call from Python ends the process, so
that a test puts a compiled function around.
"""

import gc
import time

from numba.core import event

from fields.compiled import kept

KERNEL = {"nogil": True, "cache": kept(), "error_model": "numpy", "no_cfunc_wrapper": True}  # called from Python
INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called by compiled ones alone

# Called for every ray or every strip of points: without counting references. Numba counts who holds an array, one
# atomic operation up and one down, wherever one is taken out of a tuple, sliced or handed to a function, and takes the
# pairs out again only where the way between them is straight. A frame spent up to half of its time so. What these
# options compile allocates nothing, and reads and writes arrays that its caller holds.
LEAN = {**INNER, "_nrt": False}


class Compiling(event.Listener):
    """No search for circular garbage while Numba compiles: it walked through all that PyTorch and Numba had loaded,
    again and again, for a tenth of the time. Numba compiles one function at a time, and what that calls inside of it.
    Tells whoever waits for it how long that took.
    """

    def __init__(self) -> None:
        self.depth, self.collected = 0, False
        self.began, self.seconds = 0.0, 0.0  # when the outermost function began, and the time of all that have ended

    def on_start(self, event: event.Event) -> None:
        """A function begins."""
        if not self.depth:
            self.began = time.perf_counter()
            self.collected = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        """A function ends, whether it could be compiled or not."""
        self.depth -= 1
        if not self.depth:
            self.seconds += time.perf_counter() - self.began
            if self.collected:
                gc.enable()

    @property
    def busy(self) -> bool:
        """Whether a function is being compiled now."""
        return self.depth > 0


COMPILING = Compiling()
event.register("numba:compile", COMPILING)
