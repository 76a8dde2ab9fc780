"""The order in which the messages of one call leave, and how many of them may be under way.

The rules:

- Messages to one recipient leave in order. Once one of them failed, none of the later ones leaves in this call.
- Two messages with one message id are never under way at the same time where both are replies or neither is: the server
  names what it returns by message id alone. Replies have a channel of their own, so they do not mix with the rest.
- At most so many messages and octets are under way at once, and at most so many messages to one recipient.
- A queue that refused a message may take the next one that is under way already: it had room again in between. So a
  recipient that refused one is served one at a time until a run of confirms shows that it has room (`Caution`). Where a
  queue may refuse at all, only one message under way to each recipient keeps the order in every case.

Nothing here knows of AMQP or of tasks: a publisher asks what may leave and says what came of it.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult

RUN = 100
"""Confirms in a row that show that a recipient which refused a message has room again."""

MOST_REMEMBERED = 4096
"""Recipients that are served with caution, at most; the one that refused the longest time ago is forgotten first."""


class Caution:
    """Remembers from call to call which recipients refused a message.

    Args:
        bound: messages that may be under way to a recipient of which nothing is known.
    """

    def __init__(self, bound: int) -> None:
        if bound < 1:
            raise ValueError(f"at least 1 message must be under way: {bound}")
        self._bound = bound
        self._confirms: dict[str, int] = {}

    def bound(self, recipient: str) -> int:
        """Say how many messages may be under way to a recipient."""
        return 1 if recipient in self._confirms else self._bound

    def refused(self, recipient: str) -> None:
        """Note that a queue of the recipient refused a message."""
        self._confirms.pop(recipient, None)
        self._confirms[recipient] = 0
        if len(self._confirms) > MOST_REMEMBERED:
            del self._confirms[next(iter(self._confirms))]

    def confirmed(self, recipient: str) -> None:
        """Note that a message to the recipient was confirmed."""
        if recipient in self._confirms:
            self._confirms[recipient] += 1
            if self._confirms[recipient] == RUN:
                del self._confirms[recipient]


class Pipeline:
    """The messages of one call.

    Args:
        messages: in the order in which they are to leave.
        caution: tells how many may be under way to a recipient.
        in_flight: messages under way at most.
        in_flight_octets: octets under way at most; a message that is larger travels alone.

    Attributes:
        results: one for each message; FAILED until it is known better.
        under_way: how many messages have left and have no answer yet.
    """

    def __init__(
        self, messages: Sequence[OutboxMessage], caution: Caution, *, in_flight: int, in_flight_octets: int
    ) -> None:
        self.results = [PublishResult.FAILED] * len(messages)
        self.under_way = 0
        self._messages = messages
        self._caution = caution
        self._in_flight = in_flight
        self._in_flight_octets = in_flight_octets
        self._octets = 0
        self._next = 0
        self._halted: set[str] = set()
        self._recipients: dict[str, int] = {}
        # Whom to wake when a message id is free again; nothing is kept where no two messages have the same.
        self._ids: dict[tuple[bool, str], list[str]] = {}
        self._distinct = len(set(map(_identity, messages))) == len(messages)
        self._held: dict[str, deque[int]] = {}
        self._woken: deque[str] = deque()
        self._stopped = False

    @property
    def done(self) -> bool:
        """Whether nothing is under way and nothing will leave any more."""
        return not self.under_way and (self._stopped or (not self._held and self._next == len(self._messages)))

    def stop(self) -> None:
        """Let nothing more leave."""
        self._stopped = True

    def departures(self) -> Iterator[int]:
        """Give the messages that may leave now, in the order in which they are to leave; they are under way then."""
        while self._woken and not self._stopped:
            held = self._held.get(self._woken[0])
            if not held or self._waits(held[0]):
                self._woken.popleft()
            elif self._fits(held[0]):
                index = held.popleft()
                if not held:
                    del self._held[self._woken[0]]
                yield self._depart(index)
            else:
                return
        while self._next < len(self._messages) and not self._stopped:
            index = self._next
            recipient = self._messages[index].recipient
            if recipient in self._halted:
                self._next += 1
            elif recipient in self._held or self._waits(index):
                self._held.setdefault(recipient, deque()).append(index)
                self._next += 1
            elif self._fits(index):
                self._next += 1
                yield self._depart(index)
            else:
                return

    def arrived(self, index: int, result: PublishResult) -> None:
        """Note what came of a message that was under way."""
        message = self._messages[index]
        self.results[index] = result
        self.under_way -= 1
        self._octets -= len(message.octets)
        recipient = message.recipient
        self._recipients[recipient] -= 1
        if result is PublishResult.CONFIRMED:
            self._caution.confirmed(recipient)
        if result is PublishResult.FAILED:
            self._halted.add(recipient)
            self._held.pop(recipient, None)
        elif recipient in self._held:
            self._woken.append(recipient)
        if not self._distinct:
            self._woken.extend(self._ids.pop(_identity(message)))

    def _waits(self, index: int) -> bool:
        """Say whether a message must wait for one of its recipient, or of its message id, that is under way."""
        message = self._messages[index]
        if not self._distinct and (waiting := self._ids.get(_identity(message))) is not None:
            waiting.append(message.recipient)
            return True
        return self._recipients.get(message.recipient, 0) >= self._caution.bound(message.recipient)

    def _fits(self, index: int) -> bool:
        if not self.under_way:
            return True
        octets = self._octets + len(self._messages[index].octets)
        return self.under_way < self._in_flight and octets <= self._in_flight_octets

    def _depart(self, index: int) -> int:
        message = self._messages[index]
        self.under_way += 1
        self._octets += len(message.octets)
        self._recipients[message.recipient] = self._recipients.get(message.recipient, 0) + 1
        if not self._distinct:
            self._ids[_identity(message)] = []
        return index


def _identity(message: OutboxMessage) -> tuple[bool, str]:
    return message.kind is MessageKind.REPLY, message.message_id
