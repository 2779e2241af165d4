"""Memory of a process that is kept and used again, in place of new memory for every step (glibc alone).

The first touch of new memory costs about half a millisecond per MiB in pages of 4 KiB, as much as ten passes over it,
and a step of training or a frame would touch a hundred MiB on a processor. The allocator gives large pieces back to the
system as soon as they are free; told not to, it finds the next step's buffers where the last one's were.
"""

import ctypes
import importlib
import math
import sys

TRIM, MAP = -1, -3  # mallopt: free bytes at the end that are too many, bytes from which a piece is a map of its own
MOST = (1 << 31) - 1  # bytes, the most that mallopt takes
LARGE = 1 << 26  # bytes from which a step's pieces go back as before: a tri-plane's rows take 25 to 35 MB
SEEN = 1 << 24  # the same for what comes after: with LARGE, scoring the chair at 800 x 800 took 2.5 GB in place of 2.2
ROOM = 1 << 30  # bytes of address space that are to lie in huge pages; they are no memory until they are touched
PAGE = 1 << 21  # bytes of a huge page
HUGE = 14  # madvise: huge pages are welcome


def allocator() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library and hasattr(library, "gnu_get_libc_version") else None


def keep() -> None:
    """Have free memory stay with the process, up to 2 GiB of it, and lie in huge pages where the system allows; but for
    single pieces of more than LARGE. Does nothing where the C library is another."""
    library = allocator()
    if not library:
        return
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    library.free.restype, library.free.argtypes = None, (ctypes.c_void_p,)
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if not (library.mallopt(MAP, MOST) and library.mallopt(TRIM, MOST)):
        return
    room = library.malloc(ROOM) if address_space() == math.inf else None  # else other things want it more
    if room:  # freed untouched, it is where the next pieces come from, and remains what it was advised to be
        first, last = -(-room // PAGE), (room + ROOM) // PAGE
        library.madvise(first * PAGE, (last - first) * PAGE, HUGE)
        library.free(room)
    hold()


def address_space() -> float:
    """Bytes that the system gives this process at most (`ulimit -v`); infinite where there is no limit."""
    try:
        resource = importlib.import_module("resource")  # there is none on Windows
    except ImportError:
        return math.inf
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if most == resource.RLIM_INFINITY else most


def hold() -> None:
    """From now on pieces of up to LARGE stay: for steps."""
    library = allocator()
    if library:
        library.mallopt(MAP, LARGE)


def give_back() -> None:
    """What is free goes back to the system, and from now on pieces of more than SEEN with it: for pictures and scores
    after steps."""
    library = allocator()
    if library:
        library.mallopt(MAP, SEEN)
        library.malloc_trim(0)
