"""Values, texts and bytes that no reader should trust, and the changes that put them into a good input."""

import json
import random
from copy import deepcopy
from typing import Any

DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]

NUMBERS: list[Any] = [
    *(0, -1, 1, 2, 7, -0.5, 0.5, 1.5, 480.0, -0.0, 10**400, -(10**400), 10**30, 2**16, 2**20, 2**31, 2**63, 2**64),
    *(1e-300, 1e-45, 1e-30, 1e-17, 1e-9, 1e-6, 1e-3, 1e3, 1e9, 1e12, 1e19, 1e38, 3.5e38, 1e200, 1e300, 1.7e308, -1e300),
    *(float("nan"), float("inf"), -float("inf")),
]  # fmt: skip
OTHERS: list[Any] = [
    *(True, False, None, "", "x", "0", "1e5", "NaN", [], {}, [[]], [None], {"a": 1}, [0] * 1000, [1e300] * 16, DEEP),
    *("\x1b[31mred\x1b]0;owned\x07", "\u202egnp.x", "one\ntwo\r\nthree", "x" * 5000, "../../x", "\x00", "/dev/zero"),
    *("images", ".", "a/b/c/d.png", "%s%n{0}", "[bold red]x[/]", "\U0001f4a9", "C:\\x.png", " ", "\ud7ff\ufeff"),
]  # fmt: skip


SIGNS = ("//", "/*", "#", "*/", "/**/", '"', "\\", ",", "/* ", '"\\', "/", '"//', "'")  # of JSON and its comments
OPEN = ("/*", "/* ", '"', '"\\', "#", "//")  # what is never closed
LITERALS = ("NaN", "Infinity", "-Infinity", "1e999", "0x10", "01", "+1")


def value(rng: random.Random) -> Any:
    """A nasty one, more often a number than another."""
    return deepcopy(rng.choice(NUMBERS if rng.random() < 0.6 else OTHERS))


def spot(tree: Any, rng: random.Random) -> tuple[Any, ...]:
    """The path to a value, found by going down at random: long lists weigh no more than short ones."""
    path: tuple[Any, ...] = ()
    while isinstance(tree, dict | list) and tree:
        key = rng.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        path, tree = (*path, key), tree[key]
        if rng.random() < 0.2:
            break
    return path


def changed(tree: Any, rng: random.Random, times: int = 0) -> Any:
    """A copy with one to three changes."""
    tree = deepcopy(tree)
    for _ in range(times or rng.choice((1, 1, 1, 2, 3))):
        path = spot(tree, rng)
        if not path:
            return value(rng)
        *way, last = path
        inner = tree
        for key in way:
            inner = inner[key]
        change(inner, last, rng)
    return tree


def change(inner: Any, key: Any, rng: random.Random) -> None:
    """One change of an entry of an object or list."""
    what = rng.choice(
        ("value", "value", "value", "value", "delete", "twin", "other", "scale", "shorter", "wrap", "name")
    )
    old = inner[key]
    if what == "delete":
        del inner[key]
    elif what == "twin" and isinstance(inner, list):
        inner.insert(key, deepcopy(old))
    elif what == "other":
        inner[key] = deepcopy(inner[rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))])
    elif what == "scale" and isinstance(old, int | float) and not isinstance(old, bool):
        inner[key] = rng.choice((-1.0, 0.0, 1e-30, 1e-6, 1e-3, 1e3, 1e6, 1e30)) * float(min(max(old, -1e300), 1e300))
    elif what == "shorter" and isinstance(old, list | str):
        inner[key] = old[: rng.randrange(len(old) + 1)]
    elif what == "wrap":
        inner[key] = [deepcopy(old)]
    elif what == "name" and isinstance(inner, dict):
        inner[rng.choice(("x", key.upper(), "", "\x1b[2J", *inner))] = inner.pop(key)
    else:
        inner[key] = value(rng)


def written(tree: Any) -> str:
    """JSON as Python writes it, NaN and integers of any length included."""
    return json.dumps(tree)


def text(good: str, rng: random.Random) -> bytes:
    """A JSON text that is none any more, or that is hard to read."""
    n = rng.choice((10, 1000, 30_000))
    where = rng.randrange(len(good))
    kinds = {
        "cut": lambda: good[:where].encode(),
        "deep": lambda: ("[" * 100_000).encode(),
        "deep object": lambda: ('{"frames":' * 50_000).encode(),
        "deep within": lambda: (good[: good.rfind("}")] + ', "x": ' + "[" * 50_000 + "]" * 50_000 + "}").encode(),
        "comment": lambda: (good[:where] + rng.choice(SIGNS) + good[where:]).encode(),
        "unclosed": lambda: (rng.choice(("/* ", '"\\')) * 100_000 + good).encode(),
        "comments": lambda: (rng.choice(OPEN) * n + good).encode(),
        "commas": lambda: (good[: good.rfind("}")] + "," + " " * n + "}").encode(),
        "more commas": lambda: (good[:where] + (", " * n) + good[where:]).encode(),
        "bom": lambda: b"\xef\xbb\xbf" + good.encode(),
        "utf-16": lambda: good.encode("utf-16"),
        "latin": lambda: good.replace("e", "\xe9", 1).encode("latin-1"),
        "zeros": lambda: b"\0" * n,
        "nothing": lambda: b"",
        "digits": lambda: re_number(good, "9" * n, rng).encode(),
        "literal": lambda: re_number(good, rng.choice(LITERALS), rng).encode(),
        "damage": lambda: damaged(good.encode(), rng),
    }  # fmt: skip
    return kinds[rng.choice(list(kinds))]()


def re_number(good: str, new: str, rng: random.Random) -> str:
    """The text with one of its numbers replaced."""
    begins = [
        i for i in range(1, len(good)) if good[i].isdigit() and not (good[i - 1].isalnum() or good[i - 1] in ".-_")
    ]
    begin = rng.choice(begins or [0])
    end = begin
    while end < len(good) and (good[end].isalnum() or good[end] in ".+-"):
        end += 1
    return good[:begin] + new + good[end:]


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Bytes cut, flipped, repeated, left out or overwritten."""
    content = bytearray(good)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not content:
            break
        where, length = rng.randrange(len(content)), rng.choice((1, 1, 2, 4, 8, 100))
        if rng.random() < 0.4:
            where = min(where, rng.randrange(64))  # headers are what matters most
        what = rng.choice(("flip", "flip", "cut", "out", "twice", "fill"))
        if what == "flip":
            content[where] ^= 1 << rng.randrange(8)
        elif what == "cut":
            del content[where:]
        elif what == "out":
            del content[where : where + length]
        elif what == "twice":
            content[where:where] = content[where : where + length]
        else:
            fill = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80"))
            content[where : where + length] = fill * min(length, len(content) - where)
    return bytes(content)
