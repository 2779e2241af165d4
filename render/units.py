"""Lengths that settings speak of, in scene units. Nothing heavy is imported: flags are made of them."""

UNIT_STEP = 3**0.5 / 1024  # scene units; the unit cube's diagonal in 1024 parts
