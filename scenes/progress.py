"""How far the reading of a data set is, told to whoever waits for it; without a listener nothing is told."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, float | None], None]  # what is being done, and its share that is done, 0 to 1, if known

LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Inside, the listener is told, in the thread that reads."""
    token = LISTENER.set(listener)
    try:
        yield
    finally:
        LISTENER.reset(token)


def tell(what: str, share: float | None = None) -> None:
    """How far it is."""
    if listener := LISTENER.get():
        listener(what, share)


def told(what: str, items: Iterable[Item], count: int) -> Iterator[Item]:
    """The items, `count` of them, as they come; each is told."""
    tell(what, 0.0)
    for number, item in enumerate(items, 1):
        yield item
        tell(what, number / max(count, 1))
