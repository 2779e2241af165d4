"""Eight-bit numbers: exact round trip, gradients that pass, sizes."""

import pytest
import torch

from fields.quantize import codes, decode, encode, rounded, steps

SHAPES = [(1, 1), (3, 5), (64, 64), (4, 5, 10)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-6, 0.1, 1.0, 3e4])
def test_a_file_gives_back_exactly_what_was_used(shape, size, generator):
    w = torch.randn(shape, generator=generator) * size
    tensors = encode({"w": w}, 8)
    assert tensors["w"].dtype == torch.int8
    again = decode(tensors)["w"]
    assert torch.equal(again, rounded(w, 8))
    assert torch.equal(rounded(again, 8), again)
    assert torch.equal(encode({"w": again}, 8)["w"], tensors["w"])


def test_the_steps_of_many_scales_return_exactly(generator):
    w = torch.exp(torch.rand(20_000, 1, generator=generator) * 40 - 20)  # every place within a power of two
    assert torch.equal(codes(w, steps(w)), torch.full_like(w, 127))
    again = rounded(w, 8)
    assert torch.equal(steps(again), steps(w))


def test_rounding_is_within_half_a_step_of_each_row(generator):
    w = torch.randn(30, 40, generator=generator) * torch.rand(30, 1, generator=generator)
    step = w.abs().amax(1, keepdim=True) / 127
    # half a step; at the row's end one more of the 127 * 2^-8 by which its step, in bfloat16, may be too short
    assert bool(((rounded(w, 8) - w).abs() <= step * 0.5 * 1.01).all())


def test_zeros_stay_zeros_and_get_a_gradient():
    w = torch.zeros(2, 3, requires_grad=True)
    out = rounded(w, 8)
    assert torch.equal(out.detach(), torch.zeros(2, 3))
    (slope,) = torch.autograd.grad((out * torch.arange(6.0).view(2, 3)).sum(), w)
    assert torch.equal(slope, torch.arange(6.0).view(2, 3))
    assert torch.equal(decode(encode({"w": w.detach()}, 8))["w"], torch.zeros(2, 3))


def test_32_bits_change_nothing_and_vectors_stay_as_they_are(generator):
    w, b = torch.randn(3, 4, generator=generator), torch.randn(3, generator=generator)
    assert rounded(w, 32) is w
    assert encode({"w": w}, 32)["w"] is w
    assert decode({"w": w})["w"] is w
    assert encode({"b": b}, 8)["b"] is b


def test_shapes_can_be_asked_without_memory():
    tensors = encode({"w": torch.empty(5, 7, device="meta"), "b": torch.empty(5, device="meta")}, 8)
    found = {k: (tuple(v.shape), v.dtype) for k, v in tensors.items()}
    assert found == {"w": ((5, 7), torch.int8), "w.step": ((5,), torch.bfloat16), "b": ((5,), torch.float32)}
