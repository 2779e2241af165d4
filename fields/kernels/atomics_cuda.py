"""Adding numbers where several programs may write, in Triton: two neighbours at once where the chip can."""

import triton
import triton.language as tl


@triton.jit
def add_pair(address, a, b, live):
    """address[0] += a, address[1] += b where `live`; float32, addresses multiples of 8 bytes. One instruction where the
    chip has it (NVIDIA from compute capability 9.0 on): the number of atomics binds the gradients of tables. Not by
    inline assembly, which every thread runs that holds a copy of a value; Triton's own additions know of copies."""
    place = tl.expand_dims(address, -1) + tl.arange(0, 2)
    place = tl.multiple_of(place, (8,) * len(place.shape))  # bytes
    tl.atomic_add(place, tl.join(a, b), tl.expand_dims(live, -1), sem="relaxed")
