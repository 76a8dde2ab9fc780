"""What the service needs from the world outside: a store, a bus and a clock, as Protocols.

The store has three doors. A `UnitOfWork` is one transaction: it rolls back unless `commit` is called. The `Outbox` is
the relay's. The `Register` and the `Queries` are for people: who and what there is, and what happened.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from zlib import crc32

from chfw_sr.campaign.changes import Change
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import Campaign, Cell, Hub, Participation, User
from chfw_sr.messages import EUI, ActivationResult, CampaignID, RequestID, ResponseCode, Stage
from chfw_sr.wire import TrustedCertificate


class Unavailable(Exception):  # noqa: N818 - it names the outcome
    """A server is down or busy, or a race was lost: nothing happened, try again later."""


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Give the date and time, aware and in UTC."""
        ...


# ---------------------------------------------------------------------------------------------------------------- inbox


@dataclass(frozen=True, slots=True)
class Claim:
    """A verified request that claims its RequestID; `digest` (32 octets) names its signed content."""

    request_id: RequestID
    digest: bytes


class ClaimStatus(StrEnum):
    """What became of a claim."""

    NEW = "New"
    """Nobody used the RequestID before: it is this content's now."""
    REPEAT = "Repeat"
    """The same content was here before."""
    CONFLICT = "Conflict"
    """Other content claimed the RequestID before; this content is here for the first time."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim; of a repeat, `response` and `code` are the stored Service Response and its code."""

    status: ClaimStatus
    response: bytes | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """What to remember of a request that was claimed in the same unit of work."""

    claim: Claim
    srv: str | None
    code: ResponseCode
    response: bytes
    received_at: datetime


# --------------------------------------------------------------------------------------------------------------- outbox


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


REPLY_LANES = 16
"""Lanes of replies. Anybody may name any queue as `reply_to`; lanes are never deleted, so they must be bounded."""


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
        """Name the lane that the message travels in: one for each queue of a User, a few for all `reply_to` queues."""
        if self.kind is MessageKind.REPLY:
            return f"{self.kind}:{crc32(self.recipient.encode()) % REPLY_LANES}"
        return f"{self.kind}:{self.recipient}"


class OutboxStatus(StrEnum):
    """How far a message has come."""

    READY = "Ready"
    CLAIMED = "Claimed"
    PUBLISHED = "Published"
    UNROUTABLE = "Unroutable"
    """A reply whose queue is gone; nothing else ends here."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A row of the outbox as people see it."""

    message: OutboxMessage
    status: OutboxStatus
    attempts: int
    published_at: datetime | None


class Outbox(Protocol):
    """The relay's door: claims are leases, fenced by a token.

    Messages travel in lanes (`OutboxMessage.lane`). A claim holds whole lanes: while it holds one, nobody else can
    claim a message of it. So one recipient's messages are published in order of id, however many relays there are.
    """

    async def claim(self, token: str, limit: int, now: datetime, lease_seconds: float) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages that are ready, or whose lease ran out, of lanes that nobody holds.

        The answer is in order of id, and has of each lane the messages that come first. Lanes that were served the
        longest time ago go first.

        Args:
            token: names this claim; unique per call, so that a late relay cannot mark what was taken over.
            limit: messages.
            now: the present.
            lease_seconds: after which another relay may take them over.
        """
        ...

    async def mark(self, token: str, ids: Sequence[int], status: OutboxStatus, now: datetime) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        A lane is free again once none of its messages is claimed any more.
        """
        ...

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        ...


