"""How Numba compiles kernels and what they call.

Numba makes each function callable from Python and from C as well as by others, with a copy of its machine code for
either: a tenth of the time that a first run spent compiling. Without them a call from Python ends the process, so
that a test puts a compiled function around.
"""

KERNEL = {"nogil": True, "cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}  # called from Python
INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called by compiled ones alone

# Called for every ray or every strip of points: without counting references. Numba counts who holds an array, one
# atomic operation up and one down, wherever one is taken out of a tuple, sliced or handed to a function, and takes the
# pairs out again only where the way between them is straight. A frame spent up to half of its time so. What these
# options compile allocates nothing, and reads and writes arrays that its caller holds.
LEAN = {**INNER, "_nrt": False}
