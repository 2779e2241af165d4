"""The window. May import every other folder; nothing imports it."""

import fields  # noqa: F401  (sets how threads wait, before PyTorch is imported)