# ----------------------------------------------------------------------------------------------------------- quarantine


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Input that could not be attributed, bytes untouched; `id` is 0 until stored."""

    octets: bytes
    code: ResponseCode | str
    reason: str
    received_at: datetime
    reply_to: str | None = None
    correlation_id: str | None = None
    source: str | None = None
    id: int = 0
    replayed_at: datetime | None = None


# ------------------------------------------------------------------------------------------------------------ processes


@dataclass(frozen=True, slots=True)
class Lease:
    """What one process at a time holds; `fence` grows whenever it changes hands, so that a late holder is found out."""

    name: str
    holder: str
    fence: int
    until: datetime


# --------------------------------------------------------------------------------------------------------- unit of work


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something changes: the request, or None for the clock; it stands on every row of the history."""

    at: datetime
    request_id: RequestID | None = None


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit` undoes everything. Any method may raise `Unavailable`."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs, in bulk; the answers are in the order of the claims.

        Claims that name one RequestID twice within the call are the caller's to sort out beforehand.
        A conflict is remembered by its content, so that its repeat is a `REPEAT`.
        """
        ...

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store outcome and response of requests that were claimed here as `NEW` or `CONFLICT`."""
        ...

    async def facts(self, needs: Needs) -> Facts:
        """Answer needs; what the transaction changed before is seen. Campaigns and hubs asked for are locked."""
        ...

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order and write the history from them."""
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


# ---------------------------------------------------------------------------------------------------- register, queries


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A User to register, with its certificates (replacing what was known of both)."""

    user: User
    certificates: tuple[TrustedCertificate, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportCount:
    """What an inventory import did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


class Register(Protocol):
    """Who and what there is."""

    async def save_users(self, records: Sequence[UserRecord], at: datetime) -> None:
        """Add Users, or replace them with the same EUI; all or nothing. Certificates not named are withdrawn."""
        ...

    async def users(self) -> Sequence[UserRecord]:
        """Give all Users in order of EUI, with their certificates."""
        ...

    async def certificates(self) -> Sequence[TrustedCertificate]:
        """Give every certificate of the trust store."""
        ...

    async def trust_revision(self) -> int:
        """Give a number that changes whenever a certificate does: cheap enough to ask for each batch."""
        ...

    async def import_hubs(self, chunks: AsyncIterator[Sequence[Hub]], at: datetime) -> ImportCount:
        """Add hubs or replace their data, in one transaction and constant memory.

        A hub's `last_activation_at` and `membership` are not the inventory's: they stay as they are.
        An EUI that comes twice in one import: the later wins.
        """
        ...


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the history; `request_id` is None where the clock or an import was the cause."""

    id: int
    at: datetime
    kind: str
    campaign_id: CampaignID | None = None
    user: EUI | None = None
    hub: EUI | None = None
    request_id: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """A recorded result of a hub."""

    hub: EUI
    firmware_version: str
    at: datetime
    result: ActivationResult
    failure_reason: str | None
    campaign_id: CampaignID | None
    effective: bool
    request_id: str | None


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign with everything that people want to see of it."""

    campaign: Campaign
    participations: tuple[Participation, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class HubView:
    """A hub and its timeline, oldest first."""

    hub: Hub
    history: tuple[HistoryRow, ...]
    activations: tuple[ActivationRow, ...]


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A request that was answered."""

    request_id: str
    digest: bytes
    srv: str | None
    code: str
    received_at: datetime
    conflict: bool


DEPTH_LIMIT = 100_000
"""Where counting a backlog ends: beyond it is enough to know that it is huge."""


@dataclass(frozen=True, slots=True)
class Depths:
    """How much waits.

    Attributes:
        outbox: messages to publish, at most `DEPTH_LIMIT`.
        oldest: when the oldest of them was put there.
        quarantined: inputs put aside and not replayed, at most `DEPTH_LIMIT`.
        campaigns: how many there are, by stage; a stage without any may be absent.
    """

    outbox: int
    oldest: datetime | None
    quarantined: int
    campaigns: Mapping[Stage, int]


class Queries(Protocol):
    """What happened, for people; reads only."""

    async def depths(self) -> Depths:
        """Tell how much waits; cheap however much there is."""
        ...

    async def campaigns(self) -> Sequence[Campaign]:
        """Give all campaigns, oldest first."""
        ...

    async def campaign(self, campaign_id: CampaignID) -> CampaignView | None:
        """Give one campaign; None if there is none."""
        ...

    async def campaign_history(self, campaign_id: CampaignID, limit: int) -> Sequence[HistoryRow]:
        """Give the newest `limit` rows about the campaign and its preferences (not hub by hub), oldest first."""
        ...

    async def hub(self, eui: EUI) -> HubView | None:
        """Give one hub with its timeline; None if there is none."""
        ...

    async def inbox(self, limit: int) -> Sequence[InboxEntry]:
        """Give the newest `limit` requests, newest first."""
        ...

    async def outbox(self, status: OutboxStatus | None, limit: int) -> Sequence[OutboxEntry]:
        """Give the oldest `limit` messages (of one status), in order of id."""
        ...

    async def quarantined(self, limit: int) -> Sequence[Quarantined]:
        """Give the newest `limit` quarantined inputs, newest first."""
        ...

    async def quarantined_item(self, item_id: int) -> Quarantined | None:
        """Give one quarantined input; None if there is none."""
        ...


class Store(Protocol):
    """A database, or its twin in memory."""

    @property
    def outbox(self) -> Outbox:
        """The relay's door."""
        ...

    @property
    def register(self) -> Register:
        """Who and what there is."""
        ...

    @property
    def queries(self) -> Queries:
        """What happened."""
        ...

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open a unit of work; raises `Unavailable` if the database is down."""
        ...

    async def due_campaigns(self, now: datetime, limit: int) -> Sequence[CampaignID]:
        """Give up to `limit` campaigns of which a clock-driven step is due, the longest due first."""
        ...

    async def next_due(self) -> datetime | None:
        """Give when the next clock-driven step of any campaign is due."""
        ...

    async def mark_replayed(self, item_id: int, at: datetime) -> None:
        """Note that a quarantined input was sent in again."""
        ...

    async def lease(self, name: str, holder: str, now: datetime, seconds: float) -> Lease | None:
        """Take a lease, or renew it; None if another holder has it.

        One that was granted until more than twice `seconds` from now comes of a clock that is wrong: it is taken over.

        Args:
            name: what for.
            holder: names the process, uniquely.
            now: the present.
            seconds: for how long.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease back before its time; does nothing if it has changed hands."""
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...


# ------------------------------------------------------------------------------------------------------------------ bus


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was taken from `chfw.requests` and is not acknowledged yet.

    Attributes:
        tag: what the bus needs to acknowledge it; means nothing elsewhere.
        routing_key: as sent.
        reply_to: queue to which the answer also goes.
        correlation_id: to be returned with the answer.
        source: where it came from, for people (a file, a connection).
    """

    octets: bytes
    tag: int
    routing_key: str = ""
    reply_to: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    redelivered: bool = False
    source: str | None = None


class PublishResult(StrEnum):
    """What the bus said about one message."""

    CONFIRMED = "Confirmed"
    UNROUTABLE = "Unroutable"
    FAILED = "Failed"
    """Refused, or no confirmation in time: it may or may not have arrived."""


class Consumer(Protocol):
    """Takes Service Requests."""

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[Delivery]:
        """Wait for at least one message, then take what arrives within `wait_seconds`, at most `limit`.

        Raises:
            Unavailable: if the connection was lost; what was not acknowledged comes again.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done."""
        ...

    async def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back, to be delivered again."""
        ...


class Publisher(Protocol):
    """Publishes outbox messages with confirms."""

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Publish many, in order, and wait for every confirm; the results are in the order of the messages.

        Raises:
            Unavailable: if the connection was lost before any was sent.
        """
        ...
