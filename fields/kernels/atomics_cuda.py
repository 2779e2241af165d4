"""Adding numbers where several programs may write, in Triton: one at a time, or two neighbours at once."""

import triton
import triton.language as tl


@triton.jit
def add_pair(address, a, b, live, PACKED: tl.constexpr):
    """address[0] += a, address[1] += b where `live`; float32, addresses multiples of 8 bytes where PACKED is `v2`.

    `v2` is one instruction of NVIDIA's from compute capability 9.0 on, which Triton has no name for; it halves the
    number of atomics, which bind the gradients of tables. Everywhere else two plain ones.
    """
    if PACKED == "v2":
        tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.s32 p, $4, 0; @p red.relaxed.gpu.global.add.v2.f32 [$1], {$2, $3};"
            " mov.u32 $0, 0; }",
            "=r,l,f,f,r",
            [address.to(tl.int64, bitcast=True), a, b, live.to(tl.int32)],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )
    else:
        tl.atomic_add(address, a, live, sem="relaxed")
        tl.atomic_add(address + 1, b, live, sem="relaxed")
