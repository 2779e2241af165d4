"""Arithmetic of the decoders: bf16 where the hardware multiplies it faster than float32."""

from contextlib import AbstractContextManager

import torch


def precision(device: torch.device) -> AbstractContextManager:
    """Autocast for everything that asks a field; grids, densities and compositing stay float32 all the same."""
    native = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)
