"""How functions are compiled that are called for every ray or every strip of points: without counting references.

Numba counts who holds an array, one atomic operation up and one down, wherever one is taken out of a tuple, sliced or
handed to a function, and takes the pairs out again only where the way between them is straight. A frame spent up to
half of its time so. What these options compile allocates nothing, and reads and writes arrays that its caller holds.
"""

LEAN = {"nogil": True, "error_model": "numpy", "_nrt": False}
