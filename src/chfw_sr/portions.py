"""Dealing a batch out, so that what is done with a portion at a time takes bounded time and memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def portions(items: Sequence[T], most_octets: int, octets_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Deal items out, in order; no portion is empty, and none has more octets than these unless it is one item.

    Args:
        items: what to deal out.
        most_octets: of a portion.
        octets_of: gives the octets of an item.
    """
    first = octets = 0
    for place, item in enumerate(items):
        size = octets_of(item)
        octets += size
        if octets > most_octets and place > first:
            yield items[first:place]
            first, octets = place, size
    if first < len(items):
        yield items[first:]
