"""Work on the CPU in pieces: threads take one after the other, so that one on a busy core takes fewer.

A kernel of this kind runs without Python's lock, takes numbers of pieces from a queue until there are none left, and is
run by several threads at once. Numba's own loops over threads divide the work beforehand, know no named tuples, and
take longer to compile.
"""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, types
from numba.extending import intrinsic, overload

from fields.kernels.options_cpu import INNER

END = 1 << 40  # the number behind all pieces
WAIT = 0.2  # seconds between looks whether somebody interrupts
ONE = Lock()  # at a time takes a number, where this runs as Python


def take(queue):
    """The number of the next piece: queue[0], an int64 that begins at 0 and is one more afterwards."""
    with ONE:
        queue[0] += 1
        return queue[0] - 1


@intrinsic
def _take(typing, queue):
    def emit(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(queue), emit


overload(take)(lambda queue: lambda queue: _take(queue))


@njit(**INNER)
def stretch(queue, size, count):
    """The next `size` of `count` things in a row: the first, and behind the last; none where there are none left."""
    first = take(queue) * size
    return first, min(first + size, count)


@cache
def pool(process: int) -> ThreadPoolExecutor:
    """Threads that sleep until they are needed, of this process: a forked one has none of its parent's."""
    return ThreadPoolExecutor(max(1, os.cpu_count() or 1), "kernels")


def share(kernel, *arguments) -> None:
    """Run kernel(queue, *arguments) in as many threads as Numba may use, this one among them."""
    queue, others = np.zeros(1, np.int64), get_num_threads() - 1
    helpers = [pool(os.getpid()).submit(kernel, queue, *arguments) for _ in range(others)]
    try:
        kernel(queue, *arguments)
    finally:
        late = [helper for helper in helpers if not helper.cancel()]  # who has not begun by now is not waited for
        for helper in late:
            helper.result()


def share_calmly(kernel, *arguments) -> None:
    """As `share`, for work that may take minutes: this thread only waits, so that Ctrl-C reaches it, and then the
    kernel finds no more pieces. What it wrote until then is left unfinished. A kernel that takes long for what it holds
    looks at `ended` itself."""
    queue = np.zeros(1, np.int64)
    threads = [pool(os.getpid()).submit(kernel, queue, *arguments) for _ in range(get_num_threads())]
    try:
        while wait(threads, WAIT).not_done:
            pass
    except BaseException:
        queue[0] = END
        wait(threads)
        raise
    for thread in threads:
        thread.result()


@njit(**INNER)
def ended(queue):
    """Whether there are no more pieces because somebody has interrupted."""
    return queue[0] >= END
