"""The unit of work: one transaction, and the lease that can fence it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chfw_sr.campaign.changes import Change
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.messages import EUI, RequestID
from chfw_sr.quick import quick

from .inbox import Claim, Claimed, InboxRecord, Quarantined
from .outbox import OutboxMessage
from .throttles import Throttle


@quick
@dataclass(frozen=True, slots=True)
class Cause:
    """Why something changes: the request, or None for the clock; it stands on every row of the history."""

    at: datetime
    request_id: RequestID | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """What one process at a time holds; `fence` grows whenever it changes hands, so that a late holder is found out."""

    name: str
    holder: str
    fence: int
    until: datetime


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit` undoes everything. Any method may raise `Unavailable`."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs, in bulk; the answers are in the order of the claims.

        Claims that name one RequestID twice within the call are the caller's to sort out beforehand.
        A conflict is remembered by its content, so that its repeat is a `REPEAT`. Two units of work may both be told
        that a RequestID is `NEW`: one of them is `Unavailable` when it finishes or commits, and finds a repeat then.
        """
        ...

    async def trust_revision(self) -> int:
        """Give the register's `trust_revision`, as this transaction sees it; a claim learns it in passing."""
        ...

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store outcome and response of requests that were claimed here as `NEW` or `CONFLICT`."""
        ...

    async def anticipate(self, needs: Sequence[Needs]) -> None:
        """Prepare for questions that will be asked one by one; a hint, which changes no answer.

        A store takes all their locks now, in the order in which everybody takes them.
        """
        ...

    async def facts(self, needs: Needs) -> Facts:
        """Answer needs; what the transaction changed before is seen. Campaigns and hubs asked for are locked."""
        ...

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order and write the history from them.

        A store may keep them back until they are asked about, or `tell` or `commit`: it fails then, if it has to.
        """
        ...

    async def tell(self) -> None:
        """Keep nothing back any more: a hint, given while the caller has something else to do.

        The unit of work must not be asked for anything else meanwhile.
        """
        ...

    async def reserve(self, count: int) -> int:
        """Reserve `count` consecutive outbox ids, never given before and never again; give the first."""
        ...

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        """Put messages into the outbox."""
        ...

    async def quarantine(self, items: Sequence[Quarantined]) -> None:
        """Keep input that could not be attributed."""
        ...

    async def throttles(self, users: Sequence[EUI]) -> Mapping[EUI, Throttle]:
        """Give what is remembered of each User that was refused by its quota, and lock it; of others, that it is none.

        Locks are taken in order of EUI; nothing else is locked after them.
        """
        ...

    async def save_throttles(self, throttles: Sequence[Throttle]) -> None:
        """Remember what was asked for here, as it has become."""
        ...

    async def fence(self, lease: Lease) -> None:
        """Make sure that a lease has not changed hands; until this unit of work ends, it cannot.

        Raises:
            Unavailable: if it has.
        """
        ...

    async def beat(self, now: datetime) -> datetime | None:
        """Note that the service is up; give when that was noted last, None if never. An earlier `now` changes nothing.

        Whoever else does this waits until this unit of work ends.
        """
        ...

    async def commit(self) -> None:
        """Make everything since the beginning permanent."""
        ...
