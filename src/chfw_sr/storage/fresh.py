"""Messages that a process has just put into the outbox, as they are in its memory.

They are what its own relay is likely to publish next. A claim that finds them here does not read them back from the
database: the octets are those that were committed. Whatever is not here is read; nothing but that reading is saved.
"""

from collections.abc import Iterable, Sequence

from chfw_sr.service.ports import OutboxMessage

FRESH_OCTETS = 64 * 2**20
"""Octets of messages that are kept: three reports of 10,000 hubs with two recipients each."""


class Fresh:
    """Keeps committed messages until they are taken; forgets the oldest when there are too many octets.

    Args:
        most_octets: of all messages together; 0 keeps none.
    """

    def __init__(self, most_octets: int = FRESH_OCTETS) -> None:
        self._most_octets = most_octets
        self._kept: dict[int, OutboxMessage] = {}
        self._octets = 0

    def keep(self, messages: Sequence[OutboxMessage]) -> None:
        """Keep messages of a transaction that was committed."""
        if not self._most_octets:
            return
        self._kept.update((each.id, each) for each in messages)
        self._octets += sum(len(each.octets) for each in messages)
        while self._octets > self._most_octets:
            self._octets -= len(self._kept.pop(next(iter(self._kept))).octets)

    def take(self, numbers: Iterable[int]) -> dict[int, OutboxMessage]:
        """Give those of some messages that are here, by id; they are here no longer."""
        kept = self._kept
        taken = {number: kept.pop(number) for number in numbers if number in kept}
        self._octets -= sum(len(each.octets) for each in taken.values())
        return taken
