"""Ranges of settings: an entry outside its own is refused with its name, the range and the value."""

import dataclasses
from typing import Any

from fields.numbers import brief


def check(owner: str, config: Any, **limits: tuple[float, float]) -> None:
    """Every entry named in `limits` must be a finite number from low to high, a whole one where it is annotated int.

    ValueError otherwise, such as "hashgrid: table_bits must be a whole number from 8 to 24, found 40".
    """
    kinds = {entry.name: entry.type for entry in dataclasses.fields(config)}
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        whole = kinds[name] in (int, "int")
        kind = int if whole else (int, float)
        if (
            isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high  # NaN is neither
        ):
            what = "a whole number" if whole else "a number"
            raise ValueError(f"{owner}: {name} must be {what} from {low:g} to {high:g}, found {brief(value)}")


def check_choice(owner: str, config: Any, **choices: tuple[Any, ...]) -> None:
    """Every entry named in `choices` must be one of them. ValueError otherwise."""
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
            wanted = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
            raise ValueError(f"{owner}: {name} must be {wanted}, found {brief(value)}")


def require(owner: str, config: Any, *names: str) -> None:
    """ValueError where a Config lacks entries, such as "head modulated wants azimuths, bits of the architecture"."""
    missing = [name for name in names if name not in {entry.name for entry in dataclasses.fields(config)}]
    if missing:
        raise ValueError(f"{owner} wants {', '.join(missing)} of the architecture, which has no such entries")
