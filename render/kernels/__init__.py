"""Ops of the renderer: contract, reference and gradient in NAME.py, the Numba form in NAME_cpu.py."""
