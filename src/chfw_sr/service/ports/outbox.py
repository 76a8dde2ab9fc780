"""The outbox: what is to be published, and the relay's door to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from zlib import crc32

from chfw_sr.quick import quick

HEADER_CODE = "x-chfw-code"
"""Header of a Service Response or of quarantined input: the response code."""

HEADER_REASON = "x-chfw-reason"
"""Header of quarantined input: why it lies there."""

HEADER_RECEIVED = "x-chfw-received"
"""Header of quarantined input: when it came in (xs:dateTime)."""


class MessageKind(StrEnum):
    """Where a message goes."""

    ALERT = "alert"
    """`chfw.alerts`, routing key `recipient.code`."""
    RESPONSE = "response"
    """`chfw.responses`, routing key = originator."""
    REPLY = "reply"
    """A queue named by the request's `reply_to`; may be gone."""
    QUARANTINE = "quarantine"
    """`chfw.quarantine`."""
    EMAIL = "email"
    """An alert, to its recipient's address."""


REPLY_LANES = 16
"""Lanes of replies. Anybody may name any queue as `reply_to`; lanes are never deleted, so they must be bounded."""

MAIL_LANES = "~email:"
"""How lanes of e-mail begin. In order of name they come after all others, so that neither relay meets the other's."""


_BEGINNINGS = {kind: f"{kind}:" for kind in MessageKind} | {MessageKind.EMAIL: MAIL_LANES}
"""How the names of lanes begin, by kind."""


@quick
@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to publish, in final octets.

    Attributes:
        id: from `UnitOfWork.reserve`; grows in the order in which messages of one unit of work are to be published.
        recipient: the User it is for; for a reply the name of the queue.
        message_id: ResponseID; the same on every repeat.
        type: SRV or alert code.
    """

    id: int
    kind: MessageKind
    recipient: str
    message_id: str
    type: str
    octets: bytes
    created_at: datetime
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """Name the lane that the message travels in.

        There is one for each queue and one for the address of a User, and a few for all `reply_to` queues together.
        """
        if self.kind is MessageKind.REPLY:
            return f"{_BEGINNINGS[self.kind]}{crc32(self.recipient.encode()) % REPLY_LANES}"
        return _BEGINNINGS[self.kind] + self.recipient


class OutboxStatus(StrEnum):
    """How far a message has come."""

    READY = "Ready"
    CLAIMED = "Claimed"
    PUBLISHED = "Published"
    UNROUTABLE = "Unroutable"
    """A reply whose queue is gone; nothing else ends here."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A message of the outbox as people see it.

    Attributes:
        status: `CLAIMED` if its lane belongs to a claim that has come as far.
        attempts: how often a relay has taken it to publish it, as far as it is known: the time that succeeded, the one
            under way, those that failed, and those of which the lease ran out.
        published_at: when it was finished.
    """

    message: OutboxMessage
    status: OutboxStatus
    attempts: int
    published_at: datetime | None


def furthest_lease(now: datetime, lease_seconds: float) -> datetime:
    """Say until when a lane can be leased or rest, by a clock that is right.

    Args:
        now: the present.
        lease_seconds: of a relay that claims now; others may have more, but hardly twice as much.
    """
    return now + timedelta(seconds=max(60.0, 2 * lease_seconds))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lane of e-mail waits for more: until it has any other message, an old one, or enough.

    Attributes:
        types: of the messages that may wait.
        before: a message put in then or earlier waits no longer.
        number: nor do messages of which there are so many.
    """

    types: frozenset[str]
    before: datetime
    number: int


class Outbox(Protocol):
    """The relay's door: claims are leases, fenced by a token.

    Messages travel in lanes (`OutboxMessage.lane`). A claim holds whole lanes: while it holds one, nobody else can
    claim a message of it. So one recipient's messages are published in order of id, however many relays there are.
    A lane that changes hands does so with all its messages: nothing of it can be marked by who held it before.
    """

    async def claim(
        self, token: str, limit: int, now: datetime, lease_seconds: float, *, mail: Patience | None = None
    ) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages that are ready, or whose lease ran out, of lanes that nobody holds.

        The answer has of each lane the messages that come first, in order of id; lane follows lane in order of their
        names, and nothing is said of the order of messages of different lanes. Lanes take turns in that order: a claim
        goes on after the lane at which the last one was full.

        A lease that ends later than `furthest_lease` comes of a clock that was wrong: it is taken over.

        Args:
            token: names this claim; unique per call, so that a late relay cannot mark what was taken over.
            limit: messages.
            now: the present.
            lease_seconds: after which another relay may take them over.
            mail: None claims what goes to the bus; else what goes by e-mail is claimed, and nothing else, of lanes that
                need not wait for more.
        """
        ...

    async def mark(
        self,
        token: str,
        messages: Sequence[OutboxMessage],
        status: OutboxStatus,
        now: datetime,
        *,
        rest_seconds: float = 0.0,
    ) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        A lane is free again once all that was claimed of it is marked, or any of it is `READY` again: then what else of
        the lane this claim still holds is given back with it. So what was published is marked first.

        Args:
            token: of the claim.
            messages: as they were claimed.
            status: how far they have come.
            now: the present.
            rest_seconds: how long the lanes of messages that are `READY` again stay closed to everybody.
        """
        ...

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        ...
