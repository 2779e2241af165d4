"""How several fields are shown. Nothing heavy is imported: flags are made of it."""

from typing import Literal

Arrangement = Literal["split", "wipe", "difference"]
ARRANGEMENTS: tuple[Arrangement, ...] = ("split", "wipe", "difference")
