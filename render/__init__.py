"""Rays in, pixels out."""

import fields  # noqa: F401  (sets how threads wait, before PyTorch is imported)
