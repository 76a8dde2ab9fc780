"""What the store in memory knows, as tables, and how one transaction changes them.

A transaction never touches the tables. It works on a `Draft` of each: a table of its own laid over the committed one.
Commit copies the drafts down; a rollback is simply never doing so. Readers see the committed tables and nothing else.
"""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, TypeVar

from chfw_sr.campaign.facts import ActivationKey
from chfw_sr.campaign.model import Campaign, Cell, Hub, Participation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, Region, RequestID
from chfw_sr.service.ports import (
    ActivationRow,
    HistoryRow,
    InboxRecord,
    Lease,
    OutboxMessage,
    OutboxStatus,
    Quarantined,
    Throttle,
    UserRecord,
)

K = TypeVar("K")
V = TypeVar("V")


class _Deleted:
    """Marks a key of a draft that is gone."""


class _Untouched:
    """Stands for a key that a draft has nothing to say about."""


_DELETED: Final = _Deleted()
_UNTOUCHED: Final = _Untouched()


class Draft(MutableMapping[K, V]):
    """A table laid over another; reads fall through, writes and deletions stay here until `commit`.

    Args:
        base: the table below, which nobody else may change meanwhile.
    """

    def __init__(self, base: MutableMapping[K, V]) -> None:
        self._base = base
        self._own: dict[K, V | _Deleted] = {}
        self._length = len(base)

    def __getitem__(self, key: K) -> V:
        value = self._own.get(key, _UNTOUCHED)
        if isinstance(value, _Untouched):
            return self._base[key]
        if isinstance(value, _Deleted):
            raise KeyError(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._length += key not in self
        self._own[key] = value

    def __delitem__(self, key: K) -> None:
        self[key]
        self._own[key] = _DELETED
        self._length -= 1

    def __contains__(self, key: object) -> bool:
        return self._own[key] is not _DELETED if key in self._own else key in self._base

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._base if self._own.get(key) is not _DELETED)
        yield from (key for key in self._own if key not in self._base and self._own[key] is not _DELETED)

    def __len__(self) -> int:
        return self._length

    def commit(self) -> None:
        """Copy everything down into the table below."""
        for key, value in self._own.items():
            if isinstance(value, _Deleted):
                self._base.pop(key, None)
            else:
                self._base[key] = value
        self._own.clear()


CellKey = tuple[CampaignID, Phase, EUI | None, EUI | None, EUI | None, Region, int, datetime, datetime]
"""Campaign, phase, Supplier, distributor, transporter, region; the window's number, start and end."""

RowKey = tuple[CampaignID, Phase, EUI]
"""Campaign, phase and hub."""


@dataclass(frozen=True, slots=True)
class Row:
    """A hub in one phase of a campaign.

    Attributes:
        default_position: place in its Supplier's part of the Default Pilot List.
        nominated_position: place in the Preferred Pilot List that names it.
        cell: where it counts, once it has a window.
        place: its place in its Supplier's confirmed list.
    """

    default_supplier: EUI | None = None
    default_position: int | None = None
    nominated_by: EUI | None = None
    nominated_position: int | None = None
    cell: CellKey | None = None
    place: int = 0
    outcome: ActivationResult | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """One content that came under a RequestID; `record` follows in the same transaction."""

    id: int
    digest: bytes
    record: InboxRecord | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """A message in the outbox; `attempts` are those that failed, once it is finished all."""

    message: OutboxMessage
    attempts: int = 0
    status: OutboxStatus | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """Whose a lane is: nobody's, a claim's, or nobody's for a while.

    Attributes:
        token: of the claim.
        leased_until: until when it is the claim's, or rests.
        claimed_to: the last message that was claimed.
        claimed: how many messages of the claim are not marked yet.
    """

    token: str | None = None
    leased_until: datetime | None = None
    claimed_to: int = 0
    claimed: int = 0


FREE: Final = Lane()
"""A lane that nobody holds."""


@dataclass(slots=True)
class State:
    """All tables.

    Attributes:
        hubs: the inventory; `membership` is always None here, for it follows from `holders` and `rows`.
        holders: the campaign that holds a hub, or the last one that did, if that has ended.
        inbox: the contents that came under a RequestID; the first is the one it belongs to.
        pending: messages that are not finished, by id.
        finished: messages that are, in the order in which they were finished.
        lanes: those that were ever claimed.
        numbers: the last id given, by table; and the revision of the trust store.
        leases: by name; one that was given back is held by nobody, `""`.
        beats: when the service was last known to be up; one row.
    """

    users: MutableMapping[EUI, UserRecord] = field(default_factory=dict)
    hubs: MutableMapping[EUI, Hub] = field(default_factory=dict)
    campaigns: MutableMapping[CampaignID, Campaign] = field(default_factory=dict)
    participations: MutableMapping[tuple[CampaignID, EUI], Participation] = field(default_factory=dict)
    rows: MutableMapping[RowKey, Row] = field(default_factory=dict)
    holders: MutableMapping[EUI, CampaignID] = field(default_factory=dict)
    cells: MutableMapping[CellKey, Cell] = field(default_factory=dict)
    activations: MutableMapping[ActivationKey, ActivationRow] = field(default_factory=dict)
    inbox: MutableMapping[RequestID, tuple[Content, ...]] = field(default_factory=dict)
    pending: MutableMapping[int, Post] = field(default_factory=dict)
    finished: MutableMapping[int, Post] = field(default_factory=dict)
    lanes: MutableMapping[str, Lane] = field(default_factory=dict)
    quarantine: MutableMapping[int, Quarantined] = field(default_factory=dict)
    history: MutableMapping[int, HistoryRow] = field(default_factory=dict)
    numbers: MutableMapping[str, int] = field(default_factory=dict)
    leases: MutableMapping[str, Lease] = field(default_factory=dict)
    beats: MutableMapping[str, datetime] = field(default_factory=dict)
    throttles: MutableMapping[EUI, Throttle] = field(default_factory=dict)

    def draft(self) -> "State":
        """Lay a draft over every table."""
        return State(**{each.name: Draft(getattr(self, each.name)) for each in fields(self)})

    def commit(self) -> None:
        """Copy every draft down; only for what `draft` gave."""
        for each in fields(self):
            getattr(self, each.name).commit()

    def next_number(self, table: str) -> int:
        """Give the next id of a table, from 1."""
        number = self.numbers.get(table, 0) + 1
        self.numbers[table] = number
        return number

    def holder(self, hub: EUI) -> CampaignID | None:
        """Give the live campaign that holds a hub."""
        campaign_id = self.holders.get(hub)
        return campaign_id if campaign_id is not None and self.campaigns[campaign_id].is_live else None

    def status(self, post: Post) -> OutboxStatus:
        """Tell how far a message has come."""
        if post.status is not None:
            return post.status
        lane = self.lanes.get(post.message.lane, FREE)
        claimed = lane.token is not None and post.message.id <= lane.claimed_to
        return OutboxStatus.CLAIMED if claimed else OutboxStatus.READY

    def write(
        self,
        at: datetime,
        kind: str,
        request_id: RequestID | None = None,
        *,
        campaign_id: CampaignID | None = None,
        user: EUI | None = None,
        hub: EUI | None = None,
        **detail: str | None,
    ) -> None:
        """Append a row to the history; details that are None are left out."""
        number = self.next_number("history")
        cause = None if request_id is None else str(request_id)
        known = {name: value for name, value in detail.items() if value is not None}
        self.history[number] = HistoryRow(number, at, kind, campaign_id, user, hub, cause, known)
